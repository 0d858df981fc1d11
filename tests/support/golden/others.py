"""Hosts of golden cases by what others have there: rules, tables, and their names."""

from ipaddress import ip_network
from typing import Callable, Dict, List, Sequence

from support.hosts import (
    address,
    kernel_rules,
    link,
    plain,
    route,
)
from symroute_nm.model.host import Host
from symroute_nm.model.network import Hop, Link, Route, Rule

BIRD, STATIC = 12, 4  # linux/rtnetlink.h, RTPROT_*


def nm_cloud_setup() -> Host:
    """NetworkManager 1.42 on EC2, _nmc_mangle_connection(): rules and two tables a link."""
    rules: List[Rule] = [Rule(4, 30350, table=254, suppress_prefixlength=0)]
    routes = []
    for index, (name, own, via) in enumerate(
        (("eth0", "10.0.6.5", "10.0.6.1"), ("eth1", "10.0.5.5", "10.0.5.1"))
    ):
        source = ip_network(own + "/32")
        rules += [
            Rule(4, base + index, source=source, table=base + index) for base in (30200, 30400)
        ]
        network = str(ip_network(own + "/24", strict=False))
        routes += [
            route(network, name, table=30200 + index, metric=10),
            route("default", name, via, table=30400 + index, metric=10),
        ]
    return plain(routes=routes, rules=(*kernel_rules(), *rules))


def calico(*others: Link, routes: Sequence[Route] = (), rules: Sequence[Rule] = ()) -> Host:
    """A Kubernetes node: Calico's pods, its tunnel to other nodes, its own block blackholed."""
    pods = [
        link(100 + number, f"cali{0x12D4A061371 + number:011x}", kind="veth") for number in range(3)
    ]
    tunnel = Hop("tunl0", ip_network("10.0.6.17/32").network_address, onlink=True)
    found = [
        *(
            route(f"10.244.120.{64 + number}/32", each.name, scope=253)
            for number, each in enumerate(pods)
        ),
        Route(ip_network("10.244.120.64/26"), type="blackhole", protocol=BIRD),
        Route(ip_network("10.244.5.0/26"), hops=(tunnel,), protocol=BIRD),
        *routes,
    ]
    return plain(
        [*pods, link(90, "tunl0", kind="ipip"), *others],
        [address("tunl0", "10.244.120.65/32")],
        found,
        forwarding=(4,),
        rules=(*kernel_rules(), *rules),
    )


def calico_wireguard() -> Host:
    """Calico with WireGuard: rule 99 sends what it has not marked to table 1, for other nodes."""
    rule = Rule(4, 99, mark=0x100000, mask=0x100000, invert=True, table=1)
    return calico(
        link(91, "wireguard.cali", kind="wireguard"),
        routes=(
            route("10.244.5.0/26", "wireguard.cali", table=1),
            Route(ip_network("10.244.120.64/26"), table=1, type="throw"),
        ),
        rules=(rule,),
    )


def strongswan() -> Host:
    """strongSwan: rule 220 before all, and the peer's network in table 220 by eth0's gateway."""
    peer = Route(
        ip_network("10.250.0.0/16"),
        table=220,
        protocol=STATIC,
        hops=(Hop("eth0", ip_network("10.0.6.1/32").network_address),),
        source=ip_network("10.0.6.5/32").network_address,
    )
    return plain(routes=[peer], rules=(*kernel_rules(), Rule(4, 220, table=220)))


def tailscale() -> Host:
    """Tailscale: rules 5210 to 5270, its peers in table 52."""
    mark, mask = 0x80000, 0xFF0000
    rules = [
        Rule(4, 5210, mark=mark, mask=mask, table=254),
        Rule(4, 5230, mark=mark, mask=mask, table=253),
        Rule(4, 5250, mark=mark, mask=mask, action="unreachable"),
        Rule(4, 5270, table=52),
    ]
    return plain(
        [link(92, "tailscale0", kind="tun")],
        [address("tailscale0", "100.101.102.103/32")],
        [
            route("100.64.9.9/32", "tailscale0", table=52),
            route("100.100.100.100/32", "tailscale0", table=52),
        ],
        rules=(*kernel_rules(), *rules),
    )


def leftover_rule() -> Host:
    """An earlier attempt by hand sends all of eth1's replies by eth0."""
    rule = Rule(4, 999, source=ip_network("10.0.5.5/32"), table=200)
    return plain(
        routes=[route("default", "eth0", "10.0.6.1", table=200)], rules=(*kernel_rules(), rule)
    )


def block_in_part() -> Host:
    """Somebody's rule stands at the second of our priorities, and the user has moved ours."""
    return plain(
        rules=(*kernel_rules(), Rule(4, 20001, source=ip_network("192.0.2.0/24"), table=200))
    )


CASES: Dict[str, Callable[[], Host]] = {
    "calico": calico,
    "calico-wireguard": calico_wireguard,
    "fragment-disagrees": plain,
    "leftover-rule": leftover_rule,
    "nm-cloud-setup": nm_cloud_setup,
    "priority-moved": block_in_part,
    "strongswan": strongswan,
    "table-named-twice": plain,
    "tailscale": tailscale,
    "vendor-tables": plain,
}
