"""A plan put into a host's whole RPDB and judged there, before it is written (pure)."""

from typing import (
    Iterator,
    NamedTuple,
    Tuple,
)

from symroute_nm.choices import Settings
from symroute_nm.model import TABLE_MAIN, Host, IPNetwork, Plan, Route
from symroute_nm.plan import is_ours, priorities
from symroute_nm.verdicts import Verdict, judge
from symroute_nm.wording import describe_rule


class Proof(NamedTuple):
    """How each uplink address fares before and after a plan, and what else would change."""

    before: Tuple[Verdict, ...]
    after: Tuple[Verdict, ...]
    intrusions: Tuple[str, ...] = ()  # why packets that we do not select would fare differently

    @property
    def holds(self) -> bool:
        """Whether nothing was found against the plan."""
        return not self.intrusions and all(each.symmetric for each in self.after)


def prove(host: Host, settings: Settings, plan: Plan) -> Proof:
    """The plan judged in the host's whole RPDB: every uplink address to every destination class."""
    uplinks = [each.uplink for each in plan.uplinks]
    return Proof(
        before=judge(host, uplinks),
        after=judge(put_plan(host, settings, plan), uplinks),
        intrusions=tuple(_find_intrusions(host, settings, plan)),
    )


def put_plan(host: Host, settings: Settings, plan: Plan) -> Host:
    """The host as it will be with the plan in force, and what earlier plans left gone."""
    rules = [each for each in host.rules if not is_ours(each, settings)]
    rules += [rule for each in plan.uplinks for rule in each.rules]
    ours = our_tables(host, settings)
    routes = [each for each in host.routes if each.table not in ours]
    # A route that somebody else's table has already stays: adding ours says "File exists".
    taken = {_identity(each) for each in routes}
    routes += [
        route for each in plan.uplinks for route in each.routes if _identity(route) not in taken
    ]
    rules.sort(key=lambda each: (each.version, each.priority))
    return host._replace(rules=tuple(rules), routes=tuple(routes))


def our_tables(host: Host, settings: Settings) -> Tuple[int, ...]:
    """The tables that earlier plans filled: named in our fragment, or looked up by our rules."""
    looked_up = {each.table for each in host.rules if is_ours(each, settings)} - {TABLE_MAIN}
    return tuple(sorted(looked_up | {each.id for each in host.tables if each.owned}))


def _find_intrusions(host: Host, settings: Settings, plan: Plan) -> Iterator[str]:
    """Why packets that none of our selectors matches would fare differently.

    They meet the same other rules in the same order, so they can only notice our routes in a
    table that another rule looks up, or our rules as the target of another rule's goto.
    """
    tables = {each.table.id for each in plan.uplinks}
    for rule in host.rules:
        if is_ours(rule, settings):
            continue
        if rule.action == "lookup" and rule.table in tables:
            yield "the rule %d (%s) looks up our table %d" % (
                rule.priority, describe_rule(rule), rule.table)
        if rule.action == "goto" and rule.target in priorities(settings):
            yield "the rule %d (%s) goes into our priorities" % (
                rule.priority, describe_rule(rule))


def _identity(route: Route) -> Tuple[int, IPNetwork, int, int]:
    return (route.table, route.destination, route.tos, route.metric)
