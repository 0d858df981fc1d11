"""Files below a root: where a path leads, what it holds, and single steps of writing.

A root that is not this machine's own may belong to somebody who changes it at the same time. So a
path is walked folder by folder, each opened by openat(2) from the one above it, with O_NOFOLLOW. A
link is read, and followed as the host with that root would follow it, never out of the root. All
that is made, changed or removed is a name in a folder that is held open: whatever takes that
folder's place meanwhile is not touched.
"""

import contextlib
import errno
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple, Type

from symroute_nm.errors import InputError, Refusal, SystemFailure, pass_on_exhaustion

_MAX_LINKS = 40  # the kernel's own limit, path_resolution(7)
_MAX_DEPTH = 64  # folders in each other, of what is removed as a whole

# O_PATH: to pass through a folder, the right to list it is not needed.
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
LISTED_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

# Not of a file that is written: who runs it would be somebody else.
_PERMISSIONS = 0o777
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH

# Where the journal and backups live; never beside the files.
STATE = "/var/lib/symroute-nm"

LIMIT = 1 << 20  # bytes of a file of the configuration, see `read_small`
_LARGEST = 64 << 20  # bytes of a file of others that is read whole
_CHUNK = 1 << 20
_NAME_LIMIT = 40  # characters of the file's own name; NAME_MAX is 255 bytes

# Kept over a rename: the SELinux label and POSIX ACLs live in extended attributes, and so does what
# people note. The rest of security. (IMA's and EVM's hashes) belongs to the content before.
_KEPT_XATTRS = ("security.selinux", "system.posix_acl_access")
_KEPT_NAMESPACE = "user."
_NO_XATTR = (errno.ENODATA, errno.ENOTSUP, errno.EPERM, errno.EACCES)


class Attributes(NamedTuple):
    """A file's permission bits and owner; -1 leaves the owner to the system."""

    mode: int = 0o644
    uid: int = -1
    gid: int = -1


@contextlib.contextmanager
def os_errors(action: str, path: object, hint: str = "") -> Iterator[None]:
    """OSError in the body becomes SystemFailure ``cannot ACTION PATH: reason``."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno == errno.EPERM and os.geteuid() == 0:
            reason += " (see lsattr: immutable or append-only?)"
        raise SystemFailure(f"cannot {action} {path}: {reason}", hint) from error


def is_own(root: Path) -> bool:
    """Whether a root is this machine's own."""
    return os.path.realpath(str(root)) == "/"  # resolve() raises for a link that leads in circles


class Place(NamedTuple):
    """A name in a folder below a root: where a path leads to, all links on the way followed."""

    real: str  # the path without links, relative to the root
    name: str
    folder: Optional[int] = None  # its descriptor; None: there is no such folder
    blocked: bool = False  # something else than a folder is in the way
    durable: bool = True  # what is written there waits for the disk

    def beside(self, name: str) -> "Place":
        """Another name in the same folder."""
        parent = self.real.rpartition("/")[0]
        return self._replace(real=f"{parent}/{name}" if parent else name, name=name)


class Passed(NamedTuple):
    """A folder that was passed on the way somewhere, as people are told it, and its status."""

    path: str
    status: os.stat_result


class Found(NamedTuple):
    """What a file holds, and what stat(2) said of that very file."""

    content: bytes
    status: os.stat_result


_Parts = Tuple[str, ...]


class Tree:
    """A root with the folders below it that were passed so far, held open until the end.

    The root itself is opened without following a link that stands in its place: who names one on
    the command line has had it resolved. Unless `durable`, nothing that is written below it waits
    for the disk: whoever asks for that calls `sync_now` in the end.
    """

    def __init__(self, root: Path, durable: bool = True) -> None:
        self.root = root
        self._durable = durable
        self._folders: Dict[_Parts, int] = {}

    def __enter__(self) -> "Tree":
        # One that is not there is made on writing.
        with os_errors("look up", self.root), contextlib.suppress(FileNotFoundError):
            self._folders[()] = _open_root(self.root)
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        folders, self._folders = self._folders, {}
        for descriptor in folders.values():
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def shown(self, path: str) -> str:
        """A path below the root as people are told it."""
        whole = f"{str(self.root).rstrip('/')}/{path.lstrip('/')}"
        return whole if path.strip("/") else str(self.root)

    def place(self, path: str) -> Place:
        """Where a path leads; it need not exist.

        Refusal where a link in it leaves the root, dangles or goes in circles; SystemFailure.
        """
        with os_errors("look up", path):
            return self._walk(path, follow=True)

    def name(self, path: str) -> Place:
        """As `place`, but a link at the very end is not followed."""
        with os_errors("look up", path):
            return self._walk(path, follow=False)

    def plain(self, real: str) -> Place:
        """As `place` for a path that has no link in it; Refusal where there is one now."""
        place = self.name(real)
        if place.real != "/".join(_parts(real)):
            raise Refusal(
                f"{self.shown(real)}: there is a link in this path now",
                "put back the folder that was there, or remove the link",
            )
        return place

    def is_link(self, path: str) -> bool:
        """Whether a link stands at the very end of that path."""
        with os_errors("look up", path):
            return stat.S_ISLNK(mode_at(self._walk(path, follow=False)))

    def _walk(self, asked: str, *, follow: bool) -> Place:
        """Go along a path, and where `follow`, along a link at its end too; OSError, Refusal.

        While what a link points to is walked, `tail` is how many parts come after that link. The
        very end is not looked at, but for a link there, or to tell whether a link leads to nothing.
        """
        folder: _Parts = ()
        parts = _parts(asked)[::-1]
        tail, links, link, target = len(parts) + 1, 0, "", ""
        blocked = False
        while parts:
            part = parts.pop()
            if part == "..":
                if not folder:
                    raise _leaves(asked)
                folder = folder[:-1]
                continue
            if parts and self._enters(folder, part):
                folder = (*folder, part)
                continue
            if not (parts or follow):
                folder = (*folder, part)
                break
            status = self._status(folder, part)
            if status is not None and stat.S_ISLNK(status.st_mode) and (parts or follow):
                links += 1
                if links > _MAX_LINKS:
                    raise Refusal(f"{asked}: too many levels of symbolic links", "remove the link")
                text = os.readlink(part, dir_fd=self._folders[folder])
                if len(parts) < tail:
                    tail, target = len(parts), text
                    link = self.shown("/".join((*folder, part)))
                folder, text = self._start(folder, text)
                parts += _parts(text)[::-1]
                continue
            if status is None and len(parts) >= tail:
                raise _dangles(asked, link, target, self.root)
            blocked = blocked or (status is not None and bool(parts))
            folder = (*folder, part)
        name = folder[-1] if folder else "."
        above = self._folders.get(folder[:-1])
        return Place("/".join(folder), name, above, blocked, self._durable)

    def _start(self, folder: _Parts, target: str) -> Tuple[_Parts, str]:
        """Where a link in that folder leads from, and the path from there."""
        if not target.startswith("/"):
            return folder, target
        # An absolute link is the host's own, below its root; one written from outside names it.
        inside = os.path.realpath(str(self.root)).rstrip("/") + "/"
        return (), target[len(inside) :] if target.startswith(inside) else target

    def _enters(self, folder: _Parts, part: str) -> bool:
        """Whether that name is a folder, which is held open then; OSError."""
        inner = (*folder, part)
        if inner in self._folders:
            return True
        above = self._folders.get(folder)
        if above is None:
            return False
        try:
            self._folders[inner] = os.open(part, _FOLDER, dir_fd=above)
        except (FileNotFoundError, NotADirectoryError):  # the latter for a link, too
            return False
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            return False
        return True

    def _status(self, folder: _Parts, part: str) -> Optional[os.stat_result]:
        above = self._folders.get(folder)
        return None if above is None else _status(part, above)

    def inside(self, path: str) -> Place:
        """The folder to which a path leads, as the place ``.`` in it; OSError, Refusal."""
        place = self._walk(path, follow=True)
        folder = tuple(_parts(place.real))
        if folder and not self._enters(folder[:-1], folder[-1]):
            in_the_way = place.blocked or exists_at(place)
            number = errno.ENOTDIR if in_the_way else errno.ENOENT
            raise OSError(number, os.strerror(number))
        if folder not in self._folders:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return Place(place.real + "/.", ".", self._folders[folder], durable=self._durable)

    def names(self, path: str) -> List[str]:
        """The names in a folder, sorted; OSError, Refusal."""
        return names_beside(self.inside(path))

    def read(self, path: str) -> Optional[bytes]:
        """The bytes of the file at a path; None: there is none.

        Refusal where something else than a file is in the way, SystemFailure where it cannot be
        read.
        """
        found = read_at(self.place(path), path)
        return None if found is None else found.content

    @contextlib.contextmanager
    def opened(self, path: str) -> Iterator[int]:
        """A descriptor to read what a path leads to, never waiting for it; OSError, Refusal."""
        place = self._walk(path, follow=False)
        if stat.S_ISLNK(mode_at(place)):
            place = self._walk(path, follow=True)
        with _opened(place, _READ) as descriptor:
            yield descriptor

    def status(self, path: str) -> Optional[os.stat_result]:
        """What stat(2) says of where a path leads; None for nothing, or where it cannot be told."""
        with contextlib.suppress(OSError, Refusal):
            place = self._walk(path, follow=True)
            return None if place.folder is None else _status(place.name, place.folder)
        return None

    def mode(self, path: str) -> int:
        """Type and permission bits as `status` has them; 0 for None."""
        status = self.status(path)
        return 0 if status is None else status.st_mode

    def points_to(self, path: str) -> Optional[str]:
        """What the link at the very end of a path points to; None: no link, or it is not known."""
        with contextlib.suppress(OSError, Refusal):
            place = self._walk(path, follow=False)
            if place.folder is not None:
                return os.readlink(place.name, dir_fd=place.folder)
        return None

    def has(self, path: str) -> bool:
        """Whether anything is known to stand there, be it a link to nowhere."""
        with contextlib.suppress(OSError, Refusal):
            return exists_at(self._walk(path, follow=False))
        return False

    def may_have(self, path: str) -> bool:
        """As `has`, but True where it cannot be told: reading it will say why."""
        try:
            return exists_at(self._walk(path, follow=False))
        except (OSError, Refusal):
            return True

    def missing(self, place: Place) -> List[str]:
        """The folders to be made, outermost first and relative to the root, for that place."""
        parts = tuple(place.real.split("/"))
        above = (parts[:count] for count in range(1, len(parts)))
        return ["/".join(folder) for folder in above if folder not in self._folders]

    def made(self, place: Place) -> Place:
        """The place once its folder is there, made with mode 0755 where it was not; OSError.

        So is the root. Refusal where a link on the way to that leads nowhere.
        """
        if place.folder is not None:
            return place
        if () not in self._folders:
            with Tree(Path("/"), self._durable) as whole:
                root = whole.made(whole.name(str(self.root.absolute())))
                assert root.folder is not None
                self._folders[()] = self._made_folder(root.name, root.folder)
        folder: _Parts = ()
        for part in place.real.split("/")[:-1]:
            inner = (*folder, part)
            if not self._enters(folder, part):
                self._folders[inner] = self._made_folder(part, self._folders[folder])
            folder = inner
        return place._replace(folder=self._folders[folder], blocked=False)

    def _made_folder(self, name: str, above: int) -> int:
        """A descriptor of the folder of that name, which is made where it is missing; OSError."""
        with contextlib.suppress(FileExistsError):
            _make_folder(name, above, 0o755, self._durable)
        return os.open(name, _FOLDER, dir_fd=above)

    def forget(self, real: str) -> None:
        """No longer hold a folder, and those in it, that has another name now or is gone."""
        gone = tuple(real.split("/"))
        for parts in [folder for folder in self._folders if folder[: len(gone)] == gone]:
            os.close(self._folders.pop(parts))

    def passed(self) -> Iterator[Passed]:
        """The folders that were passed so far and are held open, in that order; SystemFailure."""
        for parts, descriptor in self._folders.items():
            path = self.shown("/".join(parts))
            with os_errors("look up", path):
                status = os.fstat(descriptor)
            yield Passed(path, status)

    def shared(self) -> str:
        """The first folder passed so far that somebody else than root can write; "" for none.

        For a run without root, who runs it is no one else. A group may hold anybody, and so an
        access control list, which shows in the group's bits (acl(5)). SystemFailure.
        """
        return min((path for path, status in self.passed() if may_be_others(status)), default="")


def _open_root(root: Path) -> int:
    """The root's descriptor; FileNotFoundError, `Refusal`, `InputError`.

    Each folder on the way is opened from the one above it: the command line has resolved the links
    that were named, so that a link which is met here has come since. Whoever can write a folder
    above the root could lead us anywhere by it.
    """
    here = os.open("/", _FOLDER)
    place = Path("/")
    for name in (Path.cwd() / root).parts[1:]:
        place /= name
        above = here
        try:
            here = os.open(name, _FOLDER, dir_fd=above)
        except NotADirectoryError:
            if place.is_symlink():
                place.stat()  # one that leads in circles is told as such
                raise Refusal(
                    f"the root {root} is a link, or lies behind one: {place}",
                    "name the folder that it leads to, if that is meant",
                ) from None
            raise InputError(f"the root {root} is not a folder", "correct --root") from None
        finally:
            os.close(above)
    return here


def may_be_others(status: os.stat_result) -> bool:
    """Whether somebody else than root, or than who runs this, can write it."""
    return status.st_uid not in (0, os.geteuid()) or bool(status.st_mode & OTHERS_WRITE)


def _parts(path: str) -> List[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _status(name: str, folder: int) -> Optional[os.stat_result]:
    """What lstat(2) says of a name in a folder; None: nothing is there. OSError."""
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None


def mode_at(place: Place) -> int:
    """Type and permission bits of what stands at that very place, 0 for nothing; OSError."""
    status = None if place.folder is None else _status(place.name, place.folder)
    return 0 if status is None else status.st_mode


def exists_at(place: Place) -> bool:
    """Whether anything, be it a link to nowhere, stands at that very place; OSError.

    os.path.lexists() and the like say no where the disk could not tell, and what is not seen is
    not put back.
    """
    return mode_at(place) != 0


def _dangles(asked: str, link: str, target: str, root: Path) -> Refusal:
    below = "" if is_own(root) else f" below {root}"
    return Refusal(
        f"{asked}: the link {link} points to {target}, which does not exist{below}",
        "create the file that it points to, or remove the link",
    )


def _leaves(path: str) -> Refusal:
    return Refusal(
        f"{path}: a link in this path leaves the root",
        "replace the link by a file, or make it point below the root",
    )


def names_beside(place: Place) -> List[str]:
    """The names in the folder of a place, sorted; OSError."""
    listed = os.open(".", LISTED_FOLDER, dir_fd=place.folder)
    try:
        return sorted(os.listdir(listed))  # noqa: PTH208  # no Path lists a descriptor
    finally:
        os.close(listed)


@contextlib.contextmanager
def _opened(place: Place, flags: int, mode: int = 0o600) -> Iterator[int]:
    """A descriptor for the file at that very place, closed at the end; OSError."""
    if place.folder is None:  # None would be the current folder
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    descriptor = os.open(place.name, flags, mode, dir_fd=place.folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read(root: Path, path: str) -> Optional[bytes]:
    """As `Tree.read`, for one path."""
    with Tree(root) as tree:
        return tree.read(path)


def read_at(place: Place, path: str) -> Optional[Found]:
    """The file at a place that was found for `path`; None: there is none.

    Refusal where something else than a file is in the way, SystemFailure where it cannot be read.
    """
    with os_errors("read", path, "check its permissions; run as root"):
        if place.blocked:
            raise Refusal(
                f"{path}: one of the folders in this path is no folder", "move it out of the way"
            )
        if place.folder is None:
            return None
        status = _status(place.name, place.folder)
        if status is None:
            return None
        check_regular(status, path)
        try:
            with _opened(place, _READ) as descriptor:
                return _read_all(descriptor, path)
        except FileNotFoundError:
            return None  # taken away since


def check_regular(status: os.stat_result, path: str) -> None:
    """Refusal if that is the status of no regular file."""
    if stat.S_ISREG(status.st_mode):
        return
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a FIFO",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
        stat.S_IFSOCK: "a socket",
        stat.S_IFLNK: "a link",
    }
    kind = kinds.get(stat.S_IFMT(status.st_mode), "something else")
    raise Refusal(f"{path} is {kind}, not a file", "move it out of the way")


def _read_all(descriptor: int, path: str) -> Found:
    status = os.fstat(descriptor)
    check_regular(status, path)
    content = _drain(descriptor, _LARGEST)
    if len(content) > _LARGEST:
        raise Refusal(
            f"{path} is longer than {_LARGEST >> 20} MiB",
            "this is no file of the network's configuration: move it away",
        )
    return Found(content, status)


def read_small(path: Path, limit: int = LIMIT) -> bytes:
    """The content of a regular file; InputError if it is none or too long, else SystemFailure.

    A path that the system cannot take (a NUL in it) is an InputError too. OSError where the system
    has no descriptor or memory left, so that nobody takes that for a file that is not there.
    """
    try:
        # Without O_NONBLOCK a FIFO of that name would hold us for ever.
        descriptor = os.open(str(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            return _content(path, descriptor, limit)
        finally:
            os.close(descriptor)
    except OSError as error:
        pass_on_exhaustion(error)
        raise _failure(path, error) from error
    except ValueError as error:
        raise InputError(f"{str(path)!r} is not a path", "name an existing file") from error


def read_below(tree: Tree, path: str) -> bytes:
    """As `read_small`, for a path below a root.

    A link that leads nowhere or out of the root is a SystemFailure, too.
    """
    shown = Path(tree.shown(path))
    try:
        with tree.opened(path) as descriptor:
            return _content(shown, descriptor, LIMIT)
    except OSError as error:
        pass_on_exhaustion(error)
        raise _failure(shown, error) from error
    except Refusal as refusal:
        raise SystemFailure(f"{shown} cannot be read: {refusal.message}", refusal.hint) from refusal


def _content(path: Path, descriptor: int, limit: int) -> bytes:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise InputError(f"{path} is not a regular file", "move it away")
    text = _drain(descriptor, limit)
    if len(text) > limit:
        raise InputError(f"{path} is longer than {limit} bytes", "move it away")
    return text


def _drain(descriptor: int, limit: int) -> bytes:
    """What is left to read, one byte more than `limit` at most; OSError."""
    chunks = []
    left = limit + 1
    while left > 0:
        chunk = os.read(descriptor, min(left, _CHUNK))
        if not chunk:
            break
        chunks.append(chunk)
        left -= len(chunk)
    return b"".join(chunks)


def _failure(path: Path, error: OSError) -> SystemFailure:
    return SystemFailure(
        f"{path} cannot be read: {error.strerror or error}",
        "check its permissions, or run as root",
    )


def hidden_name(name: str) -> str:
    """A name that no reader of the folder takes for a file of its own."""
    return f".symroute-nm.{name[:_NAME_LIMIT]}.{os.urandom(4).hex()}"


def write_at(
    place: Place, content: bytes, attributes: Attributes, like: Optional[Place] = None
) -> None:
    """Write a file that does not exist, down to the disk, with the label of `like`; OSError."""
    with _opened(place, _NEW) as descriptor, contextlib.ExitStack() as stack:
        source = None if like is None else stack.enter_context(_opened(like, _READ))
        _fill(descriptor, content, attributes, source)
        if place.durable:
            os.fsync(descriptor)


def _fill(descriptor: int, content: bytes, attributes: Attributes, like: Optional[int]) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    _own(descriptor, attributes)
    if like is not None:
        _copy_xattrs(like, descriptor)
    # After the ACL, which shares its group bits with the mode.
    os.fchmod(descriptor, attributes.mode & _PERMISSIONS)


def rename(place: Place, name: str) -> None:
    """Give what stands at a place another name in its folder; OSError."""
    os.rename(place.name, name, src_dir_fd=place.folder, dst_dir_fd=place.folder)


def link(place: Place, name: str) -> None:
    """Give the very thing that stands at a place a second name in its folder; OSError."""
    # By default, given folders, os.link() would follow a link that has come there meanwhile.
    os.link(
        place.name, name, src_dir_fd=place.folder, dst_dir_fd=place.folder, follow_symlinks=False
    )


def unlink(place: Place) -> None:
    """Remove a file, if there is one; OSError."""
    # On a read-only file system unlink(2) fails even for what is not there.
    if exists_at(place):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(place.name, dir_fd=place.folder)


def make_folder(place: Place, mode: int) -> None:
    """Make a folder, whatever the umask says, down to the disk; OSError."""
    assert place.folder is not None
    _make_folder(place.name, place.folder, mode, place.durable)


def _make_folder(name: str, folder: int, mode: int, durable: bool) -> None:
    # No chmod(2) after: something else may have that name by then.
    mask = os.umask(0)
    try:
        os.mkdir(name, mode, dir_fd=folder)
    finally:
        os.umask(mask)
    if durable:
        _sync_folder(folder)


def remove_folder(place: Place) -> None:
    """Remove an empty folder; OSError."""
    os.rmdir(place.name, dir_fd=place.folder)


def remove_all(place: Place, depth: int = 0) -> None:
    """Remove what stands at a place, a folder with all that is in it; OSError.

    OSError ELOOP, too, for folders deeper in each other than any of ours.
    """
    if not stat.S_ISDIR(mode_at(place)):
        unlink(place)
        return
    if depth > _MAX_DEPTH:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    with _opened(place, LISTED_FOLDER | os.O_NOFOLLOW) as inner:
        for name in sorted(os.listdir(inner)):  # noqa: PTH208  # no Path lists a descriptor
            remove_all(Place(f"{place.real}/{name}", name, inner), depth + 1)
    remove_folder(place)


def _own(descriptor: int, attributes: Attributes) -> None:
    status = os.fstat(descriptor)
    uid = status.st_uid if attributes.uid == -1 else attributes.uid
    gid = status.st_gid if attributes.gid == -1 else attributes.gid
    if (uid, gid) != (status.st_uid, status.st_gid):
        os.fchown(descriptor, uid, gid)


def _copy_xattrs(source: int, descriptor: int) -> None:
    for name in (*_KEPT_XATTRS, *_noted_xattrs(source)):
        try:
            os.setxattr(descriptor, name, os.getxattr(source, name))
        except OSError as error:
            if error.errno not in _NO_XATTR:
                raise


def _noted_xattrs(source: int) -> List[str]:
    try:
        return [name for name in os.listxattr(source) if name.startswith(_KEPT_NAMESPACE)]
    except OSError as error:
        if error.errno not in _NO_XATTR:
            raise
        return []


def sync_beside(place: Place) -> None:
    """Bring the entries (renames, links, unlinks) of a place's folder down to the disk; OSError."""
    assert place.folder is not None
    if place.durable:
        _sync_folder(place.folder)


def sync_now() -> None:
    """Bring all that was ever written down to the disk, sync(2)."""
    os.sync()


def _sync_folder(folder: int) -> None:
    listed = os.open(".", LISTED_FOLDER, dir_fd=folder)
    try:
        os.fsync(listed)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that cannot, fsync(2)
            raise
    finally:
        os.close(listed)
