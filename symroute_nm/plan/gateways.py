"""By which gateway each link leads out, where that was learnt, and whether it can be (pure)."""

from bisect import bisect_left
from itertools import chain
from typing import Dict, Iterable, Iterator, List, Optional, Sequence, Set, Tuple

from symroute_nm.errors import InputError
from symroute_nm.model.host import Host
from symroute_nm.model.network import (
    TABLE_MAIN,
    VERSIONS,
    Address,
    Hop,
    IPAddress,
    IPNetwork,
    Link,
    Route,
    Rule,
    contains,
    host_network,
    is_global,
)
from symroute_nm.model.ours import our_tables
from symroute_nm.model.plan import Gateway, Uplink
from symroute_nm.model.prefixes import last_of, make_rank, prefix_key
from symroute_nm.model.profiles import profiles_for
from symroute_nm.model.route_set import pack
from symroute_nm.model.settings import InterfaceSettings, Settings

_IPV4 = 4


class DefaultRoutes:
    """What leads out of each link, indexed once."""

    def __init__(self, host: Host, settings: Settings) -> None:
        self.addresses: Dict[str, List[Address]] = {}
        for address in sorted(
            host.addresses,
            key=lambda address: (
                address.version,
                address.interface,
                str(address.peer),
                address.dynamic,
            ),
        ):
            if is_global(address):
                self.addresses.setdefault(address.link, []).append(address)
        self.defaults: Dict[Tuple[str, int], List[Tuple[Route, Hop]]] = {}
        self._routes = pack(host.routes)
        self._inward: Optional[Dict[str, List[Tuple[int, int]]]] = None
        for route in self._routes.select(lambda route: route.type == "unicast" and route.default):
            for hop in route.hops:
                self.defaults.setdefault((hop.link, route.version), []).append((route, hop))
        self._by_link: Dict[Tuple[int, str], Set[int]] = {}
        self._by_source: List[Tuple[int, int, int]] = []  # family, rank of the source, table
        for rule in host.rules:
            if rule.action == "lookup" and not rule.invert:
                self._add_rule(rule)
        self._by_source.sort()
        self.vrfs = {link.name: link for link in host.links if link.kind == "vrf"}
        self.ours = our_tables(host.tables, (each.table for each in settings.interface.values()))
        self.table_names = {table.id: table.name for table in host.tables}

    def chosen_tables(self, link: str, version: int) -> Set[int]:
        """The tables that some rule chooses for that link's own addresses.

        A default in any other (wg-quick's, a VPN's) is not evidence that the link is an uplink.
        """
        found = set(self._by_link.get((version, link), ()))
        for network in {
            address.network for address in self.addresses[link] if address.version == version
        }:
            own = prefix_key(network)
            beyond = make_rank(last_of(own, network.max_prefixlen) + 1, 0)
            low, high = (bisect_left(self._by_source, (version, each)) for each in (own, beyond))
            found.update(table for _, _, table in self._by_source[low:high])
        return found

    def _add_rule(self, rule: Rule) -> None:
        if rule.iif:
            self._by_link.setdefault((rule.version, rule.iif), set()).add(rule.table)
        if rule.source is not None:
            self._by_source.append((rule.version, prefix_key(rule.source), rule.table))

    def inward(self, link: str) -> Sequence[Tuple[int, int]]:
        """The networks that main reaches by a link but no default by: their families and ranks."""
        if self._inward is None:
            self._inward = self._find_inward()
        return self._inward.get(link, ())

    def _find_inward(self) -> Dict[str, List[Tuple[int, int]]]:
        outward = {
            hop.link
            for found in self.defaults.values()
            for route, hop in found
            if route.table == TABLE_MAIN
        }
        found: Dict[str, List[Tuple[int, int]]] = {}
        specific = self._routes.select_ranks(
            lambda route: (
                route.type == "unicast"
                and not route.default
                and route.table == TABLE_MAIN
                and any(hop.link not in outward for hop in route.hops)
            )
        )
        for route, ranks in specific:
            for hop in route.hops:
                if hop.link not in outward:
                    found.setdefault(hop.link, []).extend((route.version, key) for key in ranks)
        return {link: sorted(each) for link, each in found.items()}


def find_gateways(
    ways: DefaultRoutes, link: Link, host: Host, settings: Settings
) -> Iterator[Gateway]:
    """One gateway for each family in which the link has global addresses and evidence of one."""
    for version in VERSIONS:
        if any(address.version == version for address in ways.addresses[link.name]):
            gateway = _gateway(ways, link, version, host, settings)
            if gateway:
                yield gateway


def check_gateways(host: Host, uplinks: Iterable[Uplink]) -> None:
    """Raise `InputError` for a gateway that the link cannot reach, or that is the host itself."""
    ours = {address.ip for address in host.addresses}
    on_link: Dict[str, List[IPNetwork]] = {}
    connected = pack(host.routes).select(
        lambda route: (
            route.table == TABLE_MAIN
            and route.type == "unicast"
            and not route.default
            and any(hop.gateway is None for hop in route.hops)
        )
    )
    for route in connected:
        for hop in route.hops:
            if hop.gateway is None:
                on_link.setdefault(hop.link, []).append(route.destination)
    for address in host.addresses:
        on_link.setdefault(address.link, []).append(address.network)
    for uplink in uplinks:
        for gateway in uplink.gateways:
            _check_gateway(uplink.link.name, gateway, on_link.get(uplink.link.name, []))
            if gateway.address in ours:
                raise InputError(
                    f"{uplink.link.name}: the gateway {gateway.address} is an address of this host",
                    f"set gateway in [interface {uplink.link.name}]",
                )


def _gateway(
    ways: DefaultRoutes, link: Link, version: int, host: Host, settings: Settings
) -> Optional[Gateway]:
    """The first evidence in DESIGN's order: configuration, main, other tables, ifcfg, lease."""
    interface = settings.interface.get(link.name, InterfaceSettings())
    said = (gateway for gateway in interface.gateways if gateway.version == version)
    routed = list(_routed(ways, link, version))
    evidence = chain(
        (Gateway(version, each, "configuration") for each in said),
        (gateway for table, gateway in routed if table not in ways.ours),
        (each for each in _written(host, ways, link) if each.version == version),
        # What we wrote ourselves comes last: it would outlive what it was learnt from.
        (gateway for table, gateway in routed if table in ways.ours),
    )
    return next(evidence, None)


def _written(host: Host, ways: DefaultRoutes, link: Link) -> Iterator[Gateway]:
    """What ifcfg files and DHCP leases say; an old lease of another network says nothing."""
    for profile in profiles_for(link, host.profiles):
        for address in profile.gateways:
            yield Gateway(address.version, address, f"GATEWAY in {profile.file_name}")
    for lease in host.leases:
        there = host_network(lease.gateway)
        near = any(contains(address.network, there) for address in ways.addresses[link.name])
        if lease.link == link.name and (near or lease.gateway.is_link_local):
            yield Gateway(lease.gateway.version, lease.gateway, f"DHCP lease {lease.path}")


def _routed(ways: DefaultRoutes, link: Link, version: int) -> Iterator[Tuple[int, Gateway]]:
    """Default routes through the link by table: main's, then those chosen for its addresses."""
    found = sorted(ways.defaults.get((link.name, version), []), key=_by_preference)
    for route, hop in found:
        if route.table == TABLE_MAIN:
            metric = f" (metric {route.metric})" if route.metric else ""
            origin = "main's default route" + metric
            yield route.table, Gateway(version, hop.gateway, origin, hop.onlink)
    chosen = ways.chosen_tables(link.name, version)
    for route, hop in found:
        if route.table in chosen:
            name = ways.table_names.get(route.table, "")
            origin = f"table {route.table}{f' ({name})' if name else ''}"
            yield route.table, Gateway(version, hop.gateway, origin, hop.onlink)


def _by_preference(way: Tuple[Route, Hop]) -> Tuple[int, int, int, int, bool]:
    route, hop = way
    gateway = int(hop.gateway) if hop.gateway else 0
    return (route.tos, route.metric, route.table, gateway, hop.onlink)


def _check_gateway(link: str, gateway: Gateway, networks: Iterable[IPNetwork]) -> None:
    address = gateway.address
    if address is None or gateway.onlink or address.is_link_local:
        return
    around = [network for network in networks if contains(network, host_network(address))]
    if around:
        _check_host_address(link, gateway, around)
        return
    if address.version != gateway.version:
        return  # RFC 5549: an IPv4 route by an IPv6 gateway, as main has it
    raise InputError(
        f"{link}: {address} is on no network of {link}", f"set gateway in [interface {link}]"
    )


def is_edge(network: IPNetwork, address: IPAddress) -> bool:
    """Whether it is an IPv4 network's own or its broadcast address; RFC 3021: a /31 has neither."""
    small = network.prefixlen >= network.max_prefixlen - 1
    edges = (network.network_address, network.broadcast_address)
    return network.version == _IPV4 and not small and address in edges


def _check_host_address(link: str, gateway: Gateway, around: Iterable[IPNetwork]) -> None:
    """The kernel takes no broadcast address for a next hop (fib_check_nh)."""
    for network in around:
        if gateway.address is not None and is_edge(network, gateway.address):
            raise InputError(
                f"{link}: {gateway.address} is the network's own or its broadcast address "
                f"in {network}",
                f"set gateway in [interface {link}]",
            )
