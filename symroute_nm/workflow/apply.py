"""`apply`: the running kernel brought to the plan, with a timed way back."""

from pathlib import Path
from typing import NamedTuple, Optional

from symroute_nm.kernel.transaction import KernelChange
from symroute_nm.model.settings import GenerateOptions, Options, Settings
from symroute_nm.readers.host import read_host
from symroute_nm.workflow.commit import Maker, Say
from symroute_nm.workflow.kernel_changes import for_files, for_proposal, with_purpose
from symroute_nm.workflow.proposal import (
    Proposal,
    check_names,
    check_proof,
    name_notes,
    propose,
)


class Applied(NamedTuple):
    """The plan, proved, and what `apply` changed or would change in the kernel."""

    proposal: Proposal
    kernel_change: KernelChange


def apply(  # noqa: PLR0913  # no two of them belong together
    root: Path,
    settings: Settings,
    options: Options,
    say: Say,
    make: Optional[Maker],
    *,
    force: bool,
) -> Applied:
    """Bring the kernel to the plan by `make`, None for a dry run; raises `SymrouteError`."""
    generate_options = GenerateOptions(dry_run=True, force=force)
    host = read_host(root, None, probe=settings.guard == "auto")
    check_names(host, options)
    proposal = propose(root, host, settings, generate_options)
    say(
        *proposal.plan.notes,
        *proposal.check.sleeping.notes,
        *name_notes(host, settings),
        *check_proof(proposal, generate_options),
    )
    change = for_proposal(root, host, settings, proposal)
    if make is not None:
        make(with_purpose(change, "apply", root), lambda _: [""])
    return Applied(proposal, change)


def apply_files(root: Path, settings: Settings, make: Optional[Maker]) -> KernelChange:
    """Bring the kernel to what our files below `root` list, by `make`, None for a dry run.

    As after `undo`, when they are not what is planned. Raises `SymrouteError`.
    """
    change = for_files(root, read_host(root, None, probe=False), settings, ())
    if make is not None:
        make(with_purpose(change, "apply --files", root), lambda _: [""])
    return change
