"""Folders of our own outside every root: what belongs to the running kernel, and locks.

What is kept of a kernel belongs to a network namespace, whatever root a run was given. So the
folder is found by the namespace alone, by its inode (namespaces(7)), and by no environment
variable: ``/run/symroute-nm/net-INODE`` has the lock, the record and the socket, and whoever is not
root sees none of it. Two namespaces never meet there, even where they share /run. The names of
tables that no file names, and what is on trial, are no secret, and reading needs no root:
``/run/symroute-nm-tables``.

Whoever is not root has locks in a runtime folder of their own: ``$XDG_RUNTIME_DIR/symroute-nm``
where that is theirs alone, else ``/tmp/symroute-nm-UID``. For root no variable counts.
"""

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import Optional, Sequence

from symroute_nm.errors import Refusal, SystemFailure
from symroute_nm.files.access import (
    LISTED_FOLDER,
    OTHERS_WRITE,
    Attributes,
    Tree,
    hidden_name,
    os_errors,
    read_at,
    rename,
    unlink,
    write_at,
)

_RUN = "symroute-nm"
_RUN_TABLES = "symroute-nm-tables"
_LOCKS = "locks"
_RECORD = "record"
_KEPT_RECORD = "record.kept"
_HIDDEN = ".symroute-nm."
_PRIVATE, _PUBLIC = 0o700, 0o755
_NAMESPACE = "/proc/self/ns/net"
_NO_FOLDER = (errno.ELOOP, errno.ENOTDIR)
_NO_RIGHT = (errno.EACCES, errno.EPERM)


def kernel_folder() -> Path:
    """The folder of this network namespace, made where it is missing: 0700, and root's.

    Raises `Refusal` where it is a link, another's or others may write to it, `SystemFailure`.
    """
    return _make("/", ["run"], [_RUN, _namespace()], _PRIVATE)


def kernel_place(name: str) -> Path:
    """Where a file of this network namespace stands, if there is one: nothing is made.

    Raises `Refusal` as `kernel_folder` does, `SystemFailure`.
    """
    folder = Path("/run", _RUN)
    if os.path.lexists(str(folder)) and os.geteuid() == 0:
        _make("/", ["run"], [_RUN], _PRIVATE)
    return folder / _namespace() / name


def record_place() -> Path:
    """Where the record of a change stands that is neither confirmed nor taken back, if any does.

    Raises as `kernel_place` does.
    """
    return kernel_place(_RECORD)


def kept_record_place() -> Path:
    """Where the record stands once its change counts, until that is at its end; raises so, too."""
    return kernel_place(_KEPT_RECORD)


def sweep_kernel_folder(name: str) -> None:
    """Remove the file of that name, and what a run that was killed had not given its name yet.

    Under the kernel's lock.
    """
    folder = kernel_folder()
    with contextlib.suppress(OSError):
        for place in folder.iterdir():
            if place.name == name or place.name.startswith(_HIDDEN):
                place.unlink()


def tables_folder() -> Path:
    """The folder of `tables_place`, made where it is missing: root's, for everybody to read.

    Raises as `kernel_folder` does.
    """
    return _make("/", ["run"], [_RUN_TABLES], _PUBLIC)


def tables_place() -> Path:
    """Where the names of this network namespace's tables stand that no file names."""
    return Path("/run", _RUN_TABLES, _namespace())


def trial_place() -> Path:
    """Where it stands what is on trial in this network namespace, for everybody to read."""
    return tables_place().with_name(f"{_namespace()}.trial")


def locks_folder() -> Path:
    """The folder for locks of trees, made where it is missing: 0700, of whoever runs this.

    Raises as `kernel_folder` does.
    """
    if os.geteuid() == 0:
        return _make("/", ["run"], [_RUN, _LOCKS], _PRIVATE)
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    if given and _is_private(given):
        return _make(given, [], [_RUN], _PRIVATE)
    return _make("/tmp", [], [f"{_RUN}-{os.geteuid()}"], _PRIVATE)  # noqa: S108  # made with care


def read_own(place: Path) -> Optional[bytes]:
    """What a file in one of these folders holds; None: there is none.

    Raises `Refusal` where something else stands there, a link too, and `SystemFailure`.
    """
    with Tree(place.parent) as tree:
        found = read_at(tree.name(place.name), str(place))
    return None if found is None else found.content


def replace_own(place: Path, content: bytes, mode: int) -> None:
    """Write a file in one of these folders, as a whole or not at all; raises `SystemFailure`."""
    with os_errors("write", place, "mend the cause and run it again"), Tree(place.parent) as tree:
        new = tree.name(hidden_name(place.name))
        try:
            write_at(new, content, Attributes(mode))
            rename(new, place.name)
        finally:
            with contextlib.suppress(OSError):  # mostly: it has its own name now
                unlink(new)


def rename_own(place: Path, other: Path) -> None:
    """Give a file in one of these folders another name, if there is one; raises `SystemFailure`."""
    with os_errors("rename", place, "mend the cause and run it again"), contextlib.suppress(
        FileNotFoundError
    ):
        place.rename(other)


def remove_own(place: Path) -> None:
    """Remove a file from one of these folders, if there is one; raises `SystemFailure`."""
    with os_errors("remove", place, "remove it by hand"), contextlib.suppress(
        FileNotFoundError, NotADirectoryError
    ):
        place.unlink()


def _namespace() -> str:
    try:
        return f"net-{Path(_NAMESPACE).stat().st_ino}"
    except OSError as error:
        raise SystemFailure(
            f"cannot look up {_NAMESPACE}: {error.strerror}", "see whether /proc is mounted"
        ) from error


def _is_private(folder: str) -> bool:
    """Whether a folder is there, is no link, and nobody else may enter it."""
    try:
        status = os.lstat(folder)
    except (OSError, ValueError):
        return False
    return (
        folder.startswith("/")
        and stat.S_ISDIR(status.st_mode)
        and status.st_uid == os.geteuid()
        and stat.S_IMODE(status.st_mode) == _PRIVATE
    )


def _make(begin: str, shared: Sequence[str], own: Sequence[str], mode: int) -> Path:
    """Go from one folder to the next by its descriptor, make what is missing, and look at each.

    Of the `shared` ones only that no other can write is asked for; the `own` get the mode.
    """
    place = Path(begin)
    with contextlib.ExitStack() as stack:
        folder = _open(begin, None, place)
        stack.callback(os.close, folder)
        for name in (*shared, *own):
            place /= name
            folder = _enter(folder, name, place, mode if name in own else _PUBLIC)
            stack.callback(os.close, folder)
            _check(folder, place)
            if name in own:
                _set_mode(folder, place, mode)
    return place


def _enter(parent: int, name: str, place: Path, mode: int) -> int:
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, mode, dir_fd=parent)
    except OSError as error:
        raise _failure("create", place, error) from error
    return _open(name, parent, place)


def _open(name: str, parent: Optional[int], place: Path) -> int:
    try:
        return os.open(name, LISTED_FOLDER | os.O_NOFOLLOW, dir_fd=parent)
    except OSError as error:
        if error.errno in _NO_FOLDER:
            raise Refusal(
                f"{place} is no folder, or a link to one", "move away what stands there"
            ) from error
        raise _failure("open", place, error) from error


def _check(folder: int, place: Path) -> None:
    """Refusal unless the folder is ours, and nobody else can write to it; SystemFailure."""
    try:
        status = os.fstat(folder)
    except OSError as error:
        raise _failure("look up", place, error) from error
    if status.st_uid != os.geteuid():
        raise Refusal(
            f"{place} belongs to user {status.st_uid}", "see who made it, and move it away"
        )
    if status.st_mode & OTHERS_WRITE:
        raise Refusal(
            f"others can write to {place}: its mode is {stat.S_IMODE(status.st_mode):04o}",
            "see what stands in it, and move it away",
        )


def _set_mode(folder: int, place: Path, mode: int) -> None:
    """Whatever the umask, and an earlier version, made of it."""
    try:
        if stat.S_IMODE(os.fstat(folder).st_mode) != mode:
            os.fchmod(folder, mode)
    except OSError as error:
        raise _failure("change the mode of", place, error) from error


def _failure(action: str, place: Path, error: OSError) -> SystemFailure:
    hint = "run as root" if error.errno in _NO_RIGHT else "mend the cause and run it again"
    return SystemFailure(f"cannot {action} {place}: {error.strerror}", hint)
