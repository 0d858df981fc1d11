"""What of the kernel's rules and routes is ours, and what it is to be.

Ours are the rules that look up our tables and those beside them, and all routes of the tables that
our fragment alone names. In one that an administrator named, or chose by its id, only what a block
of ours lists is; and what an administrator's own line lists never is.
"""

from typing import Collection, FrozenSet, Iterator, NamedTuple

from symroute_nm.kernel.steps import move, spare_tables
from symroute_nm.model.host import Host
from symroute_nm.model.listing import Files, Listing
from symroute_nm.model.network import LineKey, Route, Rule
from symroute_nm.model.ours import our_rules, our_tables
from symroute_nm.model.plan import Plan
from symroute_nm.model.settings import Settings
from symroute_nm.model.state import State


def find_tables(host: Host, settings: Settings, plan: Plan) -> FrozenSet[int]:
    """The ids of own tables: those of earlier runs, and those that are planned."""
    choices = (interface.table for interface in settings.interface.values())
    return our_tables(host.tables, choices) | {planned.table.id for planned in plan.uplinks}


class Scope(NamedTuple):
    """What of the kernel is looked at, and nothing else ever touched."""

    rules: FrozenSet[Rule]  # without who added them
    tables: FrozenSet[int]  # with all of their routes
    left: FrozenSet[LineKey] = frozenset()  # but for these
    places: FrozenSet[LineKey] = frozenset()  # and these of other tables, which we share

    @property
    def all_tables(self) -> FrozenSet[int]:
        """The tables of which anything is looked at."""
        return self.tables | {table for _, table, _, _ in self.places}

    def holds(self, route: Route) -> bool:
        """Whether a route of the kernel is looked at."""
        if route.table in self.tables and not self.left:
            return True  # as nearly always, and of a hundred thousand routes
        key = route.line_key
        return key not in self.left and (route.table in self.tables or key in self.places)


class ScopedChange(NamedTuple):
    """What is ours in the kernel, and what it is to be."""

    scope: Scope
    present: State
    wanted: State


def find_change(
    host: Host, settings: Settings, wanted: State, tables: Collection[int], files: Files
) -> ScopedChange:
    """Our part of the kernel and the way it is to be, without what is the administrator's."""
    foreign = {route.line_key for route in files.foreign.state.routes}
    owned = {table.id for table in host.tables if table.owned} - {
        table.id for table in host.tables if not table.owned
    }
    others = frozenset(tables) - owned
    shared = frozenset(
        route.line_key
        for route in (*files.ours.state.routes, *wanted.routes)
        if route.table in others
    )
    aside = {rule.without_protocol for rule in files.foreign.state.rules} - {
        rule.without_protocol for rule in wanted.rules
    }
    ours = our_rules(host, settings)
    rules = tuple(
        rule for rule in host.rules if rule in ours and rule.without_protocol not in aside
    )
    scope = Scope(
        frozenset(rule.without_protocol for rule in (*rules, *wanted.rules)),
        frozenset(tables) & owned,
        frozenset(foreign),
        shared,
    )
    present = State(rules, tuple(filter(scope.holds, _routes_of(host, scope.all_tables))))
    if foreign:
        wanted = wanted._replace(
            routes=tuple(route for route in wanted.routes if route.line_key not in foreign)
        )
    return ScopedChange(_with_spare(scope, present, wanted), present, wanted)


def _with_spare(scope: Scope, present: State, wanted: State) -> Scope:
    """The scope with the tables that are used on the way: there and back."""
    tables = spare_tables(present, wanted)
    if not tables:
        return scope
    moved = (*move(present, tables).rules, *move(wanted, tables).rules)
    return scope._replace(
        rules=scope.rules | {rule.without_protocol for rule in moved},
        tables=scope.tables | set(tables.values()),
    )


def planned_state(plan: Plan) -> State:
    """The rules and routes of a plan, in the order in which they are to be added."""
    return State(plan.rules, plan.routes)


def add_kept(planned: State, host: Host, kept: Listing) -> State:
    """The planned state and what is there of blocks that stay though nothing plans them now."""
    if not (kept.rules or kept.routes):
        return planned
    rules = {rule.without_protocol for rule in kept.state.rules} - set(planned.rules)
    keys = {route.line_key for route in kept.state.routes} - {
        route.line_key for route in planned.routes
    }
    tables = {table for _, table, _, _ in keys}
    return State(
        (*planned.rules, *(rule for rule in host.rules if rule.without_protocol in rules)),
        (
            *planned.routes,
            *(route for route in _routes_of(host, tables) if route.line_key in keys),
        ),
    )


def _routes_of(host: Host, tables: Collection[int]) -> Iterator[Route]:
    """The host's routes of these tables."""
    return host.routes.select(lambda route: route.table in tables)
