"""Where packets go beside where they should: a host's decisions held against `Expectation`s."""

from itertools import islice
from typing import (
    Dict,
    FrozenSet,
    Hashable,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Sequence,
    Tuple,
)

from symroute_nm.model.network import TABLE_MAIN, Address
from symroute_nm.rpdb.decision import Decision
from symroute_nm.rpdb.expectations import Expectation, is_internal
from symroute_nm.rpdb.intervals import Overlap, find_overlaps
from symroute_nm.rpdb.lookup import Rpdb, Signature
from symroute_nm.rpdb.rules import Packet

# So many ways to go wrong are told one by one
MOST_WAYS = 8


class Flow(NamedTuple):
    """Packets to all destinations: from an address, which are to leave by the address's link."""

    address: Address
    template: Packet
    unjudged: Sequence[str] = ()  # kinds of expectations


class Group(NamedTuple):
    """Destinations that are decided alike and of which the same is expected.

    Their widest interval stands for all.
    """

    actual: Decision
    specific: Decision  # as local and main alone decide
    overlap: Overlap

    @property
    def representative(self) -> int:
        """An address of it: not a network's own, which is the first, where there is another."""
        return _representative(self.overlap)

    @property
    def number(self) -> int:
        """Of how many intervals it is."""
        return self.overlap.number


class Deviation(NamedTuple):
    """What goes wrong of one expectation: the first groups, and of how many intervals all are."""

    groups: Sequence[Group]
    number: int

    def add(self, other: "Deviation") -> "Deviation":
        """Both; groups that are alike made one."""
        groups = merge_alike([*self.groups, *other.groups])[:MOST_WAYS]
        return Deviation(groups, self.number + other.number)


class _JudgedGroup(NamedTuple):
    """A group that is right for the packets of one link at most; "": for none."""

    group: Group
    link: str


class _Judgement(NamedTuple):
    """The groups of an expectation that are not right for every link; ascending."""

    groups: Sequence[_JudgedGroup]
    right: Mapping[str, int]  # of how many intervals the groups are that are right for a link
    number: int  # of intervals of all of them

    def deviation(self, link: str) -> Deviation:
        """What goes wrong of them for the packets of that link."""
        wrong = (judged.group for judged in self.groups if judged.link != link)
        first = list(islice(wrong, MOST_WAYS))
        return Deviation(first, self.number - self.right.get(link, 0))


class Judge:
    """A host's RPDB beside what is expected; what many addresses share is worked out once."""

    def __init__(
        self,
        database: Rpdb,
        expectations: Sequence[Expectation],
        outward: FrozenSet[str],
        excused: FrozenSet[str],
    ) -> None:
        self._database = database
        self._expectations = expectations
        self._outward = outward  # the uplinks and the links that are a way to everything
        self._excused = excused  # links whose replies to what is left to main may go by it
        self._judgements: Dict[Hashable, _Judgement] = {}
        self._ways: Dict[Hashable, List[Decision]] = {}

    def find_wrong(self, flow: Flow) -> Iterator[Tuple[str, Deviation]]:
        """The packets that go wrong, with the kind of what is expected of them."""
        link, signature = flow.address.link, self._database.signature(flow.template)
        for expectation in self._expectations:
            if expectation.kind in flow.unjudged:
                continue
            # The few ways out tell at once whether all is right; the many classes, what is not.
            ways = self._find_ways(flow.template, signature, expectation)
            if all(self._is_plainly_right(actual, expectation.kind, link) for actual in ways):
                continue
            judgement = self._judge(flow, signature, expectation)
            deviation = judgement.deviation(link)
            if deviation.groups:
                yield expectation.kind, deviation

    def _find_ways(
        self, template: Packet, signature: Signature, expectation: Expectation
    ) -> List[Decision]:
        """How packets fare that differ only in what no rule selects: one decision a way."""
        key = (signature, expectation.intervals.starts[0])
        if key not in self._ways:
            ways = self._database.ways(template, expectation.intervals)
            self._ways[key] = [way.decision for way in ways]
        return self._ways[key]

    def _is_plainly_right(self, actual: Decision, kind: str, link: str) -> bool:
        """Whether it is right for every destination of that kind, as far as that alone tells."""
        if actual.doubts:
            return False
        if kind in ("own", "main") and _leaves_by(actual, link):
            return True
        if kind == "own" or (kind == "main" and link not in self._excused):
            return False
        # What main decides by a specific route is right: that is where expectations come from.
        return actual.type == "local" if kind == "local" else actual.table == TABLE_MAIN

    def _judge(self, flow: Flow, signature: Signature, expectation: Expectation) -> _Judgement:
        """What goes wrong of packets that differ only in what no rule selects."""
        excused = flow.address.link in self._excused
        key = (signature, expectation.intervals.starts[0], excused)
        if key not in self._judgements:
            groups = []
            right: Dict[str, int] = {}
            for group in merge_alike(self._overlay(flow.template, expectation)):
                everywhere, link = self._find_right(group, expectation.kind, excused=excused)
                if not everywhere:
                    groups.append(_JudgedGroup(group, link))
                    right[link] = right.get(link, 0) + group.number
            self._judgements[key] = _Judgement(groups, right, sum(right.values()))
        return self._judgements[key]

    def _find_right(self, group: Group, kind: str, *, excused: bool) -> Tuple[bool, str]:
        """Whether it is right for every link, and else for which; "": for none."""
        actual = group.actual
        if actual.doubts:
            return False, ""
        as_main = actual.hops == group.specific.hops
        if kind in ("own", "main"):
            # Others' rules may reach networks of their own before ours: a VPN's peers.
            if is_internal(actual, self._outward) or (as_main and kind == "main" and excused):
                return True, ""
            links = actual.links if actual.type == "unicast" else frozenset()
            return False, min(links) if len(links) == 1 else ""
        return (as_main if kind == "internal" else actual.type == group.specific.type), ""

    def _overlay(self, template: Packet, expectation: Expectation) -> Iterator[Group]:
        """How the packets fare beside how they should."""
        for part in self._database.parts(template, expectation.intervals):
            overlaps = find_overlaps(part.intervals, expectation.specific)
            for (value, number), overlap in overlaps.items():
                actual = part.decide(_representative(overlap), value)
                yield Group(actual, expectation.decisions[number], overlap)


def merge_alike(parts: Iterable[Group]) -> List[Group]:
    """The groups with those that are alike made one; by where they begin."""
    groups: Dict[Hashable, Group] = {}
    for part in parts:
        actual, specific = part.actual, part.specific
        # Of somebody's rule the default route takes replies away, the specific ones need not.
        default = actual.route is None or actual.route.default
        alike = (
            actual.rule,
            actual.type,
            actual.hops,
            actual.doubts,
            default,
            specific.type,
            specific.hops,
        )
        known = groups.get(alike)
        groups[alike] = part if known is None else _unite(known, part)
    return sorted(groups.values(), key=lambda group: group.overlap.begin)


def _unite(one: Group, other: Group) -> Group:
    wider = max(one, other, key=lambda group: group.overlap.last - group.overlap.first)
    overlap = wider.overlap._replace(
        number=one.number + other.number, begin=min(one.overlap.begin, other.overlap.begin)
    )
    return wider._replace(overlap=overlap)


def _representative(overlap: Overlap) -> int:
    return min(overlap.first + 1, overlap.last)


def _leaves_by(actual: Decision, link: str) -> bool:
    return actual.type == "unicast" and all(hop.link == link for hop in actual.hops)
