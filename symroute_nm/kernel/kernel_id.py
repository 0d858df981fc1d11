"""Which kernel, since when: by what is kept below /run is known to be about this one."""

import contextlib
import os
import socket
import sys
from pathlib import Path

from symroute_nm.files.access import os_errors

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE = Path("/proc/self/ns/net")
_SO_NETNS_COOKIE = 71  # asm-generic/socket.h, Linux 5.14
_COOKIE_SIZE = 8


def kernel_id() -> str:
    """Which boot, and which network namespace: its inode, which another may get after it, and its
    cookie, which none ever does, where the kernel has those."""
    with os_errors("read", _BOOT_ID):
        return f"{_BOOT_ID.read_text().strip()} {os.readlink(str(_NAMESPACE))} {_cookie()}"


def _cookie() -> int:
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as any_socket:
        try:
            raw = any_socket.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, _COOKIE_SIZE)
        except OSError:
            return 0
    return int.from_bytes(raw, sys.byteorder)
