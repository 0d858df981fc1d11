"""The running kernel brought to a plan, to nothing, or to what files list, with a way back."""

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from symroute_nm.errors import Refusal, SymrouteError, SystemFailure
from symroute_nm.files import own_folders
from symroute_nm.files.lock import kernel_locked
from symroute_nm.kernel import netfilter
from symroute_nm.kernel.attempts import attempt
from symroute_nm.kernel.loaded_marks import LoadedMarks
from symroute_nm.kernel.mark_setup import Command, Reversal, read_setup, render_reversal
from symroute_nm.kernel.scope import ScopedChange
from symroute_nm.kernel.steps import find_steps
from symroute_nm.model.plan import OwnTable
from symroute_nm.model.state import Step

if TYPE_CHECKING:
    from symroute_nm.kernel.change_record import Record
    from symroute_nm.kernel.keeper import KeeperResult, Watch


_SOCKET = "confirm"


class Marks(NamedTuple):
    """A change of what sets marks: the shell script that makes it, and words on it for people."""

    script: str
    backend: str  # by what they are set afterwards: "", "nft" or "iptables"
    before: LoadedMarks
    words: Tuple[str, ...]

    @property
    def back(self) -> Reversal:
        """The way back, as data; raises `Refusal` for what could not be brought back."""
        return Reversal(self.backend, read_setup(self.before))


class KernelChange(NamedTuple):
    """What is to become of our part of the kernel, and whose tables these are afterwards."""

    scoped: ScopedChange
    tables: Tuple[OwnTable, ...] = ()
    marks: Optional[Marks] = None  # None: they are as they should be

    @property
    def steps(self) -> Tuple[Step, ...]:
        """The changes, in the order in which they are made; empty: nothing to do."""
        return find_steps(self.scoped.present, self.scoped.wanted)

    @property
    def words(self) -> Tuple[str, ...]:
        """What is changed about marks, for people."""
        return self.marks.words if self.marks else ()


@contextlib.contextmanager
def hold() -> Iterator[None]:
    """Hold the lock of whoever changes the kernel; raises `Refusal` where another does."""
    own_folders.kernel_folder()  # what it refuses is no other change
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(kernel_locked())
        except Refusal as error:
            raise Refusal(
                f"another change waits to be confirmed ({error.message})",
                "symroute-nm confirm keeps it; else wait until its time is over",
            ) from error
        yield


def pending_notes() -> List[str]:
    """What is said while a change is neither confirmed nor taken back; only root can see that."""
    try:
        waits = os.path.lexists(str(own_folders.record_place()))
    except SymrouteError:  # then there is none of ours
        waits = False
    return (
        [
            "a change of the kernel is not confirmed yet: symroute-nm confirm keeps it; where "
            "nobody watches over it any more, symroute-nm apply takes it back first"
        ]
        if waits
        else []
    )


def recover(note: Callable[[str], None]) -> None:
    """Take back what a run that was killed, with its keeper, left unconfirmed; under `hold`."""
    from symroute_nm.kernel import change_record

    record = change_record.read_record()
    if record is not None:
        _revert(record)
        note(
            "an earlier change of the kernel was cut off before it was confirmed; it was taken back"
        )


def make_change(
    change: KernelChange,
    timeout: Optional[float],
    watch: "Watch",
    keep: Callable[[], List[str]],
) -> "KeeperResult":
    """Make the changes, then `keep` once they are confirmed; else all is as before.

    `timeout` in seconds, None: no confirmation is asked for. Raises `SymrouteError`, with the
    changes taken back.
    """
    from symroute_nm.kernel import change_record, run_tables, state
    from symroute_nm.kernel.keeper import Work, run

    scope = change.scoped.scope
    before = state.save_state(scope)
    marks = change.marks
    record = change_record.Record(scope, before, marks.back if marks else None)
    # Now, since it may fail: the way back needs no template then.
    commands = _reversal_commands(record)

    def act() -> None:
        """The way back on record first, then the change."""
        change_record.write_record(record)
        # Marks come after the rules that go by them.
        state.bring_to(scope, change.scoped.wanted)
        netfilter.run_script(marks.script if marks else "")

    def lasting() -> List[str]:
        """What makes it last; returns notes for people."""
        with run_tables.tables_written(change.tables):
            notes = keep()
        change_record.remove_record()
        return notes

    work = Work(act, lasting, lambda: _revert(record, commands))
    return run(work, timeout, own_folders.kernel_folder() / _SOCKET, watch)


def socket_path() -> Path:
    """Where `confirm` reaches the keeper, whatever the root; raises `SymrouteError`."""
    return own_folders.kernel_place(_SOCKET)


def _reversal_commands(record: "Record") -> Tuple[Command, ...]:
    """The programs that have marks set as they were, from what is on record."""
    if record.marks is None:
        return ()
    return render_reversal(record.marks)


def _revert(record: "Record", commands: Optional[Sequence[Command]] = None) -> None:
    """Bring back what was recorded, exactly, and drop the record.

    Each part is tried, whatever another meets. Raises `SystemFailure` with what failed; the record
    stays then, for the next run.
    """
    from symroute_nm.kernel import change_record, state

    # First rules and routes: by them this host is reached, whatever a firewall says to its part.
    failures = [attempt(state.restore_state, record.scope, record.before).failure]
    if commands is None:
        rendered = attempt(_reversal_commands, record)
        failures.append(rendered.failure)
        commands = rendered.value or ()
    if record.marks is not None:
        failures.append(attempt(netfilter.set_valid_mark, record.marks.before.valid_mark).failure)
    failures += [attempt(netfilter.run_command, command).failure for command in commands]
    told = [failure for failure in failures if failure]
    if told:
        raise SystemFailure(
            f"the way back failed: {'; '.join(told)}",
            "symroute-nm apply takes it up again, symroute-nm verify shows what is in force; to "
            f"leave it so, remove {own_folders.record_place()}",
        )
    change_record.remove_record()
