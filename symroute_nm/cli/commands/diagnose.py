"""``symroute-nm diagnose``: is it happening to me, and why?"""

from pathlib import Path
from typing import Optional

from symroute_nm.cli.options import CONFIG, HOST, JSON, ROOT
from symroute_nm.cli.terminal import write_json, write_lines
from symroute_nm.errors import FINDING


def diagnose(
    root: Path = ROOT,
    host: Optional[Path] = HOST,
    config: Optional[Path] = CONFIG,
    as_json: bool = JSON,
) -> int:
    """Is it happening to me, and why; exit 1 if some reply takes the wrong way."""
    from symroute_nm.report import diagnosis
    from symroute_nm.workflow import query
    from symroute_nm.workflow.inputs import read_settings

    settings = read_settings(root, config)
    diagnosed = query.diagnose(root, host, settings)
    if as_json:
        write_json(diagnosis.as_json(diagnosed))
    else:
        write_lines(diagnosis.lines(diagnosed))
    return 0 if diagnosed.symmetric else FINDING
