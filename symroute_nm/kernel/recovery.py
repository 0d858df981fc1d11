"""How a change of the kernel that was begun comes to its end, whoever is left.

Kernel, marks and files have one commit point: where files are part of the change, the moment at
which they count (`journal.commit`), else the renaming of the record. Before it all goes back, after
it forward. The process that watches over the change does so, or the command that began it, or
whoever comes next; twice is as good as once.
"""

import contextlib
import fcntl
import functools
import os
import time
from pathlib import Path
from typing import Callable, List, NamedTuple, Optional, Sequence, Tuple

from symroute_nm.errors import Refusal, SymrouteError, SystemFailure
from symroute_nm.files import own_folders
from symroute_nm.files.access import os_errors
from symroute_nm.files.journal import LargerChange, find_journals
from symroute_nm.files.lock import give_up_kernel_lock, kernel_locked
from symroute_nm.kernel import change_log, change_record, keeper, netfilter, run_tables, state
from symroute_nm.kernel.attempts import attempt
from symroute_nm.kernel.change_record import Record
from symroute_nm.kernel.keeper import Settled, is_patient
from symroute_nm.kernel.loaded_marks import LoadedMarks
from symroute_nm.kernel.mark_setup import (
    Command,
    Reversal,
    end_all,
    read_setup,
    render_restoration,
)
from symroute_nm.kernel.processes import Process

SOCKET = "confirm"  # where the keeper listens, beside the record
_PROGRAMS = 35.0  # seconds: longer than `programs.SECONDS`, after which each is killed
_PAUSE = 0.02  # seconds
_ENDING = 5.0  # seconds that the end of a process that was killed may take


# -- what is pending ------------------------------------------------------------------------------
WAITS, CUT_OFF, CUT_OFF_KEPT, DAMAGED = "waits", "cut off", "cut off, kept", "damaged"


class Pending(NamedTuple):
    """A change that is not at its end."""

    kind: str
    words: str  # which, for people; of a damaged record, what is wrong with it


def find_pending() -> Optional[Pending]:
    """The change that waits to be confirmed, or was cut off; None: there is none.

    Whoever is not root learns what waits from the names of its tables.
    """
    if os.geteuid() != 0:
        trial = run_tables.read_trial()
        return Pending(WAITS, trial.words) if trial else None
    try:
        record = change_record.read_record()
    except SymrouteError as error:
        return Pending(DAMAGED, error.message)
    if record is None:
        return None
    if record.keeper.alive:
        return Pending(WAITS, record.words)
    return Pending(CUT_OFF_KEPT if _counts(record) else CUT_OFF, record.words)


# -- who comes next -------------------------------------------------------------------------------
def recover(note: Callable[[str], None]) -> Optional[Settled]:
    """Bring to its end what a run that was killed, with its keeper, left; under the kernel's lock.

    None: there was nothing. Raises `SystemFailure`.
    """
    record = change_record.read_record()
    sweep()
    if record is None:
        return None
    wait_for_programs(record.keeper)
    settled = settle(record)
    note(
        f"an earlier change was cut off after it was kept, and is complete now: {record.words}"
        if settled.kept
        else "an earlier change of the kernel was cut off before it was confirmed; it was taken "
        f"back: {record.words}"
    )
    return settled


def roll_back(origin: str, note: Callable[[str], None]) -> Optional[bool]:
    """Have the change that is pending taken back, by its keeper or in its place.

    Whether it was kept all the same, None: nothing was pending. Raises `SymrouteError`.
    """
    place = own_folders.kernel_place(SOCKET)
    record = change_record.read_record()
    if record is None:
        return None
    if record.keeper.alive:
        with contextlib.suppress(Refusal, keeper.NoAnswer):
            told = keeper.take_back(place, origin, functools.partial(is_patient, record.keeper))
            if told is not None:
                return told.kept
    kept = _counts(record)
    settled = take_over(record, note)
    # Nothing is left where the command that began it was faster.
    return kept if settled is None else settled.kept


def sweep() -> None:
    """Remove what a keeper that was killed left beside the record; under the kernel's lock."""
    own_folders.sweep_kernel_folder(SOCKET)


def take_over(record: Record, note: Callable[[str], None]) -> Optional[Settled]:
    """As `recover`, whoever has the lock: who made the change and is stopped or frozen is ended.

    Its keeper first, then the command; each has some time to come to the end by itself. Raises
    `Refusal` where another has the lock, `SystemFailure`.
    """
    if record.keeper.alive:
        _end(record.keeper.end(_ENDING), "the process that watches over the change")
    begun = time.monotonic()
    while True:
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(kernel_locked())
            except Refusal:
                if not (record.command.alive or record.keeper.alive):  # it is another's
                    raise
                # A keeper that is frozen still is there, and its command does not learn of its end.
                holder = record.keeper if record.keeper.alive else record.command
                if not is_patient(holder, time.monotonic() - begun):
                    _end(record.command.end(_ENDING), "the command that began the change")
                    if record.command.alive or record.keeper.alive:  # frozen, and killed
                        give_up_kernel_lock()
                continue
            return recover(note)


def _end(ended: bool, who: str) -> None:
    if not ended:
        raise SystemFailure(
            f"{who} was killed, and does not end",
            "it waits for a disk; run it again when it is gone",
        )


def note_commit(token: str, _: str) -> None:
    """Files that are part of the change with that token count: so does the change.

    Nothing where no such change is on record. Raises `SymrouteError`.
    """
    if os.geteuid() != 0:
        return
    record = change_record.read_record()
    if record is not None and record.token == token:
        change_record.keep_record()


# -- back or forward ------------------------------------------------------------------------------
def settle(
    record: Record, commands: Optional[Sequence[Command]] = None, held: Sequence[int] = ()
) -> Settled:
    """Back, or forward where the change counts; raises `SystemFailure` with what is not back.

    `commands` are those of `restoring_commands`, where these were made before; programs have `held`
    open.
    """
    if _counts(record):
        done = _find_done(record)
        settled = Settled(True, (done or "", *go_forward(record)))
    else:
        _go_back(record, commands, held)
        settled = Settled(False)
    change_log.log(f"{record.words}: {'complete' if settled.kept else 'taken back'}")
    return settled


def _counts(record: Record) -> bool:
    return record.kept or _find_done(record) is not None


def _find_done(record: Record) -> Optional[str]:
    """The backup's name where the change's files count, and are not tidied up; else None."""
    _, done = attempt(find_journals, Path(record.root)).value or (None, None)
    return done.backup if done and done.token == record.token else None


def _has_begun(record: Record) -> bool:
    """Whether files of the change are being written, or were when it was cut off."""
    begun, _ = attempt(find_journals, Path(record.root)).value or (None, None)
    return bool(begun and begun.token == record.token)


def _recover_files(record: Record) -> None:
    from symroute_nm.files import install  # most changes end without

    install.recover(Path(record.root), part_of=LargerChange("", note_commit))


def go_forward(record: Record) -> List[str]:
    """Do what the change leaves for when it counts, and drop the record.

    What of that fails is returned, and the record stays then.
    """
    steps = [attempt(change_record.keep_record)]
    if _find_done(record) is not None:
        steps.append(attempt(_recover_files, record))
    steps.append(attempt(run_tables.write_tables, record.names.after))
    steps.append(attempt(run_tables.end_trial))
    if not any(step.failure for step in steps):
        steps.append(attempt(change_record.remove_record))
    return [
        f"warning: {step.failure}; symroute-nm confirm tries it again"
        for step in steps
        if step.failure
    ]


def _go_back(record: Record, commands: Optional[Sequence[Command]], held: Sequence[int]) -> None:
    """Bring back what was recorded, exactly, and drop the record.

    Each part is tried, whatever another meets. Raises `SystemFailure` with what failed; the record
    stays then, for the next run.
    """
    # First rules and routes: by them this host is reached, whatever a firewall says to its part.
    failures = [attempt(state.restore_state, record.scope, record.before).failure]
    if record.marks is not None:
        failures += _restore_marks(record.marks, commands, held)
    if _has_begun(record):
        failures.append(attempt(_recover_files, record).failure)
    if not any(failures):  # until all is gone, its tables are known as ours
        failures.append(attempt(run_tables.put_back, record.names.before).failure)
        failures.append(attempt(run_tables.end_trial).failure)
    told = [failure for failure in failures if failure]
    if told:
        raise SystemFailure(
            f"the way back failed: {'; '.join(told)}",
            "symroute-nm rollback takes it up again, symroute-nm verify shows what is in force; to "
            f"leave it so, remove {own_folders.record_place()}",
        )
    change_record.remove_record()


def _restore_marks(
    marks: Reversal, commands: Optional[Sequence[Command]], held: Sequence[int]
) -> List[str]:
    """Have marks set as before, whatever sets them now; returns what failed."""
    before = marks.before
    failures = [attempt(netfilter.set_valid_mark, before.valid_mark).failure]
    loaded: Optional[LoadedMarks] = attempt(netfilter.read_loaded).value
    if loaded is not None:
        present = attempt(read_setup, loaded).value
        if present is not None and present._replace(valid_mark=before.valid_mark) == before:
            return failures
    if commands is None:
        rendered = attempt(restoring_commands, marks)
        failures.append(rendered.failure)
        commands = rendered.value or ()
    unseen = frozenset() if loaded is not None else frozenset([marks.backend])
    ending = end_all(loaded or LoadedMarks(), unseen)
    return [
        *failures,
        *(attempt(netfilter.run_command, step, held).failure for step in (*ending, *commands)),
    ]


def restoring_commands(marks: Optional[Reversal]) -> Tuple[Command, ...]:
    """The programs that have marks set as they were, from what is on record."""
    return render_restoration(marks.before) if marks is not None else ()


# -- programs that outlive us ---------------------------------------------------------------------
def hold_programs() -> int:
    """A descriptor with a lock: programs that have it open, too, are waited for.

    Those of whoever was killed before are, for so long as they may take.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    place = own_folders.kernel_folder()
    with os_errors("open", place, "nothing was changed; see ulimit -n"):
        folder = os.open(str(place), flags)
    end = time.monotonic() + _PROGRAMS
    while time.monotonic() < end:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        time.sleep(_PAUSE)
    return folder


def wait_for_programs(keeper: Process) -> None:
    """Wait until the programs of a keeper that was killed have ended, or as long as they may take.

    Not for those of one that is frozen, which end with it, before they do anything more.
    """
    if not keeper.halted:
        os.close(hold_programs())
