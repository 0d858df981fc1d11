"""By which of this host's addresses the administrator is logged in over SSH."""

import os
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
