"""Symmetric or not, for every uplink address and every destination there is (pure, on rpdb)."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Dict, Iterable, Iterator, List, Mapping, NamedTuple, Sequence, Tuple

from symroute_nm.model import (
    ANY,
    LINK_LOCAL,
    TABLE_LOCAL,
    TABLE_MAIN,
    Address,
    Hop,
    Host,
    IPAddress,
    IPNetwork,
    Plan,
    Route,
    Rule,
    Settings,
    Uplink,
)
from symroute_nm.plan import is_ours, priorities
from symroute_nm.rpdb import Class, Decision, Packet, Rpdb
from symroute_nm.wording import describe_hop, describe_route, describe_rule

# A default route in halves or less (OpenVPN's redirect-gateway: 0.0.0.0/1 and 128.0.0.0/1; ::/3,
# 2000::/4, 3000::/4) is a way to everything, not to a network behind an internal link.
WIDEST_DEFAULT = {4: 1, 6: 4}

# Link-local and multicast destinations belong to the link that they are asked for on.
_LINK_SCOPE: Mapping[int, Tuple[IPNetwork, ...]] = {
    4: (LINK_LOCAL[4], IPv4Network("224.0.0.0/4"), IPv4Network("255.255.255.255/32")),
    6: (LINK_LOCAL[6], IPv6Network("ff00::/8")),
}
_LINK_SCOPE_TABLE = 1  # in `_Known`'s own database, which has no other but local and main
_ERRORS = ("blackhole", "unreachable", "prohibit")


class Failure(NamedTuple):
    """A packet from an uplink's address that does not go where it should, for all of its kind."""

    address: Address
    destination: IPAddress  # speaks for all destinations that fail in the same way
    decision: Decision
    wanted: str  # in plain words
    size: int = 1  # how many destinations are in the widest interval that fails so
    classes: int = 1  # how many intervals fail so
    internal: bool = False  # it should have gone to an internal network


class Verdict(NamedTuple):
    """What becomes of one uplink address's replies, over all destinations."""

    address: Address
    failures: Tuple[Failure, ...]

    @property
    def symmetric(self) -> bool:
        """Whether every reply leaves by the link of the address, or to an internal network."""
        return not self.failures


class Proof(NamedTuple):
    """How each uplink address fares before and after a plan, and what else the plan would change."""

    before: Tuple[Verdict, ...]
    after: Tuple[Verdict, ...]
    intrusions: Tuple[str, ...] = ()  # packets that our selectors do not match, changed all the same

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


def judge(host: Host, uplinks: Sequence[Uplink]) -> Tuple[Verdict, ...]:
    """A verdict for each address of each uplink, in order."""
    database = Rpdb(host.rules, host.routes, host.links)
    names = frozenset(each.link.name for each in uplinks)
    known = _Known(host)
    return tuple(
        Verdict(address, tuple(_merge(_failures(database, known, names, address))))
        for uplink in uplinks for address in uplink.addresses
    )


class _Known:
    """What local and main know specifically, as destination classes by family."""

    def __init__(self, host: Host) -> None:
        rules: List[Rule] = []
        for version in WIDEST_DEFAULT:
            rules.append(Rule(version, 0, table=TABLE_LOCAL))
            rules.append(Rule(version, 1, table=_LINK_SCOPE_TABLE))
            rules.append(Rule(version, 2, table=TABLE_MAIN,
                              suppress_prefixlength=WIDEST_DEFAULT[version]))
        routes = [each for each in host.routes if each.table in (TABLE_LOCAL, TABLE_MAIN)]
        routes += [Route(network, table=_LINK_SCOPE_TABLE, hops=(Hop(),))
                   for networks in _LINK_SCOPE.values() for network in networks]
        self._database = Rpdb(rules, routes, host.links)
        self._classes: Dict[int, List[Class]] = {}

    def classes(self, version: int) -> List[Class]:
        if version not in self._classes:
            template = Packet(destination=ANY[version].network_address)
            self._classes[version] = self._database.classes(template)
        return self._classes[version]


def _failures(
    database: Rpdb, known: _Known, uplinks: Iterable[str], address: Address
) -> Iterator[Failure]:
    template = Packet(destination=ANY[address.version].network_address, source=address.ip)
    found = database.classes(template)
    for first, last, actual, specific in _overlay(found, known.classes(address.version)):
        wanted = _complaint(actual, specific, address.link, uplinks)
        if wanted:
            # Not the first, which is a network's own address, where there is another.
            destination = _address(address.version, min(first + 1, last))
            yield Failure(address, destination, actual, wanted, size=last - first + 1,
                          internal=_is_internal(specific, uplinks))


def _overlay(
    found: Sequence[Class], known: Sequence[Class]
) -> Iterator[Tuple[int, int, Decision, Decision]]:
    """Both cuts of the destination space laid over each other: (first, last, one, other)."""
    other = 0
    for each in found:
        first = each.first
        while first <= each.last:
            while known[other].last < first:
                other += 1
            last = min(each.last, known[other].last)
            yield first, last, each.decision, known[other].decision
            first = last + 1


def _complaint(
    actual: Decision, specific: Decision, link: str, uplinks: Iterable[str]
) -> str:
    """Where the packet should go instead, in plain words; "" where it goes right."""
    if specific.table == _LINK_SCOPE_TABLE:
        return ""
    if actual.doubts:
        return "a rule that cannot be judged may catch it: %s" % "; ".join(actual.doubts)
    if "local" in (actual.type, specific.type):
        return "" if actual.type == specific.type else "be delivered on this host"
    if specific.type in _ERRORS and specific.route is not None:
        return "" if actual.type == specific.type else "be dropped, as main says"
    if _is_internal(specific, uplinks):
        way = " or ".join(describe_hop(each) for each in specific.hops)
        return "" if actual.hops == specific.hops else "go to the internal network %s" % way
    if actual.type == "unicast" and actual.links == {link}:
        return ""
    return "" if _is_internal(actual, uplinks) else "leave by %s" % link


def _is_internal(decision: Decision, uplinks: Iterable[str]) -> bool:
    """Whether it goes by a specific route to a link that is no uplink: a container, a VPN's peer."""
    if decision.type != "unicast" or decision.route is None or decision.links & set(uplinks):
        return False
    destination = decision.route.destination
    return destination.prefixlen > WIDEST_DEFAULT[destination.version]


def _merge(failures: Iterable[Failure]) -> Iterator[Failure]:
    """One failure for each way to fail, with the number of destination classes that it is for."""
    merged: Dict[Tuple[object, ...], Failure] = {}
    for each in failures:
        decision = each.decision
        key = (decision.type, decision.hops, decision.rule, each.wanted)
        known = merged.get(key, each._replace(classes=0))
        widest = max(known, each, key=lambda failure: failure.size)
        merged[key] = widest._replace(classes=known.classes + 1)
    return iter(merged.values())


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


def describe_failure(failure: Failure) -> str:
    """The packet that fails and why, in one line."""
    decision = failure.decision
    way = " or ".join(describe_hop(each) for each in decision.hops) or decision.type
    because = " by rule %d (%s)" % (
        decision.rule.priority, describe_rule(decision.rule)) if decision.rule else ""
    route = ", route %s" % describe_route(decision.route) if decision.route else ""
    more = " (and %d more destination ranges)" % (
        failure.classes - 1) if failure.classes > 1 else ""
    return "from %s to %s%s: goes %s%s%s; should %s" % (
        failure.address.ip, failure.destination, more, way, because, route, failure.wanted)


def _identity(route: Route) -> Tuple[int, IPNetwork, int, int]:
    return (route.table, route.destination, route.tos, route.metric)


def _address(version: int, number: int) -> IPAddress:
    return IPv4Address(number) if version == IPv4Address(0).version else IPv6Address(number)
