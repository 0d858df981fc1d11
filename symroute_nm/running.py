"""The commands about the running kernel: apply, confirm, verify."""

from pathlib import Path
from typing import TYPE_CHECKING, List, Optional, Tuple

from symroute_nm.errors import FINDING, Refusal
from symroute_nm.inputs import hold_kernel, read_host, read_settings
from symroute_nm.options import (
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
    TABLE_NAMES,
    TIMEOUT,
    YES,
)
from symroute_nm.terminal import say, write_json, write_lines

if TYPE_CHECKING:
    from symroute_nm.choices import Settings
    from symroute_nm.enactment import Enactment
    from symroute_nm.generation import Generation
    from symroute_nm.settings import Options


def apply(
    root: Path = ROOT, config: Optional[Path] = CONFIG, as_json: bool = JSON,
    interface: List[str] = INTERFACE, exclude: List[str] = EXCLUDE,
    table: List[str] = TABLE, gateway: List[str] = GATEWAY, guard: Optional[str] = GUARD,
    sources: Optional[str] = SOURCES, iif: Optional[bool] = IIF,
    forwarded: Optional[bool] = FORWARDED,
    dry_run: bool = DRY_RUN, force: bool = FORCE, yes: bool = YES, timeout: float = TIMEOUT,
) -> int:
    """Bring the running kernel to the plan now, with a timed way back; no connection goes down."""
    from symroute_nm import countdown, generation, report
    from symroute_nm.choices import Confirmation
    from symroute_nm.settings import Options

    options = Options(
        guard=guard, sources=sources, iif=iif, forwarded=forwarded, interfaces=tuple(interface),
        exclude=tuple(exclude), tables=tuple(table), gateways=tuple(gateway))
    settings = read_settings(root, config, options)
    with hold_kernel(root, dry_run):
        made, wanted = _plan(root, settings, options, force)
        if not dry_run:
            countdown.make(wanted, Confirmation(timeout, yes), list)
    if as_json:
        done = report.kernel_changes(wanted.steps, wanted.words)
        write_json({"dry_run": dry_run, "kernel": done})
    else:
        write_lines(report.step_lines(wanted.steps, wanted.words, dry_run))
    say(*generation.unwritten_notes(made.changes))
    return 0


def confirm(root: Path = ROOT) -> int:  # noqa: ARG001  # one kernel, whatever the root
    """Keep what apply, or --apply, has changed and is about to take back."""
    from symroute_nm import enactment, trial

    outcome = trial.confirm(enactment.door())
    if not outcome.kept:
        raise Refusal("too late: it is being taken back", "run it again")
    write_lines(["kept"])
    return 0


def verify(
    root: Path = ROOT, config: Optional[Path] = CONFIG, as_json: bool = JSON,
    interface: List[str] = INTERFACE, exclude: List[str] = EXCLUDE,
    table: List[str] = TABLE, gateway: List[str] = GATEWAY, guard: Optional[str] = GUARD,
    sources: Optional[str] = SOURCES, iif: Optional[bool] = IIF,
    table_names: Optional[bool] = TABLE_NAMES, forwarded: Optional[bool] = FORWARDED,
) -> int:
    """Do plan, files and kernel agree? Exit 1 where they do not."""
    from symroute_nm import drift, enactment, verification
    from symroute_nm.settings import Options

    options = Options(
        guard=guard, sources=sources, iif=iif, table_names=table_names, forwarded=forwarded,
        interfaces=tuple(interface), exclude=tuple(exclude), tables=tuple(table),
        gateways=tuple(gateway))
    settings = read_settings(root, config, options)
    host = read_host(root, None, probe=settings.guard == "auto")
    found = verification.verify(root, host, settings)
    say(*enactment.pending_notes(), *found.notes)
    if as_json:
        write_json(drift.drift_json(found))
    else:
        write_lines(drift.drift_lines(found))
    return 0 if found.agree else FINDING


def _plan(
    root: Path, settings: "Settings", options: "Options", force: bool
) -> Tuple["Generation", "Enactment"]:
    """The plan, proved, and what it changes in the kernel; says what there is to be said."""
    from symroute_nm import enactment, generation
    from symroute_nm.choices import Manner

    manner = Manner(dry_run=True, force=force)
    host = read_host(root, None, probe=settings.guard == "auto")
    generation.check_names(host, options)
    made = generation.prepare(root, host, settings, manner)
    say(*made.plan.notes, *made.notes, *generation.name_notes(host, settings),
        *generation.check_proof(made, manner))
    return made, enactment.for_generation(root, host, settings, made)
