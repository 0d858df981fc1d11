"""Symmetric or not, for every uplink address and every destination there is (pure, on rpdb)."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Dict, FrozenSet, Iterable, Iterator, List, Mapping, NamedTuple, Sequence, Tuple

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


def judge(host: Host, uplinks: Sequence[Uplink]) -> Tuple[Verdict, ...]:
    """A verdict for each address of each uplink, in order."""
    database = Rpdb(host.rules, host.routes, host.links)
    names = frozenset(each.link.name for each in uplinks)
    known = _Known(host, names)
    return tuple(
        Verdict(address, tuple(_merge(_failures(database, known, names, address))))
        for uplink in uplinks for address in uplink.addresses
    )


class _Wanted(NamedTuple):
    """What a range of destinations is due, by what local and main know specifically of it."""

    first: int
    last: int
    kind: str  # any: left alone, local, drop, internal, own: by the link of the source address
    decision: Decision


class _Known:
    """What local and main know specifically, as ranges that cover each family."""

    def __init__(self, host: Host, uplinks: FrozenSet[str]) -> None:
        rules: List[Rule] = []
        for version, widest in WIDEST_DEFAULT.items():
            rules.append(Rule(version, 0, table=TABLE_LOCAL))
            rules.append(Rule(version, 1, table=_LINK_SCOPE_TABLE))
            rules.append(Rule(version, 2, table=TABLE_MAIN, suppress_prefixlength=widest))
        routes = [each for each in host.routes if each.table in (TABLE_LOCAL, TABLE_MAIN)]
        routes += [Route(network, table=_LINK_SCOPE_TABLE, hops=(Hop(),))
                   for networks in _LINK_SCOPE.values() for network in networks]
        self._database = Rpdb(rules, routes, host.links)
        self._uplinks = uplinks
        self._ranges: Dict[int, List[_Wanted]] = {}

    def ranges(self, version: int) -> List[_Wanted]:
        """In ascending order, neighbours that are due the same made one."""
        if version not in self._ranges:
            template = Packet(destination=ANY[version].network_address)
            joined: List[_Wanted] = []
            for each in self._database.classes(template):
                wanted = _Wanted(each.first, each.last, self._kind(each.decision), each.decision)
                if joined and _due_the_same(joined[-1], wanted):
                    joined[-1] = joined[-1]._replace(last=wanted.last)
                else:
                    joined.append(wanted)
            self._ranges[version] = joined
        return self._ranges[version]

    def _kind(self, decision: Decision) -> str:
        if decision.table == _LINK_SCOPE_TABLE:
            return "any"
        if decision.type == "local":
            return "local"
        if decision.type != "unicast" and decision.route is not None:
            return "drop"
        return "internal" if _is_internal(decision, self._uplinks) else "own"


def _due_the_same(one: _Wanted, other: _Wanted) -> bool:
    same = one.kind == other.kind
    return same and (one.kind in ("any", "local", "own") or (
        one.decision.type == other.decision.type and one.decision.hops == other.decision.hops))


def _failures(
    database: Rpdb, known: _Known, uplinks: FrozenSet[str], address: Address
) -> Iterator[Failure]:
    template = Packet(destination=ANY[address.version].network_address, source=address.ip)
    found = database.classes(template)
    for first, last, actual, due in _overlay(found, known.ranges(address.version)):
        doubted = actual.doubts and due.kind != "any"
        if not doubted and _is_right(actual, due, address.link, uplinks):
            continue
        # Not the first, which is a network's own address, where there is another.
        destination = _address(address.version, min(first + 1, last))
        yield Failure(address, destination, actual, _word(actual, due, address.link),
                      size=last - first + 1, internal=due.kind == "internal")


def _overlay(
    found: Sequence[Class], known: Sequence[_Wanted]
) -> Iterator[Tuple[int, int, Decision, _Wanted]]:
    """Both cuts of the destination space laid over each other: (first, last, decided, due)."""
    other = 0
    for each in found:
        first = each.first
        while first <= each.last:
            while known[other].last < first:
                other += 1
            last = min(each.last, known[other].last)
            yield first, last, each.decision, known[other]
            first = last + 1


def _is_right(actual: Decision, due: _Wanted, link: str, uplinks: FrozenSet[str]) -> bool:
    if due.kind == "own":
        by_link = actual.type == "unicast" and all(each.link == link for each in actual.hops)
        # Others' rules may reach networks of their own before ours: a VPN's peers.
        return by_link or _is_internal(actual, uplinks)
    if due.kind == "internal":
        return actual.hops == due.decision.hops
    return due.kind == "any" or actual.type == due.decision.type


def _word(actual: Decision, due: _Wanted, link: str) -> str:
    """Where the packet should go instead, in plain words."""
    if actual.doubts:
        return "a rule that cannot be judged may catch it: %s" % "; ".join(actual.doubts)
    if due.kind == "internal":
        way = " or ".join(describe_hop(each) for each in due.decision.hops)
        return "go to the internal network %s" % way
    return {
        "local": "be delivered on this host",
        "drop": "be dropped, as main says",
    }.get(due.kind, "leave by %s" % link)


def _is_internal(decision: Decision, uplinks: FrozenSet[str]) -> bool:
    """Whether a specific route leads to a link that is no uplink: a container, a VPN's peer."""
    if decision.type != "unicast" or decision.route is None or decision.links & uplinks:
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
