"""The proof of a plan: put into a host's whole RPDB and judged there, before it is written."""

from ipaddress import ip_interface
from itertools import chain
from typing import Iterable, Iterator, List, NamedTuple, Tuple

from symroute_nm.model.host import Host
from symroute_nm.model.iproute2 import format_rule
from symroute_nm.model.marking import Mark
from symroute_nm.model.network import (
    ANY,
    LINK_LOCAL,
    Address,
    IPNetwork,
    Route,
    contains,
)
from symroute_nm.model.ours import foreign_rules, our_rules, priorities
from symroute_nm.model.plan import Plan
from symroute_nm.model.route_set import RouteSet, RouteTable, is_specific_in_main, pack
from symroute_nm.model.settings import Settings
from symroute_nm.rpdb.expectations import find_catch_all_links
from symroute_nm.rpdb.symmetry import Reply, Verdict, judge_replies, judge_states


class Proof(NamedTuple):
    """How each uplink address fares before and after a plan, and what else would change."""

    before: Tuple[Verdict, ...]
    after: Tuple[Verdict, ...]
    intrusions: Tuple[str, ...] = ()  # why packets that we do not select would fare differently
    marked: Tuple[Verdict, ...] = ()  # what is forwarded, with the marks of a plan

    @property
    def holds(self) -> bool:
        """Whether nothing was found against the plan."""
        return not self.intrusions and all(
            verdict.symmetric for verdict in (*self.after, *self.marked)
        )


def prove(host: Host, settings: Settings, plan: Plan) -> Proof:
    """The plan judged in the host's whole RPDB: every uplink address to every destination class."""
    uplinks = [planned.uplink for planned in plan.uplinks]
    planned = put_plan(host, settings, plan)
    before, after = judge_states([host, planned], uplinks, plan.left_out)
    marked: Tuple[Verdict, ...] = ()
    if plan.marking:
        marks = plan.marking.marks
        replies = chain(_marked(host, plan, marks), _passed_on(host, settings, plan, marks))
        marked = judge_replies(planned, uplinks, replies, plan.left_out)
    return Proof(before, after, tuple(_find_intrusions(host, settings, plan)), marked)


def _marked(host: Host, plan: Plan, marks: Iterable[Mark]) -> Iterator[Reply]:
    """The answers of every internal network by every uplink, and the requests that come in there.

    A request's answer is also what the strict rp_filter asks for (fib_validate_source).
    """
    uplinks = {planned.uplink.link.name: planned.uplink for planned in plan.uplinks}
    outward = set(uplinks) | find_catch_all_links(host, set(uplinks))

    def is_inward(route: Route) -> bool:
        return is_specific_in_main(route) and any(hop.link not in outward for hop in route.hops)

    inside: List[Tuple[IPNetwork, str]] = []
    for route in host.routes.select(is_inward):
        if not contains(LINK_LOCAL[route.version], route.destination):
            links = [hop.link for hop in route.hops if hop.link not in outward]
            inside += [(route.destination, link) for link in links]
    for mark in marks:
        versions = [gateway.version for gateway in uplinks[mark.link].gateways]
        for version in versions:
            asker = Address(mark.link, ip_interface(str(ANY[version].network_address)))
            yield Reply(asker, mark.link, mark.value, request=True)
        for network, link in inside:
            if network.version in versions:
                last = min(network.num_addresses - 1, 2)
                answerer = Address(mark.link, ip_interface(str(network[last])))
                yield Reply(answerer, link, mark.value)


def _passed_on(
    host: Host, settings: Settings, plan: Plan, marks: Iterable[Mark]
) -> Iterator[Reply]:
    """The answers that come in by another uplink: of a server behind it, near or afar.

    One other uplink speaks for all, but for those that somebody's rule selects.
    """
    selected = {rule.iif for rule in foreign_rules(host, settings)}
    uplinks = [planned.uplink for planned in plan.uplinks]
    for mark in marks:
        others = [uplink for uplink in uplinks if uplink.link.name != mark.link]
        marked = chain.from_iterable(
            uplink.gateways for uplink in uplinks if uplink.link.name == mark.link
        )
        versions = {gateway.version for gateway in marked}
        for number, other in enumerate(others):
            if number and other.link.name not in selected:
                continue
            servers = [address.interface.network for address in other.addresses]
            servers += [ANY[version] for version in versions]
            for network in servers:
                if network.version in versions:
                    server = ip_interface(str(network[max(0, min(network.num_addresses, 256) - 2)]))
                    yield Reply(Address(mark.link, server), other.link.name, mark.value)


def put_plan(host: Host, settings: Settings, plan: Plan) -> Host:
    """The host as it will be once the planned connections have been brought up."""
    ours = our_rules(host, settings)
    rules = [rule for rule in host.rules if rule not in ours]
    rules += plan.rules
    rules.sort(key=lambda rule: (rule.version, rule.priority))
    planned_ids = {planned.table.id for planned in plan.uplinks}
    owned_ids = {table.id for table in host.tables if table.owned}
    others = [table for table in host.routes.tables if table.table not in owned_ids]
    routes = list(_find_staying([table for table in others if table.table in planned_ids], plan))
    # A route that somebody else's table has already stays: adding ours says "File exists".
    taken = {route.kernel_key for route in routes}
    for planned in plan.uplinks:
        routes += [route for route in planned.routes if route.kernel_key not in taken]
    # What the plan has nothing to do with stays as it is packed.
    apart = [table for table in others if table.table not in planned_ids]
    return host._replace(rules=tuple(rules), routes=RouteSet([*apart, *pack(routes).tables]))


def _find_staying(tables: Iterable[RouteTable], plan: Plan) -> Iterator[Route]:
    """In a table that an administrator named, only the uplink's own go when it is brought up."""
    links = {planned.table.id: {planned.uplink.link.name} for planned in plan.uplinks}
    for route in RouteSet(tables):
        if links[route.table] != {hop.link for hop in route.hops}:
            yield route


def _find_intrusions(host: Host, settings: Settings, plan: Plan) -> Iterator[str]:
    """Why packets that none of our selectors matches would fare differently.

    They meet the same other rules in the same order, so they can only notice our routes in a
    table that another rule looks up, or our rules as the target of another rule's goto.
    """
    tables = {planned.table.id for planned in plan.uplinks}
    ours = our_rules(host, settings)
    for rule in host.rules:
        if rule in ours:
            continue
        if rule.action == "lookup" and rule.table in tables:
            yield f"the rule {rule.priority} ({format_rule(rule)}) looks up our table {rule.table}"
        if rule.action == "goto" and rule.target in priorities(settings):
            yield f"the rule {rule.priority} ({format_rule(rule)}) goes into our priorities"
