"""What is done to the kernel, for the system's log: one line a change, confirmation and way back.

By syslog's socket itself, and not by syslog(3): that waits where nobody reads, and the process that
watches over a change must wait for nothing.
"""

import contextlib
import os
import socket
import time

PLACE = "/dev/log"  # journald's and rsyslog's
_NOTICE = 3 << 3 | 5  # LOG_DAEMON | LOG_NOTICE, syslog(3)
# As RFC 3164 has them, whatever the locale.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LONGEST = 1024  # bytes that any syslogd takes, RFC 3164


def log(text: str, place: str = PLACE) -> None:
    """Send a line to the log, if there is one that takes it at once."""
    now = time.localtime()
    stamp = f"{_MONTHS[now.tm_mon - 1]} {now.tm_mday:2d} {time.strftime('%H:%M:%S', now)}"
    plain = "".join(letter if letter.isprintable() else "?" for letter in text)
    line = f"<{_NOTICE}>{stamp} symroute-nm[{os.getpid()}]: {plain}"
    with contextlib.suppress(OSError), contextlib.closing(
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    ) as channel:
        channel.setblocking(False)
        channel.sendto(line.encode("utf-8", "replace")[:_LONGEST], place)
