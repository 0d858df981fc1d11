"""Netlink sockets and messages: dumps, changes, attributes; the only pyroute2 import.

pyroute2's package init loads NDB, conntrack, asyncio and more (over 100 ms); its message classes
alone take a fifth of that. So they are imported below a bare stand-in for the package, and a
socket of the standard library carries them.
"""

import contextlib
import errno
import os
import socket
import struct
import sys
import threading
from typing import (
    AbstractSet,
    Any,
    Callable,
    FrozenSet,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    TypeVar,
)

from symroute_nm.errors import SystemFailure
from symroute_nm.lazy import import_submodule, quiet_platform

# linux/netlink.h and linux/rtnetlink.h
RTM_GETLINK, RTM_GETADDR = 18, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_NEWRULE, RTM_DELRULE, RTM_GETRULE = 32, 33, 34
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_DUMP_INTR, _NLM_F_DUMP = 0x1, 0x4, 0x10, 0x300
_NLM_F_EXCL = 0x200
NLM_F_REPLACE, NLM_F_CREATE, NLM_F_APPEND = 0x100, 0x400, 0x800
_IFLA_EXT_MASK, _RTEXT_FILTER_SKIP_STATS = 29, 1 << 3
_FRA_PRIORITY, _FRA_SUPPRESS_PREFIXLEN, _FRA_TABLE = 6, 14, 15
_FR_ACT_TO_TBL = 1
_HEADER = struct.Struct("=IHHII")
HEADER_SIZE = _HEADER.size
_LENGTH = struct.Struct("=I")  # of the message, the first field of its header
_ATTRIBUTE_HEADER = struct.Struct("=HH")
ATTRIBUTE_HEADER_SIZE = _ATTRIBUTE_HEADER.size
_TYPE_MASK = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER
_SOL_NETLINK, _NETLINK_GET_STRICT_CHK = 270, 12
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000

_RECEIVE_SIZE = 1 << 18
_DUMP_TRIES = 10
_TIMEOUT_SECONDS = 30.0

_Taken = TypeVar("_Taken")
Connection = socket.socket


class Message(NamedTuple):
    """A decoded netlink message: its fixed fields and attributes by name."""

    fields: Mapping[str, Any]  # and under "attrs" all attributes: [(name, value)]
    attributes: Mapping[str, Any]
    source: Any  # pyroute2's message, to which its values hold weak references

    def attribute(self, name: str) -> Any:
        """The attribute's value, or None."""
        return self.attributes.get(name)


class Dump(NamedTuple):
    """What to ask the kernel to list, and by which pyroute2 message its answers are decoded."""

    type: int
    body: bytes
    module: str
    size: int = 0  # of the fixed fields, in bytes
    asked: FrozenSet[int] = frozenset()  # the attributes that anybody looks at; empty: all

    @property
    def name(self) -> str:
        """The message class's name, which is its module's."""
        return self.module.rpartition(".")[2]


LINKS = Dump(
    RTM_GETLINK,
    struct.pack("=BxHiII", 0, 0, 0, 0, 0)
    + struct.pack("=HHI", 8, _IFLA_EXT_MASK, _RTEXT_FILTER_SKIP_STATS),
    "pyroute2.netlink.rtnl.ifinfmsg",
    16,
    # IFLA_ADDRESS, IFNAME, MASTER, LINKINFO, GROUP, PERM_ADDRESS of some sixty (linux/if_link.h)
    frozenset({1, 3, 10, 18, 27, 54}),
)
# IFA_ADDRESS, LOCAL, FLAGS (linux/if_addr.h)
ADDRESSES = Dump(RTM_GETADDR, bytes(8), "pyroute2.netlink.rtnl.ifaddrmsg", 8, frozenset({1, 2, 8}))
ROUTES = Dump(RTM_GETROUTE, bytes(12), "pyroute2.netlink.rtnl.rtmsg")
RULES = Dump(RTM_GETRULE, bytes(12), "pyroute2.netlink.rtnl.fibmsg")


def open_netlink() -> socket.socket:
    """A netlink socket in this network namespace; raises `SystemFailure`."""
    try:
        connection = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        connection.settimeout(_TIMEOUT_SECONDS)
        connection.bind((0, 0))
        with contextlib.suppress(OSError):  # Linux 4.20; without it, cached routes are listed, too
            connection.setsockopt(_SOL_NETLINK, _NETLINK_GET_STRICT_CHK, 1)
    except OSError as error:
        raise SystemFailure(f"netlink: {error.strerror}", "run it on the host itself") from error
    return connection


def dump(connection: socket.socket, what: Dump) -> Tuple[Message, ...]:
    """All messages of a dump; raises `SystemFailure`."""
    kind = _message_class(what)
    return collect(
        connection, what, lambda content, offset: _decode(kind, _part(what, content, offset))
    )


def dump_raw(connection: socket.socket, what: Dump) -> Tuple[bytes, ...]:
    """As `dump`, the messages as the kernel sent them, with their headers."""
    return collect(connection, what, _cut)


def collect(
    connection: socket.socket, what: Dump, take: Callable[[bytes, int], _Taken]
) -> Tuple[_Taken, ...]:
    """What `take` makes of each message of a dump; see `consume`."""
    return consume(
        connection, what, lambda parts: tuple(take(content, offset) for content, offset in parts)
    )


def consume(
    connection: socket.socket, what: Dump, take: Callable[[Iterator[Tuple[bytes, int]]], _Taken]
) -> _Taken:
    """What `take` makes of a dump's messages: of what came, and where in it each begins.

    The dump is taken again while the kernel says that it changed meanwhile; raises `SystemFailure`.
    """
    for _ in range(_DUMP_TRIES):
        whole = _Whole()
        taken = take(_exchange(connection, what, whole))
        if not whole.interrupted:
            return taken
    raise SystemFailure("netlink: the routing tables change all the time", "try again")


def decode(what: Dump, raw: bytes) -> Message:
    """A message of `dump_raw` as `dump` gives it."""
    return _decode(_message_class(what), _part(what, raw, 0))


def encode(what: Dump, fields: Mapping[str, Any], attributes: Sequence[Tuple[str, Any]]) -> bytes:
    """A message of that dump's kind with its header, whose type and flags `change` sets."""
    message = _message_class(what)()
    message.update(fields)
    message["attrs"] = list(attributes)
    message.encode()
    return bytes(message.data)


def change(connection: socket.socket, kind: int, flags: int, raw: bytes) -> int:
    """Have the kernel do it, as RTM_NEWROUTE or the like; 0, or the errno of its refusal."""
    _send(connection, kind, _NLM_F_REQUEST | _NLM_F_ACK | flags, raw[_HEADER.size :])
    content = _receive(connection)
    return -int(struct.unpack_from("=i", content, _HEADER.size)[0])


def probe_suppression() -> Optional[bool]:
    """Whether the kernel honours FRA_SUPPRESS_PREFIXLEN; None where it may not be tried.

    A rule with it is added in a scratch network namespace and read back: a kernel without it takes
    the rule and forgets the attribute.
    """
    # Never both: a child that is forked while a thread ends may find the dynamic loader locked.
    answer = _probe_in_thread() if os.geteuid() == 0 else _probe_in_child()
    return {"y": True, "n": False}.get(answer)


def _message_class(what: Dump) -> Any:
    """pyroute2's class for the messages of a dump, imported when it is asked for first."""
    if what.module not in sys.modules:
        with quiet_platform():
            import_submodule(what.module)
    return getattr(sys.modules[what.module], what.name)


class _Whole:
    """Whether a dump is of one moment."""

    interrupted = False


def _exchange(connection: socket.socket, what: Dump, whole: _Whole) -> Iterator[Tuple[bytes, int]]:
    _send(connection, what.type, _NLM_F_REQUEST | _NLM_F_DUMP, what.body)
    while True:
        content = _receive(connection)
        for offset, kind, flags in _headers(content):
            whole.interrupted = whole.interrupted or bool(flags & _NLM_F_DUMP_INTR)
            if kind == _NLMSG_DONE:
                return
            if kind == _NLMSG_ERROR:
                _raise(struct.unpack_from("=i", content, offset + _HEADER.size)[0])
            yield content, offset


def header(content: bytes, offset: int) -> Tuple[int, int, int]:
    """Length, type and flags of the message that begins there (struct nlmsghdr)."""
    length, kind, flags, _, _ = _HEADER.unpack_from(content, offset)
    return length, kind, flags


def _headers(content: bytes) -> Iterator[Tuple[int, int, int]]:
    offset = 0
    while offset + _HEADER.size <= len(content):
        length, kind, flags = header(content, offset)
        yield offset, kind, flags
        offset += max(_HEADER.size, (length + 3) & ~3)


def _send(connection: socket.socket, kind: int, flags: int, body: bytes) -> None:
    try:
        connection.send(_HEADER.pack(_HEADER.size + len(body), kind, flags, 1, 0) + body)
    except OSError as error:
        raise SystemFailure(f"netlink: {error.strerror}", "try again") from error


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(_RECEIVE_SIZE)
    except OSError as error:
        # ENOBUFS: the kernel dropped a part of the answer; socket.timeout has no errno.
        raise SystemFailure(f"netlink: {error.strerror or error}", "try again") from error


def _raise(number: int) -> None:
    if number == -errno.EOPNOTSUPP:
        raise SystemFailure(
            "netlink: this kernel has no policy routing", "use one with CONFIG_IP_MULTIPLE_TABLES"
        )
    raise SystemFailure(f"netlink: {os.strerror(-number)}", "run it as root, on the host itself")


def _cut(content: bytes, offset: int) -> bytes:
    return content[offset : offset + _HEADER.unpack_from(content, offset)[0]]


def _part(what: Dump, content: bytes, offset: int) -> bytes:
    """A message with what of it is looked at: pyroute2 makes an object of each attribute."""
    if not what.asked:
        return _cut(content, offset)
    return pick_attributes(content, offset, _HEADER.size + what.size, what.asked)


def _decode(kind: Any, raw: bytes) -> Message:
    decoded = kind(raw)
    decoded.decode()
    _loosen(decoded)
    listed = [(attribute[0], attribute[1]) for attribute in decoded["attrs"]]
    attributes = dict(reversed(listed))  # of equal names the first
    return Message({**decoded, "attrs": listed}, attributes, decoded)


def _loosen(message: Any) -> None:
    """Each of pyroute2's objects holds itself, and nobody looks for such circles (`__main__`)."""
    message.chain = []
    for attribute in dict.get(message, "attrs", ()):  # its own `get` takes ten times as long
        _loosen(attribute.nla)


def _probe_in_thread() -> str:
    """As root: unshare(2) moves the calling thread alone, and the namespace goes with it."""
    answers: List[str] = []
    thread = threading.Thread(target=lambda: answers.append(_probe_beside(_CLONE_NEWNET)))
    try:
        thread.start()
    except RuntimeError:  # no more threads
        return "?"
    thread.join()
    return answers[0] if answers else "?"


def _probe_in_child() -> str:
    """As anybody: whose network namespace needs a user namespace, which a thread cannot have."""
    reading, writing = os.pipe()
    try:
        child = os.fork()
    except OSError:  # no more processes for this user
        child = -1
    if child == 0:
        answer = "?"
        try:
            answer = _probe_beside(_CLONE_NEWUSER | _CLONE_NEWNET)
        finally:
            # Whatever happened in the child, it must neither return nor print.
            os.write(writing, answer.encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        answer = pipe.read(1)
    if child > 0:
        os.waitpid(child, 0)
    return answer


def _probe_beside(flags: int) -> str:
    """y, n or ?, asked in namespaces of the caller's own, which it never leaves again."""
    if not _unshare(flags):
        return "?"
    try:
        with open_netlink() as connection:
            return _probe(connection)
    except SystemFailure:
        return "?"


def _unshare(flags: int) -> bool:
    """unshare(2); False where it may not be done, or Python has no way to it."""
    native = getattr(os, "unshare", None)  # Python 3.12
    try:
        if native is not None:
            native(flags)
            return True
        import ctypes

        return bool(ctypes.CDLL(None).unshare(flags) == 0)
    except (ImportError, OSError):
        return False


def _probe(connection: socket.socket) -> str:
    attributes = struct.pack("=HHI", 8, _FRA_PRIORITY, 1)
    attributes += struct.pack("=HHI", 8, _FRA_SUPPRESS_PREFIXLEN, 0)
    attributes += struct.pack("=HHI", 8, _FRA_TABLE, 1)
    body = struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 0, 0, 1, 0, 0, _FR_ACT_TO_TBL, 0)
    flags = _NLM_F_REQUEST | _NLM_F_ACK | NLM_F_CREATE | _NLM_F_EXCL
    _send(connection, RTM_NEWRULE, flags, body + attributes)
    _receive(connection)  # the acknowledgement; whether the rule is there, the dump tells
    rules = [rule for rule in dump(connection, RULES) if rule.attribute("FRA_PRIORITY") == 1]
    if not rules:
        return "?"
    return "y" if rules[0].attribute("FRA_SUPPRESS_PREFIXLEN") == 0 else "n"


def walk_attributes(content: bytes, offset: int, end: int) -> Iterator[Tuple[int, int, int]]:
    """The attributes between two offsets: type, where it begins, its length with its header."""
    while offset + ATTRIBUTE_HEADER_SIZE <= end:
        kind, length = read_attribute_header(content, offset)
        yield kind, offset, length
        offset += max(ATTRIBUTE_HEADER_SIZE, _align(length))


def read_attribute_header(content: bytes, offset: int) -> Tuple[int, int]:
    """Type and length, with the header, of the attribute that begins there."""
    length, kind = _ATTRIBUTE_HEADER.unpack_from(content, offset)
    return kind & _TYPE_MASK, length


def make_attribute(kind: int, value: bytes) -> bytes:
    """An attribute with that value."""
    return (
        _ATTRIBUTE_HEADER.pack(ATTRIBUTE_HEADER_SIZE + len(value), kind)
        + value
        + bytes(_align(len(value)) - len(value))
    )


def pick_attributes(content: bytes, offset: int, size: int, asked: AbstractSet[int]) -> bytes:
    """The message that begins at `offset` with the attributes alone whose types are `asked` for.

    `size` is that of its header and fixed fields, in bytes.
    """
    end = offset + _LENGTH.unpack_from(content, offset)[0]
    parts = [content[offset + _LENGTH.size : offset + size]]
    parts += (
        content[at : min(at + max(ATTRIBUTE_HEADER_SIZE, _align(length)), end)]
        for kind, at, length in walk_attributes(content, offset + size, end)
        if kind in asked
    )
    rest = b"".join(parts)
    return _LENGTH.pack(_LENGTH.size + len(rest)) + rest


def _align(length: int) -> int:
    return (length + 3) & ~3  # NLA_ALIGN
