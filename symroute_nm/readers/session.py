"""By which of this host's addresses the administrator is logged in over SSH."""

import contextlib
import os
import pwd
from functools import lru_cache
from ipaddress import ip_address
from itertools import chain
from pathlib import Path
from typing import Iterator, Optional

from symroute_nm.errors import SymrouteError
from symroute_nm.files import access
from symroute_nm.model.network import IPAddress

_SERVER_ADDRESS = 2  # sshd(8): SSH_CONNECTION is client address, client port, server address, port
_GENERATIONS = 32
_NOBODY_LOGGED_IN = 2**32 - 1  # proc(5), loginuid
_LARGEST = 1 << 24  # bytes of an environment: execve(2) takes less


def session_address() -> Optional[IPAddress]:
    """This host's address of the SSH session that we run in; None where there is none.

    sudo and su drop SSH_CONNECTION, so the environment of our ancestors is looked at, too.
    """
    return _find(os.environ.get("SSH_CONNECTION", ""), os.getppid())


@lru_cache(maxsize=1)
def _find(own: str, parent: int) -> Optional[IPAddress]:
    """The same for every host of a fleet, which is planned by one process."""
    for connection in chain([own], _connections(parent)):
        words = connection.split()
        if _SERVER_ADDRESS < len(words):
            try:
                return ip_address(words[_SERVER_ADDRESS].partition("%")[0])
            except ValueError:
                continue
    return None


def _connections(number: int) -> Iterator[str]:
    for _ in range(_GENERATIONS):
        if number <= 1:
            return
        try:
            content = access.read_small(Path(f"/proc/{number}/environ"), _LARGEST)
            status = access.read_small(Path(f"/proc/{number}/stat")).decode("utf-8", "replace")
        except SymrouteError:
            return
        for variable in content.split(b"\0"):
            if variable.startswith(b"SSH_CONNECTION="):
                yield variable.partition(b"=")[2].decode("ascii", "replace")
        # proc(5): the command's name, which may hold anything, ends at the last parenthesis.
        number = int(status.rpartition(")")[2].split()[1])


def describe_session() -> str:
    """Who runs this, as whom, on which terminal and from where, for the log."""
    user = _name(os.geteuid())
    login = _login()
    words = [f"by {login} as {user}" if login and login != user else f"by {user}"]
    with contextlib.suppress(OSError):
        words.append(f"on {os.ttyname(0)}")
    for connection in chain([os.environ.get("SSH_CONNECTION", "")], _connections(os.getppid())):
        client = connection.split()[:1]
        if client:
            words.append(f"from {client[0]}")
            break
    return " ".join(words)


def _login() -> str:
    """Who logged in, whatever sudo and su made of that since; "" where nobody did."""
    try:
        uid = int(access.read_small(Path("/proc/self/loginuid")))
    except (SymrouteError, ValueError):
        return os.environ.get("SUDO_USER", "")
    return os.environ.get("SUDO_USER", "") if uid == _NOBODY_LOGGED_IN else _name(uid)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
