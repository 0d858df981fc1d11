"""A plan put into a host's whole RPDB and judged there, before it is written (pure)."""

from typing import Iterator, NamedTuple, Tuple

from symroute_nm.choices import Settings
from symroute_nm.model import Host, IPNetwork, Plan, Route
from symroute_nm.plan import our_rules, priorities
from symroute_nm.verdicts import Verdict, judge_each
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
    before, after = judge_each(
        [host, put_plan(host, settings, plan)], uplinks, plan.left_out)
    return Proof(before, after, tuple(_find_intrusions(host, settings, plan)))


def put_plan(host: Host, settings: Settings, plan: Plan) -> Host:
    """The host as it will be once the planned connections have been brought up."""
    ours = our_rules(host, settings)
    rules = [each for each in host.rules if each not in ours]
    rules += [rule for each in plan.uplinks for rule in each.rules]
    rules.sort(key=lambda each: (each.version, each.priority))
    routes = list(_staying(host, plan))
    # A route that somebody else's table has already stays: adding ours says "File exists".
    taken = {_identity(each) for each in routes}
    routes += [
        route for each in plan.uplinks for route in each.routes if _identity(route) not in taken
    ]
    return host._replace(rules=tuple(rules), routes=tuple(routes))


def _staying(host: Host, plan: Plan) -> Iterator[Route]:
    """The routes that the plan does not replace: all but those in our tables.

    In a table that an administrator named, only the uplink's own go when it is brought up.
    """
    ours = {each.id for each in host.tables if each.owned}
    links = {each.table.id: {each.uplink.link.name} for each in plan.uplinks}
    for route in host.routes:
        own = links.get(route.table) == {each.link for each in route.hops}
        if route.table not in ours and not own:
            yield route


def _find_intrusions(host: Host, settings: Settings, plan: Plan) -> Iterator[str]:
    """Why packets that none of our selectors matches would fare differently.

    They meet the same other rules in the same order, so they can only notice our routes in a
    table that another rule looks up, or our rules as the target of another rule's goto.
    """
    tables = {each.table.id for each in plan.uplinks}
    ours = our_rules(host, settings)
    for rule in host.rules:
        if rule in ours:
            continue
        if rule.action == "lookup" and rule.table in tables:
            yield "the rule %d (%s) looks up our table %d" % (
                rule.priority, describe_rule(rule), rule.table)
        if rule.action == "goto" and rule.target in priorities(settings):
            yield "the rule %d (%s) goes into our priorities" % (
                rule.priority, describe_rule(rule))


def _identity(route: Route) -> Tuple[int, IPNetwork, int, int]:
    return (route.table, route.destination, route.tos, route.kernel_metric)
