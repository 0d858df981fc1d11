"""One writer at a time: a lock that ends with its holder."""

import contextlib
import errno
import fcntl
import os
import stat
import time
from pathlib import Path
from typing import Iterator

from symroute_nm.errors import Refusal, SystemFailure
from symroute_nm.rooted import STATE, Tree, system

TIMEOUT = 10.0  # seconds
_PAUSE = 0.05  # seconds
_IN_THE_WAY = "move away what stands there: folders and a file of ours belong there, no link"
_HINTS = {
    errno.EACCES: "run as root",
    errno.EPERM: "run as root",
    errno.EEXIST: _IN_THE_WAY,
    errno.EISDIR: _IN_THE_WAY,
    errno.ELOOP: _IN_THE_WAY,
    errno.ENOTDIR: _IN_THE_WAY,
    errno.ENXIO: _IN_THE_WAY,
}


@contextlib.contextmanager
def locked(root: Path, timeout: float = TIMEOUT, folder: str = STATE) -> Iterator[None]:
    """Hold the lock in that folder below `root`; Refusal, naming the holder, after `timeout` s.

    flock(2) goes with the descriptor, so a dead process holds nobody up.
    """
    with Tree(root) as tree:
        place = tree.shown(folder + "/lock")
        descriptor = _open(tree, folder + "/lock", place)
    try:
        with system("lock", place):
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise SystemFailure("cannot lock %s: it is no file" % place, _IN_THE_WAY)
            _acquire(descriptor, place, timeout)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        yield
    finally:
        # The lock ends all the same, close(2), and what was done under it stands.
        with contextlib.suppress(OSError):
            os.close(descriptor)


def _open(tree: Tree, path: str, place: str) -> int:
    try:
        found = tree.made(tree.name(path))
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        return os.open(found.name, flags, 0o600, dir_fd=found.folder)
    except OSError as error:
        reason = error.strerror or str(error)
        hint = _HINTS.get(error.errno or 0, "mend the cause and run it again")
        raise SystemFailure("cannot create %s: %s" % (place, reason), hint) from error


def _acquire(descriptor: int, place: str, timeout: float) -> None:
    end = time.monotonic() + timeout
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                raise _held(descriptor, place, timeout) from None
            time.sleep(_PAUSE)


def _held(descriptor: int, place: str, timeout: float) -> Refusal:
    pid = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
    holder = "process %s" % pid if pid.isdigit() else "another process"
    return Refusal(
        "%s is still held by %s after %g seconds" % (place, holder, timeout),
        "wait until that run is over, then run it again",
    )
