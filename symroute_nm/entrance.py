"""The socket at which a change is confirmed: who listens there, and who knocks."""

import contextlib
import os
import socket
from pathlib import Path
from typing import Iterator

from symroute_nm.errors import Refusal, SystemFailure

_CHUNK = 1 << 16
_ANSWER_TIMEOUT = 60.0  # seconds


def ask(door: Path, word: bytes) -> bytes:
    """What whoever listens there answers, b"" if nothing; raises `Refusal` where nobody does."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.settimeout(_ANSWER_TIMEOUT)
        try:
            with _short(door) as address:
                connection.connect(address)
            connection.sendall(word)
            return _hear_out(connection)
        except PermissionError as error:
            raise SystemFailure("%s: %s" % (door, error.strerror), "run as root") from error
        except socket.timeout as error:
            raise SystemFailure("whoever watches over the change does not answer",
                                "see symroute-nm verify") from error
        except OSError as error:
            raise Refusal("no change waits to be confirmed",
                          "its time may be over; see symroute-nm verify") from error


def _hear_out(connection: socket.socket) -> bytes:
    answer = b""
    try:
        for piece in iter(lambda: connection.recv(_CHUNK), b""):
            answer += piece
    except ConnectionResetError:  # it answered and went without having heard us
        if not answer:
            raise
    return answer


@contextlib.contextmanager
def _short(door: Path) -> Iterator[str]:
    """An address for the socket that fits into the 108 bytes of unix(7), however deep it is."""
    folder = os.open(str(door.parent), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield "/proc/self/fd/%d/%s" % (folder, door.name)
    finally:
        os.close(folder)


@contextlib.contextmanager
def listening(door: Path) -> Iterator[socket.socket]:
    """A socket at the door, for root alone; SystemFailure."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as entrance:
        try:
            _listen(entrance, door)
        except OSError as error:
            raise SystemFailure("cannot listen at %s: %s" % (door, error.strerror),
                                "move away what stands there") from error
        try:
            yield entrance
        finally:
            with contextlib.suppress(OSError):
                door.unlink()


def _listen(entrance: socket.socket, door: Path) -> None:
    mask = os.umask(0o177)
    try:
        with contextlib.suppress(FileNotFoundError):
            door.unlink()  # of a keeper that was killed: the lock is ours
        with _short(door) as address:
            entrance.bind(address)
    finally:
        os.umask(mask)
    entrance.listen(8)
