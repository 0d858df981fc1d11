"""The running kernel brought to a plan, to nothing, or to what files list, with a way back."""

import contextlib
import os
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Callable,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

from symroute_nm import netfilter
from symroute_nm.attempts import attempt
from symroute_nm.errors import Refusal, SymrouteError, SystemFailure
from symroute_nm.evidence import read_config_files
from symroute_nm.files import blocks, own_folders
from symroute_nm.files.access import exists, read
from symroute_nm.files.lock import kernel_locked
from symroute_nm.loaded import Loaded, find_differences, unload_script
from symroute_nm.marksetup import Command, Reversal, read_script, read_setup
from symroute_nm.model.host import Host, TableName
from symroute_nm.model.listing import Files
from symroute_nm.model.marking import SCRIPT
from symroute_nm.model.network import Change
from symroute_nm.model.observations import config_file
from symroute_nm.model.places import FRAGMENT, RT_TABLES, RUN_TABLES
from symroute_nm.model.plan import OwnTable, Plan
from symroute_nm.model.settings import Settings
from symroute_nm.model.state import State, Step
from symroute_nm.ownership import (
    Holding,
    add_kept,
    find_holding,
    find_tables,
    planned_state,
    read_files,
)
from symroute_nm.plan.table_ids import parse_tables
from symroute_nm.transition import find_steps

if TYPE_CHECKING:
    from symroute_nm.generation import Generation
    from symroute_nm.runtime import Record
    from symroute_nm.trial import Outcome, Watch


_DOOR = "confirm"
_AGAIN = ("symroute-nm apply takes it up again, symroute-nm verify shows what is in force; to "
          "leave it so, remove %s")


class Marks(NamedTuple):
    """A change of what sets marks: the shell script that makes it, and words on it for people."""

    script: str
    backend: str  # by what they are set afterwards: "", "nft" or "iptables"
    before: Loaded
    words: Tuple[str, ...]

    @property
    def back(self) -> Reversal:
        """The way back, as data; raises `Refusal` for what could not be brought back."""
        return Reversal(self.backend, read_setup(self.before))


class Enactment(NamedTuple):
    """What is to become of our part of the kernel, and whose tables these are afterwards."""

    holding: Holding
    tables: Tuple[OwnTable, ...] = ()
    marks: Optional[Marks] = None  # None: they are as they should be

    @property
    def steps(self) -> Tuple[Step, ...]:
        """The changes, in the order in which they are made; empty: nothing to do."""
        return find_steps(self.holding.present, self.holding.wanted)

    @property
    def words(self) -> Tuple[str, ...]:
        """What is changed about marks, for people."""
        return self.marks.words if self.marks else ()


def for_plan(
    host: Host, settings: Settings, plan: Plan, files: Files, kept: Sequence[str]
) -> Enactment:
    """The kernel as planned; blocks that stay, at the paths `kept`, keep what they have there."""
    wanted = add_kept(planned_state(plan), host, files.ours.of(kept))
    tables = find_tables(host, settings, plan)
    named = {(each.id, each.name) for each in host.tables if each.path != RUN_TABLES}
    return Enactment(
        find_holding(host, settings, wanted, tables, files),
        tuple(each.table for each in plan.uplinks
              if (each.table.id, each.table.name) not in named),
        _planned_marks(plan))


def for_generation(
    root: Path, host: Host, settings: Settings, made: "Generation"
) -> Enactment:
    """The kernel as planned, beside the files that are there. Raises `SymrouteError`."""
    files = read_listing(root, host)
    return for_plan(host, settings, made.plan, files, made.leftovers.kept)


def for_removal(root: Path, host: Host, settings: Settings) -> Enactment:
    """The kernel without anything of ours. Raises `SymrouteError`."""
    files = read_listing(root, host)
    tables = find_tables(host, settings, Plan())
    return Enactment(find_holding(host, settings, State(), tables, files), (), _no_marks())


def for_files(
    root: Path, host: Host, settings: Settings, changes: Sequence[Change]
) -> Enactment:
    """The kernel as our blocks will list it after these changes, as far as their links are up."""
    host = host._replace(tables=(*host.tables, *_names_in(changes)))
    files = read_listing(root, host, changes)
    up = {each.name for each in host.links if each.up}
    wanted = State(files.ours.state.rules, tuple(
        each for each in files.ours.state.routes if {hop.link for hop in each.hops} <= up))
    tables = find_tables(host, settings, Plan())
    return Enactment(
        find_holding(host, settings, wanted, tables, files), (), _listed_marks(root, changes))


def _planned_marks(plan: Plan) -> Optional[Marks]:
    """What is to be done for the marks of a plan; only root can tell. Raises `SystemFailure`."""
    if plan.marking is None or os.geteuid() != 0:
        return _no_marks()
    there = netfilter.read_loaded()
    versions = frozenset(rule.version for each in plan.uplinks for rule in each.rules)
    found = find_differences(plan.marking, there, versions)
    if not found:
        return None
    from symroute_nm.render import render_script  # jinja2, where there are marks

    return _change(there, plan.marking.program, render_script(plan.marking), found)


def _no_marks() -> Optional[Marks]:
    there = netfilter.read_loaded() if os.geteuid() == 0 else Loaded()
    return _change(there, "", "", find_differences(None, there)) if there.backends else None


def _listed_marks(root: Path, changes: Sequence[Change]) -> Optional[Marks]:
    """What is to be done for the script as it will be after these changes."""
    coming = {each.path: each.after for each in changes}
    content = coming[SCRIPT] if SCRIPT in coming else read(root, SCRIPT)
    if content is None or not blocks.has_marker(content):
        return _no_marks()
    from symroute_nm.render import render_script  # jinja2, where there are marks

    # A file's text is never run: what it says is, in our own words.
    marking = read_script(content)
    return _change(netfilter.read_loaded(), marking.program, render_script(marking),
                   (f"marks are set by {SCRIPT}",))


def _change(there: Loaded, backend: str, script: str, words: Tuple[str, ...]) -> Marks:
    """From what there is to what the script sets up by that backend."""
    before = unload_script(*(each for each in there.backends if each != backend))
    return Marks(before + script, backend, there, words)


def _names_in(changes: Iterable[Change]) -> Iterator[TableName]:
    """The table names that our block will hold."""
    for each in changes:
        if each.path in (FRAGMENT, RT_TABLES) and each.after is not None:
            block = blocks.split(each.after, each.path).block or b""
            yield from parse_tables(block.decode("utf-8", "replace"), each.path, owned=True)


def read_listing(root: Path, host: Host, changes: Iterable[Change] = ()) -> Files:
    """What the route and rule files list, as they will be after these changes."""
    coming = {each.path: each.after for each in changes}
    found = [each for each in read_config_files(root) if each.path not in coming]
    found += [config_file(path, content)
              for path, content in coming.items() if content is not None]
    return read_files(found, host)


@contextlib.contextmanager
def hold() -> Iterator[None]:
    """Hold the lock of whoever changes the kernel; raises `Refusal` where another does."""
    own_folders.kernel_folder()  # what it refuses is no other change
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(kernel_locked())
        except Refusal as error:
            raise Refusal(f"another change waits to be confirmed ({error.message})",
                          "symroute-nm confirm keeps it; else wait until its time is over"
                          ) from error
        yield


def pending_notes() -> List[str]:
    """What is said while a change is neither confirmed nor taken back; only root can see that."""
    try:
        waits = exists(own_folders.record_place())
    except (SymrouteError, OSError):  # then there is none of ours
        waits = False
    return ["a change of the kernel is not confirmed yet: symroute-nm confirm keeps it; where "
            "nobody watches over it any more, symroute-nm apply takes it back first"
            ] if waits else []


def recover(note: Callable[[str], None]) -> None:
    """Take back what a run that was killed, with its keeper, left unconfirmed; under `hold`."""
    from symroute_nm import runtime

    record = runtime.read_record()
    if record is not None:
        _revert(record)
        note("an earlier change of the kernel was cut off before it was confirmed; it was taken "
             "back")


def enact(
    enactment: Enactment, timeout: Optional[float], watch: "Watch", keep: Callable[[], List[str]],
) -> "Outcome":
    """Make the changes, then `keep` once they are confirmed; else all is as before.

    `timeout` in seconds, None: no confirmation is asked for. Raises `SymrouteError`, with the
    changes taken back.
    """
    from symroute_nm import live, runtime
    from symroute_nm.trial import Work, run

    holding = enactment.holding
    before = live.save(holding.territory)
    marks = enactment.marks
    record = runtime.Record(holding.territory, before, marks.back if marks else None)
    # Now, since it may fail: the way back needs no template then.
    commands = _reversal_commands(record)

    def act() -> None:
        """The way back on record first, then the change."""
        runtime.write_record(record)
        # Marks come after the rules that go by them.
        live.bring(holding.territory, holding.wanted)
        netfilter.run_script(marks.script if marks else "")

    def lasting() -> List[str]:
        """What makes it last; returns notes for people."""
        with runtime.tables_written(enactment.tables):
            notes = keep()
        runtime.remove_record()
        return notes

    work = Work(act, lasting, lambda: _revert(record, commands))
    return run(work, timeout, own_folders.kernel_folder() / _DOOR, watch)


def door() -> Path:
    """Where `confirm` knocks, whatever the root; raises `SymrouteError`."""
    return own_folders.kernel_place(_DOOR)


def _reversal_commands(record: "Record") -> Tuple[Command, ...]:
    """The programs that have marks set as they were, from what is on record."""
    if record.marks is None:
        return ()
    from symroute_nm.render import render_reversal  # jinja2, where there are marks

    return render_reversal(record.marks)


def _revert(record: "Record", commands: Optional[Sequence[Command]] = None) -> None:
    """Bring back what was recorded, exactly, and drop the record.

    Each part is tried, whatever another meets. Raises `SystemFailure` with what failed; the record
    stays then, for the next run.
    """
    from symroute_nm import live, runtime

    # First rules and routes: by them this host is reached, whatever a firewall says to its part.
    failures = [attempt(live.restore, record.territory, record.before).failure]
    if commands is None:
        rendered = attempt(_reversal_commands, record)
        failures.append(rendered.failure)
        commands = rendered.value or ()
    if record.marks is not None:
        failures.append(attempt(netfilter.set_valid_mark, record.marks.before.valid_mark).failure)
    failures += [attempt(netfilter.run_command, command).failure for command in commands]
    told = [failure for failure in failures if failure]
    if told:
        raise SystemFailure(f"the way back failed: {'; '.join(told)}",
                            _AGAIN % own_folders.record_place())
    runtime.remove_record()
