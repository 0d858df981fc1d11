"""The journal of a write: the way back to the state before, also for the run after a killed one.

A write keeps each previous file under a hidden second name (a link: going back needs no space and
loses no attribute), then renames. The journal names all hidden files before the first is made; its
own rename to ``journal.done`` is the moment at which the new state counts.
"""

import contextlib
import errno
import json
import os
import re
from itertools import chain
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from symroute_nm.errors import Refusal, SymrouteError
from symroute_nm.files.access import (
    STATE,
    Attributes,
    Place,
    Tree,
    exists_at,
    hidden_name,
    is_own,
    may_be_others,
    names_beside,
    os_errors,
    read_at,
    remove_all,
    remove_folder,
    rename,
    sync_beside,
    unlink,
    write_at,
)

BACKUPS = STATE + "/backups"

_HIDDEN = re.compile(r"\.symroute-nm\..+\.[0-9a-f]{8}\Z")
_GONE_OR_IN_USE = (errno.ENOENT, errno.ENOTDIR, errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY)


class Entry(NamedTuple):
    """One file of a write; digests are SHA-256 in hex, "" for a file that does not exist."""

    path: str  # as asked for
    target: str  # the real place, relative to the root
    new: str  # hidden name of the coming content, "" for a deletion
    old: str  # hidden name of the previous file, "" for a creation
    before: str
    after: str


class Journal(NamedTuple):
    """A write that has begun; `folders` (outermost first, relative to the root) it has to make."""

    backup: str
    entries: Tuple[Entry, ...]
    folders: Tuple[str, ...] = ()
    token: str = ""  # of the larger change that it is part of


class LargerChange(NamedTuple):
    """What a write may be part of: its own commit is the whole's, and is told to whom it concerns.

    `note_commit` is called under the lock of the tree with the token and the backup's name, before
    the journal, which is the evidence until then, is removed: also with those of an earlier write.
    """

    token: str = ""  # "": the write is all there is
    note_commit: Callable[[str, str], None] = lambda *_: None


ALONE = LargerChange()


def digest(content: Optional[bytes]) -> str:
    """The SHA-256 in hex; "" for None."""
    import hashlib  # OpenSSL, 3 MiB of it: whoever only looks for a journal does without

    return "" if content is None else hashlib.sha256(content).hexdigest()


def begin(tree: Tree, journal: Journal) -> None:
    """Put the journal on the disk; OSError."""
    files = [entry._asdict() for entry in journal.entries]
    text = json.dumps({"format": 1, **journal._asdict(), "entries": files}, sort_keys=True)
    place = tree.made(tree.name(f"{STATE}/{hidden_name('journal')}"))
    write_at(place, text.encode("ascii"), Attributes())
    rename(place, "journal")
    sync_beside(place)


def commit(tree: Tree) -> None:
    """Make the new state count; OSError."""
    place = tree.name(STATE + "/journal")
    rename(place, "journal.done")
    sync_beside(place)


def finish(tree: Tree, journal: Journal) -> Tuple[str, ...]:
    """Remove the hidden files, then the journal; returns what went wrong, left to the next run."""
    problems: Tuple[str, ...] = ()
    try:
        places = _hidden_places(tree, journal)
        problems = _remove(tree, places)
        # Or a loss of power brings hidden files back that no journal names any more.
        _sync_folders(places)
        done = tree.name(STATE + "/journal.done")
    except (OSError, SymrouteError) as error:
        return (*problems, f"the next run tidies up: {error}")
    return problems or _remove(tree, [done])


def _sync_folders(places: Iterable[Place]) -> None:
    folders = {place.folder: place for place in places if place.folder is not None}
    for place in folders.values():
        sync_beside(place)


def roll_back(tree: Tree, journal: Journal) -> Tuple[str, ...]:
    """Put the previous state back; returns a sentence for each file that was changed by others.

    Such a file stays as it is, and so does the backup. Can be repeated. Refusal where a link has
    come into the way of a file, SystemFailure.
    """
    begun, done = tree.name(STATE + "/journal"), tree.name(STATE + "/journal.done")
    with os_errors(
        "put back the files of", tree.shown(STATE + "/journal"), "free the cause, run it again"
    ):
        if exists_at(done) and _load(tree, done) == journal:  # an earlier write's is none
            rename(done, begun.name)
        notes: List[str] = []
        # Backwards: what was written first is there as long as anything else of it.
        for entry in reversed(journal.entries):
            notes += _put_back(tree, entry, journal)
        places = _hidden_places(tree, journal)
        for place in places:
            unlink(place)
        _sync_folders(places)
        _remove_folders(tree, journal)
        if not notes:
            discard(tree, tree.name(f"{BACKUPS}/{journal.backup}"))
        unlink(begun)
        _sync_folders([begun])
    # The journal and the backup have hidden names of their own until they are whole.
    return (*notes, *_remove(tree, list(_strays(tree))))


def _put_back(tree: Tree, entry: Entry, journal: Journal) -> List[str]:
    target = tree.plain(entry.target)
    old = target.beside(entry.old)
    if entry.old and not exists_at(old):
        return []  # this file's turn had not come
    current = _current(target, entry.path)
    if current == entry.after:
        if entry.old:
            rename(old, target.name)
        else:
            unlink(target)
        _sync_folders([target])
    elif current != entry.before:
        return [
            f"{entry.path} was changed after the run that was interrupted and stays as it "
            f"is; what it was before stands in {BACKUPS}/{journal.backup}"
        ]
    return []


def _current(target: Place, path: str) -> str:
    try:
        found = read_at(target, path)
    except Refusal:
        return "not a file"
    return digest(None if found is None else found.content)


def _hidden_places(tree: Tree, journal: Journal) -> List[Place]:
    places = []
    for entry in journal.entries:
        target = tree.plain(entry.target)
        places += [target.beside(name) for name in (entry.new, entry.old) if name]
    return places


def _remove_folders(tree: Tree, journal: Journal) -> None:
    for folder in reversed(journal.folders):
        place = tree.plain(folder)
        try:
            if exists_at(place):  # as with unlink(2)
                remove_folder(place)
                sync_beside(place)
                tree.forget(place.real)
        except OSError as error:
            if error.errno not in _GONE_OR_IN_USE:
                raise


def _remove(tree: Tree, places: Iterable[Place]) -> Tuple[str, ...]:
    """Remove files or folders, trying twice; returns what went wrong."""
    return tuple(chain.from_iterable(_remove_one(tree, place) for place in places))


def _remove_one(tree: Tree, place: Place) -> List[str]:
    for last in (False, True):
        try:
            remove_all(place)
            return []
        except OSError as error:
            if last:
                return [f"{tree.shown(place.real)} is left behind: {error.strerror or error}"]
    return []


def discard(tree: Tree, folder: Place) -> None:
    """Remove a folder as a whole: under a hidden name first, so that no half of it is ever seen."""
    if folder.folder is None:
        return
    doomed = folder.beside(hidden_name(folder.name))
    try:
        rename(folder, doomed.name)
    except FileNotFoundError:
        return
    tree.forget(folder.real)
    with contextlib.suppress(OSError):
        # A loss of power must not give half a folder its name back.
        sync_beside(folder)
    _remove(tree, [doomed])


def has_interrupted_run(root: Path, swept: Sequence[str] = ()) -> bool:
    """Whether an interrupted run left something to `repair`."""
    with Tree(root) as tree:
        return any(_journals(tree)) or any(True for _ in _strays(tree, swept))


def _journals(tree: Tree) -> Tuple[bool, bool]:
    """Whether there are a ``journal`` and a ``journal.done``; SystemFailure."""
    with os_errors("look up", tree.shown(STATE), "run as root"):
        return (
            exists_at(tree.name(STATE + "/journal")),
            exists_at(tree.name(STATE + "/journal.done")),
        )


def find_journals(root: Path) -> Tuple[Optional[Journal], Optional[Journal]]:
    """A write below `root` that has begun, and one that counts and is not tidied up yet.

    Raises `Refusal` for one that is damaged or not believed, `SystemFailure`.
    """
    with Tree(root) as tree:
        begun, done = _journals(tree)
        return (
            _believed(tree, "journal") if begun else None,
            _believed(tree, "journal.done") if done else None,
        )


def repair(
    root: Path,
    swept: Sequence[str] = (),
    part_of: LargerChange = ALONE,
    *,
    durable: bool = True,
) -> Tuple[str, ...]:
    """Undo or tidy up what an interrupted run left; under the lock. Returns what was done.

    A journal that somebody else may have written is not believed, and that is said. From the
    folders `swept`, paths below the root, hidden files of ours go that no journal names: where none
    can be kept, files are replaced one by one. `durable` as of `Tree`.
    """
    with Tree(root, durable) as tree:
        notes: List[str] = []
        begun, done = _journals(tree)
        try:
            if done:
                notes += _tidy_up(tree, part_of)
            if begun:
                notes += _undo(tree)
        except Distrust as distrust:
            notes += [
                f"{distrust.message}: the journal of an interrupted run there is not "
                "believed, and nothing is put back by it"
            ]
        return (*notes, *_remove(tree, list(_strays(tree, swept))))


def _tidy_up(tree: Tree, part_of: LargerChange) -> List[str]:
    journal = _believed(tree, "journal.done")
    if journal.token:
        part_of.note_commit(journal.token, journal.backup)
    return [
        "an interrupted run had written all its files; its hidden files are removed",
        *finish(tree, journal),
    ]


def _undo(tree: Tree) -> List[str]:
    journal = _believed(tree, "journal")
    kept = roll_back(tree, journal)
    paths = ", ".join(entry.path for entry in journal.entries)
    return [f"an interrupted run was undone, as before they are again: {paths}", *kept]


def _believed(tree: Tree, name: str) -> Journal:
    """The journal of that name; Distrust, and Refusal where a link is in the way of any file."""
    check_state(tree)
    journal = _load(tree, tree.name(f"{STATE}/{name}"))
    for path in (*journal.folders, *(entry.target for entry in journal.entries)):
        tree.plain(path)
    check_targets(tree)
    return journal


class Distrust(Refusal):
    """Others can write where our state is, or files go: such state is not kept or believed."""


def check_state(tree: Tree) -> None:
    """Raise `Distrust` if others can write a folder on the way to our state.

    To be asked first, while nothing else below the root was looked for. Folders that are not there
    yet do not count: they will be ours.
    """
    tree.place(BACKUPS + "/any")
    _check_shared(tree)


def check_targets(tree: Tree) -> None:
    """Raise `Distrust` if others can write a folder on the way to what was looked for until now.

    Not below this machine's own root: who may write where network scripts are run from is root's
    equal already.
    """
    if not is_own(tree.root):
        _check_shared(tree)


def _check_shared(tree: Tree) -> None:
    others = tree.shared()
    if others:
        raise Distrust(
            f"{others} can be written by others than root",
            "no backup and no journal in such a tree is believed; make its folders root's alone, "
            "or put the files back by hand",
        )


def read_state(place: Place, path: str) -> bytes:
    """A file of our state; b"" where there is none. Distrust where others can write it, Refusal."""
    found = read_at(place, path)
    if found is None:
        return b""
    if may_be_others(found.status):
        raise Distrust(f"{path} can be written by others than root", "remove it")
    return found.content


def _strays(tree: Tree, swept: Sequence[str] = ()) -> Iterator[Place]:
    """Hidden files of ours, without a look at whether a journal names them."""
    for path in (STATE, BACKUPS, *swept):
        try:
            place = tree.inside(path)
            names = names_beside(place)
        except (SymrouteError, OSError):
            continue  # a folder that cannot be read holds nothing that we wrote
        yield from (place.beside(name) for name in names if _HIDDEN.match(name))


def _load(tree: Tree, place: Place) -> Journal:
    where = tree.shown(place.real)
    text = read_state(place, where)
    try:
        content = json.loads(text.decode("ascii"))
        entries = tuple(typed(Entry, fields) for fields in content["entries"])
        if not isinstance(content["folders"], list):
            raise TypeError("folders is no list")
        token = content.get("token", "")
        journal = Journal(content["backup"], entries, tuple(content["folders"]), token)
        _check_places(journal)
        return journal
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Refusal(
            f"{where} is damaged ({error})",
            f"compare the files with the newest backup in {BACKUPS}, then remove it",
        ) from error


def typed(kind: Any, fields: Any) -> Any:
    """The named tuple of fields that were read; TypeError, ValueError if they do not fit."""
    made = kind(**fields)
    for name, wanted in kind.__annotations__.items():
        value = getattr(made, name)
        if type(value) is not wanted:
            raise TypeError(f"{name} is not of type {wanted.__name__}")
        if isinstance(value, str):
            check_path(value)
    return made


def check_path(text: str) -> None:
    """ValueError for text that cannot be a path: with a NUL, or not to be encoded."""
    if b"\0" in os.fsencode(text):
        raise ValueError("a NUL")


def _check_places(journal: Journal) -> None:
    """TypeError, ValueError where a name is none, or leads elsewhere than a journal's can."""
    names = [journal.backup, journal.token]
    for entry in journal.entries:
        names += (entry.new, entry.old)
    places = [*journal.folders, *(entry.target for entry in journal.entries)]
    for text in (*names, *places):
        if not isinstance(text, str):
            raise TypeError("a name is not text")
        check_path(text)
        if text.startswith("/") or ".." in text.split("/") or (text in names and "/" in text):
            raise ValueError(f"{text!r} leads elsewhere")
