"""``symroute-nm inspect``: the host as it is understood."""

import sys
from pathlib import Path
from typing import Optional

from symroute_nm.cli.options import CONFIG, HOST, JSON, ROOT
from symroute_nm.cli.terminal import draw_tables, write, write_json

_WIDE = 200  # columns


def inspect(
    root: Path = ROOT,
    host: Optional[Path] = HOST,
    config: Optional[Path] = CONFIG,
    as_json: bool = JSON,
) -> None:
    """Show the host as it is understood: uplinks, internal networks, what is skipped and why."""
    from symroute_nm.report import inspection
    from symroute_nm.workflow.inputs import read_settings
    from symroute_nm.workflow.inspect import inspect

    inspected = inspect(root, host, read_settings(root, config))
    if as_json:
        write_json(inspection.as_json(inspected))
        return
    # What is no terminal has no width: nothing is to be folded at 80 columns.
    width = None if sys.stdout.isatty() else _WIDE
    write(draw_tables(inspection.tables(inspected), inspection.lines(inspected), width))
