"""The lab with published ports: containers on two bridges and one beside eth0, DNAT by nft or by
iptables-legacy, IPv4 and IPv6, and firewalld where a test wants it."""

import socket
import subprocess
import time
from pathlib import Path
from typing import Dict, List, Tuple

from support.network import traffic
from support.network.lab import Flow, Lab
from support.network.topology import HOSTS, SERVER

CLIENTS = ("user", "admin", "neighbour0", "neighbour1")
# {namespace: (bridge, IPv4 network, IPv6 network, published port)}
CONTAINERS = {
    "container": ("docker0", "172.17", "fd00:17", 8080),
    "second": ("docker1", "172.18", "fd00:18", 8081),
}
BESIDE = ("10.0.6.77", "2001:db8:6::77")  # the macvlan container on eth0
SERVICE = 80
NFT = """
table {family} nat {{
  chain prerouting {{
    type nat hook prerouting priority -100;
    {family} daddr {{ {addresses} }} meta l4proto {{ tcp, udp }} th dport {port} dnat to {target}
  }}
  chain postrouting {{
    type nat hook postrouting priority 100;
    {family} saddr {network} oifname {{ "eth0", "eth1" }} masquerade
  }}
}}
"""
IPTABLES = """*nat
-A PREROUTING -m addrtype --dst-type LOCAL -p tcp --dport {port} -j DNAT --to-destination {target}
-A PREROUTING -m addrtype --dst-type LOCAL -p udp --dport {port} -j DNAT --to-destination {target}
-A POSTROUTING -s {network} -o eth+ -j MASQUERADE
COMMIT
"""
MARKS = "/etc/NetworkManager/dispatcher.d/pre-up.d/90-symroute-nm"
_PATIENCE = 20.0  # seconds for a daemon to start


class PublishingLab(Lab):
    """The lab whose containers publish ports; `legacy`: all by iptables-legacy, and no nft there.

    `firewalld` is its backend, "" for none.
    """

    def __init__(
        self,
        script: Path,
        profiles: Dict[str, str],
        best: str = "eth1",
        legacy: bool = False,
        firewalld: str = "",
    ) -> None:
        super().__init__(script, profiles, best)
        self.legacy = legacy
        self.firewalld = firewalld
        self._daemons: List[subprocess.Popen[bytes]] = []

    def build(self) -> None:
        """The network, the files, and the containers' services."""
        super().build()
        self.inside("srv", traffic.set_sysctls, (("ipv6/conf/all/forwarding", "1"),))
        for name, (bridge, four, six, _) in CONTAINERS.items():
            if name != "container":
                self.add_container(name, bridge, four)
            self.add_ipv6(name, bridge, six)
            self.serve(name)
        self._add_beside()
        if self.legacy:
            self._use_legacy()
        if self.firewalld:
            self._start_firewalld()
        self.publish_all()

    def publish_all(self) -> None:
        """What Docker does when it starts, and again when firewalld says that it has reloaded."""
        for _, four, six, port in CONTAINERS.values():
            self.publish(four, six, port)

    def close(self) -> None:
        """Stop the daemons, then the rest."""
        for daemon in reversed(self._daemons):
            daemon.terminate()
            daemon.wait()
        super().close()

    def add_ipv6(self, name: str, bridge: str, network: str) -> None:
        """Give bridge and container NETWORK::1 and ::2."""
        self.ip("srv", [f"addr add {network}::1/64 dev {bridge} nodad"])
        self.ip(
            name,
            [f"addr add {network}::2/64 dev eth0 nodad", f"route add default via {network}::1"],
        )

    def serve(self, name: str) -> None:
        """Echo services on the container's port 80: TCP and UDP, both families."""
        for kind in (traffic.Listener, traffic.Responder):
            for family in (socket.AF_INET, socket.AF_INET6):
                # The plain lab's container has one already.
                if (name, kind, family) != ("container", traffic.Listener, socket.AF_INET):
                    self._listeners.append(self.inside(name, kind, family, SERVICE))

    def publish(self, four: str, six: str, port: int) -> None:
        """DNAT of the port at both of the host's addresses, and the containers' way out."""
        for version, (family, target, network) in enumerate(
            (
                ("ip", f"{four}.0.2:{SERVICE}", four + ".0.0/16"),
                ("ip6", f"[{six}::2]:{SERVICE}", six + "::/64"),
            )
        ):
            words = {
                "family": family,
                "target": target,
                "network": network,
                "port": port,
                "addresses": ", ".join(each[version] for each in SERVER.values()),
            }
            if self.legacy:
                program = "ip6tables" if version else "iptables"
                self.feed([program + "-legacy-restore", "-n"], IPTABLES.format(**words))
            else:
                self._nft("srv", NFT.format(**words))

    def feed(self, command: List[str], text: str) -> None:
        """Run a command in the server's network with text on its stdin."""
        subprocess.run(
            ["nsenter", "--net=/run/netns/" + self.ns("srv"), *command],
            input=text.encode(),
            check=True,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        )

    def _add_beside(self) -> None:
        """A container with a macvlan device on eth0, in eth0's own network."""
        self._add_namespace("beside")
        self.ip(
            "srv",
            [
                "link add beside link eth0 type macvlan mode bridge",
                "link set beside netns {}".format(self.ns("beside")),
            ],
        )
        self.ip(
            "beside",
            [
                "link set beside name eth0",
                "link set eth0 up",
                f"addr add {BESIDE[0]}/24 dev eth0",
                f"addr add {BESIDE[1]}/64 dev eth0 nodad",
                "route add default via 10.0.6.1",
                "route add default via 2001:db8:6::1",
            ],
        )
        self.serve("beside")

    def _use_legacy(self) -> None:
        """As on RHEL 7: what is called iptables is the legacy one, and no nft is installed."""
        for path in self.path("/etc/alternatives").glob("ip*tables*"):
            family = "ip6tables" if path.name.startswith("ip6") else "iptables"
            path.unlink()
            suffix = path.name[len(family) :]
            path.symlink_to(f"/usr/sbin/{family}-legacy{suffix}")
        self.must(["mount", "--bind", "/dev/null", "/usr/sbin/nft"])

    def must(self, command: List[str]) -> str:
        """What a command on the server prints; it has to work."""
        ran = self.run(command)
        assert ran.returncode == 0, "{}: {}".format(" ".join(command), ran.stdout + ran.stderr)
        return ran.stdout

    # -- firewalld --------------------------------------------------------------------------------

    def _start_firewalld(self) -> None:
        unit = self.path("/etc/systemd/system/multi-user.target.wants/firewalld.service")
        unit.parent.mkdir(parents=True, exist_ok=True)
        unit.symlink_to("/lib/systemd/system/firewalld.service")
        conf = self.path("/etc/firewalld/firewalld.conf")
        text = "\n".join(
            line
            for line in conf.read_text().splitlines()
            if not line.startswith(("FirewallBackend", "IPv6_rpfilter"))
        )
        conf.write_text(f"{text}\nFirewallBackend={self.firewalld}\nIPv6_rpfilter=yes\n")
        zone = '<?xml version="1.0" encoding="utf-8"?>\n<zone target="ACCEPT">%s<forward/></zone>\n'
        links = ("eth0", "eth1", *(each[0] for each in CONTAINERS.values()))
        self.write(
            "/etc/firewalld/zones/trusted.xml",
            zone % "".join(f'<interface name="{link}"/>' for link in links),
        )
        (self.folder / "run" / "dbus").mkdir()
        self._spawn(["dbus-daemon", "--system", "--nofork", "--nopidfile", "--nosyslog"])
        self._await(
            [
                "dbus-send",
                "--system",
                "--print-reply",
                "--dest=org.freedesktop.DBus",
                "/",
                "org.freedesktop.DBus.GetId",
            ]
        )
        self._spawn(["firewalld", "--nofork", "--nopid"])
        self._await(["firewall-cmd", "--state"])

    def restart_firewalld(self) -> None:
        """As systemctl restart firewalld does."""
        daemon = self._daemons.pop()
        daemon.terminate()
        daemon.wait()
        self._spawn(["firewalld", "--nofork", "--nopid"])
        self._await(["firewall-cmd", "--state"])

    def _spawn(self, command: List[str]) -> None:
        assert self._keeper
        inside = ["nsenter", "-t", str(self._keeper.pid), "-m", "-n"]
        self._daemons.append(
            subprocess.Popen(
                inside + command,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )

    def _await(self, command: List[str]) -> None:
        deadline = time.monotonic() + _PATIENCE
        while self.run(command).returncode:
            assert time.monotonic() < deadline, f"{command[0]} does not start"
            time.sleep(0.1)

    # -- what NetworkManager does -----------------------------------------------------------------

    def dispatch(self, device: str, action: str) -> str:
        """As NetworkManager: one script after the other, by name; ours where it is allowed."""
        said = super().dispatch(device, action)
        if action == "pre-up" and self.path(MARKS).exists():
            assert self.path(MARKS).stat().st_mode & 0o7777 == 0o755  # nm-dispatcher.c asks that
            said += self.run([MARKS, device, action]).stderr
        return said

    # -- judging ----------------------------------------------------------------------------------

    def published(self, ports: Tuple[int, ...] = (8080, 8081)) -> List[Flow]:
        """Everybody asks each published port at each of the host's addresses."""
        return [
            Flow(client, kind, address, port)
            for client in CLIENTS
            for kind in ("tcp", "udp")
            for addresses in SERVER.values()
            for address in addresses
            for port in ports
        ]

    def outwards(self) -> List[Flow]:
        """What containers begin themselves, and the container beside eth0."""
        return [
            *(
                Flow(name, kind, address)
                for name in CONTAINERS
                for kind in ("ping", "tcp")
                for address in HOSTS["outside"]
            ),
            *(
                Flow(client, kind, address, SERVICE)
                for client in ("user", "admin", "neighbour0", "neighbour1", "outside")
                for kind in ("tcp", "udp")
                for address in BESIDE
            ),
            *(Flow("beside", "tcp", address) for address in HOSTS["outside"]),
        ]

    def wanted(self) -> List[Flow]:
        """Everything that works with marks."""
        plain = [each for each in self.expected() if each.port != SERVICE]
        return [*plain, *self.published(), *self.outwards()]


def converse(namespace: str, destination: str, port: int) -> socket.socket:
    """A TCP connection from a namespace, to be gone on with by `finish`; raises OSError."""
    found: socket.socket = traffic.call_inside(
        namespace, socket.create_connection, (destination, port), traffic.PATIENCE
    )
    return found
