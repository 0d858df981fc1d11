"""Real packets in network namespaces: ping, TCP and an echo service, all from threads of this
program, since a thread may live in a network namespace of its own (setns(2))."""

import contextlib
import ctypes
import os
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, List, Sequence, Tuple

CLONE_NEWNET = 0x40000000  # linux/sched.h
PATIENCE = 1.5  # seconds until a flow counts as broken; a veth path takes a few milliseconds
ECHO = {4: (socket.IPPROTO_ICMP, 8, 0), 6: (socket.IPPROTO_ICMPV6, 128, 129)}  # request, reply

_libc = ctypes.CDLL(None, use_errno=True)


def enter(namespace: str) -> None:
    """Move the calling thread into a named network namespace, for good; raises OSError."""
    descriptor = os.open("/run/netns/" + namespace, os.O_RDONLY)
    try:
        if _libc.setns(descriptor, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns", namespace)
    finally:
        os.close(descriptor)


def call_inside(namespace: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """What `function` returns when it is called in a namespace; the caller stays where it is."""
    return call_all([(namespace, function, arguments)])[0]


def call_all(calls: Sequence[Tuple[str, Callable[..., Any], Tuple[Any, ...]]]) -> List[Any]:
    """The results of (namespace, function, arguments), all run at the same time."""

    def work(call: Tuple[str, Callable[..., Any], Tuple[Any, ...]]) -> Any:
        enter(call[0])
        return call[1](*call[2])

    with ThreadPoolExecutor(max_workers=len(calls)) as pool:
        return list(pool.map(work, calls))


def set_sysctls(settings: Sequence[Tuple[str, str]]) -> None:
    """Write (name, value) pairs under /proc/sys/net of the calling thread's namespace."""
    for name, value in settings:
        Path("/proc/sys/net", name).write_text(value)


def ping(destination: str, patience: float = PATIENCE) -> bool:
    """Whether an echo request from the calling thread's namespace is answered, within seconds."""
    version = 6 if ":" in destination else 4
    protocol, request, reply = ECHO[version]
    token = os.urandom(12)  # ICMP identifier, sequence and payload
    packet = _echo(request, token)
    family = socket.AF_INET6 if version == 6 else socket.AF_INET
    deadline = time.monotonic() + patience
    with socket.socket(family, socket.SOCK_RAW, protocol) as sock:
        while time.monotonic() < deadline:
            try:
                sock.sendto(packet, (destination, 0))
            except OSError:  # no route, or an answer that says so
                return False
            if _answered(sock, reply, token, min(deadline, time.monotonic() + 0.6)):
                return True
    return False


def _echo(kind: int, token: bytes) -> bytes:
    """An ICMP echo request (RFC 792); for ICMPv6 the kernel puts its own checksum in."""
    bare = struct.pack("!BBH", kind, 0, 0) + token
    total = sum(struct.unpack(f"!{len(bare) // 2}H", bare))
    total = (total >> 16) + (total & 0xFFFF)
    total += total >> 16
    return struct.pack("!BBH", kind, 0, ~total & 0xFFFF) + token


def _answered(sock: socket.socket, reply: int, token: bytes, deadline: float) -> bool:
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        sock.settimeout(left)
        try:
            packet = sock.recv(2048)
        except OSError:
            return False
        message = packet[-4 - len(token) :]  # an IPv4 raw socket also gives the IP header
        if message[0] == reply and message.endswith(token):
            return True


def exchange(destination: str, port: int, size: int, patience: float = PATIENCE) -> bool:
    """Whether `size` bytes sent to an echo service all come back; `patience` in seconds."""
    try:
        return echoes(socket.create_connection((destination, port), patience), size)
    except OSError:
        return False


def echoes(connection: socket.socket, size: int) -> bool:
    """Whether `size` bytes come back by a connection to an echo service, which is ended so."""
    received = 0
    try:
        with connection:
            connection.sendall(b"x" * size)
            connection.shutdown(socket.SHUT_WR)
            chunk = b"x"
            while chunk:
                chunk = connection.recv(65536)
                received += len(chunk)
    except OSError:
        return False
    return received == size


def ask(destination: str, port: int, patience: float = PATIENCE) -> bool:
    """Whether a UDP datagram to an echo service comes back, from where it was sent to."""
    token = os.urandom(12)
    family = socket.AF_INET6 if ":" in destination else socket.AF_INET
    deadline = time.monotonic() + patience
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.5)
        sock.connect((destination, port))  # what comes from elsewhere is not received
        while time.monotonic() < deadline:
            try:
                sock.send(token)
                if sock.recv(2048) == token:
                    return True
            except OSError:  # nothing came, or a message that nothing will
                continue
    return False


class Responder:
    """A UDP echo service in the namespace of the thread that makes it, until `close`."""

    def __init__(self, family: int, port: int) -> None:
        self._sock = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            self._sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self._sock.bind(("", port))
        self._open = True
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while self._open:
            try:
                content, sender = self._sock.recvfrom(2048)
                if self._open:
                    self._sock.sendto(content, sender)
            except OSError:  # nobody is there any more to take the answer
                continue

    def close(self) -> None:
        """Stop, and leave the namespace."""
        self._open = False
        with contextlib.suppress(OSError):  # ENOTCONN, but it wakes recvfrom (inet_shutdown)
            self._sock.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._sock.close()


class Listener:
    """A TCP echo service in the namespace of the thread that makes it, until `close`."""

    def __init__(self, family: int, port: int) -> None:
        self._sock = socket.socket(family, socket.SOCK_STREAM)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            self._sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self._sock.bind(("", port))
        self._sock.listen(64)
        self.connections: List[socket.socket] = []  # all that ever came, closed ones included
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection = self._sock.accept()[0]
            except OSError:  # closed
                return
            self.connections.append(connection)
            threading.Thread(target=_serve_echo, args=(connection,), daemon=True).start()

    def close(self) -> None:
        """Stop, and leave the namespace."""
        self._sock.shutdown(socket.SHUT_RDWR)  # wakes accept, which close alone does not
        self._thread.join()
        self._sock.close()


def _serve_echo(connection: socket.socket) -> None:
    with connection:
        connection.settimeout(4 * PATIENCE)
        try:
            for chunk in iter(lambda: connection.recv(65536), b""):
                connection.sendall(chunk)
        except OSError:  # the client gave up, which it reports itself
            return
