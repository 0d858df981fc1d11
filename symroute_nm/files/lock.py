"""One writer at a time: locks that end with their holder.

They stand outside the roots, in folders that nobody else can enter (`own_folders`): of a file that
others can open they could hold the lock as well, flock(2), for as long as they like.
"""

import contextlib
import errno
import fcntl
import os
import stat
import time
from pathlib import Path
from typing import Iterator, Optional

from symroute_nm.errors import Refusal, SymrouteError, SystemFailure
from symroute_nm.files.access import STATE, Tree, os_errors
from symroute_nm.files.own_folders import kernel_folder, locks_folder

TIMEOUT = 10.0  # seconds
_KERNEL_TIMEOUT = 2.0  # seconds; whoever has it waits for a person
_PAUSE = 0.05  # seconds
_MODE = 0o600
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
def locked(root: Path, timeout: float = TIMEOUT, *, durable: bool = True) -> Iterator[None]:
    """Hold the lock of the tree below `root`, whose folder for state is made where it is missing.

    The lock is that of root, or of the user who runs this: root's runs wait for each other, and
    those of one user. Unless `durable`, that folder does not wait for the disk. Refusal, naming the
    holder where that is known, after `timeout` s; SystemFailure.
    """
    with Tree(root, durable) as tree:
        state = _make_state(tree)
    lock = lock_place(root)
    with _held(lock, timeout, state):
        try:
            yield
        finally:
            # While it is still ours: who waits for it looks whether it is there (`_acquire`).
            with contextlib.suppress(OSError):
                lock.unlink()


def lock_place(root: Path) -> Path:
    """Where the lock of the tree below `root` stands while it is held; SystemFailure."""
    with os_errors("look up", root), Tree(root) as tree:
        # Not by its path: one tree may be mounted at several.
        status = os.stat(".", dir_fd=tree.inside("/").folder)
    return locks_folder() / f"tree-{status.st_dev}-{status.st_ino}"


def is_held(root: Path) -> Optional[bool]:
    """Whether a run holds the lock of the tree below `root`; None where that cannot be told."""
    try:
        descriptor = os.open(str(lock_place(root)), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        # Whoever is not root does not see root's.
        return False if os.geteuid() == 0 else None
    except (OSError, SymrouteError):
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False


@contextlib.contextmanager
def kernel_locked(timeout: float = _KERNEL_TIMEOUT) -> Iterator[None]:
    """Hold the lock of whoever changes the kernel of this network namespace; raises as `locked`.

    The file stays: a process that watches over a change has the lock after this one has ended.
    """
    lock = kernel_folder() / "lock"
    with _held(lock, timeout, lock):
        yield


def give_up_kernel_lock() -> None:
    """Take the lock's file away from holders that can do nothing more, and hold it all the same.

    Whoever asks for the lock next makes the file anew. Raises `SystemFailure`.
    """
    lock = kernel_folder() / "lock"
    with os_errors("remove", lock), contextlib.suppress(FileNotFoundError):
        lock.unlink()


def _make_state(tree: Tree) -> Path:
    """The folder for state below that root, which is made; SystemFailure where it is no such."""
    state = Path(tree.shown(tree.place(STATE).real))
    try:
        folder = tree.made(tree.name(STATE + "/journal")).folder
        if os.geteuid() != 0 and not os.access(
            ".", os.W_OK | os.X_OK, dir_fd=folder, effective_ids=True
        ):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise _failure("write to", state, error) from error
    return state


@contextlib.contextmanager
def _held(lock: Path, timeout: float, subject: Path) -> Iterator[None]:
    """Hold that lock, for the sake of `subject`, which messages name.

    flock(2) goes with the descriptor, so a dead process holds nobody up.
    """
    descriptor = _acquire(lock, subject, time.monotonic() + timeout, timeout)
    try:
        with os_errors("lock", lock):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        yield
    finally:
        # The lock ends all the same, close(2), and what was done under it stands.
        with contextlib.suppress(OSError):
            os.close(descriptor)


def _acquire(lock: Path, subject: Path, end: float, timeout: float) -> int:
    """A descriptor of the file that stands there, with the lock; Refusal after the end."""
    while True:
        with contextlib.ExitStack() as stack:
            descriptor = _open(lock)
            stack.callback(os.close, descriptor)
            with os_errors("lock", lock):
                if _try(descriptor) and _is_still(lock, descriptor):
                    stack.pop_all()
                    return descriptor
                if time.monotonic() >= end:
                    raise _refusal(descriptor, subject, timeout)
        time.sleep(_PAUSE)


def _open(lock: Path) -> int:
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(str(lock), flags, _MODE)
    except OSError as error:
        raise _failure("create", lock, error) from error
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, descriptor)
        with os_errors("lock", lock):
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise SystemFailure(f"cannot lock {lock}: it is no file", _IN_THE_WAY)
            if stat.S_IMODE(status.st_mode) != _MODE:  # the umask's work, or an earlier version's
                os.fchmod(descriptor, _MODE)
        stack.pop_all()
    return descriptor


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_still(lock: Path, descriptor: int) -> bool:
    """Whether the file is the one that stands there: its holder may have removed it since."""
    try:
        return os.path.samestat(os.lstat(str(lock)), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _refusal(descriptor: int, subject: Path, timeout: float) -> Refusal:
    return Refusal(
        f"{subject} is still held by {_holder(descriptor)} after {timeout:g} seconds",
        "wait until that run is over, then run it again",
    )


def _holder(descriptor: int) -> str:
    """Who has the lock, for people: the process that the file names, if it has it in truth."""
    pid = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
    return f"process {pid}" if pid.isdigit() and _holds(pid, descriptor) else "another process"


def _holds(pid: str, descriptor: int) -> bool:
    """Whether that process has a descriptor with the lock on it: proc(5), fdinfo, Linux 4.1.

    Where the kernel does not say so, nobody is named.
    """
    wanted = os.fstat(descriptor)
    folder = Path("/proc", pid)
    try:
        for place in (folder / "fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed since
                if (
                    os.path.samestat(place.stat(), wanted)
                    and "FLOCK" in (folder / "fdinfo" / place.name).read_text()
                ):
                    return True
    except OSError:  # it has gone, or is another user's
        pass
    return False


def _failure(action: str, place: Path, error: OSError) -> SystemFailure:
    reason = error.strerror or str(error)
    hint = _HINTS.get(error.errno or 0, "mend the cause and run it again")
    return SystemFailure(f"cannot {action} {place}: {reason}", hint)
