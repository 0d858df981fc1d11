"""``symroute-nm verify``: do plan, files and kernel agree?"""

from pathlib import Path
from typing import List, Optional

from symroute_nm.cli.options import (
    CONFIG,
    EXCLUDE,
    FORWARDED,
    GATEWAY,
    GUARD,
    IIF,
    INTERFACE,
    JSON,
    ROOT,
    SOURCES,
    TABLE,
    TABLE_NAMES,
)
from symroute_nm.cli.terminal import say, write_json, write_lines
from symroute_nm.errors import FINDING
from symroute_nm.workflow.inputs import read_host, read_settings


def verify(
    root: Path = ROOT,
    config: Optional[Path] = CONFIG,
    as_json: bool = JSON,
    interface: List[str] = INTERFACE,
    exclude: List[str] = EXCLUDE,
    table: List[str] = TABLE,
    gateway: List[str] = GATEWAY,
    guard: Optional[str] = GUARD,
    sources: Optional[str] = SOURCES,
    iif: Optional[bool] = IIF,
    table_names: Optional[bool] = TABLE_NAMES,
    forwarded: Optional[bool] = FORWARDED,
) -> int:
    """Do plan, files and kernel agree? Exit 1 where they do not."""
    from symroute_nm.model.settings import Options
    from symroute_nm.report import verification
    from symroute_nm.workflow import verify

    options = Options(
        guard=guard,
        sources=sources,
        iif=iif,
        table_names=table_names,
        forwarded=forwarded,
        interfaces=tuple(interface),
        exclude=tuple(exclude),
        tables=tuple(table),
        gateways=tuple(gateway),
    )
    settings = read_settings(root, config, options)
    host = read_host(root, None, probe=settings.guard == "auto")
    found = verify.verify(root, host, settings)
    say(*found.notes)
    if as_json:
        write_json(verification.drift_json(found))
    else:
        write_lines(verification.drift_lines(found))
    return 0 if found.agree else FINDING
