"""Backups: the state before each write, and the changes that would bring it back.

``/var/lib/symroute-nm/backups/<UTC time>-<n>/`` holds a ``manifest.json`` and the files under their
absolute paths; n counts all backups, since a clock can go backwards.
"""

import datetime
import json
import re
from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence, Tuple

from symroute_nm.errors import InputError, Refusal
from symroute_nm.journal import BACKUPS, digest, discard, hidden_name, typed
from symroute_nm.model import Change
from symroute_nm.rooted import (
    Attributes,
    locate,
    make_folders,
    missing_folders,
    read,
    read_file,
    sync_folder,
    system,
    write_new,
)
from symroute_nm.unified import unified_diff

KEPT = 10
_MODES, _OWNERS = range(0o10000), range(-1, 2**32)
_NAME = re.compile(r"[0-9]{8}T[0-9]{6}Z-([0-9]+)\Z")


class Saved(NamedTuple):
    """One file in a backup; digests are SHA-256 in hex, "" for a file that does not exist."""

    path: str
    existed: bool
    mode: int
    uid: int
    gid: int
    before: str
    after: str


class Backup(NamedTuple):
    """The state before one write; `name` says when (UTC) and in which order."""

    name: str
    files: Tuple[Saved, ...]


def backups(root: Path) -> Tuple[Backup, ...]:
    """All backups, oldest first; Refusal for a damaged one, SystemFailure."""
    return tuple(_load(root, name) for name in _names(root))


def _names(root: Path) -> List[str]:
    folder = locate(root, BACKUPS)
    with system("read", folder, "run as root"):
        try:
            found = [each.name for each in folder.iterdir() if _NAME.match(each.name)]
        except FileNotFoundError:
            return []
    return sorted(found, key=_count)


def _count(name: str) -> int:
    found = _NAME.match(name)
    return int(found.group(1)) if found else 0


def _load(root: Path, name: str) -> Backup:
    path = "%s/%s/manifest.json" % (BACKUPS, name)
    text = read(root, path) or b""
    try:
        content = json.loads(text.decode("ascii"))
        files = tuple(typed(Saved, each) for each in content["files"])
        for each in files:
            _check_attributes(each)
        return Backup(name, files)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Refusal(
            "%s is damaged (%s)" % (path, error), "remove that backup's folder, or pick another"
        ) from error


def _check_attributes(saved: Saved) -> None:
    """ValueError for what chmod(2) or chown(2) cannot take."""
    if saved.mode not in _MODES or not all(each in _OWNERS for each in (saved.uid, saved.gid)):
        raise ValueError("%s: impossible mode or owner" % saved.path)


def save(root: Path, name: str, files: Sequence[Tuple[Change, Attributes]]) -> None:
    """Write the backup of what these changes replace, whole or not at all; SystemFailure.

    What a failure leaves under a hidden name is for `journal.roll_back` to remove.
    """
    folder = locate(root, BACKUPS)
    with system("write a backup to", folder, "nothing was changed"):
        make_folders(missing_folders(folder / "backup"))
        place = folder / hidden_name(name)
        place.mkdir(0o700)
        _fill(place, files)
        place.rename(folder / name)
        sync_folder(folder)


def new_name(root: Path, now: datetime.datetime) -> str:
    """The name of the backup to come; `now` is in UTC."""
    count = max(map(_count, _names(root)), default=0) + 1
    return "%s-%d" % (now.strftime("%Y%m%dT%H%M%SZ"), count)


def _fill(place: Path, files: Sequence[Tuple[Change, Attributes]]) -> None:
    folders = {place}
    for change, _ in files:
        if change.before is None:
            continue
        copy = place / change.path.lstrip("/")
        make_folders(missing_folders(copy))
        write_new(copy, change.before, Attributes(0o600), None)
        folders.update(each for each in copy.parents if place in each.parents)
    text = json.dumps({"format": 1, "files": [_saved(*each)._asdict() for each in files]}, indent=1)
    write_new(place / "manifest.json", text.encode("ascii") + b"\n", Attributes(0o600), None)
    for folder in sorted(folders, reverse=True):
        sync_folder(folder)


def _saved(change: Change, attributes: Attributes) -> Saved:
    existed = change.before is not None
    return Saved(change.path, existed, *attributes, digest(change.before), digest(change.after))


def prune(root: Path) -> None:
    """Remove all but the newest `KEPT` backups, as far as that is possible; OSError."""
    folder = locate(root, BACKUPS)
    for name in _names(root)[:-KEPT]:
        discard(folder / name)


def find(root: Path, name: str = "") -> Backup:
    """The backup of that name, the newest for ""; InputError where there is none."""
    names = _names(root)
    if not names or (name and name not in names):
        raise InputError(
            "no backup %s in %s" % (name, BACKUPS) if name else "no backup in %s" % BACKUPS,
            "there are: %s" % ", ".join(names) if names else "nothing was written here yet",
        )
    return _load(root, name or names[-1])


def undoing(root: Path, backup: Backup) -> Tuple[Change, ...]:
    """The changes that bring back the state that a backup holds, keeping ones included.

    Refusal, with the diff, if a file is no longer what that write made of it.
    """
    changes = tuple(
        Change(saved.path, read(root, saved.path), _content(root, backup.name, saved))
        for saved in backup.files
    )
    edited = [
        change
        for change, saved in zip(changes, backup.files)
        if digest(change.before) not in (saved.after, saved.before)
    ]
    if edited:
        raise Refusal(
            "backup %s no longer fits, these files were changed since: %s\n%s"
            % (backup.name, ", ".join(each.path for each in edited), unified_diff(edited)),
            "undo those edits first, or put the files back by hand from %s" % BACKUPS,
        )
    return changes


def _content(root: Path, name: str, saved: Saved) -> Optional[bytes]:
    if not saved.existed:
        return None
    place = locate(root, BACKUPS) / name / saved.path.lstrip("/")
    content = read_file(place, str(place))
    if digest(content) != saved.before:
        raise Refusal("%s is damaged: its checksum differs" % place, "pick another backup")
    return content
