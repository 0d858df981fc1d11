"""The installation of changes: all or nothing, under one lock, with a way back.

The only writer of files, with what it stands on: rooted, lock, journal and backups.
"""

import contextlib
import datetime
import os
from pathlib import Path
from typing import Callable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from symroute_nm import backups as store
from symroute_nm import journal, programs
from symroute_nm.changes import mode_of, owned
from symroute_nm.errors import Refusal, SymrouteError, SystemFailure
from symroute_nm.journal import Entry, Journal
from symroute_nm.lock import TIMEOUT, locked
from symroute_nm.model import Change
from symroute_nm.rooted import (
    Attributes,
    locate,
    make_folders,
    missing_folders,
    read_file,
    sync_folder,
    system,
    write_new,
)

Note = Callable[[str], None]

_SELINUX = Path("/sys/fs/selinux/enforce")
_AS_BEFORE = "everything is as it was before; mend the cause and run it again"


class _Step(NamedTuple):
    """One change on its way: where it really goes, what it is called until then."""

    change: Change
    target: Path
    attributes: Attributes
    new: str
    old: str
    names: int = 1  # hard links, before


def install(  # noqa: PLR0913  # keywords, each with a default
    root: Path,
    wanted: Sequence[Change],
    note: Note = lambda _: None,
    *,
    attributes: Optional[Mapping[str, Attributes]] = None,
    timeout: float = TIMEOUT,
    everything: bool = False,
    newest: str = "",
) -> Optional[str]:
    """Write these changes, all or nothing; returns the backup's name, None if nothing changes.

    None, too, if another run has written the same meanwhile. `everything` says that they are to
    deal with every block below the root, `newest` which backup must still be the last.
    `note` is told what a person should know (an interrupted run was undone, a label not set).
    Refusal if a file is no longer `Change.before` or the lock is held for `timeout` seconds;
    SystemFailure, with everything as before, if a step fails.
    """
    todo = [change for change in wanted if change.kind != "keep"]
    if not todo:
        return None
    with locked(root, timeout):
        for text in journal.repair(root):
            note(text)
        if all(_is_done(root, change) for change in wanted):
            return None  # another run of ours was faster
        if newest and store.find(root).name != newest:
            raise Refusal("another run wrote meanwhile, and undo takes back the last; nothing was "
                          "written", "see undo --list, and run it again")
        _check_kept(root, wanted, everything)
        real = locate(root, "/")
        steps = [_prepare(root, change, (attributes or {}).get(change.path)) for change in todo]
        name = store.new_name(root, _now())
        _write(real, steps, name, note)
        _tell_of_links(steps, note)
        with contextlib.suppress(OSError, SymrouteError):
            store.prune(root)  # next time then
        _relabel(real, [step.change.path for step in steps if step.change.before is None], note)
    return name


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


def _is_done(root: Path, change: Change) -> bool:
    return read_file(locate(root, change.path), change.path) == change.after


def _check_kept(root: Path, wanted: Sequence[Change], everything: bool) -> None:
    """Refusal if what is to stay did not: another run was in the middle when these were made."""
    blocks = owned(root) if everything else ()
    new = set(blocks) - {change.path for change in wanted}
    for path in sorted(new):
        raise _changed(path)
    for change in wanted:
        if change.kind == "keep" and not _is_done(root, change):
            raise _changed(change.path)


def _changed(path: str) -> Refusal:
    return Refusal(
        "%s was changed by someone else meanwhile; nothing was written" % path, "run it again")


def _prepare(root: Path, change: Change, attributes: Optional[Attributes]) -> _Step:
    """The step of a change; Refusal if the file is no longer as the change has it."""
    target = locate(root, change.path)
    if read_file(target, change.path) != change.before:
        raise _changed(change.path)
    names = 1
    if change.before is None:
        owner = 0 if os.geteuid() == 0 else -1
        attributes = attributes or Attributes(mode_of(change.path), owner, owner)
    else:
        with system("read", change.path):
            found = target.stat()
        names = found.st_nlink
        attributes = Attributes(found.st_mode & 0o7777, found.st_uid, found.st_gid)
    new = "" if change.after is None else journal.hidden_name(target.name)
    old = "" if change.before is None else journal.hidden_name(target.name)
    return _Step(change, target, attributes, new, old, names)


def _tell_of_links(steps: Sequence[_Step], note: Note) -> None:
    """A hard link of the administrator's own keeps the earlier file: it may be a backup."""
    for step in steps:
        if step.names > 1:
            note("warning: %s had %d names (hard links): the others keep the earlier text, and are "
                 "files of their own now" % (step.change.path, step.names))


def _write(root: Path, steps: Sequence[_Step], backup: str, note: Note) -> None:
    folders = _folders(steps)
    entries = tuple(_entry(root, step) for step in steps)
    record = Journal(backup, entries, tuple(str(each.relative_to(root)) for each in folders))
    done = False
    try:
        with system("write", "the files below " + str(root), _AS_BEFORE):
            journal.begin(root, record)
            store.save(root, backup, [(step.change, step.attributes) for step in steps])
            make_folders(folders)
            _write_steps(steps)
            journal.commit(root)
        done = True
    finally:
        # Not only for OSError: an interrupt from the keyboard leaves no half-written state, either.
        if not done:
            for text in journal.roll_back(root, record):
                note(text)
    for text in journal.finish(root, record):
        note(text)


def _folders(steps: Sequence[_Step]) -> List[Path]:
    found: List[Path] = []
    for step in steps:
        if step.change.after is not None:
            with system("look up", step.change.path):
                found += [each for each in missing_folders(step.target) if each not in found]
    return found


def _entry(root: Path, step: _Step) -> Entry:
    return Entry(
        path=step.change.path,
        target=str(step.target.relative_to(root)),
        new=step.new,
        old=step.old,
        before=journal.digest(step.change.before),
        after=journal.digest(step.change.after),
    )


def _write_steps(steps: Sequence[_Step]) -> None:
    for step in steps:
        with system("write", step.change.path, _AS_BEFORE):
            _stage(step)
    _sync(steps)
    for step in steps:
        with system("replace", step.change.path, _AS_BEFORE):
            _switch(step)
    _sync(steps)
    for step in steps:
        _check_untouched(step)


def _stage(step: _Step) -> None:
    """Write the coming content and give the previous file its second name; OSError."""
    folder = step.target.parent
    like = step.target if step.old else None
    if step.change.after is not None:
        write_new(folder / step.new, step.change.after, step.attributes, like)
    if step.old:
        os.link(str(step.target), str(folder / step.old))


def _switch(step: _Step) -> None:
    if step.new:
        (step.target.parent / step.new).rename(step.target)
    else:
        step.target.unlink()


def _sync(steps: Sequence[_Step]) -> None:
    for folder in sorted({step.target.parent for step in steps}):
        with system("write", folder, _AS_BEFORE):
            sync_folder(folder)


def _check_untouched(step: _Step) -> None:
    """Refusal if someone wrote to the previous file between our look at it and its replacement."""
    old = step.target.parent / step.old
    if step.old and read_file(old, step.change.path) != step.change.before:
        raise _changed(step.change.path)


def _relabel(root: Path, paths: Sequence[str], note: Note) -> None:
    """Give new files the SELinux label that the policy has for their path."""
    if root != Path("/") or not paths:
        return
    if programs.find("restorecon") is None or not _SELINUX.exists():
        return
    try:
        ran = programs.run(["restorecon", *paths])
        complaint = ran.complaint if ran.code else ""
    except SystemFailure as error:
        complaint = error.message
    if complaint:
        note(f"the SELinux labels of {', '.join(paths)} may be wrong: {complaint}")


def recover(root: Path, timeout: float = TIMEOUT) -> Tuple[str, ...]:
    """Undo or tidy up what an interrupted run left below `root`; returns what was done, for people.

    To be called before `changes`; takes the lock, and writes, only if there is something to do.
    """
    if not journal.leftovers(root):
        return ()
    with locked(root, timeout):
        return journal.repair(root)


class Restoration(NamedTuple):
    """What bringing a backup back changes."""

    name: str
    changes: Tuple[Change, ...]
    attributes: Mapping[str, Attributes]
    newest: str = ""  # the backup's name where none was asked for: it must still be the last


def prepare_restoration(root: Path, name: str = "") -> Restoration:
    """The way back to the state that a backup (the newest for "") holds, modes and owners included.

    InputError, Refusal where it no longer fits, SystemFailure.
    """
    backup = store.find(root, name)
    wanted = store.undoing(root, backup)
    return Restoration(backup.name, wanted, {
        each.path: Attributes(each.mode, each.uid, each.gid) for each in backup.files
    }, "" if name else backup.name)


def bring_back(root: Path, restoration: Restoration, note: Note = lambda _: None) -> None:
    """Bring that state back. InputError, Refusal, SystemFailure."""
    install(root, restoration.changes, note, attributes=restoration.attributes,
            newest=restoration.newest)


def restore(root: Path, name: str = "", note: Note = lambda _: None) -> Restoration:
    """Prepared and brought back at once; returns what was done."""
    restoration = prepare_restoration(root, name)
    bring_back(root, restoration, note)
    return restoration
