"""A change of the kernel that waits to be confirmed: begun, watched, and what it leaves."""

import os
import re
import select
import subprocess
import sys
import time
from pathlib import Path

from symroute_nm.files import blocks

FINE, FINDING, INPUT, REFUSED, SYSTEM = 0, 1, 2, 3, 4
PATIENCE = 30  # seconds that a loaded machine may take for what takes none
SCRIPTS = "etc/sysconfig/network-scripts"
MADE = b"the kernel is changed"


def kernel(space, *options):
    """All rules and tables of both families, as `ip` shows them."""
    found = []
    for family in ("-4", "-6"):
        for words in (["rule", "show"], ["route", "show", "table", "all"]):
            shown = space.run(["ip", family, *options, *words]).stdout.decode()
            found.append(re.sub("expires [0-9]+sec", "expires soon", shown))
    return found


def files(root):
    return {
        path.relative_to(root): path.read_bytes()
        for path in (root / "etc").rglob("*")
        if path.is_file()
    }


def start(space, root, *words, **options):
    """A command of ours inside, with stderr to be read."""
    return subprocess.Popen(
        [
            "nsenter",
            "--net=/run/netns/" + space.name,
            sys.executable,
            "-m",
            "symroute_nm",
            *words,
            "--root",
            str(root),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def wait_for(process, text):
    """Read stderr up to a line with the text."""
    end = time.monotonic() + PATIENCE
    said = b""
    while text not in said:
        assert select.select([process.stderr], [], [], max(0, end - time.monotonic()))[0], said
        piece = os.read(process.stderr.fileno(), 4096)
        assert piece, said
        said += piece
    return said


def until(condition):
    """Wait until it holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited for nothing"
        time.sleep(0.02)


def keepers(root):
    """The processes that watch over a change below this root, of whatever session."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if str(root).encode() in words and b"symroute_nm" in words:
            found.append(int(folder.name))
    return found


def is_planned(space):
    return "from 10.0.6.5 lookup" in kernel(space)[0]


def clean(space, root):
    """Nobody watches any more, and nothing of the change is left below /run, nor below the root."""
    until(lambda: not keepers(root))
    assert {"lock"} == {path.name for path in space.state.iterdir()}
    assert not (root / "run").exists()


def odd_things(space, root):
    """Tables of ours with what no plan has: all of it must come back as it was."""
    (root / "etc/iproute2/rt_tables.d/symroute-nm.conf").write_bytes(
        blocks.put(None, "100 eth0\n101 eth1\n")
    )
    space.ip("""
        rule add priority 20000 from 10.0.6.88 lookup 100 suppress_prefixlength 0
        rule add priority 20001 from 10.0.6.88 lookup main suppress_prefixlength 0
        rule add priority 20002 from 10.0.6.88 lookup 100
        rule add priority 20002 from 10.0.6.5 lookup 100
        rule add priority 20002 from 10.0.6.89 lookup 100
        route add 10.0.6.0/24 dev eth0 src 10.0.6.5 table 100
        route add 10.9.0.0/16 via 10.0.6.1 dev eth0 table 100 mtu lock 1400 proto static metric 7
        route add 10.8.0.0/16 table 100 nexthop via 10.0.6.2 dev eth0 nexthop via 10.0.6.3 dev eth0
        route add throw 10.7.0.0/16 table 100
        route add default via 10.0.6.9 dev eth0 onlink table 100
        route append default via 10.0.6.1 dev eth0 table 100 mtu 1300
        route append default via 10.0.6.1 dev eth0 table 100 mtu 1400
        route append default via 10.0.6.8 dev eth0 table 100
        route add blackhole 10.6.0.0/16 table 101 metric 5
        route add 10.44.0.0/24 dev eth0 table 101
        route add 10.5.0.0/30 via 10.44.0.1 dev eth0 table 101 tos 0x10 realm 5/6
        route add 10.4.0.0/16 table 101 nexthop via 10.0.6.2 dev eth0 nexthop via 10.0.5.3 dev eth1
        nexthop add id 5 via 10.0.6.9 dev eth0
        nexthop add id 6 blackhole
        route add 10.3.0.0/16 nhid 5 table 101
        route add 10.2.0.0/16 nhid 6 table 101""")
    space.ip(
        """
        route add 2001:db8:a::/48 table 100 nexthop via 2001:db8:6::2 nexthop via 2001:db8:5::3
        route add default dev eth0 table 101 metric 1024
        route append default via 2001:db8:6::9 dev eth0 table 101 metric 1024
        route add 2001:db8:b::/48 via 2001:db8:6::2 dev eth0 table 101 expires 3600
        route add 2001:db8:9::/48 via 2001:db8:6::2 dev eth0 table 100 metric 9 mtu 1400
        route add throw 2001:db8:8::/48 table 101
        rule add priority 20002 from 2001:db8:6::77 lookup 100""",
        "-6",
    )
