"""All that `generate` does for one host up to writing, in order, telling as it goes."""

from pathlib import Path
from typing import Callable, List, NamedTuple, Optional

from symroute_nm.files import changes
from symroute_nm.kernel.transaction import KernelChange
from symroute_nm.model.host import Host
from symroute_nm.model.settings import GenerateOptions, Options, Settings
from symroute_nm.readers.session import session_address
from symroute_nm.targets.base import choose_target
from symroute_nm.workflow import activation, proposal
from symroute_nm.workflow.commit import (
    KernelPart,
    Maker,
    Say,
    Written,
    recover_files,
    write_changes,
)
from symroute_nm.workflow.inputs import read_host
from symroute_nm.workflow.kernel_changes import for_generation
from symroute_nm.workflow.proposal import Proposal


class Request(NamedTuple):
    """What is to be generated: below which root, from this machine or a snapshot (`host_file`)."""

    root: Path
    host_file: Optional[Path]
    settings: Settings
    options: Options
    manner: GenerateOptions
    quiet: bool = False  # show no differences


class Worked(NamedTuple):
    """The host, what is made for it, and the commands that bring that to life."""

    host: Host
    made: Proposal
    commands: List[str]


class Generated(NamedTuple):
    """What `generate` did or would do; `change` is the kernel's, where it was asked for."""

    host: Host
    made: Proposal
    commands: List[str]
    written: Written
    change: Optional[KernelChange] = None


def generate(
    request: Request, say: Say, show: Callable[[str], None], make: Optional[Maker] = None
) -> Generated:
    """Plan, prove, and write unless it is a dry run; with `make` the kernel comes first.

    Raises `SymrouteError`, with everything as before.
    """
    host, made, commands = work_out(request, say, show)
    root, settings = request.root, request.settings
    change = None
    if make is not None:
        # The fragment, which is written as well, names the tables.
        change = for_generation(root, host, settings, made)._replace(tables=())
    written = Written()
    if not request.manner.dry_run:
        kernel = KernelPart(change, make) if change and make else None
        written = write_changes(root, made.changes, kernel, say, everything=not made.leftovers.kept)
    return Generated(host, made, commands, written, change)


def work_out(request: Request, say: Say, show: Callable[[str], None]) -> Worked:
    """Plan and prove; notes and warnings go to `say`, differences to `show`.

    What a killed run left below the root is mended before. Raises `SymrouteError`.
    """
    root, host_file, settings, options, manner, quiet = request
    if not manner.dry_run:
        recover_files(root, choose_target().folders, say)
    host = read_host(root, host_file, probe=settings.guard == "auto")
    proposal.check_names(host, options)
    made = proposal.propose(root, host, settings, manner)
    warnings = proposal.preflight(root, host, host_file is not None, made, manner)
    warnings += proposal.check_lines(made.check, manner)
    commands = activation.find_commands(host, settings, made, session_address())
    say(
        *warnings,
        *made.plan.notes,
        *made.check.sleeping.notes,
        *proposal.name_notes(host, settings),
        *choose_target().notes_on_earlier(made.leftovers),
        *(f"warning: {flaw}" for flaw in made.check.flaws),
    )
    if manner.dry_run and not quiet:
        say(*(alteration.text for alteration in made.alterations))
    if manner.dry_run and not (manner.check or quiet):
        show(changes.unified_diff(made.changes))
    say(*proposal.check_proof(made, manner))
    if not (manner.dry_run or quiet):
        show(changes.unified_diff(changes.replaced(made.changes)))
    return Worked(host, made, commands)
