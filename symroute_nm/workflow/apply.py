"""`apply` and `confirm`: the running kernel brought to the plan, with a timed way back."""

from pathlib import Path
from typing import NamedTuple, Optional

from symroute_nm.kernel import keeper
from symroute_nm.kernel.keeper import KeeperResult as KeeperResult
from symroute_nm.kernel.keeper import Watch as Watch
from symroute_nm.kernel.transaction import KernelChange as KernelChange
from symroute_nm.kernel.transaction import make_change as make_change
from symroute_nm.kernel.transaction import socket_path
from symroute_nm.model.settings import GenerateOptions, Options, Settings
from symroute_nm.readers.host import read_host
from symroute_nm.workflow import proposal
from symroute_nm.workflow.commit import Maker, Say
from symroute_nm.workflow.kernel_changes import for_generation
from symroute_nm.workflow.proposal import Proposal


class Applied(NamedTuple):
    """The plan, proved, and what `apply` changed or would change in the kernel."""

    made: Proposal
    change: KernelChange


def apply(
    root: Path,
    settings: Settings,
    options: Options,
    force: bool,
    say: Say,
    make: Optional[Maker],
) -> Applied:
    """Bring the kernel to the plan by `make`, None for a dry run; raises `SymrouteError`."""
    manner = GenerateOptions(dry_run=True, force=force)
    host = read_host(root, None, probe=settings.guard == "auto")
    proposal.check_names(host, options)
    made = proposal.propose(root, host, settings, manner)
    say(
        *made.plan.notes,
        *made.check.sleeping.notes,
        *proposal.name_notes(host, settings),
        *proposal.check_proof(made, manner),
    )
    change = for_generation(root, host, settings, made)
    if make is not None:
        make(change, list)
    return Applied(made, change)


def confirm() -> bool:
    """Keep what waits to be confirmed; False: it is too late. Raises `SymrouteError`."""
    return keeper.confirm(socket_path()).kept
