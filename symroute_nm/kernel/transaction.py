"""The running kernel brought to a plan, to nothing, or to what files list, with a way back."""

import contextlib
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from symroute_nm.errors import Refusal
from symroute_nm.files import own_folders
from symroute_nm.files.journal import LargerChange
from symroute_nm.files.lock import kernel_locked
from symroute_nm.kernel import change_log, netfilter
from symroute_nm.kernel.keeper import KeeperResult, Settled, Watch, Work, run
from symroute_nm.kernel.loaded_marks import LoadedMarks
from symroute_nm.kernel.mark_setup import Command, Reversal, read_setup
from symroute_nm.kernel.processes import find_process
from symroute_nm.kernel.scope import ScopedChange
from symroute_nm.kernel.steps import find_steps
from symroute_nm.model.plan import OwnTable
from symroute_nm.model.state import Step

if TYPE_CHECKING:
    from symroute_nm.kernel.change_record import Record


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


class Purpose(NamedTuple):
    """What a change is made for: the command, who gave it and from where, and its root."""

    what: str = ""
    origin: str = ""
    root: Path = Path("/")


class KernelChange(NamedTuple):
    """What is to become of our part of the kernel, and whose tables these are afterwards."""

    scoped: ScopedChange
    tables: Tuple[OwnTable, ...] = ()  # that no file will name
    marks: Optional[Marks] = None  # None: they are as they should be
    tables_on_trial: Tuple[OwnTable, ...] = ()  # that no file may name yet
    purpose: Purpose = Purpose()

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
                "symroute-nm confirm keeps it, symroute-nm rollback takes it back",
            ) from error
        yield


def make_change(
    change: KernelChange,
    timeout: Optional[float],
    watch: Watch,
    keep: Callable[[LargerChange], List[str]],
) -> KeeperResult:
    """Make the changes, then `keep` once they are confirmed; else all is as before.

    `keep` is told of what the files that it writes are part; the first of what it returns is the
    backup's name, the rest notes for people. `timeout` in seconds, None: no confirmation is asked
    for. Raises `SymrouteError`, with the changes taken back.
    """
    from symroute_nm.kernel import change_record, recovery, run_tables, state

    scope, marks = change.scoped.scope, change.marks
    record = change_record.Record(
        scope,
        state.save_state(scope),
        marks.back if marks else None,
        token=secrets.token_hex(8),
        root=str(change.purpose.root.absolute()),
        names=change_record.Names(run_tables.read_names(), change.tables),
        command=find_process(os.getpid()),
        what=change.purpose.what,
        origin=change.purpose.origin,
    )
    # Now, since it may fail: the way back needs no template then.
    commands = recovery.restoring_commands(record.marks)
    work = _Change(change, record, commands, keep, timeout)
    return run(work, timeout, own_folders.kernel_folder() / recovery.SOCKET, watch)


class _Change(Work):
    """A change on its way."""

    def __init__(
        self,
        change: KernelChange,
        record: "Record",
        commands: Sequence[Command],
        keep: Callable[[LargerChange], List[str]],
        timeout: Optional[float],
    ) -> None:
        self._change, self._record, self._commands = change, record, commands
        self._keep, self._timeout = keep, timeout
        self._held: Tuple[int, ...] = ()  # the keeper's

    def act(self) -> None:
        """The way back on record first, then whose tables these are, then the change."""
        from symroute_nm.kernel import change_record, recovery, run_tables, state

        self._held = (recovery.hold_programs(),)
        self._record = self._record._replace(keeper=find_process(os.getpid()))
        change_record.write_record(self._record)
        change, scoped, marks = self._change, self._change.scoped, self._change.marks
        rules = tuple(sorted(scoped.scope.rules, key=str))
        trial = run_tables.Trial(self._record.words, rules)
        run_tables.begin_trial({*change.tables, *change.tables_on_trial}, trial)
        # Marks come after the rules that go by them.
        state.bring_to(scoped.scope, scoped.wanted)
        netfilter.run_script(marks.script if marks else "", self._held)
        if self._timeout is not None:
            self._log(f"made, to be confirmed within {self._timeout:g} seconds")

    def keep(self, confirmed_by: str) -> List[str]:
        """What makes it last; returns the backup's name, and notes for people."""
        from symroute_nm.kernel import change_record, recovery

        backup, *notes = self._keep(LargerChange(self._record.token, recovery.note_commit))
        # Where files were written, this has been done as soon as they counted.
        change_record.keep_record()
        who = f", confirmed {confirmed_by}" if confirmed_by else ""
        self._log(f"kept{who}{f'; backup {backup}' if backup else ''}")
        return [backup, *notes]

    def finish(self) -> List[str]:
        """Whose tables these are, once it counts, and no record of it; returns warnings."""
        from symroute_nm.kernel import recovery

        return recovery.go_forward(self._record)

    def settle(self, reason: str) -> Settled:
        """Bring it to its end after something went wrong: forward where it counts, else back."""
        from symroute_nm.kernel import change_record, recovery

        if not self._held:  # we are not the keeper, who is gone
            recovery.sweep()
        record = change_record.read_record()
        if record is not None and not self._held:
            recovery.wait_for_programs(record.keeper)
        if record is None or record.token != self._record.token:
            return Settled(False)  # nothing of it was begun
        if reason:
            self._log(reason)
        return recovery.settle(record, self._commands, self._held)

    def _log(self, text: str) -> None:
        change_log.log(f"{self._record.words}: {text}")


def socket_path() -> Path:
    """Where `confirm` reaches the keeper, whatever the root; raises `SymrouteError`."""
    from symroute_nm.kernel import recovery

    return own_folders.kernel_place(recovery.SOCKET)
