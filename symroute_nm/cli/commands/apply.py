"""``symroute-nm apply``: the running kernel brought to the plan, with a timed way back."""

from pathlib import Path
from typing import Optional

from symroute_nm.cli.options import (
    CONFIG,
    DRY_RUN,
    FILES,
    FORCE,
    FORWARDED,
    JSON,
    ROOT,
    Confirmation,
    PlanOptions,
    expand_groups,
)
from symroute_nm.cli.terminal import say, write_json, write_lines
from symroute_nm.errors import InputError


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
    files: bool = FILES,
    confirmation: Confirmation,
) -> int:
    """Bring the running kernel to the plan now, with a timed way back; no connection goes down."""
    from symroute_nm.cli import countdown
    from symroute_nm.model.settings import Options
    from symroute_nm.report.changes import kernel_json, kernel_lines
    from symroute_nm.workflow import apply
    from symroute_nm.workflow.inputs import hold_kernel, read_settings
    from symroute_nm.workflow.proposal import unwritten_notes

    options = plan.with_marks(forwarded)
    if files and options != Options():
        raise InputError(
            "--files goes by the files that are there, and the other options shape a plan",
            "give the one or the others",
        )
    settings = read_settings(root, config, options)
    with hold_kernel(root, say, dry_run=dry_run):
        make = None if dry_run else countdown.prepare(confirmation)
        if files:
            change, notes = apply.apply_files(root, settings, make), []
        else:
            applied = apply.apply(root, settings, options, say, make, force=force)
            change, notes = applied.kernel_change, unwritten_notes(applied.proposal.changes)
    if as_json:
        write_json({"dry_run": dry_run, **kernel_json(change)})
    else:
        write_lines(kernel_lines(change, dry_run=dry_run))
    say(*notes)
    return 0
