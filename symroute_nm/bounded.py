"""Reading a small file that somebody else wrote: never blocking, never more than one MiB."""

import os
import pathlib
import stat
from typing import TYPE_CHECKING

from symroute_nm.errors import InputError, Refusal, SystemFailure

if TYPE_CHECKING:
    from symroute_nm.rooted import Tree

LIMIT = 1 << 20  # bytes


def read(path: pathlib.Path) -> bytes:
    """The content of a regular file; InputError if it is none or too long, else SystemFailure.

    A path that the system cannot take (a NUL in it) is an InputError too.
    """
    try:
        # Without O_NONBLOCK a FIFO of that name would hold us for ever.
        descriptor = os.open(str(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            return _content(path, descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _failure(path, error) from error
    except ValueError as error:
        raise InputError("%r is not a path" % str(path), "name an existing file") from error


def read_below(tree: "Tree", path: str) -> bytes:
    """As `read`, for a path below a root; a link that leads nowhere or out of it is a failure."""
    shown = pathlib.Path(tree.shown(path))
    try:
        with tree.opened(path) as descriptor:
            return _content(shown, descriptor)
    except OSError as error:
        raise _failure(shown, error) from error
    except Refusal as refusal:
        raise SystemFailure(
            "%s cannot be read: %s" % (shown, refusal.message), refusal.hint) from refusal


def _content(path: pathlib.Path, descriptor: int) -> bytes:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise InputError("%s is not a regular file" % path, "move it away")
    text = _drain(descriptor)
    if len(text) > LIMIT:
        raise InputError("%s is longer than %d bytes" % (path, LIMIT), "move it away")
    return text


def _drain(descriptor: int) -> bytes:
    chunks = []
    left = LIMIT + 1
    while left > 0:
        chunk = os.read(descriptor, left)
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
