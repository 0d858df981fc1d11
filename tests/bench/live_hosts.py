"""Large hosts in network namespaces for the benchmarks; for VLANs there are macvlans."""

import contextlib
import sys
import tempfile
from pathlib import Path
from typing import Iterator, List, Tuple

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS.parent)]

from support import hosts
from support.hosts import make_plan
from support.network import namespaces
from symroute_nm.model.network import Route, Rule
from symroute_nm.model.profiles import Profile
from symroute_nm.model.settings import Settings

IFCFG = "etc/sysconfig/network-scripts/ifcfg-%s"
_BATCH = 50000
_MOST_PORTS = 1000  # of a bridge; the kernel allows 1023


def network(number: int) -> str:
    """The first three octets of an uplink's network."""
    return "10.{}.{}".format(*divmod(number, 250))


def uplink_lines(number: int) -> List[str]:
    """The ip commands that make uplinks eth0 … of a host in a namespace."""
    lines = ["link add base type veth peer far", "link set base up", "link set far up"]
    for each in range(number):
        name, first = f"eth{each}", network(each)
        lines += [
            f"link add {name} link base type macvlan mode bridge",
            f"link set {name} up",
            f"addr add {first}.5/24 dev {name}",
            f"neigh replace {first}.1 lladdr 02:00:00:00:00:01 dev {name} nud permanent",
            f"route add default via {first}.1 dev {name} metric {100 + each}",
        ]
    return lines


def container_lines(veths: int, routes: int) -> List[str]:
    """A bridge with so many ports, and so many routes to containers, a tenth in a table of its own.

    Every other address, so that nothing can be aggregated.
    """
    lines = ["link add cni0 type bridge", "link set cni0 up", "addr add 192.168.0.1/16 dev cni0"]
    for number in range(veths):
        bridge = f"cni{number // _MOST_PORTS}"
        if number and not number % _MOST_PORTS:
            lines += [f"link add {bridge} type bridge", f"link set {bridge} up"]
        lines += [
            f"link add veth{number} type veth peer peer{number}",
            f"link set veth{number} master {bridge} up",
        ]
    for number in range(routes):
        address = (172 << 24) + (16 << 16) + 2 * number
        octets = ".".join(str(address >> shift & 255) for shift in (24, 16, 8, 0))
        lines.append(
            "route add {}/32 dev cni0{}".format(octets, "" if number % 10 else " table 77")
        )
    return lines


def table_lines(routes: int) -> List[str]:
    """A full table: networks that cannot be aggregated, behind routers of eth0 and eth1 in turn."""
    lines = []
    for each in range(routes):
        number = (11 << 16) + 7 * each
        destination = f"{number >> 16}.{number >> 8 & 255}.{number & 255}.0/24"
        lines.append(f"route add {destination} via {network(each % 2)}.254")
    return lines


def run_lines(space: namespaces.Namespace, lines: List[str]) -> None:
    """Run ip commands in a namespace."""
    for first in range(0, len(lines), _BATCH):
        space.ip("\n".join(lines[first : first + _BATCH]))


@contextlib.contextmanager
def live_host(
    uplinks: int, veths: int = 0, containers: int = 0, table: int = 0
) -> Iterator[Tuple[namespaces.Namespace, Path]]:
    """A namespace with such a host, and a root with its profiles."""
    with tempfile.TemporaryDirectory() as folder, namespaces.Namespace() as space:
        lines = uplink_lines(uplinks)
        if veths or containers:
            lines += container_lines(veths, containers)
        run_lines(space, lines + table_lines(table))
        for number in range(uplinks):
            path = Path(folder, IFCFG % (f"eth{number}"))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"DEVICE=eth{number}\nONBOOT=yes\nNM_CONTROLLED=no\n")
        # NetworkManager's ifcfg files know no macvlan, so these are left to initscripts.
        service = Path(folder, "etc/rc.d/rc3.d/S10network")
        service.parent.mkdir(parents=True)
        service.touch()
        yield space, Path(folder)


def model(uplinks: int) -> hosts.Host:
    """The same uplinks as a `Host`."""
    names = [f"eth{number}" for number in range(uplinks)]
    return hosts.host(
        [hosts.link(each + 2, name) for each, name in enumerate(names)],
        [hosts.address(name, network(each) + ".5/24") for each, name in enumerate(names)],
        [
            hosts.route("default", name, network(each) + ".1", metric=100 + each)
            for each, name in enumerate(names)
        ],
        profiles=tuple(Profile(name, id=name, device=name) for name in names),
    )


def put_in_force(space: namespaces.Namespace, uplinks: int, guard: str = "auto") -> int:
    """Put a plan for so many uplinks into their host's kernel; the number of its rules."""
    plan = make_plan(model(uplinks), Settings(guard=guard))
    rules = [rule for uplink in plan.uplinks for rule in uplink.rules]
    run_lines(space, [route_line(route) for uplink in plan.uplinks for route in uplink.routes])
    run_lines(space, list(map(rule_line, rules)))
    return len(rules)


def rule_line(rule: Rule) -> str:
    """As the dispatcher script has it from the rule file."""
    words = [f"priority {rule.priority}"]
    words += [f"from {rule.sender}"] if rule.sender else []
    words += [f"iif {rule.iif}"] if rule.iif else []
    words.append(f"lookup {rule.table}")
    words += ["suppress_prefixlength 0"] if rule.suppress_prefixlength is not None else []
    return "rule add " + " ".join(words)


def route_line(route: Route) -> str:
    """As the dispatcher script has it from the route file."""
    words = [route.type if route.type != "unicast" else "", str(route.destination)]
    words += [f"via {route.hop.gateway}"] if route.hop.gateway else []
    words += [f"dev {route.hop.link}"] if route.hop.link else []
    return f"route add {' '.join(words)} table {route.table}"
