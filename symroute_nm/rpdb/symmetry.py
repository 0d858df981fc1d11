"""Where packets go beside where they should, for a stretch of destinations (pure, on rpdb)."""

from itertools import islice
from typing import Dict, FrozenSet, Hashable, Iterable, Iterator, List, NamedTuple, Sequence, Tuple

from symroute_nm.model.network import TABLE_MAIN, Address
from symroute_nm.rpdb.database import Rpdb
from symroute_nm.rpdb.decision import Decision
from symroute_nm.rpdb.expectations import Expectation, is_internal
from symroute_nm.rpdb.intervals import Overlap, find_overlap
from symroute_nm.rpdb.rules import Packet

# So many ways to go wrong are told one by one
MOST_WAYS = 8


class Flow(NamedTuple):
    """Who sends to all destinations: an address, with the link that its packets are to leave by."""

    address: Address
    template: Packet
    unjudged: Sequence[str] = ()  # kinds of dues


class Group(NamedTuple):
    """Destinations that are decided alike and due the same; the widest interval stands for all."""

    actual: Decision
    specific: Decision  # as local and main alone decide
    found: Overlap

    @property
    def speaker(self) -> int:
        """An address of it: not a network's own, which is the first, where there is another."""
        return _speaker(self.found)


class Astray(NamedTuple):
    """The first groups that go wrong, and of how many intervals all such groups are."""

    groups: List[Group]
    number: int

    def add(self, other: "Astray") -> "Astray":
        """Both; groups that are alike made one."""
        return Astray(merge([*self.groups, *other.groups])[:MOST_WAYS], self.number + other.number)


class _Judged(NamedTuple):
    """The groups of a due that are not right for every link; ascending."""

    groups: List[Tuple[Group, str]]  # with the link for which it is right all the same; "": none
    right: Dict[str, int]  # of how many intervals the groups are that are right for a link
    number: int  # of intervals of all of them


class Judge:
    """A host's RPDB beside what is due; what many addresses share is worked out once."""

    def __init__(
        self,
        database: Rpdb,
        dues: Sequence[Expectation],
        outward: FrozenSet[str],
        excused: FrozenSet[str],
    ) -> None:
        self._database = database
        self._dues = dues
        self._outward = outward  # the uplinks and the links that are a way to everything
        self._excused = excused  # links whose replies to what is left to main may go by it
        self._judged: Dict[Hashable, _Judged] = {}
        self._decisions: Dict[Hashable, List[Decision]] = {}

    def find_wrong(self, sender: Flow) -> Iterator[Tuple[str, Astray]]:
        """The packets that go wrong, with the kind of what they are due."""
        link, signature = sender.address.link, self._database.signature(sender.template)
        for due in self._dues:
            if due.kind in sender.unjudged:
                continue
            # The few ways out tell at once whether all is right; the many classes, what is not.
            if all(
                self._is_plainly_right(each, due, link)
                for each in self._ways(sender.template, signature, due)
            ):
                continue
            judged = self._judge(sender.template, signature, due, link in self._excused)
            wrong = (group for group, right in judged.groups if right != link)
            first = list(islice(wrong, MOST_WAYS))
            if first:
                yield due.kind, Astray(first, judged.number - judged.right.get(link, 0))

    def _ways(self, template: Packet, signature: Hashable, due: Expectation) -> List[Decision]:
        """What packets that only differ in what no rule selects have in common."""
        key = (signature, due.spans.starts[0])
        if key not in self._decisions:
            found = self._database.ways(template, due.spans)
            self._decisions[key] = [each.decision for each in found]
        return self._decisions[key]

    def _is_plainly_right(self, actual: Decision, due: Expectation, link: str) -> bool:
        """Whether it is right for every destination of that due, as far as that alone tells."""
        if actual.doubts:
            return False
        if due.kind in ("own", "main") and _leaves_by(actual, link):
            return True
        if due.kind == "own" or (due.kind == "main" and link not in self._excused):
            return False
        # What main decides by a specific route is what it is due: that is where dues come from.
        return actual.type == "local" if due.kind == "local" else actual.table == TABLE_MAIN

    def _judge(
        self, template: Packet, signature: Hashable, due: Expectation, excused: bool
    ) -> _Judged:
        """What goes wrong of packets that only differ in what no rule selects."""
        key = (signature, due.spans.starts[0], excused)
        if key not in self._judged:
            groups = []
            right: Dict[str, int] = {}
            for group in merge(self._overlay(template, due)):
                everywhere, link = self._find_right(group, due.kind, excused)
                if not everywhere:
                    groups.append((group, link))
                    right[link] = right.get(link, 0) + group.found.number
            self._judged[key] = _Judged(groups, right, sum(right.values()))
        return self._judged[key]

    def _find_right(self, group: Group, kind: str, excused: bool) -> Tuple[bool, str]:
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

    def _overlay(self, template: Packet, due: Expectation) -> Iterator[Group]:
        """How the packets fare beside how they should."""
        for part in self._database.parts(template, due.spans):
            for (value, number), found in find_overlap(part.flat, due.specific).items():
                actual = part.decide(_speaker(found), value)
                yield Group(actual, due.decisions[number], found)


def merge(parts: Iterable[Group]) -> List[Group]:
    """The groups with those that are alike made one; by where they begin."""
    groups: Dict[Tuple[object, ...], Group] = {}
    for part in parts:
        actual, specific = part.actual, part.specific
        # Of somebody's rule the default route takes replies away, the specific ones need not.
        default = actual.route is None or actual.route.default
        key = (
            id(actual.rule),
            actual.type,
            actual.hops,
            actual.doubts,
            default,
            specific.type,
            specific.hops,
        )
        known = groups.setdefault(key, part)
        if known is not part:
            wider = max(known, part, key=lambda group: group.found.last - group.found.first)
            groups[key] = wider._replace(
                found=wider.found._replace(
                    number=known.found.number + part.found.number,
                    begin=min(known.found.begin, part.found.begin),
                )
            )
    return sorted(groups.values(), key=lambda group: group.found.begin)


def _speaker(found: Overlap) -> int:
    return min(found.first + 1, found.last)


def _leaves_by(actual: Decision, link: str) -> bool:
    return actual.type == "unicast" and all(hop.link == link for hop in actual.hops)
