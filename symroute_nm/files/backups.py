"""Backups: the state before each write, and the changes that would bring it back.

``/var/lib/symroute-nm/backups/<UTC time>-<n>/`` holds a ``manifest.json`` and the files under their
absolute paths; n counts all backups, since a clock can go backwards.
"""

import datetime
import json
import re
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from symroute_nm.errors import InputError, Refusal
from symroute_nm.files.access import (
    Attributes,
    Place,
    Tree,
    hidden_name,
    make_folder,
    os_errors,
    read_at,
    rename,
    sync_beside,
    write_at,
)
from symroute_nm.files.changes import Change, unified_diff
from symroute_nm.files.journal import (
    BACKUPS,
    check_state,
    check_targets,
    digest,
    discard,
    read_state,
    typed,
)

KEPT = 10
_MODES = range(0o1000)
_OWNERS = range(-1, 2**32 - 1)  # chown(2): -1 leaves it, and so would 2^32 - 1
_DIGEST = re.compile(r"([0-9a-f]{64})?\Z")
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
    """All backups, oldest first; Refusal for one that is damaged or not believed, SystemFailure."""
    with Tree(root) as tree:
        check_state(tree)
        return tuple(_load(tree, name) for name in _names(tree))


def _names(tree: Tree) -> List[str]:
    with os_errors("read", tree.shown(BACKUPS), "run as root"):
        try:
            names = [name for name in tree.names(BACKUPS) if _NAME.match(name)]
        except FileNotFoundError:
            return []
    return sorted(names, key=_count)


def _count(name: str) -> int:
    match = _NAME.match(name)
    return int(match.group(1)) if match else 0


def _load(tree: Tree, name: str) -> Backup:
    path = f"{BACKUPS}/{name}/manifest.json"
    text = read_state(tree.plain(_real(tree, name, "manifest.json")), tree.shown(path))
    check_state(tree)
    try:
        content = json.loads(text.decode("ascii"))
        files = tuple(typed(Saved, fields) for fields in content["files"])
        for saved in files:
            _check(saved)
        return Backup(name, files)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Refusal(
            f"{path} is damaged ({error})", "remove that backup's folder, or pick another"
        ) from error


def _real(tree: Tree, name: str, path: str) -> str:
    """A path in a backup, relative to the root, without the links on the way to the backups."""
    return f"{tree.place(f'{BACKUPS}/{name}').real}/{path.lstrip('/')}"


def _check(saved: Saved) -> None:
    """ValueError for what no write of ours replaces or makes.

    A file has permissions alone, never the set-user-ID bit and its like, and an owner: in a tree
    that is root's alone, and in no other is a backup believed, it can have been anybody.
    """
    if saved.mode not in _MODES or saved.uid not in _OWNERS or saved.gid not in _OWNERS:
        raise ValueError(f"{saved.path}: impossible mode or owner")
    parts = saved.path.split("/")[1:]
    if not saved.path.startswith("/") or not parts or {"", ".", ".."} & set(parts):
        raise ValueError(f"{saved.path!r} leads elsewhere")
    if not all(_DIGEST.match(text) for text in (saved.before, saved.after)):
        raise ValueError(f"{saved.path}: no checksum")


def save(tree: Tree, name: str, files: Sequence[Tuple[Change, Attributes]]) -> None:
    """Write the backup of what these changes replace, whole or not at all; SystemFailure.

    What a failure leaves under a hidden name is for `journal.roll_back` to remove.
    """
    folder = tree.shown(BACKUPS)
    with os_errors("write a backup to", folder, "nothing was changed"):
        place = tree.made(tree.name(f"{BACKUPS}/{hidden_name(name)}"))
        make_folder(place, 0o700)
        _fill(tree, place, files)
        tree.forget(place.real)
        rename(place, name)
        sync_beside(place)


def new_name(tree: Tree, now: datetime.datetime) -> str:
    """The name of the backup to come; `now` is in UTC."""
    count = max(map(_count, _names(tree)), default=0) + 1
    return f"{now.strftime('%Y%m%dT%H%M%SZ')}-{count}"


def _fill(tree: Tree, backup: Place, files: Sequence[Tuple[Change, Attributes]]) -> None:
    folders: Dict[str, Place] = {}
    for change, _ in files:
        if change.before is not None:
            copy = tree.made(tree.plain(backup.real + change.path))
            write_at(copy, change.before, Attributes(0o600))
            folders[copy.real.rpartition("/")[0]] = copy
    text = json.dumps({"format": 1, "files": [_saved(*pair)._asdict() for pair in files]}, indent=1)
    manifest = tree.plain(backup.real + "/manifest.json")
    write_at(manifest, text.encode("ascii") + b"\n", Attributes(0o600))
    # Of the folders above those, each was synced when the next was made in it.
    for place in (*folders.values(), manifest):
        sync_beside(place)


def _saved(change: Change, attributes: Attributes) -> Saved:
    existed = change.before is not None
    return Saved(change.path, existed, *attributes, digest(change.before), digest(change.after))


def prune(tree: Tree) -> None:
    """Remove all but the newest `KEPT` backups, as far as that is possible; OSError."""
    for name in _names(tree)[:-KEPT]:
        discard(tree, tree.name(f"{BACKUPS}/{name}"))


def find(tree: Tree, name: str = "") -> Backup:
    """The backup of that name, the newest for ""; InputError where there is none.

    Refusal for one that is damaged, or not believed: others can write a folder on the way to it.
    """
    check_state(tree)
    names = _names(tree)
    if not names or (name and name not in names):
        raise InputError(
            f"no backup {name} in {BACKUPS}" if name else f"no backup in {BACKUPS}",
            f"there are: {', '.join(names)}" if names else "nothing was written here yet",
        )
    return _load(tree, name or names[-1])


def undoing(tree: Tree, backup: Backup) -> Tuple[Change, ...]:
    """The changes that bring back the state that a backup holds, keeping ones included.

    Refusal, with the diff, if a file is no longer what that write made of it; also where others can
    write a folder on the way to one.
    """
    changes = tuple(
        Change(saved.path, tree.read(saved.path), _content(tree, backup.name, saved))
        for saved in backup.files
    )
    check_targets(tree)
    edited = [
        change
        for change, saved in zip(changes, backup.files)
        if digest(change.before) not in (saved.after, saved.before)
    ]
    if edited:
        raise Refusal(
            f"backup {backup.name} no longer fits, these files were changed since: "
            f"{', '.join(change.path for change in edited)}\n{unified_diff(edited)}",
            f"undo those edits first, or put the files back by hand from {BACKUPS}",
        )
    return changes


def _content(tree: Tree, name: str, saved: Saved) -> Optional[bytes]:
    if not saved.existed:
        return None
    path = tree.shown(f"{BACKUPS}/{name}{saved.path}")
    found = read_at(tree.plain(_real(tree, name, saved.path)), path)
    content = None if found is None else found.content
    if digest(content) != saved.before:
        raise Refusal(f"{path} is damaged: its checksum differs", "pick another backup")
    return content
