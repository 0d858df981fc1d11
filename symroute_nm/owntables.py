"""What an uplink's own table holds: connected networks, others by its gateway, throws (pure)."""

from typing import Any, Dict, Iterable, List, Mapping, Optional, Tuple

from symroute_nm.model import (
    ANY,
    LINK_LOCAL,
    TABLE_MAIN,
    Hop,
    Host,
    IPNetwork,
    OwnTable,
    Route,
    Uplink,
    contains,
    network_key,
)


def fill_table(
    host: Host, uplinks: Iterable[Uplink], uplink: Uplink, table: OwnTable, guard: str
) -> Tuple[Route, ...]:
    """The routes of the uplink's own table, in the order in which they are to be added."""
    routes: List[Route] = []
    for gateway in uplink.gateways:
        version = gateway.version
        out = Hop(uplink.link.name, gateway.address, gateway.onlink)
        entries = _own_networks(host, uplink, version)
        if guard != "none":
            peers = {each.link.name for each in uplinks if each.gateway(version)}
            for network, hop in _reached(host, version, peers, out).items():
                entries.setdefault(network, hop)
        # With suppressing rules T's default does not count in the first stage, so that what T does
        # not know is left to main as a throw would.
        entries[ANY[version]] = out
        entries = _needed(entries, fallback=Hop() if guard == "rules" else out)
        routes += [_route(network, hop, table) for network, hop in entries.items()]
    return tuple(sorted(routes, key=_order))


def _own_networks(host: Host, uplink: Uplink, version: int) -> Dict[IPNetwork, Hop]:
    """What main reaches through this uplink, each destination by its best metric."""
    entries: Dict[IPNetwork, Hop] = {}
    for route in _main_routes(host, version):
        for hop in route.hops:
            if hop.link == uplink.link.name and route.type == "unicast":
                entries.setdefault(
                    route.destination, Hop(hop.link, hop.gateway, hop.onlink))
    for address in uplink.addresses:
        if address.version == version and not _is_host(address.network):
            entries.setdefault(address.network, Hop(uplink.link.name))
    return entries


def _reached(
    host: Host, version: int, peers: Iterable[str], out: Hop
) -> Dict[IPNetwork, Hop]:
    """The other uplinks' networks by this uplink's gateway; an empty hop, a throw, for the rest."""
    entries: Dict[IPNetwork, Hop] = {}
    names = set(peers)
    for route in _main_routes(host, version):
        by_uplink = route.type == "unicast" and names & {each.link for each in route.hops}
        local = contains(LINK_LOCAL[version], route.destination)  # never sent by a gateway
        entries.setdefault(route.destination, out if by_uplink and not local else Hop())
    return entries


def _main_routes(host: Host, version: int) -> List[Route]:
    """Main's specific routes, the best metric of each destination first."""
    routes = (
        each for each in host.routes
        if each.table == TABLE_MAIN and each.version == version and not each.default
        and each.type != "throw"
    )
    return sorted(routes, key=_by_preference)


def _by_preference(route: Route) -> Tuple[Any, ...]:
    """A sort key that is total, so that no order in which routes are listed shows in a plan."""
    hops = [(each.link, str(each.gateway), each.onlink, each.weight) for each in route.hops]
    return (network_key(route.destination), route.tos, route.metric, route.type, hops)


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
