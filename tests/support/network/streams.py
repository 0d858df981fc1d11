"""Traffic that does not stop: on each flow of the lab a ping every few milliseconds, or bytes back
and forth through one long-lived connection, from one thread; a socket stays in the namespace in
which it was made, wherever it is used."""

import contextlib
import itertools
import selectors
import socket
import struct
import threading
import time
from types import TracebackType
from typing import Dict, List, Optional, Set, Type

from support.network import traffic
from support.network.lab import Flow, Lab

INTERVAL = 0.008  # seconds between two pings, or two pieces of bytes, of one flow
PATIENCE = 3.0  # seconds until what has not come back is lost
PIECE = 16  # bytes
PING = (("ipv4/ping_group_range", "0 0"),)  # icmp(7): datagram sockets that get their own replies
_ports = itertools.count(20000)  # below the kernel's own; none is used twice


class Pings:
    """Echo requests of one flow; each is known by its sequence number until it is answered."""

    def __init__(self, destination: str) -> None:
        self._version = 6 if ":" in destination else 4
        family = socket.AF_INET6 if self._version == 6 else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_DGRAM, traffic.ECHO[self._version][0])
        self.sock.setblocking(False)
        self.sock.connect((destination, 0))
        self._next = 0
        self.missing: Set[int] = set()

    def send(self) -> None:
        """Ask once more; what the kernel itself refuses is missing for ever."""
        self._next += 1
        self.missing.add(self._next)
        with contextlib.suppress(OSError):
            self.sock.send(
                struct.pack(
                    "!BBHHHI",
                    traffic.ECHO[self._version][1],
                    0,
                    0,
                    0,
                    self._next & 0xFFFF,
                    self._next,
                )
            )

    def receive(self) -> None:
        """Take the answer that has come; one that says why there is none is no answer."""
        with contextlib.suppress(OSError):
            self.missing.discard(struct.unpack("!8xI", self.sock.recv(2048))[0])

    @property
    def lost(self) -> int:
        """How many were not answered."""
        return len(self.missing)


class Bytes:
    """Bytes through one connection of one flow, and back."""

    def __init__(self, destination: str, port: int) -> None:
        self.port = next(_ports)
        self.sock = socket.create_connection(
            (destination, port),
            traffic.PATIENCE,
            ("::" if ":" in destination else "0.0.0.0", self.port),
        )
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self.missing = 0
        self.served: Optional[socket.socket] = None

    def send(self) -> None:
        """Send a piece."""
        with contextlib.suppress(OSError):
            self.sock.send(b"x" * PIECE)
        self.missing += PIECE

    def receive(self) -> None:
        """Take what has come back."""
        with contextlib.suppress(OSError):
            self.missing -= len(self.sock.recv(65536))

    @property
    def lost(self) -> int:
        """How many bytes did not come back, or how often either end had to send again."""
        assert self.served, "the service never saw the connection"
        return self.missing or _resent(self.sock) + _resent(self.served)


def _resent(sock: socket.socket) -> int:
    """Segments sent again since nobody got them: linux/tcp.h, struct tcp_info.

    What was sent again too early (a machine under load) the other side has told of (RFC 2883).
    """
    told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 232)
    (total_retrans,) = struct.unpack_from("=I", told, 100)
    (dsack_dups,) = struct.unpack_from("=I", told, 216)
    return int(total_retrans - dsack_dups)


class Streams:
    """Continuous traffic on flows that work; a context manager, at whose end it has stopped."""

    def __init__(self, lab: Lab, flows: List[Flow]) -> None:
        self._streams = {}
        for flow in flows:
            kind, *words = (Pings,) if flow.kind == "ping" else (Bytes, flow.port)
            lab.inside(flow.source, traffic.set_sysctls, PING)
            self._streams[flow.name] = lab.inside(flow.source, kind, flow.destination, *words)
        self._lab = lab
        self._selector = selectors.DefaultSelector()
        for stream in self._streams.values():
            self._selector.register(stream.sock, selectors.EVENT_READ, stream)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Streams":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self._end.set()
        self._thread.join()

    def close(self) -> None:
        """End the connections."""
        self._selector.close()
        for stream in self._streams.values():
            stream.sock.close()

    def lost(self) -> Dict[str, int]:
        """{flow: how many packets or bytes} of the flows that lost some."""
        served = self._lab.served()
        for stream in self._streams.values():
            if isinstance(stream, Bytes):
                stream.served = served.get(stream.port)
        return {name: each.lost for name, each in self._streams.items() if each.lost}

    def _run(self) -> None:
        streams = list(self._streams.values())
        turn = time.monotonic()
        while not self._end.is_set():
            for stream in streams:
                stream.send()
            turn = max(turn + INTERVAL, time.monotonic())
            self._receive(turn)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and any(each.missing for each in streams):
            self._receive(min(end, time.monotonic() + INTERVAL))

    def _receive(self, until: float) -> None:
        left = until - time.monotonic()
        while left > 0:
            for key, _ in self._selector.select(left):
                key.data.receive()
            left = until - time.monotonic()
