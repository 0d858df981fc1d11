"""From one state of our rules and tables to another, so that no packet meets neither.

Routes are added before the rules that look them up, rules in ascending order of priority, and
deleted in descending order: the first rule that decides is then always one of the old state or one
of the new, and all rules of that state before it are there. In a table that is looked up already,
the longest prefixes come first and go last, for the same reason.
"""

from collections import Counter
from typing import AbstractSet, Any, Dict, Iterable, Iterator, List, Mapping, Sequence, Set, Tuple

from symroute_nm.model.network import TABLE_MAIN, Route, Rule
from symroute_nm.model.state import ADD, DELETE, REPLACE, State, Step

# Of the 32 bits of a table's id the end, where nobody has one; our own are never allotted there.
SPARE_TABLES = range(0xFFFF0000, 0xFFFFF000)


def find_steps(present: State, wanted: State) -> Tuple[Step, ...]:
    """The changes that lead from one state to the other, in the order in which they are made.

    A rule that is there twice is deleted once; equal priorities end in the order wanted.
    """
    spare = spare_tables(present, wanted)
    if spare:
        aside = move(wanted, spare)
        return (*_steps(present, aside), *_steps(aside, wanted))
    return _steps(present, wanted)


def spare_tables(present: State, wanted: State) -> Dict[int, int]:
    """Tables of which both rules and content change, and where the new content stands meanwhile.

    The old rules must not find what the new ones are to find, nor the new ones what is left of the
    old. {table: spare table}
    """
    old, new = _askers(present), _askers(wanted)
    present_rules, wanted_rules = _by_selector(present), _by_selector(wanted)
    asked = {
        table
        for table in set(old) & set(new)
        if any(
            present_rules.get(selector) != wanted_rules.get(selector)
            for selector in old[table] | new[table]
        )
    }
    content, coming = _contents(present, asked), _contents(wanted, asked)
    changed = [table for table in sorted(asked) if content.get(table) != coming.get(table)]
    return dict(zip(changed, SPARE_TABLES))


def _askers(state: State) -> Dict[int, Set[Rule]]:
    """The selectors by which each own table is looked up: {table: rules without the rest}."""
    grouped: Dict[int, Set[Rule]] = {}
    for rule in state.rules:
        if rule.table != TABLE_MAIN:
            grouped.setdefault(rule.table, set()).add(_selector(rule))
    return grouped


def _by_selector(state: State) -> Dict[Rule, Set[Rule]]:
    grouped: Dict[Rule, Set[Rule]] = {}
    for rule in state.rules:
        grouped.setdefault(_selector(rule), set()).add(rule.without_protocol)
    return grouped


def _selector(rule: Rule) -> Rule:
    return rule.without_protocol._replace(priority=0, table=0, suppress_prefixlength=None)


def _contents(state: State, tables: AbstractSet[int]) -> Dict[int, Set[Tuple[Any, ...]]]:
    """What tells the routes of each of these tables: {table: identities}."""
    grouped: Dict[int, Set[Tuple[Any, ...]]] = {}
    for route in state.routes:
        if route.table in tables:
            grouped.setdefault(route.table, set()).add(route.identity)
    return grouped


def move(state: State, tables: Mapping[int, int]) -> State:
    """The state with other ids for some tables."""
    return State(
        tuple(rule._replace(table=tables.get(rule.table, rule.table)) for rule in state.rules),
        tuple(route._replace(table=tables.get(route.table, route.table)) for route in state.routes),
    )


def _steps(present: State, wanted: State) -> Tuple[Step, ...]:
    kept = {route.identity for route in present.routes}
    missing = [route for route in wanted.routes if route.identity not in kept]
    added, deleted = _rule_changes(present.rules, wanted.rules)
    return (
        *_route_additions(present, missing),
        *(Step(ADD, rule) for rule in added),
        *(Step(DELETE, rule) for rule in deleted),
        *_route_deletions(present, wanted, {route.kernel_key for route in missing}),
    )


def _route_additions(present: State, missing: Sequence[Route]) -> Iterator[Step]:
    """Tables that no rule looks up yet are filled with networks first: gateways need them.

    In the others a longer prefix must be there before a shorter one that holds it.
    """
    looked_up = {rule.table for rule in present.rules}
    keys = {route.kernel_key for route in present.routes}
    ordered = sorted(
        missing,
        key=lambda route: (
            -route.destination.prefixlen
            if route.table in looked_up
            else route.hop.gateway is not None
        ),
    )
    for route in ordered:
        yield Step(REPLACE if route.kernel_key in keys else ADD, route)
        keys.discard(route.kernel_key)


def _route_deletions(
    present: State, wanted: State, replaced: Set[Tuple[Any, ...]]
) -> Iterator[Step]:
    """What is left over, the shortest prefix first: what it held has gone to the new state then.

    Of the keys in `replaced` the first route has been replaced already.
    """
    kept = {route.identity for route in wanted.routes}
    over = [route for route in present.routes if route.identity not in kept]
    for route in sorted(over, key=lambda route: route.destination.prefixlen):
        if route.kernel_key in replaced:
            replaced.discard(route.kernel_key)
        else:
            yield Step(DELETE, route)


def _rule_changes(present: Sequence[Rule], wanted: Sequence[Rule]) -> Tuple[List[Rule], List[Rule]]:
    """What is added, in order, and what is deleted, in order."""
    added: List[Rule] = []
    kept: List[Rule] = []
    before = _by_priority(present)
    for place, rules in sorted(_by_priority(wanted).items()):
        stay = _common_beginning(before.get(place, []), rules)
        kept += rules[:stay]
        added += rules[stay:]
    # The kernel deletes the first of equal rules: one that was added again behind stays.
    spare = Counter(rule.without_protocol for rule in present) - Counter(
        rule.without_protocol for rule in kept
    )
    deleted = []
    backwards = present[::-1]  # of equal priority the last first
    for rule in sorted(backwards, key=lambda rule: -rule.priority):
        if spare[rule.without_protocol]:
            spare[rule.without_protocol] -= 1
            deleted.append(rule)
    return sorted(added, key=lambda rule: rule.priority), deleted


def _common_beginning(present: Sequence[Rule], wanted: Sequence[Rule]) -> int:
    """How many of the first wanted rules are there already in that order.

    New rules go behind all others of their priority, so that what follows those is added again.
    """
    count = 0
    for rule in present:
        if count < len(wanted) and rule.without_protocol == wanted[count].without_protocol:
            count += 1
    return count


def _by_priority(rules: Iterable[Rule]) -> Dict[Tuple[int, int], List[Rule]]:
    grouped: Dict[Tuple[int, int], List[Rule]] = {}
    for rule in rules:
        grouped.setdefault((rule.version, rule.priority), []).append(rule)
    return grouped
