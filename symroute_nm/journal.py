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
import shutil
from pathlib import Path
from typing import Any, Iterable, Iterator, List, NamedTuple, Optional, Tuple

from symroute_nm.errors import Refusal, SymrouteError
from symroute_nm.rooted import (
    STATE,
    Attributes,
    exists,
    locate,
    read_file,
    sync_folder,
    system,
    write_new,
)

BACKUPS = STATE + "/backups"

# Where hidden files of ours may stand without a journal that names them.
_SWEPT = ("/etc/sysconfig/network-scripts", "/etc/iproute2", "/etc/iproute2/rt_tables.d")
_HIDDEN = re.compile(r"\.symroute-nm\..+\.[0-9a-f]{8}\Z")
_GONE_OR_IN_USE = (errno.ENOENT, errno.ENOTDIR, errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY)
_NAME_LIMIT = 40  # characters of the file's own name; NAME_MAX is 255 bytes


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


def digest(content: Optional[bytes]) -> str:
    """The SHA-256 in hex; "" for None."""
    import hashlib  # OpenSSL, 3 MiB of it: whoever only looks for a journal does without

    return "" if content is None else hashlib.sha256(content).hexdigest()


def hidden_name(name: str) -> str:
    """A name that no reader of the folder takes for a file of its own."""
    return ".symroute-nm.%s.%s" % (name[:_NAME_LIMIT], os.urandom(4).hex())


def begin(root: Path, journal: Journal) -> None:
    """Put the journal on the disk; OSError."""
    folder = locate(root, STATE)
    files = [entry._asdict() for entry in journal.entries]
    text = json.dumps({"format": 1, **journal._asdict(), "entries": files}, sort_keys=True)
    place = folder / hidden_name("journal")
    write_new(place, text.encode("ascii"), Attributes(), None)
    place.rename(folder / "journal")
    sync_folder(folder)


def commit(root: Path) -> None:
    """Make the new state count; OSError."""
    folder = locate(root, STATE)
    (folder / "journal").rename(folder / "journal.done")
    sync_folder(folder)


def finish(root: Path, journal: Journal) -> Tuple[str, ...]:
    """Remove the hidden files, then the journal; returns what went wrong, left to the next run."""
    places = _hidden_places(root, journal)
    problems = _remove(places)
    try:
        # Or a loss of power brings hidden files back that no journal names any more.
        _sync_folders(places)
        done = locate(root, STATE) / "journal.done"
    except (OSError, SymrouteError) as error:
        problems += ("the next run tidies up: %s" % error,)
    return problems or _remove([done])


def _sync_folders(places: Iterable[Path]) -> None:
    for folder in sorted({place.parent for place in places}):
        sync_folder(folder)


def roll_back(root: Path, journal: Journal) -> Tuple[str, ...]:
    """Put the previous state back; returns a sentence for each file that was changed by others.

    Such a file stays as it is, and so does the backup. Can be repeated. SystemFailure.
    """
    folder = locate(root, STATE)
    with system("put back the files of", folder / "journal", "free the cause, run it again"):
        done = folder / "journal.done"
        if exists(done) and _load(done) == journal:  # an earlier write's, which stands, is none
            done.rename(folder / "journal")
        notes = [note for entry in journal.entries for note in _put_back(root, entry, journal)]
        places = _hidden_places(root, journal)
        for place in places:
            _unlink(place)
        _sync_folders(place for place in places if exists(place.parent))
        _remove_folders(root, journal)
        if not notes:
            discard(locate(root, BACKUPS) / journal.backup)
        _unlink(folder / "journal")
        sync_folder(folder)
    # The journal and the backup have hidden names of their own until they are whole.
    return tuple(notes) + _remove(list(_strays(root)))


def _put_back(root: Path, entry: Entry, journal: Journal) -> List[str]:
    target = root / entry.target
    old = target.parent / entry.old
    if entry.old and not exists(old):
        return []  # this file's turn had not come
    current = _current(target, entry.path)
    if current == entry.after:
        if entry.old:
            old.rename(target)
        else:
            _unlink(target)
        sync_folder(target.parent)
    elif current != entry.before:
        return [
            "%s was changed after the run that was interrupted and stays as it is; "
            "what it was before stands in %s/%s" % (entry.path, BACKUPS, journal.backup)
        ]
    return []


def _current(target: Path, path: str) -> str:
    try:
        return digest(read_file(target, path))
    except Refusal:
        return "not a file"


def _hidden_places(root: Path, journal: Journal) -> List[Path]:
    return [
        (root / entry.target).parent / name
        for entry in journal.entries
        for name in (entry.new, entry.old)
        if name
    ]


def _remove_folders(root: Path, journal: Journal) -> None:
    for folder in reversed(journal.folders):
        try:
            if exists(root / folder):  # as with unlink(2) below
                (root / folder).rmdir()
                sync_folder((root / folder).parent)
        except OSError as error:
            if error.errno not in _GONE_OR_IN_USE:
                raise


def _unlink(place: Path) -> None:
    # On a read-only file system unlink(2) fails even for what is not there.
    if exists(place):
        with contextlib.suppress(FileNotFoundError):
            place.unlink()


def _remove(places: Iterable[Path]) -> Tuple[str, ...]:
    """Remove files or folders, trying twice; returns what went wrong."""
    return tuple(problem for place in places for problem in _remove_one(place))


def _remove_one(place: Path) -> List[str]:
    for last in (False, True):
        try:
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(str(place))
            else:
                _unlink(place)
            return []
        except OSError as error:
            if last:
                return ["%s is left behind: %s" % (place, error.strerror or error)]
    return []


def discard(folder: Path) -> None:
    """Remove a folder as a whole: under a hidden name first, so that no half of it is ever seen."""
    doomed = folder.parent / hidden_name(folder.name)
    try:
        folder.rename(doomed)
    except FileNotFoundError:
        return
    with contextlib.suppress(OSError):
        # A loss of power must not give half a folder its name back.
        sync_folder(folder.parent)
    _remove([doomed])


def leftovers(root: Path) -> bool:
    """Whether an interrupted run left something to `repair`."""
    return any(_journals(root)) or any(True for _ in _strays(root))


def _journals(root: Path) -> Tuple[bool, bool]:
    """Whether there are a ``journal`` and a ``journal.done``; SystemFailure."""
    folder = locate(root, STATE)
    with system("look up", folder, "run as root"):
        return exists(folder / "journal"), exists(folder / "journal.done")


def repair(root: Path) -> Tuple[str, ...]:
    """Undo or tidy up what an interrupted run left; under the lock. Returns what was done."""
    folder = locate(root, STATE)
    notes: List[str] = []
    begun, done = _journals(root)
    if done:
        journal = _load(folder / "journal.done")
        notes += ["an interrupted run had written all its files; its hidden files are removed"]
        notes += finish(root, journal)
    if begun:
        journal = _load(folder / "journal")
        kept = roll_back(root, journal)
        paths = ", ".join(entry.path for entry in journal.entries)
        notes += ["an interrupted run was undone, as before it are again: %s" % paths, *kept]
    return tuple(notes) + _remove(list(_strays(root)))


def _strays(root: Path) -> Iterator[Path]:
    for path in (STATE, BACKUPS, *_SWEPT):
        try:
            folder = locate(root, path)
            names = sorted(each.name for each in folder.iterdir())
        except (SymrouteError, OSError):
            continue  # a folder that cannot be read holds nothing that we wrote
        yield from (folder / name for name in names if _HIDDEN.match(name))


def _load(place: Path) -> Journal:
    text = read_file(place, str(place)) or b""
    try:
        content = json.loads(text.decode("ascii"))
        entries = tuple(typed(Entry, each) for each in content["entries"])
        if not isinstance(content["folders"], list):
            raise TypeError("folders is no list")
        journal = Journal(content["backup"], entries, tuple(content["folders"]))
        _check_places(journal)
        return journal
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Refusal(
            "%s is damaged (%s)" % (place, error),
            "compare the files with the newest backup in %s, then remove it" % BACKUPS,
        ) from error


def typed(kind: Any, fields: Any) -> Any:
    """The named tuple of fields that were read; TypeError, ValueError if they do not fit."""
    made = kind(**fields)
    for name, wanted in kind.__annotations__.items():
        value = getattr(made, name)
        if type(value) is not wanted:
            raise TypeError("%s is not of type %s" % (name, wanted.__name__))
        if isinstance(value, str):
            check_path(value)
    return made


def check_path(text: str) -> None:
    """ValueError for text that cannot be a path: with a NUL, or not to be encoded."""
    if b"\0" in os.fsencode(text):
        raise ValueError("a NUL")


def _check_places(journal: Journal) -> None:
    """TypeError, ValueError where a name is none, or leads elsewhere than a journal's can."""
    names = [journal.backup, *(name for each in journal.entries for name in (each.new, each.old))]
    places = [*journal.folders, *(each.target for each in journal.entries)]
    for text in (*names, *places):
        if not isinstance(text, str):
            raise TypeError("a name is not text")
        check_path(text)
        if text.startswith("/") or ".." in text.split("/") or (text in names and "/" in text):
            raise ValueError("%r leads elsewhere" % text)
