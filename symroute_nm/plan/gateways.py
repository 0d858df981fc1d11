"""By which gateway each link leads out, where that was learnt, and whether it can be."""

from bisect import bisect_left
from itertools import chain
from typing import Dict, Iterable, Iterator, List, Optional, Sequence, Set, Tuple

from symroute_nm.errors import InputError
from symroute_nm.model.host import Host
from symroute_nm.model.network import (
    IPV4,
    TABLE_MAIN,
    VERSIONS,
    Address,
    Hop,
    IPAddress,
    IPInterface,
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
from symroute_nm.model.prefixes import last_address, make_prefix_key, prefix_key
from symroute_nm.model.profiles import profiles_for
from symroute_nm.model.route_set import is_specific_in_main
from symroute_nm.model.settings import InterfaceSettings, Settings


class DefaultRoutes:
    """What leads out of each link, indexed once."""

    def __init__(self, host: Host, settings: Settings) -> None:
        self.addresses: Dict[str, List[Address]] = {}
        for address in sorted(host.addresses, key=_address_order):
            if is_global(address):
                self.addresses.setdefault(address.link, []).append(address)
        self.defaults: Dict[Tuple[str, int], List[Tuple[Route, Hop]]] = {}
        self._routes = host.routes
        self._inward: Optional[Dict[str, List[Tuple[int, int]]]] = None
        for route in self._routes.select(_is_default_way):
            for hop in route.hops:
                self.defaults.setdefault((hop.link, route.version), []).append((route, hop))
        self._by_link: Dict[Tuple[int, str], Set[int]] = {}
        self._by_source: List[Tuple[int, int, int]] = []  # family, prefix key of the source, table
        for rule in host.rules:
            if rule.action == "lookup" and not rule.invert:
                self._add_rule(rule)
        self._by_source.sort()
        self.vrfs = {link.name: link for link in host.links if link.kind == "vrf"}
        self.ours = our_tables(
            host.tables, (interface.table for interface in settings.interface.values())
        )
        self.table_names = {table.id: table.name for table in host.tables}

    def chosen_tables(self, link: str, version: int) -> Set[int]:
        """The tables that some rule chooses for that link's own addresses.

        A default in any other (wg-quick's, a VPN's) is not evidence that the link is an uplink.
        """
        chosen = set(self._by_link.get((version, link), ()))
        addresses = (address for address in self.addresses[link] if address.version == version)
        for network in {address.network for address in addresses}:
            own = prefix_key(network)
            beyond = make_prefix_key(last_address(own, network.max_prefixlen) + 1, 0)
            low = bisect_left(self._by_source, (version, own))
            high = bisect_left(self._by_source, (version, beyond))
            chosen.update(table for _, _, table in self._by_source[low:high])
        return chosen

    def _add_rule(self, rule: Rule) -> None:
        if rule.iif:
            self._by_link.setdefault((rule.version, rule.iif), set()).add(rule.table)
        if rule.source is not None:
            self._by_source.append((rule.version, prefix_key(rule.source), rule.table))

    def inward(self, link: str) -> Sequence[Tuple[int, int]]:
        """The networks that main reaches by a link but no default by: (family, key), sorted."""
        if self._inward is None:
            self._inward = self._find_inward()
        return self._inward.get(link, ())

    def _find_inward(self) -> Dict[str, List[Tuple[int, int]]]:
        outward = {
            hop.link
            for route, hop in chain.from_iterable(self.defaults.values())
            if route.table == TABLE_MAIN
        }

        def is_inward(route: Route) -> bool:
            return (
                route.type == "unicast"
                and is_specific_in_main(route)
                and any(hop.link not in outward for hop in route.hops)
            )

        inward: Dict[str, List[Tuple[int, int]]] = {}
        for route, keys in self._routes.select_prefix_keys(is_inward):
            for hop in route.hops:
                if hop.link not in outward:
                    inward.setdefault(hop.link, []).extend((route.version, key) for key in keys)
        return {link: sorted(networks) for link, networks in inward.items()}


def find_gateways(
    defaults: DefaultRoutes, link: Link, host: Host, settings: Settings
) -> Iterator[Gateway]:
    """One gateway for each family in which the link has global addresses and evidence of one."""
    for version in VERSIONS:
        if any(address.version == version for address in defaults.addresses[link.name]):
            gateway = _find_gateway(defaults, link, version, host, settings)
            if gateway:
                yield gateway


def check_gateways(host: Host, uplinks: Iterable[Uplink]) -> None:
    """Raise `InputError` for a gateway that the link cannot reach, or that is the host itself."""
    ours = {address.ip for address in host.addresses}
    on_link: Dict[str, List[IPNetwork]] = {}
    for route in host.routes.select(_is_connected_in_main):
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


def _find_gateway(
    defaults: DefaultRoutes, link: Link, version: int, host: Host, settings: Settings
) -> Optional[Gateway]:
    """The first evidence in DESIGN's order: configuration, main, other tables, ifcfg, lease."""
    interface = settings.interface.get(link.name, InterfaceSettings())
    configured = (gateway for gateway in interface.gateways if gateway.version == version)
    routed = list(_routed(defaults, link, version))
    evidence = chain(
        (Gateway(version, address, "configuration") for address in configured),
        (gateway for table, gateway in routed if table not in defaults.ours),
        (gateway for gateway in _written(host, defaults, link) if gateway.version == version),
        # What we wrote ourselves comes last: it would outlive what it was learnt from.
        (gateway for table, gateway in routed if table in defaults.ours),
    )
    return next(evidence, None)


def _written(host: Host, defaults: DefaultRoutes, link: Link) -> Iterator[Gateway]:
    """What ifcfg files and DHCP leases say; an old lease of another network says nothing."""
    for profile in profiles_for(link, host.profiles):
        for address in profile.gateways:
            yield Gateway(address.version, address, f"GATEWAY in {profile.file_name}")
    for lease in host.leases:
        router = host_network(lease.gateway)
        near = any(contains(address.network, router) for address in defaults.addresses[link.name])
        if lease.link == link.name and (near or lease.gateway.is_link_local):
            yield Gateway(lease.gateway.version, lease.gateway, f"DHCP lease {lease.path}")


def _routed(defaults: DefaultRoutes, link: Link, version: int) -> Iterator[Tuple[int, Gateway]]:
    """Default routes through the link by table: main's, then those chosen for its addresses."""
    ways = sorted(defaults.defaults.get((link.name, version), []), key=_by_preference)
    for route, hop in ways:
        if route.table == TABLE_MAIN:
            origin = "main's default route"
            if route.metric:
                origin += f" (metric {route.metric})"
            yield route.table, Gateway(version, hop.gateway, origin, hop.onlink)
    chosen = defaults.chosen_tables(link.name, version)
    for route, hop in ways:
        if route.table in chosen:
            name = defaults.table_names.get(route.table, "")
            origin = f"table {route.table} ({name})" if name else f"table {route.table}"
            yield route.table, Gateway(version, hop.gateway, origin, hop.onlink)


def _by_preference(way: Tuple[Route, Hop]) -> Tuple[int, int, int, int, bool]:
    route, hop = way
    gateway = int(hop.gateway) if hop.gateway else 0
    return (route.tos, route.metric, route.table, gateway, hop.onlink)


def _address_order(address: Address) -> Tuple[int, IPInterface, str, bool]:
    return (address.version, address.interface, str(address.peer), address.dynamic)


def _is_default_way(route: Route) -> bool:
    return route.type == "unicast" and route.default


def _is_connected_in_main(route: Route) -> bool:
    return (
        route.type == "unicast"
        and is_specific_in_main(route)
        and any(hop.gateway is None for hop in route.hops)
    )


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
    return network.version == IPV4 and not small and address in edges


def _check_host_address(link: str, gateway: Gateway, around: Iterable[IPNetwork]) -> None:
    """The kernel takes no broadcast address for a next hop (fib_check_nh)."""
    for network in around:
        if gateway.address is not None and is_edge(network, gateway.address):
            raise InputError(
                f"{link}: {gateway.address} is the network's own or its broadcast address "
                f"in {network}",
                f"set gateway in [interface {link}]",
            )
