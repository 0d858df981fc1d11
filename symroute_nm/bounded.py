"""Reading a small file that somebody else wrote: never blocking, never more than one MiB."""

import os
import pathlib
import stat
from typing import TYPE_CHECKING

from symroute_nm.errors import InputError, Refusal, SystemFailure, pass_on_exhaustion

if TYPE_CHECKING:
    from symroute_nm.rooted import Tree


LIMIT = 1 << 20  # bytes
_CHUNK = 1 << 20


def read(path: pathlib.Path, limit: int = LIMIT) -> bytes:
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
        raise InputError("%r is not a path" % str(path), "name an existing file") from error


def read_below(tree: "Tree", path: str) -> bytes:
    """As `read`, for a path below a root; a link that leads nowhere or out of it is a failure."""
    shown = pathlib.Path(tree.shown(path))
    try:
        with tree.opened(path) as descriptor:
            return _content(shown, descriptor, LIMIT)
    except OSError as error:
        pass_on_exhaustion(error)
        raise _failure(shown, error) from error
    except Refusal as refusal:
        raise SystemFailure(
            "%s cannot be read: %s" % (shown, refusal.message), refusal.hint) from refusal


def _content(path: pathlib.Path, descriptor: int, limit: int) -> bytes:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise InputError("%s is not a regular file" % path, "move it away")
    text = _drain(descriptor, limit)
    if len(text) > limit:
        raise InputError("%s is longer than %d bytes" % (path, limit), "move it away")
    return text


def _drain(descriptor: int, limit: int) -> bytes:
    chunks = []
    left = limit + 1
    while left > 0:
        chunk = os.read(descriptor, min(left, _CHUNK))
        if not chunk:
            break
        chunks.append(chunk)
        left -= len(chunk)
    return b"".join(chunks)


def _failure(path: pathlib.Path, error: OSError) -> SystemFailure:
    return SystemFailure(
        "%s cannot be read: %s" % (path, error.strerror or error),
        "check its permissions, or run as root",
    )
