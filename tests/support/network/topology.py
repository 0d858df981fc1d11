"""The two-uplink host between two stateful firewalls, in network namespaces.

::

    user 10.1.0.2 --- fw_users --- neighbour0 10.0.6.7
                      |      \\---- eth0 10.0.6.5 \\
    outside ------- core                          srv --- docker0 --- container 172.17.0.2
                      |      /---- eth1 10.0.5.5 /
    admin 10.2.0.2 -- fw_admins -- neighbour1 10.0.5.7

Each firewall is the gateway of its uplink's network, and every other address is reached by `core`:
a user who asks 10.0.5.5 comes in by eth1. IPv6 is laid out alike (2001:db8:6::5, 2001:db8:5::5).
"""

import contextlib
import os
import secrets
import socket
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Callable, Dict, List, Optional, Tuple, Type, TypeVar

from support.network import traffic

PORT = 5000
NAMESPACES = [
    "srv",
    "container",
    "user",
    "admin",
    "neighbour0",
    "neighbour1",
    "fw_users",
    "fw_admins",
    "core",
    "outside",
]
CABLES = (
    ("srv", "eth0", "fw_users", "port0"),
    ("neighbour0", "eth0", "fw_users", "port1"),
    ("user", "eth0", "fw_users", "client"),
    ("fw_users", "upward", "core", "users"),
    ("srv", "eth1", "fw_admins", "port0"),
    ("neighbour1", "eth0", "fw_admins", "port1"),
    ("admin", "eth0", "fw_admins", "client"),
    ("fw_admins", "upward", "core", "admins"),
    ("outside", "eth0", "core", "out"),
)
# Where each host is asked: {namespace: (IPv4, IPv6)}
HOSTS = {
    "user": ("10.1.0.2", "2001:db8:1::2"),
    "admin": ("10.2.0.2", "2001:db8:2::2"),
    "outside": ("198.51.100.2", "2001:db8:ff::2"),
    "neighbour0": ("10.0.6.7", "2001:db8:6::7"),
    "neighbour1": ("10.0.5.7", "2001:db8:5::7"),
}
SERVER = {"eth0": ("10.0.6.5", "2001:db8:6::5"), "eth1": ("10.0.5.5", "2001:db8:5::5")}
GATEWAY = {"eth0": ("10.0.6.1", "2001:db8:6::1"), "eth1": ("10.0.5.1", "2001:db8:5::1")}
# ip commands that make up a firewall: name of the networks' third number, client's, core's
FIREWALL = """
link add lan type bridge
link set port0 master lan up
link set port1 master lan up
link set lan up
link set client up
link set upward up
addr add 10.0.{lan}.1/24 dev lan
addr add 10.{client}.0.1/24 dev client
addr add 10.9.{client}.2/24 dev upward
route add default via 10.9.{client}.1
addr add 2001:db8:{lan}::1/64 dev lan nodad
addr add 2001:db8:{client}::1/64 dev client nodad
addr add 2001:db8:9{client}::2/64 dev upward nodad
route add default via 2001:db8:9{client}::1
"""
CORE = """
link set users up
link set admins up
link set out up
addr add 10.9.1.1/24 dev users
addr add 10.9.2.1/24 dev admins
addr add 198.51.100.1/24 dev out
addr add 2001:db8:91::1/64 dev users nodad
addr add 2001:db8:92::1/64 dev admins nodad
addr add 2001:db8:ff::1/64 dev out nodad
route add 10.0.6.0/24 via 10.9.1.2
route add 10.1.0.0/24 via 10.9.1.2
route add 10.0.5.0/24 via 10.9.2.2
route add 10.2.0.0/24 via 10.9.2.2
route add 2001:db8:6::/64 via 2001:db8:91::2
route add 2001:db8:1::/64 via 2001:db8:91::2
route add 2001:db8:5::/64 via 2001:db8:92::2
route add 2001:db8:2::/64 via 2001:db8:92::2
"""
# What a firewall does not know from its beginning it does not let through; nor, on the side of its
# own network, a sender from another one (RFC 2827), which is what tells a client's firewall that an
# answer came the wrong way although the request had passed it.
FIREWALL_RULES = """
table inet firewall {{
  chain forward {{
    type filter hook forward priority 0; policy drop;
    iifname "lan" ip saddr != 10.0.{lan}.0/24 drop
    iifname "lan" ip6 saddr != 2001:db8:{lan}::/64 drop
    ct state invalid drop
    ct state established,related accept
    ct state new tcp flags & (syn | ack) == syn accept
    ct state new udp dport {{ 80, 8080-8089 }} accept
    ct state new icmp type echo-request accept
    ct state new icmpv6 type echo-request accept
  }}
}}
"""
# What a container engine sets up: the container's port 80 published as 8080, and a way out.
CONTAINER_RULES = """
table ip nat {
  chain prerouting {
    type nat hook prerouting priority -100;
    ip daddr { 10.0.6.5, 10.0.5.5 } tcp dport 8080 dnat to 172.17.0.2:80
  }
  chain postrouting {
    type nat hook postrouting priority 100;
    ip saddr 172.16.0.0/12 oifname { "eth0", "eth1" } masquerade
  }
}
"""
QUIET = (  # no waiting for duplicate address detection, no other way in or out than ours
    ("ipv6/conf/all/accept_dad", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/all/disable_ipv6", "0"),
    ("ipv6/conf/default/disable_ipv6", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
    ("ipv4/conf/all/accept_redirects", "0"),
    ("ipv4/conf/all/send_redirects", "0"),
    ("ipv4/conf/default/send_redirects", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    ("ipv4/conf/all/rp_filter", "0"),
)
ROUTER = (("ipv4/ip_forward", "1"), ("ipv6/conf/all/forwarding", "1"))
UNFILTERED_BRIDGE = (
    ("bridge/bridge-nf-call-iptables", "0"),
    ("bridge/bridge-nf-call-ip6tables", "0"),
)
SERVER_SYSCTLS = (
    ("ipv4/ip_forward", "1"),
    ("ipv4/conf/all/rp_filter", "1"),
    ("ipv4/conf/default/rp_filter", "1"),
)


Self = TypeVar("Self", bound="Network")


class Network:
    """The namespaces with all that is in them; a context manager. Needs root.

    `best` is the uplink of the server's best default route.
    """

    def __init__(self, best: str = "eth1") -> None:
        self.best = best
        self._prefix = f"sr{secrets.token_hex(3)}-"
        self._made: List[str] = []
        self._listeners: List[traffic.Listener] = []

    def __enter__(self: Self) -> Self:
        try:
            self.build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave nothing behind, however far the building went."""
        for listener in self._listeners:
            listener.close()
        for name in self._made:
            subprocess.run(["ip", "netns", "del", name], check=False)

    def build(self) -> None:
        """Make everything; `close` is due even after a failure."""
        for name in NAMESPACES:
            self._add_namespace(name)
        cable = "link add {1} netns {0} type veth peer name {3} netns {2}"
        batch([cable.format(self.ns(a), one, self.ns(b), other) for a, one, b, other in CABLES], "")
        self._build_routers()
        for name, addresses in HOSTS.items():
            self._attach(name, addresses)
        self._build_server()
        self._listen()

    def ns(self, name: str) -> str:
        """The real name of a namespace."""
        return self._prefix + name

    def _add_namespace(self, name: str) -> None:
        execute(["ip", "netns", "add", self.ns(name)])
        self._made.append(self.ns(name))
        self.inside(name, traffic.set_sysctls, QUIET)
        self.ip(name, ["link set lo up"])

    def inside(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """What `function` returns when called in a namespace."""
        return traffic.call_inside(self.ns(name), function, *arguments)

    def ip(self, name: str, lines: List[str]) -> None:
        """Run ip commands in a namespace; raises AssertionError at the first that fails."""
        batch(lines, self.ns(name))

    def _nft(self, name: str, text: str) -> None:
        execute(["nsenter", "--net=/run/netns/" + self.ns(name), "nft", "-f", "-"], text)

    def _build_routers(self) -> None:
        for name, lan, client in (("fw_users", 6, 1), ("fw_admins", 5, 2)):
            self.ip(name, FIREWALL.format(lan=lan, client=client).split("\n"))
            self._nft(name, FIREWALL_RULES.format(lan=lan))
            self.inside(name, traffic.set_sysctls, ROUTER)
            # A connection is known from its first packet on, or not at all.
            strict = (("netfilter/nf_conntrack_tcp_loose", "0"),)
            self.inside(name, traffic.set_sysctls, strict)
            # Neighbours on one network talk past the firewall, even where br_netfilter is loaded.
            if self.inside(name, Path.exists, Path("/proc/sys/net/bridge")):
                self.inside(name, traffic.set_sysctls, UNFILTERED_BRIDGE)
        self.ip("core", CORE.split("\n"))
        self.inside("core", traffic.set_sysctls, ROUTER)

    def _attach(self, name: str, addresses: Tuple[str, str]) -> None:
        four, six = addresses
        lines = ["link set eth0 up", f"addr add {four}/24 dev eth0"]
        lines += [f"addr add {six}/64 dev eth0 nodad"]
        lines += ["route add default via {}.1".format(four.rpartition(".")[0])]
        self.ip(name, [*lines, "route add default via {}::1".format(six.rpartition("::")[0])])

    def _build_server(self) -> None:
        self.inside("srv", traffic.set_sysctls, SERVER_SYSCTLS)
        strict = tuple((f"ipv4/conf/{each}/rp_filter", "1") for each in SERVER)
        self.inside("srv", traffic.set_sysctls, strict)
        for device in SERVER:
            self.ip("srv", self.configuration(device))
        self.add_container("container", "docker0", "172.17")
        self._nft("srv", CONTAINER_RULES)

    def configuration(self, device: str) -> List[str]:
        """What NetworkManager does before pre-up: up, addresses, default routes with a metric."""
        metric = 100 if device == self.best else 101
        lines = [f"link set {device} up"]
        for address, length in zip(SERVER[device], (24, 64)):
            nodad = "" if length == 24 else " nodad"
            lines.append(f"addr add {address}/{length} dev {device}{nodad}")
        for gateway in GATEWAY[device]:
            lines.append(f"route add default via {gateway} dev {device} metric {metric}")
        return lines

    def served(self) -> Dict[int, socket.socket]:
        """The echo services' ends of open connections: {the client's port: socket}."""
        found = {}
        for connection in (each for one in self._listeners for each in one.connections):
            with contextlib.suppress(OSError):  # closed
                found[connection.getpeername()[1]] = connection
        return found

    def add_container(self, name: str, bridge: str, network: str) -> None:
        """Add `bridge` with NETWORK.0.1/16 and behind it a namespace with NETWORK.0.2."""
        if self.ns(name) not in self._made:
            self._add_namespace(name)
        port = "p-" + bridge
        peer = "peer name eth0 netns " + self.ns(name)
        lines = [f"link add {bridge} type bridge", f"link add {port} type veth {peer}"]
        lines += [f"link set {port} master {bridge} up", f"link set {bridge} up"]
        self.ip("srv", [*lines, f"addr add {network}.0.1/16 dev {bridge}"])
        lines = ["link set eth0 up", f"addr add {network}.0.2/16 dev eth0"]
        self.ip(name, [*lines, f"route add default via {network}.0.1"])

    def _listen(self) -> None:
        for name in ("srv", *HOSTS):
            for family in (socket.AF_INET, socket.AF_INET6):
                self._listeners.append(self.inside(name, traffic.Listener, family, PORT))
        service = self.inside("container", traffic.Listener, socket.AF_INET, 80)
        self._listeners.append(service)


def batch(lines: List[str], namespace: str) -> None:
    """Run ip commands in a namespace; raises AssertionError at the first that fails."""
    where = ["-n", namespace] if namespace else []
    execute(["ip", *where, "-batch", "-"], "\n".join(lines) + "\n")


def execute(command: List[str], text: str = "") -> None:
    """Run a command that must work, with `text` on its stdin."""
    ran = subprocess.run(
        command,
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        check=False,
        env=dict(os.environ, PATH="/usr/sbin:/usr/bin:/sbin:/bin"),
    )
    assert ran.returncode == 0, "{} failed: {}".format(" ".join(command), ran.stderr)
