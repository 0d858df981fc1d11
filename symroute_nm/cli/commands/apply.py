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
from symroute_nm.workflow.inputs import hold_kernel, read_settings


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
    from symroute_nm.report import results
    from symroute_nm.workflow import apply, proposal

    options = plan.with_marks(forwarded)
    settings = read_settings(root, config, options)
    with hold_kernel(root, say, dry_run=dry_run):
        make = None if dry_run else countdown.prepare(confirmation)
        done = apply.apply(root, settings, options, force, say, make)
    if as_json:
        write_json({"dry_run": dry_run, **results.kernel_json(done.change)})
    else:
        write_lines(results.kernel_lines(done.change, dry_run))
    say(*proposal.unwritten_notes(done.made.changes))
    return 0
