"""One routing table: which route the kernel takes for a destination (pure).

The facts are those of net/ipv4/fib_trie.c, net/ipv4/fib_semantics.c and net/ipv6/route.c, seen in a
running kernel by the differential test. Not modelled: routes of links without carrier
(``ignore_routes_with_linkdown``), unreachable neighbours, IPv6 source-specific routes (RTA_SRC)
and router preference.
"""

from typing import Dict, FrozenSet, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from symroute_nm.classes import Flat, Lookup, Spans, flatten, gaps, merge
from symroute_nm.model import Hop, Route

# net/ipv4/fib_semantics.c, fib_props; net/ipv6/route.c, ip6_rt_type_to_error
ERRORS = ("blackhole", "unreachable", "prohibit")
REJECTS = (*ERRORS, "throw")
LOCAL = ("local", "broadcast", "anycast", "multicast")
BITS = {4: 32, 6: 128}
WHOLE = {version: Spans([0], [(1 << bits) - 1]) for version, bits in BITS.items()}
PROTOCOL_RA = 9
# IPv4 routes are matched by the old TOS field alone (INET_DSCP_LEGACY_TOS_MASK, IPTOS_RT_MASK)
TOS_MASK = 0x1C


class Query(NamedTuple):
    """What a table lookup looks at beside the destination."""

    tos: int = 0  # IPv4: what `TOS_MASK` leaves
    bound: str = ""  # only routes by this link
    inbound: str = ""  # the link that the packet came in by; "": the host's own


class Choice(NamedTuple):
    """The route that is taken, and the ways out of which one is used."""

    route: Route
    hops: Tuple[Hop, ...] = ()

    @property
    def type(self) -> str:
        """``unicast``, ``local``, ``blackhole``, ``unreachable``, ``prohibit`` or ``throw``."""
        if self.route.type in REJECTS:
            return self.route.type
        return "local" if self.route.type in LOCAL else "unicast"


Way = Tuple[str, Tuple[Hop, ...]]


class Suppress(NamedTuple):
    """A rule's veto: prefixes not longer than this, routes by a link of a group (fib_rules.h).

    An error route is no success and is never suppressed (fib4_rule_suppress, fib6_rule_suppress).
    """

    prefixlength: int = -1
    links: FrozenSet[str] = frozenset()

    def drops(self, choice: Choice) -> bool:
        """Whether the rule passes this choice over; IPv4 looks at the route's first link only."""
        if (self.prefixlength < 0 and not self.links) or choice.route.type in REJECTS:
            return False
        if choice.route.destination.prefixlen <= self.prefixlength:
            return True
        hops = choice.route.hops if choice.route.version == 4 else choice.hops
        return bool(hops) and hops[0].link in self.links


class Table:
    """The routes of one table and family, by prefix, in the kernel's order."""

    def __init__(self, version: int, routes: Iterable[Route] = ()) -> None:
        self.version = version
        self.routes = list(routes)
        # By length and first address; nearly every prefix has one route, and needs no list.
        self._single: Dict[int, Dict[int, Route]] = {}
        self._several: Dict[Tuple[int, int], List[Route]] = {}
        self._lengths: List[int] = []
        self._flats: Dict[Query, Flat] = {}
        self._lookups: Dict[Tuple[Query, Suppress, bool], Lookup] = {}
        self._ways: Dict[Way, Way] = {}
        self._tos = any(route.tos for route in self.routes)
        for route in self.routes:
            self._add(route)
        self._order()

    def _add(self, route: Route) -> None:
        network = route.destination
        at_length = self._single.setdefault(network.prefixlen, {})
        first = int(network.network_address)
        if first in at_length:
            key = (network.prefixlen, first)
            self._several.setdefault(key, [at_length[first]]).append(route)
        else:
            at_length[first] = route

    def _order(self) -> None:
        """The higher TOS first (IPv4), then the lower metric, then as listed."""
        self._lengths = sorted(self._single, reverse=True)
        for routes in self._several.values():
            routes.sort(key=lambda each: (-each.tos * (self.version == 4), each.metric))

    def _routes(self, length: int, first: int) -> Sequence[Route]:
        """The routes to a prefix; none where the table has none."""
        several = self._several.get((length, first)) if self._several else None
        if several is not None:
            return several
        route = self._single[length].get(first)
        return () if route is None else (route,)

    def find(self, address: int, query: Query) -> Optional[Choice]:
        """The route for an address, ``throw`` included; None where the table has none."""
        bits = BITS[self.version]
        for length in self._lengths:
            shift = bits - length
            routes = self._routes(length, address >> shift << shift)
            choice = self._choose(routes, query) if routes else None
            if choice is not None:
                return choice
        return None

    def _choose(self, routes: Sequence[Route], query: Query) -> Optional[Choice]:
        return _choose_v4(routes, query) if self.version == 4 else _choose_v6(routes, query)

    def flat(self, query: Query) -> Flat:
        """The whole table as disjoint intervals, each with its `Choice`; kept for the next call."""
        plain = self._plain(query)
        flat = self._flats.get(plain)
        if flat is None:
            flat = self._flats[plain] = flatten(self._entries(plain))
        return flat

    def _plain(self, query: Query) -> Query:
        """Queries that this table cannot tell apart are one, and share what is kept."""
        inbound = query.inbound if self._several else ""
        return Query(query.tos if self._tos else 0, query.bound, inbound)

    def _entries(self, query: Query) -> Iterator[Tuple[int, int, Choice]]:
        """What each prefix is sent by, in ascending order, of nested ones the outer first."""
        bits = BITS[self.version]
        places = sorted(first << 8 | length
                        for length, at_length in self._single.items() for first in at_length)
        for place in places:
            first, length = place >> 8, place & 0xFF  # a byte holds any prefix length
            choice = self._choose(self._routes(length, first), query)
            if choice is not None:
                yield first, first + (1 << (bits - length)) - 1, choice

    def lookup(self, query: Query, suppress: Suppress, by_way: bool) -> Lookup:
        """The table as a rule sees it: what it finds and does not suppress; kept.

        Values are choices or, `by_way`, pairs of type and ways out, merged where they are equal;
        a local address is no way out and all of them are one.
        """
        key = (self._plain(query), suppress, by_way)
        if key not in self._lookups:
            flat, other = self.flat(query), self._lookups.get((key[0], suppress, not by_way))
            found = merge(
                (first, last, self._way(choice) if by_way else choice)
                for first, last, choice in zip(*flat)
                if choice.route.type != "throw" and not suppress.drops(choice)
            )
            found = _share(found, flat, *([other.found] if other else []))
            # Whatever the values are, what is missing is the same.
            missing = other.missing if other else gaps(
                found.starts, found.ends, WHOLE[self.version])
            self._lookups[key] = Lookup(found, missing)
        return self._lookups[key]

    def _way(self, choice: Choice) -> Way:
        way = (choice.type, () if choice.type == "local" else choice.hops)
        return self._ways.setdefault(way, way)


def _share(flat: Flat, *others: Flat) -> Flat:
    """The same, with the lists of the first of the others that has the same intervals."""
    for each in others:
        if len(each.starts) == len(flat.starts) and flat[:2] == each[:2]:
            return Flat(each.starts, each.ends, flat.values)
    return flat


def _choose_v4(routes: Sequence[Route], query: Query) -> Optional[Choice]:
    """fib_table_lookup: an error route decides before its link is looked at."""
    matching = [route for route in routes if route.tos in (0, query.tos)]
    for position, route in enumerate(matching):
        if route.type in REJECTS:
            return Choice(route)
        if not query.bound:
            return _balance_defaults(matching[position:], query)
        bound = [hop for hop in route.hops if hop.link == query.bound]
        if bound:
            return Choice(route, (bound[0],))
    return None


def _balance_defaults(routes: Sequence[Route], query: Query) -> Choice:
    """fib_select_default: own packets use any of equal default routes, as neighbours answer.

    A route of another TOS counts as equal: the kernel compares metrics within one TOS only.
    """
    route = routes[0]
    if len(routes) == 1 or query.inbound or not route.default or not _single_gateway(route):
        return Choice(route, route.hops)
    hops, metric, tos = route.hops, route.metric, 0
    for each in routes:
        if each.metric > metric and each.tos == tos:
            break
        metric, tos = each.metric, each.tos
        if each.scope == route.scope and each.type == "unicast" and each.hop.gateway is not None:
            hops += tuple(hop for hop in each.hops[:1] if hop not in hops)
    return Choice(route, hops)


def _single_gateway(route: Route) -> bool:
    return route.type == "unicast" and len(route.hops) == 1 and route.hop.gateway is not None


def _choose_v6(routes: Sequence[Route], query: Query) -> Optional[Choice]:
    """find_rr_leaf, rt6_score_route: the link of the packet counts among equal metrics."""
    usable = routes
    if query.bound:
        usable = [route for route in routes if query.bound in _devices(route)]
    if not usable:
        return None
    equal = [route for route in usable if route.metric == usable[0].metric]
    here = [route for route in equal if query.inbound in _devices(route)]
    route = (here or equal)[0]
    hops = _siblings(route, equal)
    if query.bound:
        hops = tuple(hop for hop in hops if hop.link == query.bound)
    return Choice(route, hops)


def _devices(route: Route) -> Tuple[str, ...]:
    # An IPv6 error route has the loopback device (ip6_route_info_create).
    return ("lo",) if route.type in REJECTS else tuple(hop.link for hop in route.hops)


def _siblings(route: Route, equal: Sequence[Route]) -> Tuple[Hop, ...]:
    """rt6_qualify_for_ecmp; of equal routes from routers (RA), any: whichever answers."""
    if not _gatewayed(route):
        return route.hops
    hops: List[Hop] = []
    for each in equal:
        if _gatewayed(each) and (each.protocol == PROTOCOL_RA) == (route.protocol == PROTOCOL_RA):
            hops.extend(hop for hop in each.hops if hop not in hops)
    return tuple(hops)


def _gatewayed(route: Route) -> bool:
    return (
        route.type not in REJECTS
        and bool(route.hops)
        and all(hop.gateway is not None for hop in route.hops)
    )
