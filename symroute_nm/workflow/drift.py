"""Plan, files and kernel against each other ."""

from collections import Counter
from typing import (
    Any,
    Collection,
    Dict,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    Sequence,
    Set,
    Tuple,
    Union,
)

from symroute_nm.files.changes import Change
from symroute_nm.model.iproute2 import format_item
from symroute_nm.model.network import Route, Rule, contains
from symroute_nm.model.state import State

MISSING, STALE, CHANGED, TWICE = "missing", "stale", "changed", "twice"
MISPLACED = "order"  # of equal priority the first decides
NOT_RUN = "not run"


class States(NamedTuple):
    """What is planned, what our blocks list, what the kernel has of ours."""

    plan: State
    files: State
    kernel: State


class Drift(NamedTuple):
    """A rule or route on which the three do not agree, and how."""

    item: Union[Rule, Route]
    planned: bool
    listed: bool
    present: bool
    kind: str  # missing stale changed twice order

    @property
    def text(self) -> str:
        """The rule or route as `ip` writes it."""
        return format_item(self.item)


class FileDrift(NamedTuple):
    """A file that `generate` would change, or that NetworkManager does not run as it is."""

    path: str
    kind: str  # a change's: create update delete; or NOT_RUN
    by_hand: bool = False  # somebody changed it since it was written


class Verification(NamedTuple):
    """On which rules and routes the three do not agree, and in which files."""

    drift: Tuple[Drift, ...]
    files: Tuple[FileDrift, ...]
    notes: Tuple[str, ...] = ()
    marks: Tuple[str, ...] = ()  # how the kernel does not mark as planned

    @property
    def agree(self) -> bool:
        """Whether there is nothing to mend."""
        return not (self.drift or self.files or self.marks)


def find_drift(states: States) -> Tuple[Drift, ...]:
    """All rules and routes on which they do not agree: rules first, as they are listed."""
    rules = [{rule.without_protocol: rule for rule in state.rules} for state in states]
    routes = [{route.identity: route for route in state.routes} for state in states]
    differing = [*_differences(rules, ()), *_differences(routes, states.plan.routes)]
    again = [
        rule
        for rule, times in Counter(rule.without_protocol for rule in states.kernel.rules).items()
        if times > 1
    ]
    return (
        *differing,
        *(Drift(rule, rule in rules[0], rule in rules[1], True, TWICE) for rule in again),
        *_repeated_routes(states, routes),
        *_misplaced(states, rules),
    )


def _repeated_routes(states: States, routes: Sequence[Dict[Any, Any]]) -> Iterator[Drift]:
    planned = Counter(route.identity for route in states.plan.routes)
    for key, times in Counter(route.identity for route in states.kernel.routes).items():
        if times > max(1, planned[key]):
            yield Drift(routes[2][key], key in routes[0], key in routes[1], True, TWICE)


def _misplaced(states: States, rules: Sequence[Dict[Any, Any]]) -> Iterator[Drift]:
    """Rules that are planned and there, but before one of their priority that should decide first.

    Only where some packet is selected by both: uplinks may come up in any order, and the rules of
    two addresses never meet.
    """
    planned, present = _by_priority(states.plan.rules), _by_priority(states.kernel.rules)
    for place, wanted in planned.items():
        there = present.get(place, [])
        if there == wanted:
            continue
        positions = {rule: position for position, rule in enumerate(wanted)}
        known = list(dict.fromkeys(rule for rule in there if rule in positions))
        for number, rule in enumerate(known):
            behind = (other for other in known[number + 1 :] if positions[other] < positions[rule])
            if any(_may_meet(rule, other) for other in behind):
                yield Drift(rule, True, rule in rules[1], True, MISPLACED)
                break


def _may_meet(one: Rule, other: Rule) -> bool:
    """Whether some packet may be selected by both rules, and their order is the plan's to say.

    Not a rule by source and one by the link of arrival: what comes in with an address of this host
    is dropped (fib_validate_source), and uplinks come up in any order.
    """
    if bool(one.iif) != bool(other.iif):
        return False
    for mine, its in ((one.source, other.source), (one.destination, other.destination)):
        if mine and its and not (contains(mine, its) or contains(its, mine)):
            return False
    for link, another in ((one.iif, other.iif), (one.oif, other.oif)):
        if link and another and link != another:
            return False
    return not (one.mark ^ other.mark) & one.mask & other.mask


def _by_priority(rules: Iterable[Rule]) -> Dict[Any, List[Rule]]:
    found: Dict[Any, List[Rule]] = {}
    for rule in rules:
        found.setdefault((rule.version, rule.priority), []).append(rule.without_protocol)
    return found


def _differences(items: Sequence[Dict[Any, Any]], planned: Sequence[Route]) -> List[Drift]:
    """Items by what tells them apart, of the plan, of the files and of the kernel."""
    plan, files, kernel = items
    if set(plan) == set(files) == set(kernel):
        return []
    places: Set[Any] = set()
    if not {*files, *kernel} <= set(plan):
        places = {route.line_key for route in planned}
    differing = []
    for key, item in {**kernel, **files, **plan}.items():
        if not (key in plan and key in files and key in kernel):
            kind = MISSING if key in plan else STALE
            if kind == STALE and isinstance(item, Route) and item.line_key in places:
                kind = CHANGED
            differing.append(Drift(item, key in plan, key in files, key in kernel, kind))
    return differing


def find_file_drift(changes: Iterable[Change], by_hand: Collection[str]) -> List[FileDrift]:
    """The files that `generate` would change; `by_hand` are those that somebody wrote to."""
    return [
        FileDrift(change.path, change.kind, change.path in by_hand)
        for change in changes
        if change.kind != "keep"
    ]
