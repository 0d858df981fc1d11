"""``symroute-nm diagnose``: is it happening to me, and why?"""

from pathlib import Path
from typing import Optional

from symroute_nm.cli.options import CONFIG, HOST, JSON, ROOT
from symroute_nm.cli.terminal import write_json, write_lines
from symroute_nm.errors import FINDING
from symroute_nm.workflow.inputs import read_settings


def diagnose(
    root: Path = ROOT,
    host: Optional[Path] = HOST,
    config: Optional[Path] = CONFIG,
    as_json: bool = JSON,
) -> int:
    """Is it happening to me, and why; exit 1 if some reply takes the wrong way."""
    from symroute_nm.report import diagnosis
    from symroute_nm.workflow import query

    settings = read_settings(root, config)
    found = query.diagnose(root, host, settings)
    if as_json:
        write_json(diagnosis.as_json(found))
    else:
        write_lines(diagnosis.lines(found))
    return 0 if found.symmetric else FINDING
