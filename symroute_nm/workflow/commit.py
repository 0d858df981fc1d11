"""Files written at once, or as the last thing of a change of the kernel that is confirmed."""

import contextlib
import os
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Callable,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

from symroute_nm.errors import SymrouteError
from symroute_nm.files import access
from symroute_nm.files.changes import Change
from symroute_nm.files.journal import ALONE, LargerChange
from symroute_nm.readers import rt_tables
from symroute_nm.readers.host import read_host
from symroute_nm.targets.base import choose_target

if TYPE_CHECKING:
    from symroute_nm.kernel.transaction import KernelChange

# Makes a change of the kernel and calls what keeps it once it is confirmed; returns what that
# returned. Raises `SymrouteError`, with all as before, where it was not confirmed.
Maker = Callable[["KernelChange", Callable[[LargerChange], List[str]]], Tuple[str, ...]]
Say = Callable[..., None]  # of lines for people


class Written(NamedTuple):
    """What came of writing: the backup that holds the state before, "" for none, and notes."""

    backup: str = ""
    notes: Tuple[str, ...] = ()


class KernelPart(NamedTuple):
    """A change of the kernel that comes before the files, and who makes it."""

    change: "KernelChange"
    make: Maker


def write_changes(
    root: Path,
    changes: Sequence[Change],
    kernel: Optional[KernelPart],
    say: Say,
    *,
    everything: bool = False,
) -> Written:
    """Install the changes, all or nothing; raises `SymrouteError` with everything as before.

    `everything`: no block is to be left.
    """

    def write(note: Callable[[str], None], part_of: LargerChange) -> str:
        return install_changes(root, changes, note, everything=everything, part_of=part_of)

    return commit(root, write, kernel, say)


def install_changes(  # noqa: PLR0913  # keywords
    root: Path,
    changes: Sequence[Change],
    note: Callable[[str], None],
    *,
    everything: bool,
    part_of: LargerChange = ALONE,
    durable: bool = True,
) -> str:
    """As `write_changes`, for files alone; returns the backup's name, "" if nothing was to do.

    Unless `durable`, nothing waits for the disk: the caller calls `access.sync_now` in the end.
    """
    from symroute_nm.files import install  # a dry run does without the writer

    target = choose_target()
    name = install.install(
        root,
        changes,
        note=note,
        find_owned=target.find_owned if everything else None,
        order=target.writing_order,
        part_of=part_of,
        durable=durable,
    )
    return name or ""


def recover_files(root: Path, swept: Sequence[str], note: Callable[[str], None]) -> None:
    """Undo or tidy up what a killed run left below `root`; before anything there is read.

    `swept` are folders of the target, in which hidden files may be left that no journal names.
    """
    from symroute_nm.files import install  # a dry run does without the writer

    for line in install.recover(root, swept, LargerChange("", _note_commit)):
        note(line)


def _note_commit(token: str, backup: str) -> None:
    """As `recovery.note_commit`; most runs need it not."""
    from symroute_nm.kernel import recovery

    recovery.note_commit(token, backup)


def commit(
    root: Path,
    write: Callable[[Callable[[str], None], LargerChange], str],
    kernel: Optional[KernelPart],
    say: Say,
) -> Written:
    """Write by `write`, which returns the backup's name: at once, or once the kernel is kept.

    Tables that no file names any more may be in the kernel still: they stay known as ours.
    """
    if kernel is None:
        with _tables_remembered(root, say):
            backup = write(say, LargerChange("", _note_commit))
        return Written(backup)

    def keep(part_of: LargerChange) -> List[str]:
        notes: List[str] = []
        backup = write(notes.append, part_of)
        return [backup, *notes]

    backup, *notes = kernel.make(kernel.change, keep)
    return Written(backup, tuple(notes))


@contextlib.contextmanager
def _tables_remembered(root: Path, say: Say) -> Iterator[None]:
    """Know tables of ours that files cease to name, as long as this kernel has them.

    All of them from before the files are written: a run that is killed in between must not leave
    any that nobody knows.
    """
    before = rt_tables.own_tables(root)
    # Below another root the kernel is not asked, and whoever is not root writes nothing there.
    if not before or not access.is_own(root) or os.geteuid() != 0:
        yield
        return
    from symroute_nm.kernel import run_tables

    if run_tables.read_trial():  # what waits to be confirmed knows its own
        yield
        return
    names = run_tables.read_names()
    run_tables.write_tables(before)
    with contextlib.ExitStack() as stack:
        stack.callback(run_tables.put_back, names)
        yield
        stack.pop_all()
    named = {table.id for table in rt_tables.own_tables(root, lasting=True)}
    lost = [table for table in before if table.id not in named]
    from symroute_nm.plan.planner import used_tables

    try:
        used = used_tables(read_host(root, None, probe=False)) if lost else ()
        run_tables.write_tables(table for table in lost if table.id in used)
    except SymrouteError as error:  # all that was asked for is done
        say(f"warning: {error}")
