"""``symroute-nm inspect``: the host as it is understood."""

import sys
from pathlib import Path
from typing import Optional

from symroute_nm.cli.options import CONFIG, HOST, JSON, ROOT
from symroute_nm.cli.terminal import write, write_json
from symroute_nm.workflow.inputs import read_host, read_settings

_WIDE = 200  # columns


def inspect(
    root: Path = ROOT,
    host: Optional[Path] = HOST,
    config: Optional[Path] = CONFIG,
    as_json: bool = JSON,
) -> None:
    """Show the host as it is understood: uplinks, internal networks, what is skipped and why."""
    from symroute_nm.report import inspection
    from symroute_nm.workflow import query

    found = query.inspection(read_host(root, host), read_settings(root, config))
    if as_json:
        write_json(found)
        return
    from rich.console import Console

    # What is no terminal has no width: nothing is to be folded at 80 columns.
    console = Console(width=None if sys.stdout.isatty() else _WIDE)
    with console.capture() as capture:
        for each in inspection.inspection_tables(found):
            console.print(each)
    write(capture.get())
