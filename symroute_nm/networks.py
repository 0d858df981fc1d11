"""Which destinations main knows specifically, and how the uplinks reach them (pure)."""

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
    first_of,
    last_of,
    make_indexes,
    make_ranks,
    prefix_key,
)
from symroute_nm.model.route_set import RouteTable, pack


class Reach(NamedTuple):
    """How the uplinks reach a destination that main knows specifically."""

    by: Mapping[str, Hop]  # uplinks that reach it themselves: {link: how}
    forwarded: bool  # the other uplinks reach it by their gateways; else it is main's alone
    main: str = ""  # the uplink that main reaches it by, and by no other

    @property
    def internal(self) -> bool:
        """Whether no uplink reaches it: a container's, a VPN's, a blackhole."""
        return not self.by and not self.forwarded

    @property
    def connected(self) -> bool:
        """Whether some uplink has it on its link, rather than behind a router of its own."""
        return any(each.gateway is None for each in self.by.values())


class Networks:
    """All that main knows specifically of one family, in ascending order of `ranks`.

    `kinds` has the position in `reaches` for each: very many are reached alike.
    """

    def __init__(self, version: int, found: Iterable[Tuple[int, Reach]] = ()) -> None:
        self.version = version
        self.ranks, self.kinds = make_ranks(version), make_indexes()
        self.reaches: List[Reach] = []
        known: Dict[int, int] = {}
        for number, reach in found:
            kind = known.setdefault(id(reach), len(self.reaches))
            if kind == len(self.reaches):
                self.reaches.append(reach)  # which keeps its id
            self.ranks.append(number)
            self.kinds.append(kind)

    def __len__(self) -> int:
        return len(self.ranks)

    def reach(self, position: int) -> Reach:
        """How the uplinks reach the network at that position."""
        return self.reaches[self.kinds[position]]


def find_networks(host: Host, uplinks: Sequence[Uplink]) -> Dict[int, Networks]:
    """All that main knows specifically: {IP version: networks}."""
    routes, networks = pack(host.routes), {}
    for version in VERSIONS:
        links = {each.link.name for each in uplinks if each.gateway(version)}
        packed = routes.of(TABLE_MAIN, version)
        found = _reach_all(packed, links) if packed else iter(())
        connected: Dict[int, Dict[str, Hop]] = {}
        for uplink in uplinks:
            for address in uplink.addresses:
                if address.version == version and address.network.prefixlen < BITS[version]:
                    here = connected.setdefault(prefix_key(address.network), {})
                    here[uplink.link.name] = Hop(uplink.link.name)
        networks[version] = Networks(version, _add_connected(found, connected))
    return networks


def _reach_all(packed: RouteTable, links: AbstractSet[str]) -> Iterator[Tuple[int, Reach]]:
    """Main's specific destinations; the best route says whether an uplink's gateway is the way."""
    known: Dict[Tuple[int, bool], Reach] = {}  # many have the same hops
    own = prefix_key(LINK_LOCAL[packed.version])
    low, high = first_of(own), last_of(own, BITS[packed.version])
    for position in packed.starts():
        number = packed.ranks[position]
        if not number & LENGTH_MASK:
            continue
        # Link-local networks belong to their link alone and are never sent by a gateway.
        local = low <= first_of(number) <= high and number & LENGTH_MASK >= own & LENGTH_MASK
        if position in packed.runs:
            routes = [each for each in packed.run(position) if each.type != "throw"]
            if routes:
                yield number, _reach(_sort_routes(routes, links), links, local)
            continue
        key = (packed.kinds[position], local)
        if key not in known:
            known[key] = _reach([packed.templates[key[0]]], links, local)
        if packed.templates[key[0]].type != "throw":
            yield number, known[key]


def _reach(routes: Sequence[Route], links: AbstractSet[str], local: bool) -> Reach:
    """How the routes to one destination reach it, the best of which comes first."""
    ways = [
        {hop.link: Hop(hop.link, hop.gateway, hop.onlink)
         for hop in reversed(route.hops) if hop.link in links and route.type == "unicast"}
        for route in routes]
    by = {link: hop for each in reversed(ways) for link, hop in each.items()}
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
        hops = [(each.link, str(each.gateway), each.onlink, each.weight) for each in route.hops]
        by_uplink = route.type == "unicast" and not links.isdisjoint(hop[0] for hop in hops)
        return (route.tos, route.metric, not by_uplink, route.type, hops)

    return sorted(routes, key=preference)


def _add_connected(
    found: Iterable[Tuple[int, Reach]], connected: Mapping[int, Mapping[str, Hop]]
) -> Iterator[Tuple[int, Reach]]:
    """With the addresses' own networks, where main has no route to them (noprefixroute)."""
    added = ((number, Reach({}, False)) for number in sorted(connected))
    before = -1
    for number, reach in merge(found, added, key=itemgetter(0)):
        if number == before:  # main's came first
            continue
        before = number
        here = connected.get(number)
        lacking = here and not set(here) <= set(reach.by)
        yield number, reach._replace(by={**here, **reach.by}) if here and lacking else reach
