"""Where packets should go: delivered, dropped, to an internal network, by the link asked at."""

from ipaddress import IPv4Network, IPv6Network
from typing import (
    AbstractSet,
    Dict,
    FrozenSet,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

from symroute_nm.model.host import Host
from symroute_nm.model.network import (
    ANY,
    LINK_LOCAL,
    TABLE_LOCAL,
    TABLE_MAIN,
    VERSIONS,
    Hop,
    IPNetwork,
    Route,
    Rule,
)
from symroute_nm.model.prefixes import BITS, PrefixSet, collapse, first_address, last_address
from symroute_nm.model.route_set import RouteSet, RouteTable, pack
from symroute_nm.rpdb.decision import Decision
from symroute_nm.rpdb.intervals import Intervals, LabelledIntervals, make_labelled
from symroute_nm.rpdb.lookup import DecidedPart, Rpdb
from symroute_nm.rpdb.rules import Packet

# A link that has specific routes to this much of a family's addresses is a way to everything, in
# pieces, and no internal network: OpenVPN's redirect-gateway has 0.0.0.0/1 and 128.0.0.0/1, or ::/3
# and 2000::/4; WireGuard's AllowedIPs may spell the Internet out. 2000::/3 is an eighth of IPv6.
_WIDE_SHARE = 8

# Link-local and multicast destinations belong to the link that they are asked for on; and so does
# ::1 (rt6_need_strict), which comes in by none.
_LINK_SCOPE: Mapping[int, Tuple[IPNetwork, ...]] = {
    4: (LINK_LOCAL[4], IPv4Network("224.0.0.0/4"), IPv4Network("255.255.255.255/32")),
    6: (LINK_LOCAL[6], IPv6Network("ff00::/8"), IPv6Network("::1/128")),
}
# Expectations of so few intervals are better judged together
_SHORT = 1000

_LINK_SCOPE_TABLE = 1  # in a database of our own, which has no other but local and main
_LINK_SCOPE_ROUTES = pack(
    Route(network, table=_LINK_SCOPE_TABLE, hops=(Hop(),))
    for network in (*_LINK_SCOPE[4], *_LINK_SCOPE[6])
)


class Expectation(NamedTuple):
    """What is expected of a part of the destination space, by what local and main know of it.

    `kind` is local, drop, internal, main (left to it) or own (by the link of the source address).
    """

    kind: str
    intervals: Intervals
    specific: LabelledIntervals  # as local and main alone decide there: positions in `decisions`
    decisions: Sequence[Decision]  # of their type and ways out; the route is one for all of these


class Expectations:
    """What is expected of each family's destinations, worked out stretch by stretch."""

    def __init__(
        self, host: Host, outward: FrozenSet[str], left_out: Sequence[PrefixSet], like: Rpdb
    ) -> None:
        self.outward = outward
        self._left_out = left_out
        self._database = _build_database(host, like)

    def of(self, version: int, within: Intervals) -> List[Expectation]:
        """What is expected in a stretch of that family's addresses; without link scope.

        Ascending by where they begin.
        """
        database = self._database.within(version, within.starts[0], within.ends[0])
        template = Packet(ANY[version].network_address)
        drafts: Dict[str, List[_Draft]] = {}
        for part in database.parts(template, within, by_way=False):
            for draft in self._divide(part):
                drafts.setdefault(draft.kind, []).append(draft)
        expectations: List[Expectation] = []
        for alike in drafts.values():
            expectations += [draft.finish() for draft in _unite(version, alike)]
        return sorted(expectations, key=lambda expectation: expectation.intervals.starts[0])

    def _divide(self, part: DecidedPart) -> Iterable["_Draft"]:
        """The destinations that one rule decides, by what is expected of them."""
        if part.table is None:  # nothing is known of them specifically
            decision = part.decide(part.intervals.starts[0], 0)
            joined = Intervals(part.intervals.starts, part.intervals.ends)
            return [_Draft("own", part.intervals, [decision], joined)]
        routes = part.table.routes
        drafts: Dict[str, _Draft] = {}
        known: Dict[Tuple[int, int], Tuple[_Draft, int]] = {}  # very many are of few kinds
        left = self._find_left_out(routes)
        for first, last, position in zip(*part.intervals):
            key = (part.table.likeness(position), left[position])
            if key not in known:
                decision = part.decide(first, position)
                kind = _find_kind(decision, self.outward)
                if kind == "own" and left[position]:
                    kind = "main"
                draft = drafts.setdefault(kind, _Draft(kind, make_labelled(routes.version), []))
                known[key] = (draft, draft.add_decision(decision))
            draft, number = known[key]
            draft.specific.starts.append(first)
            draft.specific.ends.append(last)
            draft.specific.values.append(number)
        return [draft for kind, draft in drafts.items() if kind != "any"]

    def _find_left_out(self, routes: RouteTable) -> bytearray:
        """Which of these routes are main's to what is left to it, as ones at their positions."""
        if routes.table == TABLE_MAIN:
            for networks in self._left_out:
                if networks.version == routes.version:
                    return bytearray(map(networks.has, routes.prefix_keys))
        return bytearray(len(routes.prefix_keys))


class _Draft:
    """An expectation while its intervals and decisions are gathered.

    `joined` are its intervals without their labels; None: to be made of them in the end.
    """

    def __init__(
        self,
        kind: str,
        specific: LabelledIntervals,
        decisions: List[Decision],
        joined: Optional[Intervals] = None,
    ) -> None:
        self.kind = kind
        self.specific = specific
        self._decisions = decisions
        self._joined = joined

    def add_decision(self, decision: Decision) -> int:
        """The number by which `specific` says that it is decided so."""
        self._decisions.append(decision)
        return len(self._decisions) - 1

    def add_all(self, other: "_Draft") -> Iterator[Tuple[int, int, int]]:
        """Takes over the other's decisions; its intervals with the numbers that these have here."""
        shift = len(self._decisions)
        self._decisions += other._decisions
        starts, ends, values = other.specific
        return zip(starts, ends, [shift + value for value in values])

    def finish(self) -> Expectation:
        """What was gathered."""
        intervals = _join(self.specific) if self._joined is None else self._joined
        return Expectation(self.kind, intervals, self.specific, self._decisions)


def _unite(version: int, alike: Sequence[_Draft]) -> Sequence[_Draft]:
    """Drafts of one kind made one where they are short: each is judged by itself."""
    if len(alike) == 1 or sum(len(draft.specific.starts) for draft in alike) > _SHORT:
        return alike
    united = _Draft(alike[0].kind, make_labelled(version), [])
    intervals: List[Tuple[int, int, int]] = []
    for draft in alike:
        intervals += united.add_all(draft)
    for column, numbers in zip(united.specific, zip(*sorted(intervals))):
        column.extend(numbers)
    return [united]


def find_catch_all_links(host: Host, uplinks: AbstractSet[str]) -> FrozenSet[str]:
    """The links that are no uplinks and yet lead to most of a family: a VPN's default in pieces."""

    def is_by_others(route: Route) -> bool:
        return (
            route.type == "unicast"
            and not route.default
            and any(hop.link not in uplinks for hop in route.hops)
        )

    reached: Dict[Tuple[str, int], List[int]] = {}
    for route, keys in host.routes.select_prefix_keys(is_by_others):
        for hop in route.hops:
            if hop.link not in uplinks:
                reached.setdefault((hop.link, route.version), []).extend(keys)
    return frozenset(
        link
        for (link, version), keys in reached.items()
        if _count_addresses(keys, BITS[version]) >= (1 << BITS[version]) // _WIDE_SHARE
    )


def _count_addresses(keys: List[int], bits: int) -> int:
    networks = collapse(sorted(keys), bits)
    return sum(last_address(key, bits) - first_address(key) + 1 for key in networks)


def is_internal(decision: Decision, outward: FrozenSet[str]) -> bool:
    """Whether a specific route leads to a link that leads nowhere else: a container, a VPN's peer.

    `outward` are the uplinks and the links that are a way to everything.
    """
    route = decision.route
    return (
        decision.type == "unicast"
        and route is not None
        and not route.default
        and not decision.links & outward
    )


def _build_database(host: Host, like: Rpdb) -> Rpdb:
    """What local and what main knows specifically decide."""
    rules: List[Rule] = []
    for version in VERSIONS:
        rules.append(Rule(version, 0, table=TABLE_LOCAL))
        rules.append(Rule(version, 1, table=_LINK_SCOPE_TABLE))
        rules.append(Rule(version, 2, table=TABLE_MAIN, suppress_prefixlength=0))
    kept = [table for table in host.routes.tables if table.table in (TABLE_LOCAL, TABLE_MAIN)]
    return Rpdb(rules, RouteSet([*kept, *_LINK_SCOPE_ROUTES.tables]), host.links, like=like)


def _find_kind(decision: Decision, outward: FrozenSet[str]) -> str:
    if decision.table == _LINK_SCOPE_TABLE:
        return "any"
    if decision.type == "local":
        return "local"
    if decision.type != "unicast" and decision.route is not None:
        return "drop"
    return "internal" if is_internal(decision, outward) else "own"


def _join(labelled: LabelledIntervals) -> Intervals:
    """The intervals without their labels, neighbours made one."""
    joined = Intervals(labelled.starts[:0], labelled.ends[:0])
    until = -1
    for first, last in zip(labelled.starts, labelled.ends):
        if until == first - 1 and joined.ends:
            joined.ends[-1] = last
        else:
            joined.starts.append(first)
            joined.ends.append(last)
        until = last
    return joined
