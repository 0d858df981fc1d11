"""Whether the kernel takes the routes of route files, one after the other, as the host is now.

Sources: fib_create_info() and fib_check_nh() of net/ipv4/fib_semantics.c, ip6_route_info_create()
and ip6_validate_gw() of net/ipv6/route.c.
"""

from typing import Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

from symroute_nm.model.host import Host
from symroute_nm.model.ip_lines import WITHOUT_HOPS, LineError, RouteLine, read_route
from symroute_nm.model.network import (
    IPV4,
    TABLE_MAIN,
    Hop,
    IPAddress,
    IPNetwork,
    LineKey,
    Route,
    contains,
    host_network,
)
from symroute_nm.model.trial import Trial, TriedLine
from symroute_nm.targets.ifcfg.listing import table_numbers

# linux/rtnetlink.h
KERNEL_PROTOCOL = 2
_SCOPE_LINK, _SCOPE_HOST = 253, 254


class Refused(NamedTuple):
    """Why `ip` or the kernel refuses a line, the rest of a sentence; "" where both take it.

    `again`: another route to its destination has its metric.
    """

    text: str = ""
    again: bool = False


def try_routes(
    host: Host, lines: Sequence[TriedLine], trial: Optional[Trial] = None
) -> List[Refused]:
    """How each line fares, one after the other; what is taken stays.

    The kernel of `trial` has the last word, where there is one: then the model names the reasons.
    """
    kernel = _Kernel(host)
    tables = table_numbers(host)
    modelled = [_try(kernel, line, tables) for line in lines]
    tried = trial(host, lines) if trial and lines else None
    if tried is None:
        return modelled
    return [_agree(refused, said) for refused, said in zip(modelled, tried)]


def _agree(modelled: Refused, said: str) -> Refused:
    if not said or modelled.text:
        return modelled if said else Refused()
    # In the scratch namespace, too, a route may be there already: the same, as the model says.
    return Refused() if _EXISTS in said else Refused(f"is refused by ip: {said}")


def _try(kernel: "_Kernel", line: TriedLine, tables: Dict[str, int]) -> Refused:
    try:
        read = read_route(line.text, line.version, tables)
    except LineError as error:
        return Refused(str(error))
    return kernel.add(read)


_EXISTS = "File exists"  # strerror(EEXIST)


class _Way(NamedTuple):
    """A network that a link leads to directly."""

    network: IPNetwork
    link: str
    table: int


class _Kernel:
    """What of a kernel decides whether it takes a route."""

    def __init__(self, host: Host) -> None:
        self.links = {link.name for link in host.links}
        self.addresses: Dict[IPAddress, Set[str]] = {}
        self.direct: List[_Way] = []
        self.taken: Dict[LineKey, Tuple[Hop, ...]] = {}
        for address in host.addresses:
            self.addresses.setdefault(address.ip, set()).add(address.link)
            self.direct.append(_Way(address.network, address.link, TABLE_MAIN))
        self._host = host

    def add(self, line: RouteLine) -> Refused:
        """Take the route, or say why it is refused."""
        reason = self._refuse(line)
        refused = Refused(reason) if reason else Refused(self._refuse_again(line), again=True)
        if not refused.text:
            route = line.route
            self.taken[route.line_key] = route.hops
            if line.type == "unicast" and line.hops and line.hop.gateway is None:
                self.direct.append(_Way(line.destination, line.hop.link, line.table))
        return refused if refused.text else Refused()

    def _refuse(self, line: RouteLine) -> str:
        four = line.version == IPV4
        if line.host_bits and four:
            return f"has host bits set: the network is {line.destination}"
        if line.type in WITHOUT_HOPS:
            # As `ip` has read it, the line may name a link all the same.
            named = {"via", "dev", "oif", "nexthop"}.intersection(line.given)
            return (
                f"is a {line.type} route, which can have no {named.pop()}" if named and four else ""
            )
        reason = self._refuse_scope(line) if four else ""
        if {"nexthop", "via"}.issubset(line.given) or {"nexthop", "dev"}.issubset(line.given):
            reason = reason or "has a way out before nexthop, and others behind it"
        for hop in line.hops:
            reason = reason or self._refuse_hop(hop, line)
        if not reason and line.source is not None and line.source not in self.addresses:
            reason = f"names src {line.source}, an address on no link"
        return reason

    def _refuse_scope(self, line: RouteLine) -> str:
        gateways = [hop.gateway for hop in line.hops if hop.gateway and int(hop.gateway)]
        if line.type == "local":
            if line.scope not in (None, _SCOPE_HOST):
                return "is a local route with a scope other than host"
            return "is a local route, which can have no gateway" if gateways else ""
        if line.scope is None or line.scope < _SCOPE_LINK:
            return ""
        if gateways:
            return "has a gateway and a scope below global: take one of the two away"
        return ""

    def _refuse_hop(self, hop: Hop, line: RouteLine) -> str:
        if hop.link and hop.link not in self.links:
            return f"names dev {hop.link}, which is not there"
        gateway = hop.gateway
        if line.version == IPV4 and gateway is not None and not int(gateway):
            gateway = None  # fib_config: 0.0.0.0 is none
        if gateway is None:
            if not hop.link:
                return "names no link"
            four = line.version == IPV4
            return "has onlink and no gateway" if hop.onlink and four else ""
        return self._refuse_gateway(gateway, hop, line)

    def _refuse_gateway(self, gateway: IPAddress, hop: Hop, line: RouteLine) -> str:
        if line.version != IPV4 and (gateway.is_multicast or not int(gateway)):
            return f"has {gateway} for a gateway, which is none"
        if hop.onlink:
            return self._refuse_onlink(gateway, hop, line)
        if self._own(gateway):
            # IPv4 takes it, and delivers to itself.
            own = self.addresses[gateway]
            good = line.version == IPV4 and (not hop.link or hop.link in own)
            return "" if good else f"has the host's own address {gateway} for a gateway"
        if gateway.version != IPV4 and gateway.is_link_local:
            return "" if hop.link else f"names no link for the gateway {gateway}"
        if self._on_link(gateway, hop.link, line.table):
            return ""
        where = hop.link or "any link"
        return f"has the gateway {gateway}, which is on no network of {where}"

    def _refuse_onlink(self, gateway: IPAddress, hop: Hop, line: RouteLine) -> str:
        if not hop.link:
            return "has onlink and names no link"
        if self._own(gateway):
            return f"has the host's own address {gateway} for a gateway"
        # ip6_route_check_nh_onlink()
        if line.version == IPV4 or gateway.is_link_local:
            return ""
        on_link = self._on_link(gateway, hop.link, line.table)
        if not on_link and self._on_link(gateway, "", line.table):
            return f"has the gateway {gateway}, which is on a network of another link"
        return ""

    def _own(self, gateway: IPAddress) -> bool:
        return gateway in self.addresses

    def _on_link(self, gateway: IPAddress, link: str, table: int) -> bool:
        """Whether a route without a gateway leads there, by that link: fib_check_nh_v4_gw()."""
        wanted = host_network(gateway)
        if any(
            contains(way.network, wanted)
            for way in self.direct
            if way.table in (TABLE_MAIN, table) and (not link or way.link == link)
        ):
            return True
        network: IPNetwork = wanted
        while network.prefixlen:
            for route in self._routes_to(TABLE_MAIN, network):
                direct = route.hop.gateway is None and route.protocol == KERNEL_PROTOCOL
                if direct and (not link or route.hop.link == link):
                    return True
            network = network.supernet()
        return False

    def _routes_to(self, table: int, network: IPNetwork) -> Sequence[Route]:
        routes: Optional[Sequence[Route]] = None
        find = getattr(self._host.routes, "to", None)
        if find is not None:
            routes = find(table, network)
        else:
            routes = [
                route
                for route in self._host.routes
                if route.table == table and route.destination == network
            ]
        return routes or ()

    def _refuse_again(self, line: RouteLine) -> str:
        """The kernel takes one route to a destination with a metric; the same again is no harm."""
        route = line.route
        there = self.taken.get(route.line_key)
        if there is None:
            for known in self._routes_to(line.table, line.destination):
                same = known.kernel_metric == route.kernel_metric
                if known.protocol == KERNEL_PROTOCOL and same:
                    there = known.hops
        if there is None or _ways(there) == _ways(route.hops):
            return ""
        first = there[0].link if there and there[0].link else "another line"
        metric = f"with metric {line.metric}" if line.metric else "without a metric"
        return (
            f"leads to {line.destination} {metric}, as a route by {first} does, and the "
            "kernel takes the first alone"
        )


def _ways(hops: Tuple[Hop, ...]) -> Set[Tuple[str, Optional[IPAddress]]]:
    return {(hop.link, hop.gateway) for hop in hops}
