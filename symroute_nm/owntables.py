"""What an uplink's own table holds: connected networks, others by its gateway, throws (pure)."""

from typing import (
    AbstractSet,
    Any,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

from symroute_nm.model import (
    ANY,
    LINK_LOCAL,
    TABLE_MAIN,
    VERSIONS,
    Hop,
    Host,
    IPNetwork,
    OwnTable,
    Route,
    Uplink,
    contains,
    network_key,
)


class Network(NamedTuple):
    """A destination that main knows specifically, as the uplinks see it."""

    destination: IPNetwork
    by: Mapping[str, Hop]  # uplinks that reach it themselves: {link: how}
    forwarded: bool  # the other uplinks reach it by their gateways; else it is main's alone

    @property
    def internal(self) -> bool:
        """Whether no uplink reaches it: a container's, a VPN's, a blackhole."""
        return not self.by and not self.forwarded


def find_networks(
    host: Host, uplinks: Sequence[Uplink], guard: str
) -> Dict[int, Tuple[Network, ...]]:
    """What own tables may have to know: {IP version: networks in ascending order}."""
    networks = {}
    for version in VERSIONS:
        links = {each.link.name for each in uplinks if each.gateway(version)}
        found = _merge_routes(_main_routes(host, version, links), links, version)
        for uplink in uplinks:
            for address in uplink.addresses:
                if address.version == version and not _is_host(address.network):
                    _add_connected(found, uplink.link.name, address.network)
        ordered = sorted(found.values(), key=lambda each: network_key(each.destination))
        # With suppressing rules, what lies in no uplink's network is left to main anyway.
        networks[version] = tuple(_enclosed(ordered) if guard == "rules" else ordered)
    return networks


def fill_table(
    networks: Mapping[int, Sequence[Network]], uplink: Uplink, table: OwnTable, guard: str
) -> Tuple[Route, ...]:
    """The routes of the uplink's own table, in the order in which they are to be added."""
    routes: List[Route] = []
    for gateway in uplink.gateways:
        link = uplink.link.name
        out = Hop(link, gateway.address, gateway.onlink)
        entries = {
            each.destination: each.by.get(link, out if each.forwarded else Hop())
            for each in networks[gateway.version]
            if link in each.by or guard != "none"
        }
        # With suppressing rules T's default does not count in the first stage, so that what T does
        # not know is left to main as a throw would.
        entries[ANY[gateway.version]] = out
        entries = _needed(entries, fallback=Hop() if guard == "rules" else out)
        routes += [_route(network, hop, table) for network, hop in entries.items()]
    return tuple(sorted(routes, key=_order))


def _merge_routes(
    routes: Iterable[Route], links: AbstractSet[str], version: int
) -> Dict[IPNetwork, Network]:
    """The routes by destination; the best of each says whether an uplink's gateway is the way."""
    found: Dict[IPNetwork, Network] = {}
    for route in routes:
        ways = {
            each.link: Hop(each.link, each.gateway, each.onlink)
            for each in reversed(route.hops) if each.link in links and route.type == "unicast"
        }
        known = found.get(route.destination)
        if known is None:
            # Link-local networks belong to their link alone and are never sent by a gateway.
            forwarded = bool(ways) and not contains(LINK_LOCAL[version], route.destination)
            found[route.destination] = Network(route.destination, ways, forwarded)
        elif ways:
            found[route.destination] = known._replace(by={**ways, **known.by})
    return found


def _add_connected(found: Dict[IPNetwork, Network], link: str, network: IPNetwork) -> None:
    """An address's own network, where main has no route to it (noprefixroute)."""
    known = found.get(network, Network(network, {}, False))
    found[network] = known._replace(by={link: Hop(link), **known.by})


def _enclosed(networks: Iterable[Network]) -> Iterator[Network]:
    """The networks of uplinks, and those internal ones that lie in one of them."""
    enclosing: List[Network] = []
    for each in networks:
        while enclosing and not contains(enclosing[-1].destination, each.destination):
            enclosing.pop()
        if not each.internal:
            enclosing.append(each)
        if enclosing:
            yield each


def _main_routes(host: Host, version: int, links: AbstractSet[str]) -> List[Route]:
    """Main's specific routes, the best of each destination first.

    The order is total, so that the one in which routes are listed never shows in a plan: of equal
    ones an uplink's comes first (if main goes by the other, the proof says so).
    """

    def rank(route: Route) -> Tuple[Any, ...]:
        """The sort key: destination first, then what the kernel prefers."""
        hops = [(each.link, str(each.gateway), each.onlink, each.weight) for each in route.hops]
        by_uplink = route.type == "unicast" and not links.isdisjoint(hop[0] for hop in hops)
        return (network_key(route.destination), route.tos, route.metric, not by_uplink,
                route.type, hops)

    routes = (
        each for each in host.routes
        if each.table == TABLE_MAIN and each.version == version and not each.default
        and each.type != "throw"
    )
    return sorted(routes, key=rank)


def _needed(entries: Mapping[IPNetwork, Hop], fallback: Hop) -> Dict[IPNetwork, Hop]:
    """The entries without those that decide as their nearest enclosing entry does.

    `fallback` is what decides where no entry but the default encloses.
    """
    kept: Dict[IPNetwork, Hop] = {}
    enclosing: List[IPNetwork] = []
    for network in sorted(entries, key=network_key):
        while enclosing and not contains(enclosing[-1], network):
            enclosing.pop()
        outer: Optional[IPNetwork] = enclosing[-1] if enclosing else None
        decided = fallback if outer is None or outer.prefixlen == 0 else entries[outer]
        if network.prefixlen == 0 or entries[network] != decided:
            kept[network] = entries[network]
        enclosing.append(network)
    return kept


def _route(network: IPNetwork, hop: Hop, table: OwnTable) -> Route:
    if hop == Hop():
        return Route(network, table=table.id, type="throw")
    return Route(network, table=table.id, hops=(hop,))


def _order(route: Route) -> Tuple[int, int, Tuple[int, int, int]]:
    """Connected routes stand before those whose gateway is reached by them (DESIGN 3.7)."""
    stage = 2 if route.default else 0 if route.hop.gateway is None else 1
    return (route.version, stage, network_key(route.destination))


def _is_host(network: IPNetwork) -> bool:
    return network.prefixlen == network.max_prefixlen
