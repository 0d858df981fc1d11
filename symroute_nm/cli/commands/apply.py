"""``symroute-nm apply``: the running kernel brought to the plan, with a timed way back."""

from pathlib import Path
from typing import List, Optional

from symroute_nm.cli.options import (
    CONFIG,
    DRY_RUN,
    EXCLUDE,
    FORCE,
    FORWARDED,
    GATEWAY,
    GUARD,
    IIF,
    INTERFACE,
    JSON,
    ROOT,
    SOURCES,
    TABLE,
    TIMEOUT,
    YES,
)
from symroute_nm.cli.terminal import say, write_json, write_lines
from symroute_nm.workflow.inputs import hold_kernel, read_settings


def apply(
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
    forwarded: Optional[bool] = FORWARDED,
    dry_run: bool = DRY_RUN,
    force: bool = FORCE,
    yes: bool = YES,
    timeout: float = TIMEOUT,
) -> int:
    """Bring the running kernel to the plan now, with a timed way back; no connection goes down."""
    from symroute_nm.cli import countdown
    from symroute_nm.model.settings import Options
    from symroute_nm.report import results
    from symroute_nm.workflow import apply, proposal

    options = Options(
        guard=guard,
        sources=sources,
        iif=iif,
        forwarded=forwarded,
        interfaces=tuple(interface),
        exclude=tuple(exclude),
        tables=tuple(table),
        gateways=tuple(gateway),
    )
    settings = read_settings(root, config, options)
    with hold_kernel(root, dry_run, say):
        make = None if dry_run else countdown.prepare(timeout, yes)
        done = apply.apply(root, settings, options, force, say, make)
    if as_json:
        write_json({"dry_run": dry_run, **results.kernel_json(done.change)})
    else:
        write_lines(results.kernel_lines(done.change, dry_run))
    say(*proposal.unwritten_notes(done.made.changes))
    return 0
