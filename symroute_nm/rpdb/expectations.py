"""What every destination is due: delivery, a drop, an internal network, the asked link (pure)."""

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
from symroute_nm.rpdb.database import DecidedPart, Rpdb
from symroute_nm.rpdb.decision import Decision
from symroute_nm.rpdb.intervals import Intervals, LabelledIntervals, make_labelled
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
# Dues of so few intervals are better judged together
_SHORT = 1000

_LINK_SCOPE_TABLE = 1  # in a database of our own, which has no other but local and main
_LINK_SCOPE_ROUTES = pack(
    Route(network, table=_LINK_SCOPE_TABLE, hops=(Hop(),))
    for version in VERSIONS
    for network in _LINK_SCOPE[version]
)


class Expectation(NamedTuple):
    """What a part of the destination space is due, by what local and main know specifically."""

    kind: str  # local, drop, internal, main: left to it, own: by the link of the source address
    spans: Intervals
    specific: LabelledIntervals  # as local and main alone decide there: positions in `decisions`
    decisions: List[Decision]  # of their type and ways out; the route is one for all of these


class Expectations:
    """What each family's destinations are due, worked out when first asked for."""

    def __init__(
        self, host: Host, outward: FrozenSet[str], left_out: Sequence[PrefixSet], like: Rpdb
    ) -> None:
        self.outward = outward
        self._left_out = left_out
        self._database = _build_database(host, like)

    def of(self, version: int, within: Intervals) -> List[Expectation]:
        """The dues of a stretch of that family's addresses; ascending, without link scope."""
        database = self._database.within(version, within.starts[0], within.ends[0])
        template = Packet(ANY[version].network_address)
        found = [
            due
            for part in database.parts(template, within, by_way=False)
            for due in self._divide(part)
        ]
        return sorted(_unite(version, found), key=lambda each: each.spans.starts[0])

    def _divide(self, part: DecidedPart) -> Iterator[Expectation]:
        """The destinations that one rule decides, by what they are due."""
        table = part.table
        if table is None:  # nothing is known of them specifically
            decision = part.decide(part.flat.starts[0], 0)
            yield Expectation("own", Intervals(*part.flat[:2]), part.flat, [decision])
            return
        dues: Dict[str, Expectation] = {}
        known: Dict[
            Tuple[int, int], Tuple[LabelledIntervals, int]
        ] = {}  # very many are of few kinds
        left = self._find_left_out(table.routes)
        for first, last, position in zip(*part.flat):
            key = (table.likeness(position), left[position])
            if key not in known:
                decision = part.decide(first, position)
                kind = _kind(decision, self.outward)
                kind = "main" if kind == "own" and key[1] else kind
                due = dues.setdefault(kind, _make_due(kind, table.routes.version))
                known[key] = (due.specific, len(due.decisions))
                due.decisions.append(decision)
            flat, number = known[key]
            flat.starts.append(first)
            flat.ends.append(last)
            flat.values.append(number)
        for kind, due in dues.items():
            if kind != "any":
                yield due._replace(spans=_join(due.specific))

    def _find_left_out(self, routes: RouteTable) -> bytearray:
        """Which of these routes are main's to what is left to it, as ones at their positions."""
        for networks in self._left_out if routes.table == TABLE_MAIN else ():
            if networks.version == routes.version:
                return bytearray(map(networks.has, routes.prefix_keys))
        return bytearray(len(routes.prefix_keys))


def _unite(version: int, dues: Iterable[Expectation]) -> Iterator[Expectation]:
    """The dues, those of one kind made one where they are short: each is judged by itself."""
    by_kind: Dict[str, List[Expectation]] = {}
    for each in dues:
        by_kind.setdefault(each.kind, []).append(each)
    for kind, alike in by_kind.items():
        if len(alike) == 1 or sum(len(each.specific.starts) for each in alike) > _SHORT:
            yield from alike
            continue
        united = _make_due(kind, version)
        intervals: List[Tuple[int, int, int]] = []
        for each in alike:
            first = len(united.decisions)
            starts, ends, values = each.specific
            intervals += zip(starts, ends, (first + value for value in values))
            united.decisions.extend(each.decisions)
        for place, numbers in zip(united.specific, zip(*sorted(intervals))):
            place.extend(numbers)
        yield united._replace(spans=_join(united.specific))


def _make_due(kind: str, version: int) -> Expectation:
    flat = make_labelled(version)
    return Expectation(kind, Intervals(*flat[:2]), flat, [])


def find_catch_all_links(host: Host, uplinks: AbstractSet[str]) -> FrozenSet[str]:
    """The links that are no uplinks and yet lead to most of a family: a VPN's default in pieces."""
    spans: Dict[Tuple[str, int], List[int]] = {}
    others = pack(host.routes).select_prefix_keys(
        lambda route: (
            route.type == "unicast"
            and not route.default
            and any(hop.link not in uplinks for hop in route.hops)
        )
    )
    for route, keys in others:
        for hop in route.hops:
            if hop.link not in uplinks:
                spans.setdefault((hop.link, route.version), []).extend(keys)
    return frozenset(
        link
        for (link, version), keys in spans.items()
        if _count_addresses(keys, BITS[version]) >= (1 << BITS[version]) // _WIDE_SHARE
    )


def _count_addresses(keys: List[int], bits: int) -> int:
    return sum(
        last_address(each, bits) - first_address(each) + 1 for each in collapse(sorted(keys), bits)
    )


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
    rules = [
        rule
        for version in VERSIONS
        for rule in (
            Rule(version, 0, table=TABLE_LOCAL),
            Rule(version, 1, table=_LINK_SCOPE_TABLE),
            Rule(version, 2, table=TABLE_MAIN, suppress_prefixlength=0),
        )
    ]
    kept = [table for table in pack(host.routes).tables if table.table in (TABLE_LOCAL, TABLE_MAIN)]
    return Rpdb(rules, RouteSet([*kept, *_LINK_SCOPE_ROUTES.tables]), host.links, like=like)


def _kind(decision: Decision, outward: FrozenSet[str]) -> str:
    if decision.table == _LINK_SCOPE_TABLE:
        return "any"
    if decision.type == "local":
        return "local"
    if decision.type != "unicast" and decision.route is not None:
        return "drop"
    return "internal" if is_internal(decision, outward) else "own"


def _join(flat: LabelledIntervals) -> Intervals:
    """Neighbours made one."""
    joined = Intervals(flat.starts[:0], flat.ends[:0])
    until = -1
    for first, last in zip(flat.starts, flat.ends):
        if until == first - 1 and joined.ends:
            joined.ends[-1] = last
        else:
            joined.starts.append(first)
            joined.ends.append(last)
        until = last
    return joined
