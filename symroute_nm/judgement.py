"""Where packets go beside where they should, for a stretch of destinations (pure, on rpdb)."""

from typing import (
    Dict,
    FrozenSet,
    Hashable,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    Sequence,
    Tuple,
)

from symroute_nm.classes import Tally, tally
from symroute_nm.dues import Due, is_internal
from symroute_nm.model import TABLE_MAIN, Address
from symroute_nm.rpdb import Decision, Packet, Rpdb


class Case(NamedTuple):
    """An address and its packets to all destinations, of which some dues are not judged."""

    address: Address
    template: Packet
    unjudged: Sequence[str] = ()


class Group(NamedTuple):
    """Destinations that are decided alike and due the same; the widest interval stands for all."""

    actual: Decision
    specific: Decision  # as local and main alone decide
    found: Tally

    @property
    def speaker(self) -> int:
        """An address of it: not a network's own, which is the first, where there is another."""
        return _speaker(self.found)


class Bench:
    """A host's RPDB beside what is due; what many addresses share is worked out once."""

    def __init__(
        self, database: Rpdb, dues: Sequence[Due], outward: FrozenSet[str],
        excused: FrozenSet[str],
    ) -> None:
        self._database = database
        self._dues = dues
        self._outward = outward  # the uplinks and the links that are a way to everything
        self._excused = excused  # links whose replies to what is left to main may go by it
        self._groups: Dict[Hashable, List[Group]] = {}
        self._decisions: Dict[Hashable, List[Decision]] = {}

    def find_wrong(self, case: Case) -> Iterator[Tuple[str, Group]]:
        """The packets that go wrong, with the kind of what they are due."""
        for due in self._dues:
            if due.kind in case.unjudged:
                continue
            # The few ways out tell at once whether all is right; the many classes, what is not.
            if all(self._is_plainly_right(each, due, case.address.link)
                   for each in self._ways(case.template, due)):
                continue
            for group in self._group(case.template, due):
                if group.actual.doubts or not self._is_right(group, due, case.address.link):
                    yield due.kind, group

    def _ways(self, template: Packet, due: Due) -> List[Decision]:
        """What packets that only differ in what no rule selects have in common."""
        key = (self._database.signature(template), due.spans.starts[0])
        if key not in self._decisions:
            found = self._database.ways(template, due.spans)
            self._decisions[key] = [each.decision for each in found]
        return self._decisions[key]

    def _is_plainly_right(self, actual: Decision, due: Due, link: str) -> bool:
        """Whether it is right for every destination of that due, as far as that alone tells."""
        if actual.doubts:
            return False
        if due.kind in ("own", "main") and _leaves_by(actual, link):
            return True
        if due.kind == "own" or (due.kind == "main" and link not in self._excused):
            return False
        # What main decides by a specific route is what it is due: that is where dues come from.
        by_main = actual.rule is not None and actual.rule.table == TABLE_MAIN
        return actual.type == "local" if due.kind == "local" else by_main

    def _is_right(self, group: Group, due: Due, link: str) -> bool:
        as_main = group.actual.hops == group.specific.hops
        if due.kind in ("own", "main"):
            # Others' rules may reach networks of their own before ours: a VPN's peers.
            return (
                _leaves_by(group.actual, link) or is_internal(group.actual, self._outward)
                or (as_main and due.kind == "main" and link in self._excused)
            )
        if due.kind == "internal":
            return as_main
        return group.actual.type == group.specific.type

    def _group(self, template: Packet, due: Due) -> List[Group]:
        key = (self._database.signature(template), due.spans.starts[0])
        if key not in self._groups:
            self._groups[key] = merge(self._overlay(template, due))
        return self._groups[key]

    def _overlay(self, template: Packet, due: Due) -> Iterator[Group]:
        """How the packets fare beside how they should."""
        for part in self._database.parts(template, due.spans):
            for (value, number), found in tally(part.flat, due.specific).items():
                actual = part.decide(_speaker(found), value)
                yield Group(actual, due.decisions[number], found)


def merge(parts: Iterable[Group]) -> List[Group]:
    """The groups with those that are alike made one; by where they begin."""
    groups: Dict[Tuple[object, ...], Group] = {}
    for each in parts:
        actual, specific = each.actual, each.specific
        key = (id(actual.rule), actual.type, actual.hops, actual.doubts,
               specific.type, specific.hops)
        known = groups.setdefault(key, each)
        if known is not each:
            wider = max(known, each, key=lambda group: group.found.last - group.found.first)
            groups[key] = wider._replace(found=wider.found._replace(
                number=known.found.number + each.found.number,
                begin=min(known.found.begin, each.found.begin)))
    return sorted(groups.values(), key=lambda each: each.found.begin)


def _speaker(found: Tally) -> int:
    return min(found.first + 1, found.last)


def _leaves_by(actual: Decision, link: str) -> bool:
    return actual.type == "unicast" and all(each.link == link for each in actual.hops)
