"""The routing policy database of a host, `Rpdb`: what the kernel decides, for a packet or for all.

What is asked for a whole family comes as classes, intervals of destinations that are all decided
alike, which together cover it: so a proof looks at every address there is.
"""

from bisect import bisect_left, bisect_right
from copy import copy
from heapq import merge
from operator import attrgetter
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

from symroute_nm.model.network import (
    IPV4,
    IPV6,
    TABLE_MAIN,
    VERSIONS,
    IPNetwork,
    Link,
    Rule,
)
from symroute_nm.model.prefixes import make_indexes, make_prefix_keys
from symroute_nm.model.route_set import RouteSet, RouteTable
from symroute_nm.rpdb.decision import (
    Decision,
    DestinationClass,
    RuleTrial,
    TraceStep,
    apply_bound_link,
    describe_trial,
    join_neighbours,
    make_decision,
)
from symroute_nm.rpdb.fib import ERRORS, WHOLE, Query, Table
from symroute_nm.rpdb.intervals import (
    Doubt,
    Intervals,
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
    RuleIndex,
    compile_rule,
    make_flow_key,
    matching_destinations,
    network_interval,
    uncertain_destinations,
)

# rt6_need_strict: to these an IPv6 packet is routed by its own link only (::1, fe80::/10, ff00::/8)
STRICT = make_intervals(
    6, (1, 1), (0xFE80 << 112, (0xFEC0 << 112) - 1), (0xFF00 << 112, (1 << 128) - 1)
)
RELAXED = complement(STRICT.starts, STRICT.ends, WHOLE[6])

# The verdicts that decide: the actions of rules, and a route
FINAL = (*ERRORS, "found")

# Decisions of values that are to come again, while classes are told one by one
_MOST_KNOWN = 1000

# Some of the destination space; None: all
Within = Union[IPNetwork, Intervals, None]


class ClassQuery(NamedTuple):
    """What a sweep is about: packets that differ in their destinations alone.

    `by_way`: only what routes have in common counts (see `Table.lookup`).
    """

    template: Packet
    flow_key: FlowKey
    query: Query
    by_way: bool


class RuleStage(NamedTuple):
    """A stage of a sweep, and the rule that it was made of."""

    stage: Stage
    compiled: CompiledRule


class DecidedPart(NamedTuple):
    """Destinations that one rule decides; without a rule, none does.

    The values of `intervals` are for `decide`; with a table they are of its `lookup`.
    """

    intervals: LabelledIntervals
    compiled: Optional[CompiledRule]
    table: Optional[Table]
    doubts: Tuple[Doubt, ...]
    class_query: ClassQuery

    def decide(self, address: int, value: int) -> Decision:
        """The decision for an address of an interval with that value."""
        template, flow_key, query, by_way = self.class_query
        trial = None
        if self.compiled is not None:
            choice = None
            if self.table is not None and by_way:
                choice = self.table.find(address, query)
            elif self.table is not None:
                choice = self.table.choice(value, query)
            trial = RuleTrial(self.compiled, "found", choice)
        return apply_bound_link(make_decision(trial, self.doubts), template, flow_key)

    def classes(self) -> Iterator[DestinationClass]:
        """The intervals."""
        return self._make_classes(range(len(self.intervals.starts)))

    def firsts(self, alike: Optional[Callable[[int], int]] = None) -> Iterator[DestinationClass]:
        """The first interval for each value, or for each of what is `alike` about values."""
        values = self.intervals.values
        if values == values[:1] * len(values):  # most often
            return self._make_classes(range(len(values))[:1])
        # Backwards, so that the first of each is kept
        keys = map(alike, reversed(values)) if alike else reversed(values)
        positions = range(len(values) - 1, -1, -1)
        return self._make_classes(dict(zip(keys, positions)).values())

    def _make_classes(self, positions: Iterable[int]) -> Iterator[DestinationClass]:
        starts, ends, values = self.intervals
        version = self.class_query.template.version
        known: Dict[int, Decision] = {}
        for position in positions:
            first, value = starts[position], values[position]
            if value not in known:
                if len(known) >= _MOST_KNOWN:
                    known.clear()
                known[value] = self.decide(first, value)
            yield DestinationClass(version, first, ends[position], known[value])


class Rpdb:
    """The routing policy database of a host: build it once, ask it often.

    `links` tells VRFs, their ports and every link's group; `groups` gives the groups instead.
    Without either, rules with suppress_ifgroup are in doubt. Tables that it has in common with
    `like` are shared.
    """

    def __init__(
        self,
        rules: Iterable[Rule],
        routes: RouteSet,
        links: Iterable[Link] = (),
        groups: Optional[Mapping[str, int]] = None,
        like: Optional["Rpdb"] = None,
    ) -> None:
        self._links = {link.name: link for link in links}
        if groups is None and self._links:
            groups = {name: link.group for name, link in self._links.items()}
        self._rules: Dict[int, List[CompiledRule]] = {version: [] for version in VERSIONS}
        for rule in sorted(rules, key=lambda rule: rule.priority):
            self._rules[rule.version].append(compile_rule(rule, groups))
        self._goto_positions = {
            version: _index_priorities(compiled) for version, compiled in self._rules.items()
        }
        self._rule_indexes = {
            version: RuleIndex(compiled) for version, compiled in self._rules.items()
        }
        self._empty = {version: _make_empty_table(version) for version in VERSIONS}
        self._tables: Dict[Tuple[int, int], Table] = _build_tables(
            routes, like._tables if like else {}
        )
        # The last stages, since many ask for part after part of the same
        self._last: Optional[Tuple[ClassQuery, Sequence[RuleStage]]] = None

    def decide(self, packet: Packet) -> Decision:
        """What becomes of one packet; InputError where its parts are of two families."""
        flow_key = make_flow_key(packet, self._links)
        doubts: Tuple[Doubt, ...] = ()
        for trial in self._walk(packet, flow_key):
            if trial.compiled.doubt and trial.verdict != "mismatch":
                doubts = (*doubts, trial.compiled.doubt)
            if trial.verdict in FINAL:
                return apply_bound_link(make_decision(trial, doubts), packet, flow_key)
        return apply_bound_link(make_decision(None, doubts), packet, flow_key)

    def trace(self, packet: Packet) -> Tuple[Decision, Tuple[TraceStep, ...]]:
        """The decision, and every rule tried on the way, in the order of trial."""
        flow_key, decision = make_flow_key(packet, self._links), self.decide(packet)
        steps = []
        for trial in self._walk(packet, flow_key):
            words, final = describe_trial(trial, flow_key, packet), trial.verdict in FINAL
            if final and decision.rule is None:
                words += (
                    f"; but IPv4 sends what is bound to {flow_key.bound} out there all the same"
                )
            steps.append(TraceStep(trial.compiled.rule, words, final and decision.rule is not None))
        return decision, tuple(steps)

    def signature(self, template: Packet) -> "Signature":
        """What tells templates apart: those of equal signature are decided alike everywhere."""
        flow_key = make_flow_key(template, self._links)
        matches = self._select(template.version, flow_key)
        rules = tuple((match.position, match.unsure) for match in matches)
        return Signature(template.version, _make_query(template, flow_key), flow_key.vrf, rules)

    def classes(self, template: Packet, within: Within = None) -> List[DestinationClass]:
        """All destination classes in ascending order: they cover the family, or `within`.

        Of the template's destination only the family counts.
        """
        parts = (part.classes() for part in self.parts(template, within, by_way=False))
        return list(join_neighbours(merge(*parts, key=attrgetter("first"))))

    def parts(
        self, template: Packet, within: Within = None, *, by_way: bool = True
    ) -> Iterator[DecidedPart]:
        """The same as parts that cover the family, or `within`: each of one rule."""
        flow_key, version = make_flow_key(template, self._links), template.version
        whole = _find_space(within, version)
        for space, query in _split_space(whole, _make_query(template, flow_key), version):
            class_query = ClassQuery(template, flow_key, query, by_way)
            stages = self._prepare(class_query)
            for piece in sweep([prepared.stage for prepared in stages], space):
                yield self._make_part(piece, class_query, stages)

    def kinds(self, template: Packet) -> List[DestinationClass]:
        """A class for each kind of route that destinations get, and more; its route is one of many.

        Routes of one kind have all in common but their destination, and that none is a default.
        """
        kinds: List[DestinationClass] = []
        for stretch, database in self.stretches(template.version):
            for part in database.parts(template, stretch, by_way=False):
                kinds += part.firsts(part.table.likeness if part.table else None)
        return kinds

    def ways(self, template: Packet, within: Within = None) -> List[DestinationClass]:
        """One class for each rule, type and ways out (and doubts) that destinations get.

        As complete a proof as `classes` where only the way out matters, and far shorter: a table
        of 20,000 routes by one gateway is one way; all that is local is one.
        """
        ways: Dict[Hashable, DestinationClass] = {}
        parts = self._stretched_parts(template) if within is None else self.parts(template, within)
        for part in parts:
            for first in part.firsts():
                decision = first.decision
                hops = () if decision.type == "local" else decision.hops
                way = (decision.rule, decision.type, hops, decision.doubts)
                ways.setdefault(way, first)
        return sorted(ways.values(), key=lambda way: way.first)

    def stretches(self, version: int) -> Iterator[Tuple[Intervals, "Rpdb"]]:
        """All destinations of a family in stretches with few routes, and what decides there alone.

        So little is needed at a time, however many routes there are.
        """
        tables = [table for key, table in self._tables.items() if key[0] == version]
        largest = max(
            tables, key=lambda table: len(table.routes.prefix_keys), default=self._empty[version]
        )
        for stretch in largest.routes.stretches():
            yield make_intervals(version, stretch), self.within(version, *stretch)

    def within(self, version: int, first: int, last: int) -> "Rpdb":
        """What decides for these destinations alone; tables are still shared."""
        if [first, last] == [*WHOLE[version].starts, *WHOLE[version].ends]:
            return self
        stretch = copy(self)
        stretch._tables = {
            key: table.within(first, last)
            for key, table in self._tables.items()
            if key[0] == version
        }
        stretch._last = None
        return stretch

    def _walk(self, packet: Packet, flow_key: FlowKey) -> Iterator[RuleTrial]:
        """The rules that are tried on one packet, with how that ended."""
        rules, goto_positions = self._rules[packet.version], self._goto_positions[packet.version]
        address, query = int(packet.destination), _make_query(packet, flow_key)
        position = 0
        while position < len(rules):
            trial = self._try(rules[position], flow_key, address, query)
            yield trial
            if trial.verdict in FINAL:
                return
            position += 1
            if trial.verdict == "goto":
                position = max(position, goto_positions.get(trial.compiled.rule.target, 0))

    def _try(
        self, compiled: CompiledRule, flow_key: FlowKey, address: int, query: Query
    ) -> RuleTrial:
        if not _holds(matching_destinations(compiled, flow_key), address):
            unsure = _holds(uncertain_destinations(compiled, flow_key), address)
            return RuleTrial(compiled, "unsure" if unsure else "mismatch")
        if compiled.rule.action != "lookup":
            return RuleTrial(compiled, compiled.rule.action)
        choice = self._table(compiled.rule, flow_key).find(address, query)
        if choice is None:
            return RuleTrial(compiled, "missing")
        if choice.type == "throw":
            return RuleTrial(compiled, "throw", choice)
        return RuleTrial(
            compiled, "suppressed" if compiled.suppress.drops(choice) else "found", choice
        )

    def _table(self, rule: Rule, flow_key: FlowKey) -> Table:
        # fib_get_table, fib6_get_table: table 0 is main
        number = (flow_key.vrf if rule.l3mdev else rule.table) or TABLE_MAIN
        return self._tables.get((rule.version, number), self._empty[rule.version])

    def _stretched_parts(self, template: Packet) -> Iterator[DecidedPart]:
        """The parts of the whole family, stretch by stretch."""
        for stretch, database in self.stretches(template.version):
            yield from database.parts(template, stretch)

    def _prepare(self, class_query: ClassQuery) -> Sequence[RuleStage]:
        if self._last is None or self._last[0] != class_query:
            self._last = (class_query, self._make_stages(class_query))
        return self._last[1]

    def _make_stages(self, class_query: ClassQuery) -> List[RuleStage]:
        """The rules that can match, as stages; a rule in doubt for some packets is two stages."""
        version = class_query.template.version
        matches = list(self._select(version, class_query.flow_key))
        origins = [match.position for match in matches]
        stages = []
        for following, match in enumerate(matches, 1):
            compiled, where = self._rules[version][match.position], match.where
            elsewhere = complement(where.starts, where.ends, WHOLE[version])
            stage = Stage(where, elsewhere, doubt=compiled.doubt)
            action = "nop" if match.unsure else compiled.rule.action
            if action == "lookup":
                stage = stage._replace(lookup=self._look(compiled, class_query))
            elif action == "goto":
                goal = self._goto_positions[version].get(compiled.rule.target, 0)
                stage = stage._replace(target=max(following, bisect_left(origins, goal)))
            elif action == "nop":
                stage = stage._replace(target=following)
            stages.append(RuleStage(stage, compiled))
        return stages

    def _select(self, version: int, flow_key: FlowKey) -> Iterator["_Match"]:
        """The rules that match some destination, surely or perhaps, in order."""
        for position in self._rule_indexes[version].of(flow_key):
            compiled = self._rules[version][position]
            uncertain = uncertain_destinations(compiled, flow_key)
            certain = matching_destinations(compiled, flow_key)
            if uncertain.starts:
                yield _Match(position, uncertain, unsure=True)
            if certain.starts:
                yield _Match(position, certain, unsure=False)

    def _look(self, compiled: CompiledRule, class_query: ClassQuery) -> Lookup:
        table = self._table(compiled.rule, class_query.flow_key)
        return table.lookup(class_query.query, compiled.suppress, by_way=class_query.by_way)

    def _make_part(
        self, piece: Piece, class_query: ClassQuery, stages: Sequence[RuleStage]
    ) -> DecidedPart:
        if piece.stage < 0:
            return DecidedPart(piece.intervals, None, None, piece.doubts, class_query)
        stage, compiled = stages[piece.stage]
        table = self._table(compiled.rule, class_query.flow_key) if stage.lookup else None
        return DecidedPart(piece.intervals, compiled, table, piece.doubts, class_query)


class Signature(NamedTuple):
    """What of a template decides: packets that differ in nothing of it fare alike."""

    version: int
    query: Query
    vrf: int
    rules: Tuple[Tuple[int, bool], ...]  # the positions of those that match; whether in doubt


class _Match(NamedTuple):
    """Where the rule at a position matches, and whether that is in doubt."""

    position: int
    where: Intervals
    unsure: bool


def _find_space(within: Within, version: int) -> Intervals:
    if within is None:
        return WHOLE[version]
    return within if isinstance(within, Intervals) else network_interval(within)


def _build_tables(
    routes: RouteSet, known: Mapping[Tuple[int, int], Table]
) -> Dict[Tuple[int, int], Table]:
    """The tables by family and number; the known one where it has the same routes."""
    tables = {}
    for table in routes.tables:
        key = (table.version, table.table)
        same = key in known and known[key].routes == table
        tables[key] = known[key] if same else Table(table)
    return tables


def _make_empty_table(version: int) -> Table:
    return Table(RouteTable(0, version, make_prefix_keys(version), make_indexes(), (), {}))


def _index_priorities(rules: Sequence[CompiledRule]) -> Dict[int, int]:
    """Priority → position of its first rule, which is where a goto goes (fib_nl_newrule)."""
    return {
        compiled.rule.priority: len(rules) - position
        for position, compiled in enumerate(reversed(rules), 1)
    }


def _make_query(packet: Packet, flow_key: FlowKey) -> Query:
    tos = flow_key.tos if packet.version == IPV4 else 0
    query = Query(tos, flow_key.bound, packet.iif)
    if packet.version == IPV6 and packet.iif and _holds(STRICT, int(packet.destination)):
        return query._replace(bound=packet.iif)
    return query


def _split_space(space: Intervals, query: Query, version: int) -> List[Tuple[Intervals, Query]]:
    """IPv6 packets that came in are routed by their own link to `STRICT` destinations."""
    if version == IPV4 or not query.inbound:
        return [(space, query)]
    return [
        (intersect(space, RELAXED), query._replace(bound="")),
        (intersect(space, STRICT), query._replace(bound=query.inbound)),
    ]


def _holds(intervals: Intervals, address: int) -> bool:
    position = bisect_right(intervals.starts, address) - 1
    return position >= 0 and address <= intervals.ends[position]
