"""The netlink exchange itself: the probe, interrupted dumps, errors, and pyroute2 beside us."""

import errno
import gc
import os
import resource
import socket
import struct
import threading
from typing import Any, Callable, List

import pytest

from symroute_nm.errors import SystemFailure
from symroute_nm.kernel import netlink

HEADER = struct.Struct("=IHHII")  # linux/netlink.h, struct nlmsghdr
DUMP_INTR, ERROR, DONE = 0x10, 2, 3


DUMPS = (netlink.LINKS, netlink.ADDRESSES, netlink.ROUTES, netlink.RULES)


# -- the probe ------------------------------------------------------------------------------------


# -- the exchange ---------------------------------------------------------------------------------


def real_answer(what: netlink.Dump) -> List[bytes]:
    """The datagrams with which this kernel answers a dump."""
    with netlink.open_netlink() as connection:
        netlink._send(connection, what.type, 0x301, what.body)
        found = [connection.recv(1 << 18)]
        while kinds(found[-1])[-1] != DONE:
            found.append(connection.recv(1 << 18))
    return found


def kinds(content: bytes) -> List[int]:
    """The types of the messages in a datagram."""
    return [kind for _, kind, _ in netlink._headers(content)]


def interrupted(content: bytes) -> bytes:
    """The datagram with NLM_F_DUMP_INTR in its last message."""
    *_, (offset, _, flags) = netlink._headers(content)
    place = offset + 6
    return content[:place] + struct.pack("=H", flags | DUMP_INTR) + content[place + 2 :]


@pytest.fixture
def kernel() -> Any:
    """A function that answers each dump with the next list of datagrams, and a socket to it."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    near.settimeout(10)
    threads = []

    def answer(*answers: List[bytes]) -> socket.socket:
        def serve() -> None:
            for datagrams in answers:
                if not far.recv(1 << 16):
                    return
                for datagram in datagrams:
                    far.send(datagram)

        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        return near

    yield answer
    near.close()
    for thread in threads:
        thread.join(10)
    far.close()


Kernel = Callable[..., socket.socket]


@pytest.mark.parametrize("what", DUMPS, ids=lambda what: str(what.name))
def test_an_interrupted_dump_is_asked_for_again(kernel: Kernel, what: netlink.Dump) -> None:
    good = real_answer(what)
    bad = [interrupted(good[0][: HEADER.unpack_from(good[0])[0]]), *good]
    found = netlink.dump(kernel(bad, bad, good), what)
    assert [each.fields for each in found] == [
        each.fields for each in netlink.dump(kernel(good), what)
    ]
    assert sum(kind not in (DONE, ERROR) for part in good for kind in kinds(part)) == len(found)


@pytest.mark.parametrize(
    "what", [dump for dump in DUMPS if dump != netlink.ROUTES], ids=lambda what: str(what.name)
)
def test_nothing_of_a_dump_is_left_for_the_collector(what: netlink.Dump) -> None:
    """A run goes without it, and on hosts with thousands of links that would be most memory."""
    with netlink.open_netlink() as connection:
        assert netlink.dump(connection, what)
        gc.collect()
        assert netlink.dump(connection, what)
    assert gc.collect() < 10


def test_an_interruption_that_the_end_tells_counts(kernel: Kernel) -> None:
    good = real_answer(netlink.RULES)
    connection = kernel([*good[:-1], interrupted(good[-1])], good)
    assert netlink.dump(connection, netlink.RULES)
    connection.send(b"")
    connection.setblocking(False)
    with pytest.raises(BlockingIOError):  # both answers were read
        connection.recv(1)


def test_dumps_that_are_always_interrupted_are_given_up(kernel: Kernel) -> None:
    bad = [*map(interrupted, real_answer(netlink.RULES))]
    with pytest.raises(SystemFailure, match="change all the time"):
        netlink.dump(kernel(*[bad] * 10), netlink.RULES)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EOPNOTSUPP, "no policy routing"),
        (errno.EPERM, "Operation not permitted"),
    ],
)
def test_the_kernel_s_errors_are_system_failures(kernel: Kernel, number: int, said: str) -> None:
    body = struct.pack("=i", -number) + HEADER.pack(16, 34, 0x301, 1, 0)
    message = HEADER.pack(HEADER.size + len(body), ERROR, 0, 1, 0) + body
    with pytest.raises(SystemFailure, match=said):
        netlink.dump(kernel([message]), netlink.RULES)


def test_silence_ends(kernel: Kernel) -> None:
    connection = kernel([])
    connection.settimeout(0.1)
    with pytest.raises(SystemFailure, match="timed out"):
        netlink.dump(connection, netlink.RULES)


def test_no_socket_to_be_had_is_a_system_failure() -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = os.open("/dev/null", os.O_RDONLY)
    resource.setrlimit(resource.RLIMIT_NOFILE, (spare, limits[1]))
    os.close(spare)
    taken = []
    try:
        while True:
            try:
                taken.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                break
        with pytest.raises(SystemFailure, match="Too many open files"):
            netlink.open_netlink()
    finally:
        for each in taken:
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


# -- pyroute2 -------------------------------------------------------------------------------------
