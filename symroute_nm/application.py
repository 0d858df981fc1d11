"""`apply` and `confirm`: the running kernel brought to the plan, with a timed way back."""

from pathlib import Path
from typing import NamedTuple, Optional

from symroute_nm import generation
from symroute_nm.commit import Maker, Say
from symroute_nm.enactment import for_generation
from symroute_nm.generation import Generation
from symroute_nm.kernel import keeper
from symroute_nm.kernel.transaction import KernelChange, socket_path
from symroute_nm.model.settings import GenerateOptions, Options, Settings
from symroute_nm.readers.host import read_host


class Applied(NamedTuple):
    """The plan, proved, and what `apply` changed or would change in the kernel."""

    made: Generation
    change: KernelChange


def apply(
    root: Path, settings: Settings, options: Options, force: bool, say: Say,
    make: Optional[Maker],
) -> Applied:
    """Bring the kernel to the plan by `make`, None for a dry run; raises `SymrouteError`."""
    manner = GenerateOptions(dry_run=True, force=force)
    host = read_host(root, None, probe=settings.guard == "auto")
    generation.check_names(host, options)
    made = generation.prepare(root, host, settings, manner)
    say(*made.plan.notes, *made.check.sleeping.notes, *generation.name_notes(host, settings),
        *generation.check_proof(made, manner))
    change = for_generation(root, host, settings, made)
    if make is not None:
        make(change, list)
    return Applied(made, change)


def confirm() -> bool:
    """Keep what waits to be confirmed; False: it is too late. Raises `SymrouteError`."""
    return keeper.confirm(socket_path()).kept
