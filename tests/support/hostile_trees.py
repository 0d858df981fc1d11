"""Trees that others own or made, grounds to look at around them, and folders that are swapped."""

import contextlib
import ctypes
import itertools
import json
import os
import random
import shutil
import signal
import stat
import time
from pathlib import Path
from typing import Dict, List, Sequence, Set, Tuple

from support import syscalls
from support.hosts import two_uplinks
from support.trees import (
    ROUTE,
    SCRIPTS,
    STALE,
    STATE,
    command,
    ended,
    forked,
    redirect,
    warm_up,
    write,
)
from symroute_nm.files import blocks
from symroute_nm.files.journal import digest
from symroute_nm.readers.snapshot import dump_host

NOBODY = 65534
FINE, INPUT, REFUSED = 0, 2, 3
CODES = {0, 1, 2, 3, 4}
SWAPS = 12  # moments, for each folder
CLONE_NEWNET = 0x40000000  # linux/sched.h
RENAME_EXCHANGE, HERE = 2, -100  # linux/fs.h, AT_FDCWD of linux/fcntl.h
RACE = 3.0  # seconds, for each owner
BACKUP = "20240101T000000Z-1"
OWNERS = {"nobody": NOBODY, "root": 0}
WRITING = ("generate", "remove", "undo")
READING = ("inspect", "diagnose", "snapshot", "verify", "undo --list", "remove --dry-run")
# Where this machine's own files are that a mistaken root would write to.
REAL = (
    "/etc/sysconfig",
    "/etc/iproute2",
    "/etc/NetworkManager",
    "/etc/sysctl.d",
    "/etc/firewalld",
    "/var/lib/symroute-nm",
)

_libc = ctypes.CDLL(None, use_errno=True)

Snapshot = Dict[str, Tuple[object, ...]]


# Trees


def fill(root: Path) -> Path:
    """A host's tree with a file of each kind that is read or written, state included."""
    root.mkdir(parents=True)
    write(root, ROUTE, b"10.9.0.0/16 via 10.0.6.9 dev eth0\n")
    write(root, STALE, blocks.put(None, "from 10.0.9.9 lookup 109\n"))
    for link in ("eth0", "eth1"):
        write(root, f"{SCRIPTS}/ifcfg-{link}", b"DEVICE=%s\n" % link.encode())
    write(root, "/etc/iproute2/rt_tables", b"255 local\n")
    write(root, "/etc/iproute2/rt_tables.d/mine.conf", b"77 mine\n")
    write(root, "/etc/symroute-nm.conf", b"[symroute]\n")
    write(root, "/etc/sysctl.d/mine.conf", b"")
    write(root, "/etc/firewalld/direct.xml", b'<?xml version="1.0"?>\n<direct>\n</direct>\n')
    write(root, "/etc/firewalld/firewalld.conf", b"IPv6_rpfilter=yes\n")
    write(root, "/usr/lib/iproute2/rt_tables", b"254 main\n")
    write(root, "/usr/lib/systemd/system/NetworkManager-dispatcher.service", b"[Unit]\n")
    write(root, "/var/lib/dhclient/dhclient-eth0.leases", b"lease {\n}\n")
    write(root, "/run/NetworkManager/devices/2", b"[device]\n")
    put_state(root)
    put_programs(root)
    return root


def put_state(root: Path) -> None:
    """A backup that fits, with which `undo` would make a file run as root."""
    before = b"#!/bin/sh\n"
    saved = {
        "path": ROUTE,
        "existed": True,
        "mode": 0o4755,
        "uid": 0,
        "gid": 0,
        "before": digest(before),
        "after": digest((root / ROUTE[1:]).read_bytes()),
    }
    folder = f"/{STATE}/backups/{BACKUP}"
    write(root, folder + "/manifest.json", json.dumps({"format": 1, "files": [saved]}).encode())
    write(root, folder + ROUTE, before)


def put_programs(root: Path) -> None:
    """Programs by the names of those that we run; whoever runs one leaves a file behind."""
    said = f"#!/bin/sh\ntouch {root.parent}/ran\n"
    for name in ("ip", "nft", "iptables-save", "restorecon", "nmcli", "sh", "uname"):
        write(root, "/usr/sbin/" + name, said.encode(), 0o755)
    write(
        root,
        "/etc/NetworkManager/dispatcher.d/pre-up.d/10-ifcfg-rh-routes.sh",
        said.encode(),
        0o755,
    )
    write(root, "/run/symroute-nm/record", json.dumps({"format": 1, "marks": said}).encode())


def give(root: Path, owner: int) -> None:
    """All below a root, and it, to an owner."""
    for place in (root, *root.rglob("*")):
        os.chown(str(place), owner, owner, follow_symlinks=False)


class Grounds:
    """A folder with a tree, its twin outside and a snapshot to plan from."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.chmod(0o711)  # whoever owns the tree gets there
        self.snapshot = folder / "host.json"
        self.snapshot.write_text(dump_host(two_uplinks()))
        self.start = fill(folder / "start" / "tree")
        self.twin = fill(folder / "outside" / "twin")
        self.room = folder / "room"
        self.tree = self.room / "tree"
        self.said = folder / "said"
        give(self.twin, 0)
        warm_up()

    def fresh(self, owner: int) -> Path:
        """The tree anew."""
        shutil.rmtree(str(self.room), ignore_errors=True)
        self.room.mkdir()
        shutil.copytree(str(self.start), str(self.tree), symlinks=True)
        give(self.tree, owner)
        return self.tree

    def outside(self) -> Snapshot:
        """All that no command may touch."""
        return {**look(self.folder, self.tree, self.said), **real()}

    def words(self, name: str) -> List[object]:
        """The command of that name, on the tree."""
        plan = ["--host", self.snapshot] if name in ("generate", "generate --dry-run") else []
        return [*name.split(), "--root", self.tree, *plan]

    def run(self, name: str) -> int:
        """The exit code of a command; an AssertionError for a traceback and for an unknown one."""
        words = self.words(name)

        def action() -> None:
            redirect(str(self.said))
            _libc.unshare(CLONE_NEWNET)  # the kernel's own routes are no matter here
            os._exit(command(words)())

        code = ended(forked(action))
        text = self.said.read_text(errors="replace")
        assert "Traceback" not in text, (name, text)
        assert code in CODES, (name, code, text)
        return code


def look(top: Path, *but: Path) -> Snapshot:
    """Type, mode, owner, links, time and content of all below a folder but what is below those."""
    found = {}
    for folder, inner, names in os.walk(str(top)):
        inner[:] = [name for name in inner if Path(folder, name) not in but]
        for place in [Path(folder), *(Path(folder, name) for name in (*inner, *names))]:
            if place in but or place in (each.parent for each in but):
                continue
            status = place.lstat()
            content: object = None
            if stat.S_ISREG(status.st_mode):
                content = place.read_bytes() if status.st_size < 1 << 16 else status.st_size
            elif stat.S_ISLNK(status.st_mode):
                content = os.readlink(str(place))
            found[str(place)] = (
                status.st_mode,
                status.st_uid,
                status.st_gid,
                status.st_nlink,
                status.st_mtime_ns,
                content,
            )
    return found


def real() -> Snapshot:
    """What a mistaken root would change of this machine, as far as it is there."""
    found = {}
    for path in REAL:
        with contextlib.suppress(OSError):
            status = os.lstat(path)
            names = {each.name for each in Path(path).iterdir()}
            found[path] = (status.st_mode, status.st_mtime_ns, names)
    return found


# Links in each place that is ever looked at


def used_paths(grounds: Grounds) -> Set[str]:
    """What the commands look at below a root, as their calls of the kernel have it."""
    found: Set[str] = set()
    for name in (*WRITING, *READING):
        grounds.fresh(0)
        inside = str(grounds.tree) + "/"
        calls = syscalls.calls_of_paths(command(grounds.words(name)))
        found |= {path[len(inside) :].rstrip("/.") for path in calls if path.startswith(inside)}
    return {path for path in found if path and ".symroute-nm." not in path}


def replace(root: Path, path: str, target: str) -> None:
    """Put a link where a file or folder is."""
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(str(place))
    else:
        with contextlib.suppress(FileNotFoundError):
            place.unlink()
    place.symlink_to(target)


KINDS = ("absolute", "relative", "absolute", "dangling")  # the first is what is met most


def targets(grounds: Grounds, path: str) -> Dict[str, str]:
    """Where a link in that place may lead."""
    twin = str(grounds.twin / path)
    return {
        "absolute": twin,
        "relative": os.path.relpath(twin, str((grounds.tree / path).parent)),
        "dangling": str(grounds.folder / "outside" / "made"),
    }


def lead_out(grounds: Grounds, path: str, uid: int, kind: str, names: Sequence[str]) -> None:
    """An AssertionError where these commands change anything outside by a link in that place."""
    grounds.fresh(uid)
    replace(grounds.tree, path, targets(grounds, path)[kind])
    os.chown(str(grounds.tree / path), uid, uid, follow_symlinks=False)
    before = grounds.outside()
    for name in names:
        code = grounds.run(name)
        assert before == grounds.outside(), (path, uid, kind, name, code)


# The race


def swap(places: Sequence[Tuple[str, str]], uid: int) -> None:
    """Exchange files, two and two, for a moment and back, again and again, as that user."""
    os.setgid(uid)
    os.setuid(uid)
    dice = random.Random()
    while True:
        for one, other in places:
            # Mostly the folder is there: the look before the write is to find it.
            time.sleep(dice.uniform(0, 0.004))
            exchange(one, other)
            time.sleep(dice.uniform(0, 0.0002))
            exchange(one, other)


def exchange(one: str, other: str) -> None:
    """Give each of two files the other's name, renameat2(2)."""
    if _libc.renameat2(HERE, os.fsencode(one), HERE, os.fsencode(other), RENAME_EXCHANGE):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


SWAPPED = (
    "etc",
    "etc/sysconfig",
    SCRIPTS[1:],
    "etc/iproute2",
    "etc/iproute2/rt_tables.d",
    "var/lib",
    STATE,
    STATE + "/backups",
    ROUTE[1:],
)


def beside(grounds: Grounds, path: str, number: int) -> Tuple[str, str]:
    """A file or folder, and a link to its twin with which it can be exchanged."""
    other = grounds.tree / f".link{number}"
    other.symlink_to(targets(grounds, path)["absolute" if number % 2 else "relative"])
    return str(grounds.tree / path), str(other)


def swaps(grounds: Grounds, owner: int, seconds: float) -> Dict[Tuple[str, int], int]:
    """Run commands while folders are swapped for links to the twin: {(command, code): times}."""
    grounds.fresh(owner)
    pairs = [beside(grounds, path, number) for number, path in enumerate(SWAPPED)]
    give(grounds.tree, owner)
    before = grounds.outside()
    found: Dict[Tuple[str, int], int] = {}
    end = time.monotonic() + seconds
    for name, swapped in zip(itertools.cycle(WRITING), itertools.cycle([[pair] for pair in pairs])):
        if time.monotonic() >= end:
            return found
        swapper = forked(lambda swapped=swapped: swap(swapped, owner))
        try:
            for words in (name, "generate"):
                code = grounds.run(words)
                found[words, code] = found.get((words, code), 0) + 1
        finally:
            os.kill(swapper, signal.SIGKILL)
            assert -signal.SIGKILL == ended(swapper), "it ended by itself: nothing was swapped"
        assert before == grounds.outside(), (name, swapped)
        if Path(swapped[0][0]).is_symlink():
            exchange(*swapped[0])
    return found
