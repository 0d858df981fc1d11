"""``symroute-nm apply``: the running kernel brought to the plan, with a timed way back."""

from pathlib import Path
from typing import Optional

from symroute_nm.cli.options import (
    CONFIG,
    DRY_RUN,
    FORCE,
    FORWARDED,
    JSON,
    ROOT,
    Confirmation,
    PlanOptions,
    expand_groups,
)
from symroute_nm.cli.terminal import say, write_json, write_lines


@expand_groups
def apply(
    *,
    root: Path = ROOT,
    config: Optional[Path] = CONFIG,
    as_json: bool = JSON,
    plan: PlanOptions,
    forwarded: Optional[bool] = FORWARDED,
    dry_run: bool = DRY_RUN,
    force: bool = FORCE,
    confirmation: Confirmation,
) -> int:
    """Bring the running kernel to the plan now, with a timed way back; no connection goes down."""
    from symroute_nm.cli import countdown
    from symroute_nm.report.changes import kernel_json, kernel_lines
    from symroute_nm.workflow import apply
    from symroute_nm.workflow.inputs import hold_kernel, read_settings
    from symroute_nm.workflow.proposal import unwritten_notes

    options = plan.with_marks(forwarded)
    settings = read_settings(root, config, options)
    with hold_kernel(root, say, dry_run=dry_run):
        make = None if dry_run else countdown.prepare(confirmation)
        applied = apply.apply(root, settings, options, say, make, force=force)
    if as_json:
        write_json({"dry_run": dry_run, **kernel_json(applied.kernel_change)})
    else:
        write_lines(kernel_lines(applied.kernel_change, dry_run=dry_run))
    say(*unwritten_notes(applied.proposal.changes))
    return 0
