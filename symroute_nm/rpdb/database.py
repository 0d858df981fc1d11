"""What the kernel decides for a packet, whether that is symmetric, and what a plan changes.

Never imports the planner, so that no mistake is shared. Imports model, and touches nothing.
"""

from bisect import bisect_left, bisect_right
from copy import copy
from heapq import merge
from typing import (
    Callable,
    Dict,
    Hashable,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Union,
)

from symroute_nm.model.network import TABLE_MAIN, VERSIONS, IPNetwork, Link, Route, Rule
from symroute_nm.model.prefixes import make_indexes, make_prefix_keys
from symroute_nm.model.route_set import RouteTable, pack
from symroute_nm.rpdb.decision import (
    Decision,
    DestinationClass,
    RuleTrial,
    TraceStep,
    conclude,
    describe,
    join,
    settle,
)
from symroute_nm.rpdb.fib import ERRORS, WHOLE, Query, Table
from symroute_nm.rpdb.intervals import (
    Doubt,
    Intervals,
    Known,
    LabelledIntervals,
    Lookup,
    Piece,
    Stage,
    complement,
    intersect,
    make_intervals,
    sweep,
)
from symroute_nm.rpdb.rules import (
    CompiledRule,
    FlowKey,
    Packet,
    Selection,
    compile_rule,
    matching,
    span,
    translate,
    uncertain_destinations,
)

# Decisions of values that are to come again, while classes are told one by one
_MOST_KNOWN = 1000


class ClassQuery(NamedTuple):
    """What a sweep is about: its stages, and the rule of each."""

    template: Packet
    asked: FlowKey
    query: Query
    by_way: bool
    stages: List[Stage]
    selectors: List[CompiledRule]


class DecidedPart(NamedTuple):
    """Destinations that one rule decides; without a selector, none does.

    The values of `flat` are for `decide`; with a table they are of its `lookup`.
    """

    flat: LabelledIntervals
    selector: Optional[CompiledRule]
    table: Optional[Table]
    doubts: Tuple[Doubt, ...]
    inquiry: ClassQuery

    def decide(self, address: int, value: int) -> Decision:
        """The decision for an address of an interval with that value."""
        template, asked, query, by_way = self.inquiry[:4]
        tried = None
        if self.selector is not None:
            choice = None
            if self.table is not None:
                choice = (
                    self.table.find(address, query) if by_way else self.table.choice(value, query)
                )
            tried = RuleTrial(self.selector, "found", choice)
        return settle(conclude(tried, self.doubts), template, asked)

    def classes(self) -> Iterator[DestinationClass]:
        """The intervals."""
        return self._tell(range(len(self.flat.starts)))

    def firsts(self, alike: Optional[Callable[[int], int]] = None) -> Iterator[DestinationClass]:
        """The first interval for each value, or for each of what is `alike` about values."""
        if self.flat.values == self.flat.values[:1] * len(self.flat.values):  # most often
            return self._tell(range(len(self.flat.values))[:1])
        # Backwards, so that the first of each is kept
        values, positions = reversed(self.flat.values), range(len(self.flat.starts) - 1, -1, -1)
        return self._tell(dict(zip(map(alike, values) if alike else values, positions)).values())

    def _tell(self, positions: Iterable[int]) -> Iterator[DestinationClass]:
        flat = self.flat
        known: Dict[int, Decision] = {}
        for position in positions:
            first, value = flat.starts[position], flat.values[position]
            if value not in known:
                if len(known) >= _MOST_KNOWN:
                    known.clear()
                known[value] = self.decide(first, value)
            yield DestinationClass(
                self.inquiry.template.version, first, flat.ends[position], known[value]
            )


# rt6_need_strict: to these an IPv6 packet is routed by its own link only (::1, fe80::/10, ff00::/8)
STRICT = make_intervals(
    6, (1, 1), (0xFE80 << 112, (0xFEC0 << 112) - 1), (0xFF00 << 112, (1 << 128) - 1)
)
RELAXED = complement(STRICT.starts, STRICT.ends, WHOLE[6])

# Some of the destination space; None: all
Within = Union[IPNetwork, Intervals, None]

_EMPTY = {
    version: Table(RouteTable(0, version, make_prefix_keys(version), make_indexes(), (), {}))
    for version in VERSIONS
}

# The verdicts that decide: the actions of rules, and a route
FINAL = (*ERRORS, "found")


class Rpdb:
    """The routing policy database of a host: build it once, ask it often.

    `links` tells VRFs, their ports and every link's group; `groups` gives the groups instead.
    Without either, rules with suppress_ifgroup are in doubt. Tables that it has in common with
    `like` are shared.
    """

    def __init__(
        self,
        rules: Iterable[Rule],
        routes: Iterable[Route],
        links: Iterable[Link] = (),
        groups: Optional[Mapping[str, int]] = None,
        like: Optional["Rpdb"] = None,
    ) -> None:
        self._links = {link.name: link for link in links}
        if groups is None and self._links:
            groups = {name: link.group for name, link in self._links.items()}
        self._selectors: Dict[int, List[CompiledRule]] = {4: [], 6: []}
        for rule in sorted(rules, key=lambda rule: rule.priority):
            self._selectors[rule.version].append(compile_rule(rule, groups))
        self._targets = {
            version: _index_priorities(selector) for version, selector in self._selectors.items()
        }
        self._selections = {
            version: Selection(selector) for version, selector in self._selectors.items()
        }
        known = like._tables if like else {}
        self._tables: Dict[Tuple[int, int], Table] = _build_tables(routes, known)
        self._known: Known = {}
        self._last: Optional[ClassQuery] = None

    def stretches(self, version: int) -> Iterator[Tuple[Intervals, "Rpdb"]]:
        """All destinations of a family in stretches with few routes, and what decides there alone.

        So little is needed at a time, however many routes there are.
        """
        tables = [table for key, table in self._tables.items() if key[0] == version]
        largest = max(
            tables, key=lambda table: len(table.routes.prefix_keys), default=_EMPTY[version]
        )
        for stretch in largest.routes.stretches():
            yield make_intervals(version, stretch), self.within(version, *stretch)

    def within(self, version: int, first: int, last: int) -> "Rpdb":
        """What decides for these destinations alone; tables are still shared."""
        if [first, last] == [*WHOLE[version].starts, *WHOLE[version].ends]:
            return self
        one = copy(self)
        one._tables = {
            key: table.within(first, last)
            for key, table in self._tables.items()
            if key[0] == version
        }
        one._known, one._last = {}, None
        return one

    def decide(self, packet: Packet) -> Decision:
        """What becomes of one packet; InputError where its parts are of two families."""
        asked = translate(packet, self._links)
        doubts: Tuple[Doubt, ...] = ()
        for tried in self._walk(packet, asked):
            if tried.selector.doubt and tried.verdict != "mismatch":
                doubts = (*doubts, tried.selector.doubt)
            if tried.verdict in FINAL:
                return settle(conclude(tried, doubts), packet, asked)
        return settle(Decision("unreachable", doubts=doubts), packet, asked)

    def trace(self, packet: Packet) -> Tuple[Decision, Tuple[TraceStep, ...]]:
        """The decision, and every rule tried on the way, in the order of trial."""
        asked, decision = translate(packet, self._links), self.decide(packet)
        steps = []
        for tried in self._walk(packet, asked):
            words, final = describe(tried, asked, packet), tried.verdict in FINAL
            if final and decision.rule is None:
                words += f"; but IPv4 sends what is bound to {asked.bound} out there all the same"
            steps.append(TraceStep(tried.selector.rule, words, final and decision.rule is not None))
        return decision, tuple(steps)

    def signature(self, template: Packet) -> Tuple[Hashable, ...]:
        """What tells templates apart: those of equal signature are decided alike everywhere."""
        asked = translate(template, self._links)
        matches = self._select(template.version, asked)
        matching_rules = tuple((index, unsure) for index, _, unsure in matches)
        return (template.version, _question(template, asked), asked.vrf, matching_rules)

    def classes(self, template: Packet, within: Within = None) -> List[DestinationClass]:
        """All destination classes in ascending order: they cover the family, or `within`.

        Of the template's destination only the family counts.
        """
        return list(self.each_class(template, within))

    def each_class(self, template: Packet, within: Within = None) -> Iterator[DestinationClass]:
        """The same, one by one: there may be hundreds of thousands."""
        parts = (each.classes() for each in self._cut(template, within, by_way=False))
        return join(merge(*parts, key=lambda each: each.first))

    def parts(
        self, template: Packet, within: Within = None, by_way: bool = True
    ) -> List[DecidedPart]:
        """The same as parts that cover the family, or `within`: each of one rule."""
        return list(self._cut(template, within, by_way))

    def kinds(self, template: Packet) -> List[DestinationClass]:
        """A class for each kind of route that destinations get, and more; its route is one of many.

        Routes of one kind have all in common but their destination, and that none is a default.
        """
        return [
            each
            for stretch, database in self.stretches(template.version)
            for part in database._cut(template, stretch, by_way=False)
            for each in part.firsts(part.table.likeness if part.table else None)
        ]

    def ways(self, template: Packet, within: Within = None) -> List[DestinationClass]:
        """One class for each rule, type and ways out (and doubts) that destinations get.

        As complete a proof as `classes` where only the way out matters, and far shorter: a table
        of 20,000 routes by one gateway is one way; all that is local is one.
        """
        found: Dict[Tuple[object, ...], DestinationClass] = {}
        parts = (
            self._cut(template, within, by_way=True)
            if within
            else (
                part
                for stretch, database in self.stretches(template.version)
                for part in database._cut(template, stretch, by_way=True)
            )
        )
        for part in parts:
            for each in part.firsts():
                decision = each.decision
                hops = () if decision.type == "local" else decision.hops
                key = (id(decision.rule), decision.type, hops, decision.doubts)
                found.setdefault(key, each)
        return sorted(found.values(), key=lambda each: each.first)

    def _walk(self, packet: Packet, asked: FlowKey) -> Iterator[RuleTrial]:
        selectors, targets = self._selectors[packet.version], self._targets[packet.version]
        address, query = int(packet.destination), _question(packet, asked)
        position = 0
        while position < len(selectors):
            tried = self._try(selectors[position], asked, address, query)
            yield tried
            if tried.verdict in FINAL:
                return
            position += 1
            if tried.verdict == "goto":
                position = max(position, targets.get(tried.selector.rule.target, 0))

    def _try(self, selector: CompiledRule, asked: FlowKey, address: int, query: Query) -> RuleTrial:
        if not _holds(matching(selector, asked), address):
            unsure = _holds(uncertain_destinations(selector, asked), address)
            return RuleTrial(selector, "unsure" if unsure else "mismatch")
        if selector.rule.action != "lookup":
            return RuleTrial(selector, selector.rule.action)
        choice = self._table(selector.rule, asked).find(address, query)
        if choice is None:
            return RuleTrial(selector, "missing")
        if choice.type == "throw":
            return RuleTrial(selector, "throw", choice)
        return RuleTrial(
            selector, "suppressed" if selector.suppress.drops(choice) else "found", choice
        )

    def _table(self, rule: Rule, asked: FlowKey) -> Table:
        # fib_get_table, fib6_get_table: table 0 is main
        number = (asked.vrf if rule.l3mdev else rule.table) or TABLE_MAIN
        return self._tables.get((rule.version, number), _EMPTY[rule.version])

    def _cut(self, template: Packet, within: Within, by_way: bool) -> Iterator[DecidedPart]:
        asked, version = translate(template, self._links), template.version
        whole = _space(within, version)
        for space, query in _split_space(whole, _question(template, asked), version):
            inquiry = self._prepare(ClassQuery(template, asked, query, by_way, [], []))
            for piece in sweep(inquiry.stages, space, self._known):
                yield self._make_part(piece, inquiry)

    def _prepare(self, inquiry: ClassQuery) -> ClassQuery:
        """The inquiry with its stages; the last one is kept, since many ask for part after part."""
        last = self._last
        if last is None or last[:4] != inquiry[:4]:
            self._fill(inquiry)
            self._last = last = inquiry
        return last

    def _fill(self, inquiry: ClassQuery) -> None:
        """The rules that can match, as stages; a rule in doubt for some packets is two stages."""
        version = inquiry.template.version
        matches = list(self._select(version, inquiry.asked))
        origins = [index for index, _, _ in matches]
        for following, (index, where, unsure) in enumerate(matches, 1):
            selector = self._selectors[version][index]
            elsewhere = complement(where.starts, where.ends, WHOLE[version])
            stage = Stage(where, elsewhere, doubt=selector.doubt)
            action = "nop" if unsure else selector.rule.action
            if action == "lookup":
                stage = stage._replace(lookup=self._look(selector, inquiry))
            elif action in ("goto", "nop"):
                goal = self._targets[version].get(selector.rule.target, 0) * (action == "goto")
                stage = stage._replace(target=max(following, bisect_left(origins, goal)))
            inquiry.stages.append(stage)
            inquiry.selectors.append(selector)

    def _select(self, version: int, asked: FlowKey) -> Iterator[Tuple[int, Intervals, bool]]:
        """Position of a rule, where it matches, and whether that is in doubt."""
        for index in self._selections[version].of(asked):
            selector = self._selectors[version][index]
            unsure, sure = uncertain_destinations(selector, asked), matching(selector, asked)
            if unsure.starts:
                yield index, unsure, True
            if sure.starts:
                yield index, sure, False

    def _look(self, selector: CompiledRule, inquiry: ClassQuery) -> Lookup:
        table = self._table(selector.rule, inquiry.asked)
        return table.lookup(inquiry.query, selector.suppress, inquiry.by_way)

    def _make_part(self, piece: Piece, inquiry: ClassQuery) -> DecidedPart:
        selector = inquiry.selectors[piece.stage] if piece.stage >= 0 else None
        looks = selector is not None and inquiry.stages[piece.stage].lookup is not None
        table = self._table(selector.rule, inquiry.asked) if selector and looks else None
        return DecidedPart(piece.flat, selector, table, piece.doubts, inquiry)


def _space(within: Within, version: int) -> Intervals:
    if within is None:
        return WHOLE[version]
    return within if isinstance(within, Intervals) else span(within)


def _build_tables(
    routes: Iterable[Route], known: Mapping[Tuple[int, int], Table]
) -> Dict[Tuple[int, int], Table]:
    tables = {}
    for table in pack(routes).tables:
        key = (table.version, table.table)
        same = key in known and known[key].routes == table
        tables[key] = known[key] if same else Table(table)
    return tables


def _index_priorities(selectors: Sequence[CompiledRule]) -> Dict[int, int]:
    """Priority → position of its first rule, which is where a goto goes (fib_nl_newrule)."""
    return {
        selector.rule.priority: len(selectors) - position
        for position, selector in enumerate(reversed(selectors), 1)
    }


def _question(packet: Packet, asked: FlowKey) -> Query:
    query = Query(asked.tos if packet.version == 4 else 0, asked.bound, packet.iif)
    if packet.version == 6 and packet.iif and _holds(STRICT, int(packet.destination)):
        return query._replace(bound=packet.iif)
    return query


def _split_space(space: Intervals, query: Query, version: int) -> List[Tuple[Intervals, Query]]:
    """IPv6 packets that came in are routed by their own link to `STRICT` destinations."""
    if version == 4 or not query.inbound:
        return [(space, query)]
    return [
        (intersect(space, RELAXED), query._replace(bound="")),
        (intersect(space, STRICT), query._replace(bound=query.inbound)),
    ]


def _holds(spans: Intervals, address: int) -> bool:
    position = bisect_right(spans.starts, address) - 1
    return position >= 0 and address <= spans.ends[position]
