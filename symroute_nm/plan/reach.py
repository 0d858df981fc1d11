"""Which networks main knows specifically, and which uplinks reach each of them how."""

from heapq import merge
from operator import itemgetter
from typing import (
    AbstractSet,
    Any,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Sequence,
    Tuple,
)

from symroute_nm.model.host import Host
from symroute_nm.model.network import LINK_LOCAL, TABLE_MAIN, VERSIONS, Hop, Route
from symroute_nm.model.plan import Uplink
from symroute_nm.model.prefixes import (
    BITS,
    LENGTH_MASK,
    first_address,
    last_address,
    make_indexes,
    make_prefix_keys,
    prefix_key,
)
from symroute_nm.model.route_set import RouteTable


class Reach(NamedTuple):
    """How the uplinks reach a destination that main knows specifically."""

    by: Mapping[str, Hop]  # uplinks that reach it themselves: {link: how}
    forwarded: bool  # the other uplinks reach it by their gateways; else it is main's alone
    main: str = ""  # the uplink that main reaches it by, and by no other

    @property
    def connected(self) -> bool:
        """Whether some uplink has it on its link, rather than behind a router of its own."""
        return any(hop.gateway is None for hop in self.by.values())


class Networks:
    """All that main knows specifically of one family, in ascending order of `prefix_keys`.

    `kinds` has the position in `reaches` for each: very many are reached alike.
    """

    def __init__(self, version: int) -> None:
        self.version = version
        self.prefix_keys, self.kinds = make_prefix_keys(version), make_indexes()
        self.reaches: List[Reach] = []

    def add_kind(self, reach: Reach) -> int:
        """The kind of the networks that are reached so, for `add`."""
        self.reaches.append(reach)
        return len(self.reaches) - 1

    def add(self, key: int, kind: int) -> None:
        """The network of that prefix key, which comes after those before, is of that kind."""
        self.prefix_keys.append(key)
        self.kinds.append(kind)

    def __len__(self) -> int:
        return len(self.prefix_keys)

    def reach(self, position: int) -> Reach:
        """How the uplinks reach the network at that position."""
        return self.reaches[self.kinds[position]]


def find_networks(host: Host, uplinks: Sequence[Uplink]) -> Dict[int, Networks]:
    """All that main knows specifically: {IP version: networks}."""
    routes, by_version = host.routes, {}
    for version in VERSIONS:
        networks = by_version[version] = Networks(version)
        links = {uplink.link.name for uplink in uplinks if uplink.gateway(version)}
        main = routes.of(TABLE_MAIN, version)
        routed = _find_routed(networks, main, links) if main else iter(())
        for key, kind in _add_connected(networks, routed, _find_connected(uplinks, version)):
            networks.add(key, kind)
    return by_version


def _find_routed(
    networks: Networks, main: RouteTable, links: AbstractSet[str]
) -> Iterator[Tuple[int, int]]:
    """Main's specific destinations with their kinds, as prefix keys.

    The best route to each says whether an uplink's gateway is the way.
    """
    known: Dict[Tuple[int, bool], int] = {}  # many have the same hops
    link_local = prefix_key(LINK_LOCAL[main.version])
    low, high = first_address(link_local), last_address(link_local, BITS[main.version])
    shortest = link_local & LENGTH_MASK
    for position in main.starts():
        key = main.prefix_keys[position]
        if not key & LENGTH_MASK:
            continue
        # Link-local networks belong to their link alone and are never sent by a gateway.
        local = low <= first_address(key) <= high and key & LENGTH_MASK >= shortest
        if position in main.runs:
            routes = [route for route in main.run(position) if route.type != "throw"]
            if routes:
                best_first = _sort_routes(routes, links)
                yield key, networks.add_kind(_make_reach(best_first, links, local))
            continue
        template = main.templates[main.kinds[position]]
        if template.type != "throw":
            alike = (main.kinds[position], local)
            if alike not in known:
                known[alike] = networks.add_kind(_make_reach([template], links, local))
            yield key, known[alike]


def _make_reach(routes: Sequence[Route], links: AbstractSet[str], local: bool) -> Reach:
    """How the routes to one destination reach it, the best of which comes first."""
    ways = [
        {
            hop.link: Hop(hop.link, hop.gateway, hop.onlink)
            for hop in reversed(route.hops)
            if hop.link in links and route.type == "unicast"
        }
        for route in routes
    ]
    by: Dict[str, Hop] = {}
    for way in reversed(ways):
        by.update(way)
    best = routes[0]
    only = len(routes) == 1 and bool(ways[0]) and len(best.hops) == 1 and not best.tos
    return Reach(by, bool(ways[0]) and not local, best.hop.link if only else "")


def _sort_routes(routes: Iterable[Route], links: AbstractSet[str]) -> List[Route]:
    """Routes to one destination, the best first.

    The order is total, so that the one in which routes are listed never shows in a plan: of equal
    ones an uplink's comes first (if main goes by the other, the proof says so).
    """

    def preference(route: Route) -> Tuple[Any, ...]:
        """What the kernel prefers, of routes to one destination."""
        hops = [(hop.link, str(hop.gateway), hop.onlink, hop.weight) for hop in route.hops]
        by_uplink = route.type == "unicast" and not links.isdisjoint(hop.link for hop in route.hops)
        return (route.tos, route.metric, not by_uplink, route.type, hops)

    return sorted(routes, key=preference)


def _find_connected(uplinks: Iterable[Uplink], version: int) -> Dict[int, Dict[str, Hop]]:
    """The networks of the uplinks' own addresses: {prefix key: {link: how}}."""
    connected: Dict[int, Dict[str, Hop]] = {}
    for uplink in uplinks:
        for address in uplink.addresses:
            if address.version == version and address.network.prefixlen < BITS[version]:
                hops = connected.setdefault(prefix_key(address.network), {})
                hops[uplink.link.name] = Hop(uplink.link.name)
    return connected


def _add_connected(
    networks: Networks,
    routed: Iterable[Tuple[int, int]],
    connected: Mapping[int, Mapping[str, Hop]],
) -> Iterator[Tuple[int, int]]:
    """With the addresses' own networks, where main has no route to them (noprefixroute)."""
    unrouted = networks.add_kind(Reach({}, forwarded=False))
    added = ((key, unrouted) for key in sorted(connected))
    before = -1
    for key, kind in merge(routed, added, key=itemgetter(0)):
        if key == before:  # main's came first
            continue
        before = key
        hops, reach = connected.get(key), networks.reaches[kind]
        if hops and not hops.keys() <= reach.by.keys():
            yield key, networks.add_kind(reach._replace(by={**hops, **reach.by}))
        else:
            yield key, kind
