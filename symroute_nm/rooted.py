"""Files below a root: where a path leads, what it holds, and single steps of writing.

A link is followed as the host with that root would follow it, and never out of the root.
"""

import contextlib
import errno
import os
import stat
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Iterator, List, NamedTuple, Optional, Sequence, Union

from symroute_nm.errors import InputError, Refusal, SystemFailure

_MAX_LINKS = 40  # the kernel's own limit, path_resolution(7)

# Where locks, the journal and backups live; never beside the files.
STATE = "/var/lib/symroute-nm"

# What is gone with the next boot, as the kernel's tables are.
RUN = "/run/symroute-nm"
RECORD = RUN + "/record"  # of a change that is neither confirmed nor taken back

# Kept over a rename: the SELinux label and POSIX ACLs live in extended attributes, and so does what
# people note. The rest of security. (IMA's and EVM's hashes) belongs to the content before.
_KEPT_XATTRS = ("security.selinux", "system.posix_acl_access")
_KEPT_NAMESPACE = "user."
_LARGEST = 64 << 20  # bytes of a file of others that is read whole
_NO_XATTR = (errno.ENODATA, errno.ENOTSUP, errno.EPERM, errno.EACCES)


class Attributes(NamedTuple):
    """A file's permission bits and owner; -1 leaves the owner to the system."""

    mode: int = 0o644
    uid: int = -1
    gid: int = -1


@contextlib.contextmanager
def system(action: str, path: object, hint: str = "") -> Iterator[None]:
    """OSError in the body becomes SystemFailure ``cannot ACTION PATH: reason``."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno == errno.EPERM and os.geteuid() == 0:
            reason += " (see lsattr: immutable or append-only?)"
        raise SystemFailure("cannot %s %s: %s" % (action, path, reason), hint) from error


def is_own(root: Path) -> bool:
    """Whether a root is this machine's own."""
    return os.path.realpath(str(root)) == "/"  # resolve() raises for a link that leads in circles


def locate(root: Path, path: str) -> Path:
    """The real place below `root` of an absolute path; it need not exist.

    Refusal where a link in it leaves the root, dangles or goes in circles; InputError for a root
    that is no folder.
    """
    with system("look up", path):
        top = _real(str(root))
        mode = _mode(top)
        if mode and not stat.S_ISDIR(mode):  # one that is not there yet is made on writing
            raise InputError("the root %s is not a folder" % root, "correct --root")
        return _walk(top, top, path, path, 0)


@lru_cache(maxsize=16)
def _real(root: str) -> Path:
    """The root itself, asked for with every path below it; the same one for a whole run."""
    return Path(os.path.realpath(root))


def is_link(root: Path, path: str) -> bool:
    """Whether a link stands at the very end of that path below `root`."""
    with system("look up", path):
        folder = locate(root, str(PurePosixPath(path).parent))
        return _links(folder / PurePosixPath(path).name)


def exists(place: Path) -> bool:
    """Whether anything, be it a link to nowhere, stands at that very place; OSError.

    os.path.lexists() and the like say no where the disk could not tell, and what is not seen is
    not put back.
    """
    return _mode(place) != 0


def _links(place: Path) -> bool:
    """Whether a link stands there; OSError, which Path.is_symlink() swallows from 3.13 on."""
    return stat.S_ISLNK(_mode(place))


def _mode(place: Union[Path, str]) -> int:
    """Type and permission bits of what stands at that very place, 0 for nothing; OSError."""
    try:
        return os.lstat(str(place)).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _walk(root: Path, here: Path, path: str, asked: str, depth: int) -> Path:
    return _walk_plain(here, path) or _walk_parts(root, here, path, asked, depth)


def _walk_plain(here: Path, path: str) -> Optional[Path]:
    """The place where no part is a link or ``..``, as nearly always, and fast; else None."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        return None
    place = top = str(here).rstrip("/")
    for part in parts:
        place = "%s/%s" % (place, part)
        mode = _mode(place)
        if stat.S_ISLNK(mode):
            return None
        if not mode:  # what is in a folder that does not exist does not, either
            break
    return _path("/".join([top, *parts]) or "/")


@lru_cache(maxsize=64)
def _path(place: str) -> Path:
    """Paths are immutable, and taking them apart is slow."""
    return Path(place)


def _walk_parts(root: Path, here: Path, path: str, asked: str, depth: int) -> Path:
    for part in PurePosixPath(path.lstrip("/")).parts:
        if part == "..":
            if here == root:
                raise _leaves(asked)
            here = here.parent
        else:
            here = _step(root, here / part, asked, depth)
    return here


def _step(root: Path, there: Path, asked: str, depth: int) -> Path:
    if not _links(there):
        return there
    if depth >= _MAX_LINKS:
        raise Refusal("%s: too many levels of symbolic links" % asked, "remove the link")
    target = os.readlink(str(there))
    start = root if target.startswith("/") else there.parent
    # An absolute link is the host's own, below its root; one written from outside names the root.
    inside = str(root).rstrip("/") + "/"
    below = target[len(inside) :] if target.startswith(inside) else target
    found = _walk(root, start, below, asked, depth + 1)
    if not exists(found):
        raise Refusal(
            "%s: the link %s points to %s, which does not exist%s"
            % (asked, there, target, "" if root == Path("/") else " below " + str(root)),
            "create the file that it points to, or remove the link",
        )
    return found


def _leaves(path: str) -> Refusal:
    return Refusal(
        "%s: a link in this path leaves the root" % path,
        "replace the link by a file, or make it point below the root",
    )


def read(root: Path, path: str) -> Optional[bytes]:
    """The bytes of the file at an absolute path below `root`; None: there is none.

    Refusal where something else than a file is in the way, SystemFailure where it cannot be read.
    """
    return read_file(locate(root, path), path)


def read_file(place: Path, path: str) -> Optional[bytes]:
    """As `read`, for a place that `locate` found for `path`."""
    with system("read", path, "check its permissions; run as root"):
        try:
            found = place.lstat()
        except FileNotFoundError:
            return None
        except NotADirectoryError:
            raise Refusal(
                "%s: one of the folders in this path is no folder" % path, "move it out of the way"
            ) from None
        check_regular(found, path)
        try:
            with open_file(place, os.O_RDONLY | os.O_NONBLOCK) as descriptor:
                check_regular(os.fstat(descriptor), path)
                return _read_all(descriptor, path)
        except FileNotFoundError:
            return None  # taken away since


def check_regular(found: os.stat_result, path: str) -> None:
    """Refusal if what stat(2) found is no regular file."""
    if stat.S_ISREG(found.st_mode):
        return
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a FIFO",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
        stat.S_IFSOCK: "a socket",
        stat.S_IFLNK: "a link",
    }
    kind = kinds.get(stat.S_IFMT(found.st_mode), "something else")
    raise Refusal("%s is %s, not a file" % (path, kind), "move it out of the way")


@contextlib.contextmanager
def open_file(place: Path, flags: int, mode: int = 0o600) -> Iterator[int]:
    """A descriptor for the file at that very place, closed at the end; OSError."""
    descriptor = os.open(str(place), flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _read_all(descriptor: int, path: str) -> bytes:
    pieces: List[bytes] = []
    left = _LARGEST
    while True:
        piece = os.read(descriptor, 1 << 20)
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)
        left -= len(piece)
        if left < 0:
            raise Refusal(f"{path} is larger than {_LARGEST >> 20} MiB", "move it out of the way")


def write_new(place: Path, content: bytes, attributes: Attributes, like: Optional[Path]) -> None:
    """Write a file that does not exist, down to the disk, with the label of `like`; OSError."""
    with open_file(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as descriptor:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        _own(descriptor, attributes)
        if like is not None:
            _copy_xattrs(like, descriptor)
        # After the ACL, which shares its group bits with the mode, and chown, which clears setuid.
        os.fchmod(descriptor, attributes.mode)
        _sync(descriptor)


_later = False  # whether this process leaves it to `sync_now`


def sync_later() -> None:
    """From now on nothing that this process writes waits for the disk: `sync_now` is promised."""
    global _later  # noqa: PLW0603  # a property of the process, as its umask is
    _later = True


def sync_now() -> None:
    """Bring all that was ever written down to the disk, sync(2)."""
    os.sync()


def _sync(descriptor: int) -> None:
    if not _later:
        os.fsync(descriptor)


def _own(descriptor: int, attributes: Attributes) -> None:
    found = os.fstat(descriptor)
    uid = found.st_uid if attributes.uid == -1 else attributes.uid
    gid = found.st_gid if attributes.gid == -1 else attributes.gid
    if (uid, gid) != (found.st_uid, found.st_gid):
        os.fchown(descriptor, uid, gid)


def _copy_xattrs(source: Path, descriptor: int) -> None:
    for name in (*_KEPT_XATTRS, *_noted_xattrs(source)):
        try:
            os.setxattr(descriptor, name, os.getxattr(str(source), name))
        except OSError as error:
            if error.errno not in _NO_XATTR:
                raise


def _noted_xattrs(source: Path) -> List[str]:
    try:
        return [each for each in os.listxattr(str(source)) if each.startswith(_KEPT_NAMESPACE)]
    except OSError as error:
        if error.errno not in _NO_XATTR:
            raise
        return []


def sync_folder(place: Path) -> None:
    """Bring a folder's entries (renames, links, unlinks) down to the disk; OSError."""
    if _later:
        return
    with open_file(place, os.O_RDONLY | os.O_DIRECTORY) as descriptor:
        try:
            _sync(descriptor)
        except OSError as error:
            if error.errno != errno.EINVAL:  # a file system that cannot, fsync(2)
                raise


def missing_folders(place: Path) -> List[Path]:
    """The folders, outermost first, to be made before a file can stand at that place; OSError."""
    missing: List[Path] = []
    for folder in place.parents:
        if exists(folder):
            break
        missing.insert(0, folder)
    return missing


def make_folders(folders: Sequence[Path]) -> None:
    """Make these folders, outermost first, mode 0755, down to the disk; OSError."""
    for folder in folders:
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        folder.chmod(0o755)  # whatever the umask says
        sync_folder(folder.parent)
