"""The two-uplink server in its network (`topology`), with files of its own, the real dispatcher
script, and the judgement of packets."""

from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Set, Tuple

from support.network import traffic
from support.network.machine import NETWORK_SCRIPTS, Machine
from support.network.topology import GATEWAY, HOSTS, PORT, SERVER, Network

SIZE = 20000  # bytes each way: more than one segment, more than the first window
IFCFG = """TYPE=Ethernet
DEVICE={0}
BOOTPROTO=none
IPADDR={1}
PREFIX=24
GATEWAY={3}
IPV6INIT=yes
IPV6_AUTOCONF=no
IPV6ADDR={2}/64
IPV6_DEFAULTGW={4}
ONBOOT=yes
"""
PROFILES = {"eth0": "Wired_connection_1", "eth1": "System_eth1"}
GUARDS = ("rules", "throw")
REPEATED = {"RTNETLINK answers: File exists"}


class Flow(NamedTuple):
    """One thing that should work: who asks whom, and by what ("ping", "tcp" or "udp")."""

    source: str
    kind: str
    destination: str
    port: int = PORT

    @property
    def name(self) -> str:
        """For people, e.g. ``user tcp 10.0.6.5``."""
        port = "" if self.port == PORT else f":{self.port}"
        return f"{self.source} {self.kind} {self.destination}{port}"


class Lab(Network, Machine):
    """The network, the server's private files, and what can be done with both; a context manager.

    `profiles` is {device: name of its profile}, `script` the dispatcher script.
    """

    def __init__(self, script: Path, profiles: Dict[str, str], best: str = "eth1") -> None:
        Network.__init__(self, best)
        Machine.__init__(self, script, self.ns("srv"), profiles)

    def build(self) -> None:
        """Make the network, then the files."""
        super().build()
        self.lay_out_files()
        for device, profile in self.profiles.items():
            text = IFCFG.format(device, *SERVER[device], *GATEWAY[device])
            self.write(f"{NETWORK_SCRIPTS}/ifcfg-{profile}", text)

    def close(self) -> None:
        """Leave nothing behind, however far the building went."""
        super().close()
        self.leave()

    # -- judging ----------------------------------------------------------------------------------

    def flows(self) -> Dict[str, bool]:
        """{name: whether it works} for all that should work on this host."""
        return self.check(self.expected())

    def check(self, flows: List[Flow]) -> Dict[str, bool]:
        """{name: whether it works}, all tried at the same time."""
        ping, exchange = traffic.ping, traffic.exchange
        calls: List[Tuple[str, Callable[..., Any], Tuple[Any, ...]]] = []
        for flow in flows:
            if flow.kind == "ping":
                calls.append((self.ns(flow.source), ping, (flow.destination,)))
            elif flow.kind == "udp":
                arguments = (flow.destination, flow.port)
                calls.append((self.ns(flow.source), traffic.ask, arguments))
            else:
                calls.append((self.ns(flow.source), exchange, (flow.destination, flow.port, SIZE)))
        results = traffic.call_all(calls)
        return {flow.name: result for flow, result in zip(flows, results)}

    def expected(self) -> List[Flow]:
        """All flows that a rightly configured host serves."""
        found = []
        for version in (0, 1):
            for client in ("user", "admin", "neighbour0", "neighbour1"):
                found += _both(client, [each[version] for each in SERVER.values()])
            found += _both("srv", [each[version] for each in HOSTS.values()])
        found += container_flows("container")
        return [*found, Flow("user", "tcp", SERVER[self.best][0], 8080)]


def container_flows(name: str) -> List[Flow]:
    """What a container needs: both of the host's addresses, and the world."""
    return _both(name, [each[0] for each in SERVER.values()] + [HOSTS["outside"][0]])


def _both(source: str, destinations: List[str]) -> List[Flow]:
    return [
        Flow(source, kind, destination) for destination in destinations for kind in ("ping", "tcp")
    ]


def generate(lab: Lab, *options: str) -> None:
    """Have symroute-nm write the server's files."""
    ran = lab.symroute("generate", *options)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def broken(flows: Dict[str, bool]) -> Set[str]:
    """The names of the flows that do not work."""
    return {name for name, works in flows.items() if not works}


def names(flows: List[Flow]) -> Set[str]:
    """The names of flows."""
    return {flow.name for flow in flows}
