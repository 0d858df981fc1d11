"""One routing table: which route the kernel takes for a destination.

The facts are those of net/ipv4/fib_trie.c, net/ipv4/fib_semantics.c and net/ipv6/route.c, seen in a
running kernel by the differential test. Not modelled: routes of links without carrier
(``ignore_routes_with_linkdown``), unreachable neighbours, IPv6 source-specific routes (RTA_SRC)
and router preference.
"""

from itertools import chain
from typing import Dict, FrozenSet, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from symroute_nm.model.network import IPV4, Hop, Route
from symroute_nm.model.prefixes import (
    BITS,
    LENGTH_MASK,
    first_address,
    last_address,
    make_prefix_key,
)
from symroute_nm.model.route_set import RouteTable
from symroute_nm.rpdb.intervals import (
    LabelledIntervals,
    Lookup,
    complement,
    flatten,
    make_intervals,
    merge_neighbours,
)

# net/ipv4/fib_semantics.c, fib_props; net/ipv6/route.c, ip6_rt_type_to_error
ERRORS = ("blackhole", "unreachable", "prohibit")
REJECTS = (*ERRORS, "throw")
LOCAL = ("local", "broadcast", "anycast", "multicast")
WHOLE = {version: make_intervals(version, (0, (1 << bits) - 1)) for version, bits in BITS.items()}
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


Way = Tuple[str, Tuple[Hop, ...], bool]  # type, ways out, whether by a default route


class Suppress(NamedTuple):
    """A rule's veto: prefixes not longer than this, routes by a link of a group (fib_rules.h).

    An error route is no success and is never suppressed (fib4_rule_suppress, fib6_rule_suppress).
    """

    prefixlength: int = -1
    links: FrozenSet[str] = frozenset()

    def drops(self, choice: Choice) -> bool:
        """Whether the rule passes this choice over."""
        short = choice.route.destination.prefixlen <= self.prefixlength
        return self.passes(choice, short=short)

    def passes(self, choice: Choice, *, short: bool) -> bool:
        """As `drops`, of a prefix that is short enough or not.

        IPv4 looks at the route's first link only.
        """
        if (self.prefixlength < 0 and not self.links) or choice.route.type in REJECTS:
            return False
        if short:
            return True
        hops = choice.route.hops if choice.route.version == IPV4 else choice.hops
        return bool(hops) and hops[0].link in self.links


# What a table does with a destination, in the place of the number of a way
_NOTHING = -1


class Table:
    """The routes of one table and family: what it finds, for one address or for all."""

    def __init__(self, routes: RouteTable) -> None:
        self.routes = routes
        self._lengths: List[int] = []
        self._within: Optional[Tuple[Tuple[int, int], Table]] = None
        self._intervals: Dict[Query, LabelledIntervals] = {}
        self._lookups: Dict[Tuple[Query, Suppress, bool], Lookup] = {}
        self._ways: Dict[Way, int] = {}
        self._has_tos = any(route.tos for route in routes.templates)
        # What routes of one kind are chosen for, where they are the only ones to a destination
        self._chosen: Dict[Tuple[int, Query], Optional[Choice]] = {}

    def within(self, first: int, last: int) -> "Table":
        """The same for these addresses alone; the last one asked for is kept."""
        stretch = (first, last)
        if self._within is None or self._within[0] != stretch:
            self._within = (stretch, Table(self.routes.within(*stretch)))
        return self._within[1]

    def find(self, address: int, query: Query) -> Optional[Choice]:
        """The route for an address, ``throw`` included; None where the table has none."""
        bits = BITS[self.routes.version]
        if not self._lengths:
            self._lengths = sorted(
                {key & LENGTH_MASK for key in self.routes.prefix_keys}, reverse=True
            )
        for length in self._lengths:
            shift = bits - length
            position = self.routes.find(make_prefix_key(address >> shift << shift, length))
            choice = None if position is None else self.choice(position, query)
            if choice is not None:
                return choice
        return None

    def choice(self, position: int, query: Query) -> Optional[Choice]:
        """What is chosen of the routes to the destination whose first one stands there."""
        choice = self.like(position, query)
        if choice is None or position in self.routes.runs:
            return choice
        return Choice(self.routes.route(position), choice.hops)

    def like(self, position: int, query: Query) -> Optional[Choice]:
        """As `choice`, but of a destination's only route all but its destination."""
        if position in self.routes.runs:
            return self._choose(self._sort(self.routes.run(position)), query)
        kind = self.routes.kinds[position]
        if (kind, query) not in self._chosen:
            self._chosen[kind, query] = self._choose([self.routes.templates[kind]], query)
        return self._chosen[kind, query]

    def likeness(self, position: int) -> int:
        """Equal for destinations that are decided alike but for their prefixes."""
        return ~position if position in self.routes.runs else self.routes.kinds[position]

    def _sort(self, routes: List[Route]) -> List[Route]:
        """The higher TOS first (IPv4), then the lower metric, then as listed."""
        if self.routes.version == IPV4:
            return sorted(routes, key=lambda route: (-route.tos, route.metric))
        return sorted(routes, key=lambda route: route.metric)

    def _choose(self, routes: Sequence[Route], query: Query) -> Optional[Choice]:
        return (_choose_v4 if self.routes.version == IPV4 else _choose_v6)(routes, query)

    def intervals(self, query: Query) -> LabelledIntervals:
        """The whole table as disjoint intervals with positions for `choice`; kept."""
        plain = self._plain(query)
        if plain not in self._intervals:
            self._intervals[plain] = flatten(self.routes.version, self._entries(plain))
        return self._intervals[plain]

    def _plain(self, query: Query) -> Query:
        """Queries that this table cannot tell apart are one, and share what is kept."""
        inbound = query.inbound if self.routes.runs else ""
        return Query(query.tos if self._has_tos else 0, query.bound, inbound)

    def _entries(self, query: Query) -> Iterator[Tuple[int, int, int]]:
        """(first, last, position) of each prefix that is sent; of nested ones the outer first."""
        bits, keys = BITS[self.routes.version], self.routes.prefix_keys
        for position in self.routes.starts():
            if self.like(position, query) is not None:
                yield first_address(keys[position]), last_address(keys[position], bits), position

    def lookup(self, query: Query, suppress: Suppress, *, by_way: bool) -> Lookup:
        """The table as a rule sees it: what it finds and does not suppress; kept.

        Values are positions for `choice` or, `by_way`, numbers of what they have in common: type,
        ways out, and whether the route is a default; equal neighbours are merged. A local address
        is no way out and all of them are one.
        """
        plain = self._plain(query)
        key = (plain, suppress, by_way)
        if key not in self._lookups:
            whole, other = self.intervals(query), self._lookups.get((plain, suppress, not by_way))
            seen = self._see(whole, plain, suppress, by_way=by_way)
            found = _share(merge_neighbours(self.routes.version, seen), whole)
            if other:  # whatever the values are, what is missing is the same
                self._lookups[key] = Lookup(_share(found, other.found), other.missing)
            else:
                missing = complement(found.starts, found.ends, WHOLE[self.routes.version])
                self._lookups[key] = Lookup(found, missing)
        return self._lookups[key]

    def _see(
        self, whole: LabelledIntervals, query: Query, suppress: Suppress, *, by_way: bool
    ) -> Iterator[Tuple[int, int, int]]:
        """What the rule does not pass over; what is alike is looked at once."""
        keys = self.routes.prefix_keys
        known: Dict[Tuple[int, bool], int] = {}
        for first, last, position in zip(*whole):
            short = keys[position] & LENGTH_MASK <= suppress.prefixlength
            key = (self.likeness(position), short)
            way = known.get(key)
            if way is None:
                choice = self.like(position, query)
                way = known[key] = self._number_way(choice, suppress, short=short)
            if way != _NOTHING:
                yield first, last, way if by_way else position

    def _number_way(self, choice: Optional[Choice], suppress: Suppress, *, short: bool) -> int:
        if choice is None or choice.type == "throw" or suppress.passes(choice, short=short):
            return _NOTHING
        local = choice.type == "local"
        way = (choice.type, () if local else choice.hops, not local and choice.route.default)
        return self._ways.setdefault(way, len(self._ways))


def _share(labelled: LabelledIntervals, other: LabelledIntervals) -> LabelledIntervals:
    """The same, with the lists of the other where these are equal: long ones are kept once."""
    if len(other.starts) == len(labelled.starts) and labelled[:2] == other[:2]:
        return LabelledIntervals(other.starts, other.ends, labelled.values)
    return labelled


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
    for other in routes:
        if other.metric > metric and other.tos == tos:
            break
        metric, tos = other.metric, other.tos
        if other.scope == route.scope and other.type == "unicast" and other.hop.gateway is not None:
            hops += tuple(hop for hop in other.hops[:1] if hop not in hops)
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
    inbound = [route for route in equal if query.inbound in _devices(route)]
    route = (inbound or equal)[0]
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
    by_router = route.protocol == PROTOCOL_RA
    siblings = [
        sibling.hops
        for sibling in equal
        if _gatewayed(sibling) and (sibling.protocol == PROTOCOL_RA) == by_router
    ]
    return tuple(dict.fromkeys(chain.from_iterable(siblings)))


def _gatewayed(route: Route) -> bool:
    return (
        route.type not in REJECTS
        and bool(route.hops)
        and all(hop.gateway is not None for hop in route.hops)
    )
