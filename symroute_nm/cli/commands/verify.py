"""``symroute-nm verify``: do plan, files and kernel agree?"""

from pathlib import Path
from typing import Optional

from symroute_nm.cli.options import (
    CONFIG,
    FORWARDED,
    JSON,
    ROOT,
    TABLE_NAMES,
    PlanOptions,
    expand_groups,
)
from symroute_nm.cli.terminal import say, write_json, write_lines
from symroute_nm.errors import FINDING


@expand_groups
def verify(
    *,
    root: Path = ROOT,
    config: Optional[Path] = CONFIG,
    as_json: bool = JSON,
    plan: PlanOptions,
    table_names: Optional[bool] = TABLE_NAMES,
    forwarded: Optional[bool] = FORWARDED,
) -> int:
    """Do plan, files and kernel agree? Exit 1 where they do not."""
    from symroute_nm.report import verification
    from symroute_nm.workflow import verify
    from symroute_nm.workflow.inputs import read_host, read_settings

    options = plan.with_marks(forwarded, table_names)
    settings = read_settings(root, config, options)
    host = read_host(root, None, probe=settings.guard == "auto")
    verified = verify.verify(root, host, settings)
    say(*verified.notes)
    if as_json:
        write_json(verification.drift_json(verified))
    else:
        write_lines(verification.drift_lines(verified))
    return 0 if verified.agree else FINDING
