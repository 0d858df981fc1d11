"""`generate` for one host: plan, prove, tell, and write."""

from pathlib import Path
from typing import TYPE_CHECKING, Callable, NamedTuple, Optional, Sequence, Tuple

from symroute_nm.files.changes import replaced, unified_diff
from symroute_nm.model.host import Host
from symroute_nm.model.settings import GenerateOptions, Options, Settings
from symroute_nm.model.trial import TriedLine
from symroute_nm.readers.rt_tables import find_damage
from symroute_nm.readers.session import session_address
from symroute_nm.targets.base import choose_target
from symroute_nm.workflow.activation import DELETE, Command, find_commands
from symroute_nm.workflow.commit import (
    KernelPart,
    Maker,
    Say,
    Written,
    recover_files,
    write_changes,
)
from symroute_nm.workflow.inputs import read_host
from symroute_nm.workflow.pending import is_on_trial
from symroute_nm.workflow.proposal import (
    Proposal,
    check_lines,
    check_names,
    check_proof,
    name_notes,
    preflight,
    propose,
)

if TYPE_CHECKING:
    from symroute_nm.kernel.transaction import KernelChange


class Request(NamedTuple):
    """What is to be generated: below which root, from this machine or a snapshot (`host_file`)."""

    root: Path
    host_file: Optional[Path]
    settings: Settings
    options: Options
    generate_options: GenerateOptions
    quiet: bool = False  # show no differences


class PlannedHost(NamedTuple):
    """A host, what is proposed for it, and the commands that bring that to life."""

    host: Host
    proposal: Proposal
    commands: Tuple[Command, ...]


class Generated(NamedTuple):
    """What `generate` did or would do; to the kernel, too, where it was asked to."""

    proposal: Proposal
    commands: Tuple[Command, ...]
    written: Written
    kernel_change: Optional["KernelChange"] = None


def generate(
    request: Request, say: Say, show: Callable[[str], None], make: Optional[Maker] = None
) -> Generated:
    """Plan, prove, and write unless it is a dry run; with `make` the kernel comes first.

    Raises `SymrouteError`, with everything as before.
    """
    host, proposal, commands = plan_host(request, say, show)
    kernel = None
    if make is not None:
        from symroute_nm.workflow.kernel_changes import for_proposal, with_purpose

        change = for_proposal(request.root, host, request.settings, proposal)
        # The fragment, which is written as well, names the tables.
        change = with_purpose(change._replace(tables=()), "generate --apply", request.root)
        kernel = KernelPart(change, make)
    written = Written()
    if not request.generate_options.dry_run:
        everything = not proposal.earlier_blocks.kept
        written = write_changes(request.root, proposal.changes, kernel, say, everything=everything)
    return Generated(proposal, commands, written, kernel.change if kernel else None)


def plan_host(request: Request, say: Say, show: Callable[[str], None]) -> PlannedHost:
    """Plan and prove; notes and warnings go to `say`, differences to `show`.

    What a killed run left below the root is mended before. Raises `SymrouteError`.
    """
    root, settings, generate_options = request.root, request.settings, request.generate_options
    if not generate_options.dry_run:
        recover_files(root, choose_target().folders, say)
    host = read_host(root, request.host_file, probe=settings.guard == "auto")
    check_names(host, request.options)
    from_snapshot = request.host_file is not None
    trial = None if from_snapshot else _try_lines
    proposal = propose(root, host, settings, generate_options, trial)
    warnings = preflight(root, host, proposal, generate_options, from_snapshot=from_snapshot)
    warnings += check_lines(proposal.check, generate_options)
    commands = find_commands(host, settings, proposal, session_address())
    if is_on_trial(request.host_file):  # what no file lists is about to be kept, or taken back
        commands = [command for command in commands if command.kind != DELETE]
    say(
        *warnings,
        *proposal.plan.notes,
        *proposal.check.sleeping.notes,
        *name_notes(host, settings),
        *choose_target().notes_on_earlier(proposal.earlier_blocks),
        *(f"warning: {flaw}" for flaw in proposal.check.flaws),
        *(f"warning: {damage}" for damage in find_damage(root)),
    )
    if generate_options.dry_run and not request.quiet:
        say(*(change.text for change in proposal.uplink_changes))
        if not generate_options.check:
            show(unified_diff(proposal.changes))
    say(*check_proof(proposal, generate_options))
    if not (generate_options.dry_run or request.quiet):
        show(unified_diff(replaced(proposal.changes)))
    return PlannedHost(host, proposal, tuple(commands))


def _try_lines(host: Host, lines: Sequence[TriedLine]) -> Optional[Sequence[str]]:
    from symroute_nm.kernel import scratch  # few have lines to try

    return scratch.try_lines(host, lines)
