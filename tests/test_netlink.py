"""The netlink exchange itself: the probe, interrupted dumps, errors, and pyroute2 beside us."""

import errno
import gc
import os
import resource
import socket
import struct
import subprocess
import sys
import threading
import time
from typing import Any, Callable, List

import pytest
from namespace import Namespace

from symroute_nm import kernelroutes, netlink
from symroute_nm.errors import SystemFailure

HEADER = struct.Struct("=IHHII")  # linux/netlink.h, struct nlmsghdr
DUMP_INTR, ERROR, DONE = 0x10, 2, 3
PROBE = "from symroute_nm.netlink import probe_suppression; print(probe_suppression())"
# Imports first: the interpreter's own files may be root's alone.
PROBE_AS_NOBODY = """
import ctypes, os
from symroute_nm import kernelroutes, netlink
netlink.dump(netlink.open_netlink(), netlink.RULES)
os.setgroups([]), os.setgid(65534), os.setuid(65534)
print(netlink.probe_suppression())
"""
DUMPS = (netlink.LINKS, netlink.ADDRESSES, netlink.ROUTES, netlink.RULES)


# -- the probe ------------------------------------------------------------------------------------


def test_the_probe_tells_what_the_kernel_can(namespace: Namespace) -> None:
    # This kernel's own word: iproute2 reads back what it has set.
    with Namespace() as other:
        other.ip("rule add pref 1 lookup 1 suppress_prefixlength 0")
        known = [each.get("suppress_prefixlen") for each in other.ask("rule")]
    ran = namespace.python(PROBE)
    assert (b"%r\n" % (0 in known), b"") == (ran.stdout, ran.stderr)


def test_the_probe_leaves_nothing_behind(namespace: Namespace) -> None:
    before = namespace.ask("rule"), namespace.ask("link")
    ran = namespace.python("""
import glob, os, time
def seen():
    found = []
    for each in glob.glob("/proc/self/task/*/ns/net") + glob.glob("/proc/self/fd/[0-9]*"):
        try:
            found.append(os.readlink(each))
        except FileNotFoundError:
            continue  # it ended, or was closed, just now
    return sorted(found)
before = seen()
%s
deadline = time.monotonic() + 5
while before != seen() and time.monotonic() < deadline:
    time.sleep(0.01)  # a thread that was joined is still listed for a moment
print(before == seen() or (before, seen()))
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    print("no child")
""" % PROBE)
    assert ["True", "True", "no child"] == ran.stdout.decode().splitlines(), ran.stderr
    assert before == (namespace.ask("rule"), namespace.ask("link"))


def test_the_probe_without_privilege_is_true_or_unknown(namespace: Namespace) -> None:
    may = namespace.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
         "unshare", "--user", "--net", "true"])
    ran = namespace.python(PROBE_AS_NOBODY)
    assert (b"True\n" if may.returncode == 0 else b"None\n", b"") == (ran.stdout, ran.stderr)


def test_the_probe_where_no_namespace_may_be_made_is_unknown(namespace: Namespace) -> None:
    inner = "echo 0 > /proc/sys/user/max_net_namespaces && exec \"$@\""
    ran = namespace.run(
        ["unshare", "--user", "--map-root-user", "sh", "-c", inner, "sh",
         sys.executable, "-c", PROBE])
    assert (b"None\n", b"") == (ran.stdout, ran.stderr)


def test_the_probe_without_a_process_to_spare_is_unknown(namespace: Namespace) -> None:
    limited = "import resource" + PROBE_AS_NOBODY.replace("print(", """
resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
before = sorted(os.listdir("/proc/self/fd"))
print(""") + "assert before == sorted(os.listdir('/proc/self/fd'))\n"
    ran = namespace.python(limited)
    assert (b"None\n", b"") == (ran.stdout, ran.stderr)


def test_the_probe_in_a_child_answers_alike(namespace: Namespace) -> None:
    ran = namespace.python("from symroute_nm import netlink; print(netlink._probe_in_child())")
    assert (b"y\n", b"") == (ran.stdout, ran.stderr)


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
    return content[:place] + struct.pack("=H", flags | DUMP_INTR) + content[place + 2:]


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
    bad = [interrupted(good[0][:HEADER.unpack_from(good[0])[0]]), *good]
    found = netlink.dump(kernel(bad, bad, good), what)
    assert [each.fields for each in found] == [
        each.fields for each in netlink.dump(kernel(good), what)]
    assert sum(kind not in (DONE, ERROR) for part in good for kind in kinds(part)) == len(found)


@pytest.mark.parametrize("what", [each for each in DUMPS if each != netlink.ROUTES],
                         ids=lambda what: str(what.name))
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


@pytest.mark.parametrize(("number", "said"), [
    (errno.EOPNOTSUPP, "no policy routing"), (errno.EPERM, "Operation not permitted"),
])
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


def test_a_table_that_changes_all_the_time_is_read_whole(namespace: Namespace) -> None:
    namespace.ip("link add v0 type veth peer name v1\nlink set v0 up\nlink set v1 up\n"
                 "addr add 10.0.0.5/24 dev v0")
    steady = 3000
    namespace.ip("\n".join(
        "route add 100.1%02d.%d.0/24 via 10.0.0.1 table 77" % divmod(number, 256)
        for number in range(steady)))
    churn = "\n".join(
        "rule add pref %d lookup 7\nroute add 203.0.%d.0/24 via 10.0.0.1 table 77\n"
        "rule del pref %d\nroute del 203.0.%d.0/24 table 77" % (number, number, number, number)
        for number in range(1, 200))
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            namespace.ip(churn)

    changer = threading.Thread(target=change)
    changer.start()
    try:
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            assert steady <= namespace.call(_count_routes, 77) <= steady + 1
    finally:
        stop.set()
        changer.join()


def _count_routes(table: int) -> int:
    with netlink.open_netlink() as connection:
        found = kernelroutes.read_routes(connection, {})
    return sum(each.table == table for each in found)


# -- pyroute2 -------------------------------------------------------------------------------------

OURS = """
from symroute_nm import kernelroutes, netlink
connection = netlink.open_netlink()
print(len(netlink.dump(connection, netlink.LINKS)), len(netlink.dump(connection, netlink.RULES)))
"""
THEIRS = """
import pyroute2
with pyroute2.IPRoute() as ipr:
    print(len(list(ipr.get_links())), len(list(ipr.get_rules())))
"""


def python(code: str) -> str:
    ran = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, universal_newlines=True, check=False)
    assert 0 == ran.returncode, ran.stderr
    return ran.stdout


@pytest.mark.parametrize("code", [OURS + THEIRS, THEIRS + OURS])
def test_pyroute2_itself_and_we_get_along(code: str) -> None:
    first, second = python(code).splitlines()
    assert first == second


def test_our_import_loads_the_messages_alone() -> None:
    loaded = python(OURS + "import sys; print(*sorted(sys.modules), sep='\\n')").splitlines()
    mine = [each for each in loaded if each.startswith("pyroute2")]
    assert "pyroute2" not in mine
    assert not [each for each in mine
                if each.startswith(("pyroute2.ndb", "pyroute2.iproute", "pyroute2.config."))]
    assert "asyncio" not in loaded
