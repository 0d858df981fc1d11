"""Hosts of golden cases, built in a network namespace: the kernel's own leads to the same files."""

import re
import shutil
from pathlib import Path
from typing import Dict, NamedTuple, Tuple

import pytest

from support.golden import FOLDER
from support.network.namespaces import Namespace
from symroute_nm.errors import SymrouteError
from symroute_nm.model.host import Host
from symroute_nm.model.places import NETWORK_SCRIPTS
from symroute_nm.model.settings import GenerateOptions, Settings
from symroute_nm.readers.host import read_host
from symroute_nm.readers.settings import read_settings
from symroute_nm.workflow.proposal import Proposal, check_proof, propose

LINKS = "".join(
    """
link add eth{0} index {1} address 52:54:00:00:00:0{1} type veth peer far{0} index 1{1}
link set far{0} up
link set eth{0} up
""".format(number, number + 2)
    for number in range(2)
)
USERS, ADMINS = "addr add 10.0.6.5/24 dev eth0", "addr add 10.0.5.5/24 dev eth1"
LEASED = " valid_lft 3600 preferred_lft 3600"
BY_ETH0 = "route add default via 10.0.6.1 dev eth0 metric 101"
BY_ETH1 = "route add default via 10.0.5.1 dev eth1 metric 100"
PLAIN = "\n".join((USERS, ADMINS, BY_ETH0, BY_ETH1))
DOCKER = "link add docker0 type bridge\nlink set docker0 up\naddr add 172.17.0.1/16 dev docker0"
TUN = "tuntap add mode tun name tun0\nlink set tun0 up\naddr add 10.8.0.6 peer 10.8.0.5 dev tun0\n"
LEASE_FILES = "var/lib/NetworkManager/%s-0c7d7f3c-6a0e-4bb4-8d62-5a3a3c1f8b11-eth1.lease"
DHCLIENT = 'lease {\n  interface "eth1";\n  fixed-address 10.0.5.5;\n  option routers %s;\n}\n'
NETWORK_SERVICE = "etc/systemd/system/multi-user.target.wants/network.service"


def ifcfg(name: str, text: str = "") -> Tuple[str, str]:
    """A profile's path and text."""
    return f"{NETWORK_SCRIPTS[1:]}/ifcfg-{name}", f"DEVICE={name}\n{text}"


class Live(NamedTuple):
    """What makes the host: lines of ip-batch, files below the root beside before/, settings."""

    lines: str
    files: Dict[str, str] = {}
    settings: Settings = Settings()


def with_files(lines: str, *files: Tuple[str, str], **settings: object) -> Live:
    return Live(lines, dict(files), Settings()._replace(**settings))


DHCP = "\n".join((USERS + LEASED, ADMINS + LEASED, BY_ETH0))
LIVE = {
    "alias-file": with_files(
        f"{USERS}\n{ADMINS}\naddr add 10.0.9.5/24 dev eth1 label eth1:1\n{BY_ETH0}",
        ifcfg("eth1", "DEFROUTE=no\n"),
        ifcfg("eth1:1", "IPADDR=10.0.9.5\nGATEWAY=10.0.9.1\n"),
    ),
    "bridge-with-ports": with_files(
        """
        link add br0 type bridge
        link set eth0 master br0
        tuntap add mode tap name vnet0
        tuntap add mode tap name vnet1
        link set vnet0 master br0
        link set vnet1 master br0
        link set br0 up
        {}
        {}
        """.format(PLAIN.replace("eth0", "br0"), ""),
        ifcfg("br0", "TYPE=Bridge\n"),
        ifcfg("eth0", "BRIDGE=br0\n"),
    ),
    "dhcp-two-metrics": Live(
        "\n".join(
            (
                USERS + LEASED,
                ADMINS + LEASED,
                "route add default via 10.0.6.1 dev eth0 metric 100 proto dhcp",
                "route add default via 10.0.5.1 dev eth1 metric 101 proto dhcp",
            )
        )
    ),
    "dhcp-gateway-in-ifcfg": with_files(
        DHCP, ifcfg("eth1", "BOOTPROTO=dhcp\nDEFROUTE=no\nGATEWAY=10.0.5.1\n")
    ),
    "dhcp-dhclient-lease": with_files(DHCP, (LEASE_FILES % "dhclient", DHCLIENT % "10.0.5.1")),
    "dhcp-by-address": with_files(
        "\n".join((USERS, ADMINS + LEASED, BY_ETH0)),
        (LEASE_FILES % "internal", "ADDRESS=10.0.5.5\nROUTER=10.0.5.1\n"),
        sources="address",
    ),
    "dhcp-old-lease": with_files(DHCP, (LEASE_FILES % "dhclient", DHCLIENT % "192.168.1.1")),
    "gateway-outside": Live(
        "\n".join(
            (
                "addr add 203.0.113.5/32 dev eth0",
                ADMINS,
                BY_ETH1,
                "route add default via 100.64.0.1 dev eth0 onlink metric 101",
            )
        )
    ),
    "keepalived": Live(f"{PLAIN}\n{DOCKER}"),
    "leftover-rule": Live(
        PLAIN
        + """
        route add default via 10.0.6.1 dev eth0 table 200
        rule add priority 999 from 10.0.5.5 lookup 200"""
    ),
    "link-down": with_files(
        PLAIN
        + """
        link add eth2 type veth peer far2
        addr add 10.0.7.5/24 dev eth2""",
        ifcfg("eth2"),
    ),
    "load-balanced": Live(PLAIN + "\naddr add 10.0.6.100/32 dev lo"),
    "macvlan-of-networkmanager": with_files(
        "link add macvlan0 link eth0 type macvlan\nlink set macvlan0 up\n"
        + PLAIN.replace("eth1", "macvlan0"),
        ifcfg("macvlan0", "TYPE=Ethernet\n"),
    ),
    "macvlan": with_files(
        "link add macvlan0 link eth0 type macvlan\nlink set macvlan0 up\n"
        + PLAIN.replace("eth1", "macvlan0"),
        ifcfg("macvlan0", "NM_CONTROLLED=no\n"),
        (NETWORK_SERVICE, ""),
    ),
    "multipath": Live(
        "\n".join(
            (
                USERS,
                ADMINS,
                "route add default nexthop via 10.0.6.1 dev eth0 "
                "nexthop via 10.0.5.1 dev eth1 weight 2",
            )
        )
    ),
    "multipath-one-link": Live(
        "\n".join(
            (
                USERS,
                ADMINS,
                BY_ETH1,
                "route add default metric 101 nexthop via 10.0.6.1 dev eth0 "
                "nexthop via 10.0.6.2 dev eth0",
            )
        )
    ),
    "networks-nested": Live("""
        addr add 10.9.9.5/8 dev eth0
        addr add 10.1.0.5/16 dev eth1
        route add default via 10.9.9.1 dev eth0 metric 101
        route add default via 10.1.0.1 dev eth1 metric 100"""),
    "nm-cloud-setup": Live(
        PLAIN
        + "".join(
            """
        route add 10.0.{0}.0/24 dev eth{1} table 3020{1} metric 10
        route add default via 10.0.{0}.1 dev eth{1} table 3040{1} metric 10
        rule add priority 3020{1} from 10.0.{0}.5 lookup 3020{1}
        rule add priority 3040{1} from 10.0.{0}.5 lookup 3040{1}""".format(*each)
            for each in ((6, 0), (5, 1))
        )
        + "\nrule add priority 30350 lookup main suppress_prefixlength 0"
    ),
    "no-carrier": with_files(
        "\n".join((USERS, ADMINS, BY_ETH1, "link set far0 down")),
        ifcfg("eth0", "GATEWAY=10.0.6.1\n"),
    ),
    "no-drop-ins": Live(PLAIN),
    "on-link-gateways": Live("""
        addr add 192.0.2.5/32 dev eth0
        addr add 10.0.5.2/31 dev eth1
        addr add 10.0.9.5/24 dev eth1
        route add 10.255.0.1/32 dev eth0
        route add default via 10.255.0.1 dev eth0 metric 101
        route add default via 10.0.5.3 dev eth1 metric 100"""),
    "point-to-point": with_files(
        "\n".join(
            (
                TUN.replace("tun0", "ppp0").replace(
                    "10.8.0.6 peer 10.8.0.5", "192.0.2.10 peer 192.0.2.1"
                ),
                USERS,
                BY_ETH0,
                "link del eth1",
                "route add default dev ppp0 metric 50",
            )
        ),
        (f"{NETWORK_SCRIPTS[1:]}/ifcfg-dsl", "DEVICE=ppp0\nTYPE=xdsl\nNM_CONTROLLED=no\n"),
        (NETWORK_SERVICE, ""),
    ),
    "same-address": Live(
        "\n".join((USERS, USERS.replace("eth0", "eth1"), ADMINS, BY_ETH0, BY_ETH1))
    ),
    "several-addresses": Live(
        PLAIN
        + """
        addr add 10.0.6.7/24 dev eth0
        addr add 10.0.6.130/25 dev eth0
        addr add 192.0.2.5/28 dev eth0"""
    ),
    "several-defaults": Live(
        PLAIN
        + """
        route add default via 10.0.6.2 dev eth0 metric 90
        route add default via 10.0.6.3 dev eth0 metric 400"""
    ),
    "shared-network": Live(
        "\n".join(
            (
                USERS,
                "addr add 10.0.6.6/24 dev eth1" + LEASED,
                BY_ETH0,
                "route add default via 10.0.6.1 dev eth1 metric 100",
            )
        )
    ),
    "slaac": Live(
        "".join(
            """
        addr add fe80::5054:ff:fe00:{2}/64 dev eth{1} nodad
        addr add 2001:db8:{0}:0:5054:ff:fe00:{2}/64 dev eth{1} nodad mngtmpaddr{3}
        route add ::/0 via fe80::{4} dev eth{1} metric 10{1}""".format(*each)
            for each in ((6, 0, 2, LEASED, 1), (5, 1, 3, LEASED, 2))
        )
    ),
    "stale-alone": Live("\n".join((USERS, BY_ETH0, "link set far1 down"))),
    "strongswan": Live(
        PLAIN
        + """
        route add 10.250.0.0/16 via 10.0.6.1 dev eth0 proto static src 10.0.6.5 table 220
        rule add priority 220 lookup 220"""
    ),
    "tailscale": Live(
        PLAIN
        + "\n"
        + TUN.replace("tun0", "tailscale0").replace("10.8.0.6 peer 10.8.0.5", "100.101.102.103/32")
        + """
        route add 100.64.9.9 dev tailscale0 table 52
        route add 100.100.100.100 dev tailscale0 table 52
        rule add priority 5210 fwmark 0x80000/0xff0000 lookup main
        rule add priority 5230 fwmark 0x80000/0xff0000 lookup default
        rule add priority 5250 fwmark 0x80000/0xff0000 unreachable
        rule add priority 5270 lookup 52"""
    ),
    "taken-priority": Live(PLAIN + "\nrule add priority 20001 from 192.0.2.0/24 lookup 200"),
    "thirty-one": Live("""
        addr add 10.0.6.5/31 dev eth0
        addr add 10.0.5.4/31 dev eth1
        route add default via 10.0.6.4 dev eth0 metric 101
        route add default via 10.0.5.5 dev eth1 metric 100"""),
    "tunnel-default": Live(
        PLAIN
        + "\n"
        + TUN
        + """
        route add default dev tun0 metric 50
        route add 10.8.0.0/24 via 10.8.0.5 dev tun0"""
    ),
    "tunnel-excluded": with_files(
        PLAIN
        + "\n"
        + TUN
        + """
        route add default dev tun0 metric 50
        route add 10.8.0.0/24 via 10.8.0.5 dev tun0""",
        exclude=("tun0",),
    ),
    "tunnel-in-halves": Live(
        PLAIN
        + "\n"
        + TUN
        + """
        route add 0.0.0.0/1 via 10.8.0.5 dev tun0
        route add 128.0.0.0/1 via 10.8.0.5 dev tun0
        route add 198.51.100.7 via 10.0.5.1 dev eth1"""
    ),
    "vendor-tables": Live(PLAIN),
}


def build(namespace: Namespace, live: Live) -> None:
    namespace.ip(LINKS)
    for name in ("eth0", "eth1"):
        namespace.sysctl(f"ipv6/conf/{name}/use_tempaddr", "2")
    namespace.ip(live.lines)


def lay_out(root: Path, case: str, live: Live) -> None:
    """The files of the host: those of the case, the two links' profiles, those of `live`."""
    before = FOLDER / case / "before"
    if before.exists():
        shutil.copytree(str(before), str(root))
    for path, text in {**dict(map(ifcfg, ("eth0", "eth1"))), **live.files}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def expected(case: str) -> Tuple[Dict[str, str], str]:
    """The files that the case creates or changes, {path: text}; and its message."""
    folder = FOLDER / case
    found = {}
    for path in (folder / "etc").rglob("*"):
        name = path.relative_to(folder)
        old = folder / "before" / name
        if path.is_file() and (not old.exists() or old.read_bytes() != path.read_bytes()):
            found[f"/{name}"] = path.read_text()
    return found, (folder / "message").read_text()


def without_ranges(line: str) -> str:
    """A failing packet's line without its destination: the kernel's broadcast routes cut more."""
    return re.sub(r" to \S+( \(and \d+ more destination ranges\))?: goes", " goes", line)


def plan(namespace: Namespace, root: Path, settings: Settings) -> Tuple[Host, Proposal]:
    host = namespace.call(read_host, root)
    return host, propose(root, host, settings, GenerateOptions())


@pytest.mark.parametrize("case", sorted(LIVE))
def test_the_kernels_own_leads_to_the_files_of_the_case(case, namespace, tmp_path):
    live, root = LIVE[case], tmp_path / "root"
    build(namespace, live)
    lay_out(root, case, live)
    configured = read_settings(root / "etc/symroute-nm.conf")
    settings = live.settings if configured == Settings() else configured
    files, message = expected(case)
    try:
        host, made = plan(namespace, root, settings)
        said = [*made.plan.notes, *check_proof(made, GenerateOptions())]
    except SymrouteError as error:
        said = [
            f"exit {error.exit_code}",
            *(f"symroute-nm: {line}" for line in str(error).splitlines()),
        ]
        assert list(map(without_ranges, message.splitlines())) == list(map(without_ranges, said))
        return
    assert not message.startswith("exit")
    assert files == {
        change.path: change.after.decode()
        for change in made.changes
        if change.kind in ("create", "update")
    }
    assert [] == [each for each in said if each not in message]
    if case == "slaac":
        assert {"eth0", "eth1"} == {address.link for address in host.addresses if address.temporary}
