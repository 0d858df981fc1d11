"""The probe of the real kernel, tables that change meanwhile, and pyroute2 beside us."""

import subprocess
import sys
import threading
import time

import pytest

from support.network.namespaces import Namespace
from symroute_nm.kernel import netlink, rtnetlink

PROBE = "from symroute_nm.kernel.netlink import probe_suppression; print(probe_suppression())"

# Imports first: the interpreter's own files may be root's alone.
PROBE_AS_NOBODY = """
import ctypes, os
from symroute_nm.kernel import netlink, rtnetlink
netlink.dump(netlink.open_netlink(), netlink.RULES)
os.setgroups([]), os.setgid(65534), os.setuid(65534)
print(netlink.probe_suppression())
"""


def test_the_probe_tells_what_the_kernel_can(namespace: Namespace) -> None:
    # This kernel's own word: iproute2 reads back what it has set.
    with Namespace() as other:
        other.ip("rule add pref 1 lookup 1 suppress_prefixlength 0")
        known = [entry.get("suppress_prefixlen") for entry in other.ask("rule")]
    ran = namespace.python(PROBE)
    assert (b"%r\n" % (0 in known), b"") == (ran.stdout, ran.stderr)


def test_the_probe_leaves_nothing_behind(namespace: Namespace) -> None:
    before = namespace.ask("rule"), namespace.ask("link")
    ran = namespace.python(
        f"""
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
{PROBE}
deadline = time.monotonic() + 5
while before != seen() and time.monotonic() < deadline:
    time.sleep(0.01)  # a thread that was joined is still listed for a moment
print(before == seen() or (before, seen()))
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    print("no child")
"""
    )
    assert ["True", "True", "no child"] == ran.stdout.decode().splitlines(), ran.stderr
    assert before == (namespace.ask("rule"), namespace.ask("link"))


def test_the_probe_without_privilege_is_true_or_unknown(namespace: Namespace) -> None:
    may = namespace.run(
        [
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "unshare",
            "--user",
            "--net",
            "true",
        ]
    )
    ran = namespace.python(PROBE_AS_NOBODY)
    assert (b"True\n" if may.returncode == 0 else b"None\n", b"") == (ran.stdout, ran.stderr)


def test_the_probe_where_no_namespace_may_be_made_is_unknown(namespace: Namespace) -> None:
    inner = 'echo 0 > /proc/sys/user/max_net_namespaces && exec "$@"'
    ran = namespace.run(
        [
            "unshare",
            "--user",
            "--map-root-user",
            "sh",
            "-c",
            inner,
            "sh",
            sys.executable,
            "-c",
            PROBE,
        ]
    )
    assert (b"None\n", b"") == (ran.stdout, ran.stderr)


def test_the_probe_without_a_process_to_spare_is_unknown(namespace: Namespace) -> None:
    limited = (
        "import resource"
        + PROBE_AS_NOBODY.replace(
            "print(",
            """
resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
before = sorted(os.listdir("/proc/self/fd"))
print(""",
        )
        + "assert before == sorted(os.listdir('/proc/self/fd'))\n"
    )
    ran = namespace.python(limited)
    assert (b"None\n", b"") == (ran.stdout, ran.stderr)


def test_the_probe_in_a_child_answers_alike(namespace: Namespace) -> None:
    ran = namespace.python(
        "from symroute_nm.kernel import netlink; print(netlink._probe_in_child())"
    )
    assert (b"y\n", b"") == (ran.stdout, ran.stderr)


def test_a_table_that_changes_all_the_time_is_read_whole(namespace: Namespace) -> None:
    namespace.ip(
        "link add v0 type veth peer name v1\nlink set v0 up\nlink set v1 up\n"
        "addr add 10.0.0.5/24 dev v0"
    )
    steady = 3000
    namespace.ip(
        "\n".join(
            f"route add 100.{100 + number // 256}.{number % 256}.0/24 via 10.0.0.1 table 77"
            for number in range(steady)
        )
    )
    churn = "\n".join(
        f"rule add pref {number} lookup 7\n"
        f"route add 203.0.{number}.0/24 via 10.0.0.1 table 77\n"
        f"rule del pref {number}\n"
        f"route del 203.0.{number}.0/24 table 77"
        for number in range(1, 200)
    )
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
        found = rtnetlink.read_routes(connection, {})
    return sum(each.table == table for each in found)


OURS = """
from symroute_nm.kernel import netlink, rtnetlink
connection = netlink.open_netlink()
print(len(netlink.dump(connection, netlink.LINKS)), len(netlink.dump(connection, netlink.RULES)))
"""

THEIRS = """
import pyroute2
with pyroute2.IPRoute() as ipr:
    print(len(list(ipr.get_links())), len(list(ipr.get_rules())))
"""


def python(code: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        check=False,
    )
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
    assert not [
        each
        for each in mine
        if each.startswith(("pyroute2.ndb", "pyroute2.iproute", "pyroute2.config."))
    ]
    assert "asyncio" not in loaded
