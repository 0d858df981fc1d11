"""The installation of changes: all or nothing, under one lock, with a way back.

The only writer of files, with what it stands on: access, lock, journal and backups.
"""

import contextlib
import datetime
import os
from pathlib import Path
from typing import Callable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from symroute_nm import programs
from symroute_nm.errors import Refusal, SymrouteError, SystemFailure
from symroute_nm.files import access, backups, journal
from symroute_nm.files.access import (
    Attributes,
    Place,
    Tree,
    is_own,
    link,
    os_errors,
    read_at,
    rename,
    sync_beside,
    unlink,
    write_at,
)
from symroute_nm.files.changes import Change
from symroute_nm.files.journal import (
    ALONE,
    Distrust,
    Entry,
    Journal,
    LargerChange,
    check_state,
    check_targets,
)
from symroute_nm.files.lock import TIMEOUT, locked

Note = Callable[[str], None]

_SELINUX = Path("/sys/fs/selinux/enforce")
_AS_BEFORE = "everything is as it was before; mend the cause and run it again"

# The paths of the files below a root that hold a block of ours.
FindOwned = Callable[[Path], Sequence[str]]


class _Step(NamedTuple):
    """One change on its way: where it really goes, what it is called until then."""

    change: Change
    target: Place
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
    find_owned: Optional[FindOwned] = None,
    newest: str = "",
    order: Callable[[Change], int] = lambda _: 0,
    part_of: LargerChange = ALONE,
    durable: bool = True,
) -> Optional[str]:
    """Write these changes, all or nothing; returns the backup's name, None if nothing changes.

    In a tree whose folders others can write, files are replaced one by one, and "" is returned:
    there is no backup. None, too, if another run has written the same meanwhile. With `find_owned`
    they are to deal with every file that it finds below the root; `newest` says which backup must
    still be the last. The lower its `order`, the earlier a file is replaced; putting back goes the
    other way. `part_of` is told once the new state counts. Unless `durable`, nothing waits for the
    disk, see `access.Tree`.
    `note` is told what a person should know (an interrupted run was undone, a label not set).
    Refusal if a file is no longer `Change.before` or the lock is held for `timeout` seconds, and
    where others can write and `attributes`, a backup's, are to be given; SystemFailure, with
    everything as before, if a step fails.
    """
    todo = sorted((change for change in wanted if change.kind != "keep"), key=order)
    if not todo:
        return None
    folders = sorted({change.path.rpartition("/")[0] for change in wanted})
    with locked(root, timeout, durable=durable):
        for text in journal.repair(root, folders, part_of, durable=durable):
            note(text)
        with Tree(root, durable) as tree:
            asked = _Asked(wanted, attributes, find_owned, newest, part_of)
            return _install(tree, todo, asked, note)


class _Asked(NamedTuple):
    """What `install` was asked."""

    wanted: Sequence[Change]
    attributes: Optional[Mapping[str, Attributes]]
    find_owned: Optional[FindOwned]
    newest: str
    part_of: LargerChange


def _install(tree: Tree, todo: Sequence[Change], asked: _Asked, note: Note) -> Optional[str]:
    distrust = _distrust(tree, todo)
    if all(_is_done(tree, change) for change in asked.wanted):
        return None  # another run of ours was faster
    if distrust and asked.attributes is not None:
        raise distrust
    if asked.newest and backups.find(tree).name != asked.newest:
        raise Refusal(
            "another run wrote meanwhile, and undo takes back the last; nothing was written",
            "see undo --list, and run it again",
        )
    _check_kept(tree, asked)
    if distrust:
        return _write_apart(tree, todo, distrust, note)
    given = asked.attributes or {}
    steps = [_prepare(tree, change, given.get(change.path)) for change in todo]
    name = backups.new_name(tree, _now())
    _write(tree, steps, name, asked.part_of, note)
    _tell_of_links(steps, note)
    with contextlib.suppress(OSError, SymrouteError):
        backups.prune(tree)  # next time then
    _relabel(tree.root, [step.change.path for step in steps if step.change.before is None], note)
    return name


def _distrust(tree: Tree, todo: Sequence[Change]) -> Optional[Distrust]:
    """Why neither journal nor backup can be kept for these changes; None: they can."""
    try:
        check_state(tree)
        for change in todo:
            tree.place(change.path)
        check_targets(tree)
    except Distrust as distrust:
        return distrust
    return None


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


def _is_done(tree: Tree, change: Change) -> bool:
    return tree.read(change.path) == change.after


def _check_kept(tree: Tree, asked: _Asked) -> None:
    """Refusal if what is to stay did not: another run was in the middle when these were made."""
    blocks = asked.find_owned(tree.root) if asked.find_owned else ()
    new = set(blocks) - {change.path for change in asked.wanted}
    for path in sorted(new):
        raise _changed(path)
    for change in asked.wanted:
        if change.kind == "keep" and not _is_done(tree, change):
            raise _changed(change.path)


def _changed(path: str) -> Refusal:
    return Refusal(
        f"{path} was changed by someone else meanwhile; nothing was written", "run it again"
    )


def _prepare(tree: Tree, change: Change, attributes: Optional[Attributes]) -> _Step:
    """The step of a change; Refusal if the file is no longer as the change has it."""
    target = tree.place(change.path)
    found = read_at(target, change.path)
    if (None if found is None else found.content) != change.before:
        raise _changed(change.path)
    names = 1
    if found is None:
        owner = 0 if os.geteuid() == 0 else -1
        attributes = attributes or Attributes(change.mode, owner, owner)
    else:
        status = found.status
        names = status.st_nlink
        attributes = Attributes(status.st_mode & 0o777, status.st_uid, status.st_gid)
    new = "" if change.after is None else access.hidden_name(target.name)
    old = "" if change.before is None else access.hidden_name(target.name)
    return _Step(change, target, attributes, new, old, names)


def _tell_of_links(steps: Sequence[_Step], note: Note) -> None:
    """A hard link of the administrator's own keeps the earlier file: it may be a backup."""
    for step in steps:
        if step.names > 1:
            note(
                f"warning: {step.change.path} had {step.names} names (hard links): the others "
                "keep the earlier text, and are files of their own now"
            )


def _write(
    tree: Tree, steps: Sequence[_Step], backup: str, part_of: LargerChange, note: Note
) -> None:
    entries, folders = tuple(map(_entry, steps)), tuple(_folders(tree, steps))
    record = Journal(backup, entries, folders, part_of.token)
    done = False
    try:
        with os_errors("write", f"the files below {tree.root}", _AS_BEFORE):
            journal.begin(tree, record)
            by_path = sorted(steps, key=lambda step: step.change.path)
            backups.save(tree, backup, [(step.change, step.attributes) for step in by_path])
            ready = [step._replace(target=tree.made(step.target)) for step in steps]
            _write_steps(ready)
            journal.commit(tree)
        done = True
    finally:
        # Not only for OSError: an interrupt from the keyboard leaves no half-written state, either.
        if not done:
            for text in journal.roll_back(tree, record):
                note(text)
    try:
        if part_of.token:
            part_of.note_commit(part_of.token, backup)
    except SymrouteError as error:  # the journal stays, by which the next run knows it
        note(f"warning: {error}")
        return
    for text in journal.finish(tree, record):
        note(text)


def _folders(tree: Tree, steps: Sequence[_Step]) -> List[str]:
    found: List[str] = []
    for step in steps:
        if step.change.after is not None:
            found += [folder for folder in tree.missing(step.target) if folder not in found]
    return found


def _entry(step: _Step) -> Entry:
    return Entry(
        path=step.change.path,
        target=step.target.real,
        new=step.new,
        old=step.old,
        before=journal.digest(step.change.before),
        after=journal.digest(step.change.after),
    )


def _write_steps(steps: Sequence[_Step]) -> None:
    for step in steps:
        with os_errors("write", step.change.path, _AS_BEFORE):
            _stage(step)
    _sync(steps)
    for step in steps:
        with os_errors("replace", step.change.path, _AS_BEFORE):
            _switch(step)
    _sync(steps)
    for step in steps:
        _check_untouched(step)


def _stage(step: _Step) -> None:
    """Write the coming content and give the previous file its second name; OSError."""
    like = step.target if step.old else None
    if step.change.after is not None:
        write_at(step.target.beside(step.new), step.change.after, step.attributes, like)
    if step.old:
        link(step.target, step.old)


def _switch(step: _Step) -> None:
    if step.new:
        rename(step.target.beside(step.new), step.target.name)
    else:
        os.unlink(step.target.name, dir_fd=step.target.folder)


def _sync(steps: Sequence[_Step]) -> None:
    folders = {step.target.folder: step for step in steps}
    for step in folders.values():
        with os_errors("write", step.change.path, _AS_BEFORE):
            sync_beside(step.target)


def _check_untouched(step: _Step) -> None:
    """Refusal if someone wrote to the previous file between our look at it and its replacement."""
    if not step.old:
        return
    found = read_at(step.target.beside(step.old), step.change.path)
    if found is None or found.content != step.change.before:
        raise _changed(step.change.path)


def _write_apart(tree: Tree, todo: Sequence[Change], distrust: Distrust, note: Note) -> str:
    """Replace these files one by one, each of them whole, where no state can be kept."""
    written: List[str] = []
    try:
        for change in todo:
            _replace(tree, _prepare_apart(tree, change))
            written.append(change.path)
    finally:
        kept = "no journal and no backup was kept, and undo is refused there"
        if written and len(written) < len(todo):
            note(
                f"{distrust.message}, so files are replaced one by one, and these were "
                f"already: {', '.join(written)}; {kept}"
            )
        elif written:
            note(f"{distrust.message}: its files were replaced one by one, {kept}")
    return ""


def _prepare_apart(tree: Tree, change: Change) -> _Step:
    """As `_prepare`, with nothing given away in the folder of somebody else.

    A new file is the folder's owner's. One that replaces another is as that was; where that has
    several names it may be a file from elsewhere, whose text we would put into a file of this tree:
    Refusal.
    """
    step = _prepare(tree, change, None)
    if step.names > 1 and step.change.after is not None:
        raise Refusal(
            f"{tree.shown(change.path)} has other names (hard links), in a tree that others "
            "can write",
            "make it a file of its own, and run it again",
        )
    target = tree.made(step.target)
    if change.before is None and target.folder is not None:
        owner = os.fstat(target.folder)
        mine = os.geteuid() != 0
        step = step._replace(
            attributes=Attributes(
                step.attributes.mode, *((-1, -1) if mine else (owner.st_uid, owner.st_gid))
            )
        )
    return step._replace(target=target)


def _replace(tree: Tree, step: _Step) -> None:
    path, new = step.change.path, step.target.beside(step.new)
    with os_errors("replace", path, "mend the cause and run it again"):
        done = False
        try:
            if step.change.after is not None:
                like = step.target if step.old else None
                write_at(new, step.change.after, step.attributes, like)
            found = read_at(step.target, path)
            if (None if found is None else found.content) != step.change.before:
                raise Refusal(
                    f"{tree.shown(path)} was changed by someone else meanwhile; it was not written",
                    "run it again",
                )
            _switch(step)
            done = True
        finally:
            if step.new and not done:
                with contextlib.suppress(OSError):  # the next run sweeps it up
                    unlink(new)
        sync_beside(step.target)


def _relabel(root: Path, paths: Sequence[str], note: Note) -> None:
    """Give new files the SELinux label that the policy has for their path."""
    if not is_own(root) or not paths:
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


def recover(
    root: Path,
    swept: Sequence[str] = (),
    part_of: LargerChange = ALONE,
    timeout: float = TIMEOUT,
) -> Tuple[str, ...]:
    """Undo or tidy up what an interrupted run left below `root`; returns what was done, for people.

    To be called before anything below it is read; takes the lock, and writes, only if there is
    something to do. `swept` are the folders that runs write to, see `journal.repair`.
    """
    if not journal.has_interrupted_run(root, swept):
        return ()
    with locked(root, timeout):
        return journal.repair(root, swept, part_of)


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
    with Tree(root) as tree:
        backup = backups.find(tree, name)
        wanted = backups.undoing(tree, backup)
    return Restoration(
        backup.name,
        wanted,
        {saved.path: Attributes(saved.mode, saved.uid, saved.gid) for saved in backup.files},
        "" if name else backup.name,
    )


def bring_back(
    root: Path,
    restoration: Restoration,
    note: Note = lambda _: None,
    *,
    order: Callable[[Change], int] = lambda _: 0,
    part_of: LargerChange = ALONE,
) -> Optional[str]:
    """Bring that state back, as `install` does; returns what it does."""
    return install(
        root,
        restoration.changes,
        note,
        attributes=restoration.attributes,
        newest=restoration.newest,
        order=order,
        part_of=part_of,
    )


def restore(root: Path, name: str = "", note: Note = lambda _: None) -> Restoration:
    """Prepared and brought back at once; returns what was done."""
    restoration = prepare_restoration(root, name)
    bring_back(root, restoration, note)
    return restoration
