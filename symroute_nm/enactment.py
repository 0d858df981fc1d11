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

from symroute_nm import blocks, netfilter
from symroute_nm.choices import Settings
from symroute_nm.errors import Refusal, SymrouteError, SystemFailure
from symroute_nm.evidence import read_config_files
from symroute_nm.listing import Files
from symroute_nm.loaded import (
    Loaded,
    find_differences,
    restore_script,
    script_program,
    unload_script,
)
from symroute_nm.lock import locked
from symroute_nm.marking import SCRIPT
from symroute_nm.model import (
    FRAGMENT,
    RT_TABLES,
    Change,
    Host,
    OwnTable,
    Plan,
    TableName,
)
from symroute_nm.observation import config_file
from symroute_nm.ownership import (
    Holding,
    add_kept,
    find_holding,
    find_tables,
    planned_state,
    read_files,
)
from symroute_nm.rooted import RECORD, RUN, locate, read
from symroute_nm.tables import RUN_TABLES, parse_tables
from symroute_nm.transition import State, Step, find_steps

if TYPE_CHECKING:  # verify enacts nothing, and start-up is imports
    from symroute_nm.generation import Generation
    from symroute_nm.runtime import Record
    from symroute_nm.trial import Outcome, Watch

_LOCK_TIMEOUT = 2.0  # seconds; whoever has it waits for a person
_AGAIN = ("symroute-nm apply takes it up again, symroute-nm verify shows what is in force; to "
          "leave it so, remove %s")


class Marks(NamedTuple):
    """A change of what sets marks: shell scripts there and back, and words on it for people."""

    script: str
    back: str
    words: Tuple[str, ...]


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
    there = netfilter.read_loaded()
    script = content.decode("utf-8", "surrogateescape")
    return _change(there, script_program(content), script, ("marks are set by %s" % SCRIPT,))


def _change(there: Loaded, backend: str, script: str, words: Tuple[str, ...]) -> Marks:
    """From what there is to what the script sets up by that backend."""
    before = unload_script(*(each for each in there.backends if each != backend))
    return Marks(before + script, unload_script(backend) + restore_script(there), words)


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
def hold(root: Path) -> Iterator[None]:
    """Hold the lock of whoever changes the kernel; raises `Refusal` where another does."""
    locate(root, RUN)  # what it refuses is no other change
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(root, _LOCK_TIMEOUT, RUN))
        except Refusal as error:
            raise Refusal("another change waits to be confirmed (%s)" % error.message,
                          "symroute-nm confirm keeps it; else wait until its time is over"
                          ) from error
        yield


def pending_notes(root: Path) -> List[str]:
    """What is said while a change is neither confirmed nor taken back."""
    try:
        waits = read(root, RECORD) is not None
    except SymrouteError:  # then there is none of ours
        waits = False
    return ["a change of the kernel is not confirmed yet: symroute-nm confirm keeps it; where "
            "nobody watches over it any more, symroute-nm apply takes it back first"
            ] if waits else []


def recover(root: Path, note: Callable[[str], None]) -> None:
    """Take back what a run that was killed, with its keeper, left unconfirmed; under `hold`."""
    from symroute_nm import runtime

    record = runtime.read_record(root)
    if record is not None:
        _revert(root, record)
        note("an earlier change of the kernel was cut off before it was confirmed; it was taken "
             "back")


def enact(
    root: Path, enactment: Enactment, timeout: Optional[float], watch: "Watch",
    keep: Callable[[], List[str]],
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
    record = runtime.Record(holding.territory, before, marks.back if marks else "")

    def act() -> None:
        """The way back on record first, then the change."""
        runtime.write_record(root, record)
        # Marks come after the rules that go by them.
        live.bring(holding.territory, holding.wanted)
        netfilter.run_script(marks.script if marks else "")

    def lasting() -> List[str]:
        """What makes it last; returns notes for people."""
        with runtime.tables_written(root, enactment.tables):
            notes = keep()
        runtime.remove_record(root)
        return notes

    # The folder is there: the lock is in it.
    work = Work(act, lasting, lambda: _revert(root, record))
    return run(work, timeout, door(root), watch)


def door(root: Path) -> Path:
    """Where `confirm` knocks."""
    return locate(root, RUN) / "confirm"


def _revert(root: Path, record: "Record") -> None:
    """Bring back what was recorded, exactly, and drop the record."""
    from symroute_nm import live, runtime

    try:
        try:
            netfilter.run_script(record.marks)
        finally:  # whatever the firewall says to that: the way back to this host comes first
            live.restore(record.territory, record.before)
    except SymrouteError as error:
        raise SystemFailure("the way back failed: %s" % error.message,
                            _AGAIN % locate(root, RECORD)) from error
    runtime.remove_record(root)
