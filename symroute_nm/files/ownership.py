"""Whether a tree is root's alone, which a change of the running kernel asks of it.

What files say becomes rules and routes of this machine. In a folder to which others can write, any
of them may be exchanged at any moment, the sticky bit or not.
"""

import os
import stat
from collections import deque
from pathlib import Path, PurePosixPath
from typing import Deque, Iterator, List

from symroute_nm.errors import InputError, SystemFailure
from symroute_nm.files.access import STATE, is_own, os_errors, resolve_below
from symroute_nm.model.marking import MARKING_FILES
from symroute_nm.model.places import FRAGMENT, NETWORK_SCRIPTS

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_MOST_LINKS = 40  # path_resolution(7)
# What is read or written below the root: as far as the folders are there.
_USED = (
    NETWORK_SCRIPTS,
    str(PurePosixPath(FRAGMENT).parent),
    *sorted({str(PurePosixPath(path).parent) for path in MARKING_FILES}),
    "/etc/NetworkManager/system-connections",
    "/etc/systemd/system",
    "/usr/lib/iproute2",
    "/usr/share/iproute2",
    "/var/lib/NetworkManager",
    "/var/lib/dhclient",
    "/var/lib/dhcp",
    "/run/NetworkManager/devices",
    STATE + "/backups",
)


def require_owned(root: Path) -> None:
    """Raise `InputError` unless each folder on the way to what is used below `root` is root's
    alone to write to, from ``/`` on; `SystemFailure` where that cannot be told, or without root.

    This machine's own root is not looked at: whoever can write there is root already.
    """
    if is_own(root):
        return
    if os.geteuid() != 0:
        raise SystemFailure("only root may change the kernel", "run as root")
    with os_errors("look up", root):
        for folder in _walk(Path("/"), str(Path.cwd() / root)):
            _check(folder, root)
        top = resolve_below(root, "/")
        for path in _USED:
            for folder in _walk(top, path):
                _check(folder, root)


def _check(folder: Path, root: Path) -> None:
    found = folder.stat()
    if found.st_uid != 0:
        why = f"{folder} belongs to user {found.st_uid}"
    elif found.st_mode & _OTHERS_WRITE:
        why = f"others can write to {folder} (mode {stat.S_IMODE(found.st_mode):04o})"
    else:
        return
    raise InputError(
        f"the kernel is changed only by a tree that is root's alone: {why}",
        f"copy {root} to where every folder is root's, or give it to root (chown -R root, "
        "chmod -R go-w)",
    )


def _walk(top: Path, path: str) -> Iterator[Path]:
    """Each folder in which a name of the path is looked up, as a host with that root would.

    The way ends where something is missing; OSError.
    """
    here, names, links = top, deque(_names(path)), 0
    yield here
    while names:
        name = names.popleft()
        if name == "..":
            here = here.parent if here != top else top
            continue
        there = here / name
        try:
            mode = os.lstat(str(there)).st_mode
        except (FileNotFoundError, NotADirectoryError):
            return
        if stat.S_ISLNK(mode):
            links += 1
            if links > _MOST_LINKS:
                return  # `locate` refuses it
            here = _follow(top, here, os.readlink(str(there)), names)
        elif stat.S_ISDIR(mode):
            here = there
        else:
            return
        yield here


def _follow(top: Path, here: Path, target: str, names: "Deque[str]") -> Path:
    """Put the names of a link's target before the others; where they begin."""
    inside = str(top).rstrip("/") + "/"
    below = target[len(inside) :] if target.startswith(inside) else target
    names.extendleft(reversed(_names(below)))
    return top if target.startswith("/") else here


def _names(path: str) -> List[str]:
    return [name for name in path.split("/") if name not in ("", ".")]
