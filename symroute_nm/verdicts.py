"""Symmetric or not, for every uplink address and every destination there is (pure, on rpdb)."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import (
    AbstractSet,
    Dict,
    FrozenSet,
    Hashable,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Sequence,
    Tuple,
)

from symroute_nm.classes import Spans
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
    Route,
    Rule,
    Uplink,
    contains,
    network_key,
)
from symroute_nm.rpdb import Class, Decision, Packet, Rpdb
from symroute_nm.wording import describe_hop, describe_route, describe_rule

# A link that has specific routes to this much of a family's addresses is a way to everything, in
# pieces, and no internal network: OpenVPN's redirect-gateway has 0.0.0.0/1 and 128.0.0.0/1, or ::/3
# and 2000::/4; WireGuard's AllowedIPs may spell the Internet out. 2000::/3 is an eighth of IPv6.
_WIDE_SHARE = 8

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


def judge(host: Host, uplinks: Sequence[Uplink]) -> Tuple[Verdict, ...]:
    """A verdict for each address of each uplink, in order."""
    return judge_each([host], uplinks)[0]


def judge_each(
    hosts: Sequence[Host], uplinks: Sequence[Uplink]
) -> Tuple[Tuple[Verdict, ...], ...]:
    """The verdicts on a host in several states, which differ in rules and own tables alone.

    What is due follows from main and local, so it is worked out once, on the first.
    """
    names = frozenset(each.link.name for each in uplinks)
    dues = _Dues(hosts[0], names | find_wide_links(hosts[0], names))
    benches = [_Bench(each, dues) for each in hosts]
    return tuple(
        tuple(Verdict(address, tuple(bench.failures(address)))
              for uplink in uplinks for address in uplink.addresses)
        for bench in benches
    )


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


def find_wide_links(host: Host, uplinks: AbstractSet[str]) -> FrozenSet[str]:
    """The links that are no uplinks and yet lead to most of a family: a VPN's default in pieces."""
    spans: Dict[Tuple[str, int], List[IPNetwork]] = {}
    for route in host.routes:
        if route.type == "unicast" and not route.default:
            for hop in route.hops:
                if hop.link not in uplinks:
                    spans.setdefault((hop.link, route.version), []).append(route.destination)
    return frozenset(
        link for (link, version), networks in spans.items()
        if sum(each.num_addresses for each in collapse(networks))
        >= ANY[version].num_addresses // _WIDE_SHARE)


def collapse(networks: Iterable[IPNetwork]) -> List[IPNetwork]:
    """The networks without those that lie in another."""
    kept: List[IPNetwork] = []
    for network in sorted(networks, key=network_key):
        if not kept or not contains(kept[-1], network):
            kept.append(network)
    return kept


class _Due(NamedTuple):
    """What a part of the destination space is due, by what local and main know specifically."""

    kind: str  # local, drop, internal, own: by the link of the source address
    spans: Spans
    classes: List[Class]  # as local and main alone decide there


class _Group(NamedTuple):
    """Destinations that are decided alike and due the same; the widest interval stands for all."""

    actual: Decision
    specific: Decision  # as local and main alone decide
    first: int
    last: int
    classes: int


class _Dues:
    """What each family's destinations are due, worked out when first asked for."""

    def __init__(self, host: Host, outward: FrozenSet[str]) -> None:
        self.outward = outward
        self._host = host
        self._dues: Dict[int, List[_Due]] = {}

    def of(self, version: int) -> List[_Due]:
        """The dues of a family, which leave out what is of link scope."""
        if version not in self._dues:
            self._dues[version] = list(_find_dues(self._host, self.outward, version))
        return self._dues[version]


class _Bench:
    """The host's RPDB beside what is due; what many addresses share is worked out once."""

    def __init__(self, host: Host, dues: _Dues) -> None:
        self._database = Rpdb(host.rules, host.routes, host.links)
        self._dues = dues
        self._groups: Dict[Hashable, List[_Group]] = {}

    def failures(self, address: Address) -> Iterator[Failure]:
        """The packets from the address that go wrong, one for each way to go wrong."""
        template = Packet(destination=ANY[address.version].network_address, source=address.ip)
        for due in self._dues.of(address.version):
            # The few ways out tell at once whether all is right; the many classes, what is not.
            ways = self._database.ways(template, due.spans)
            if all(self._is_plainly_right(each.decision, due, address.link) for each in ways):
                continue
            for group in self._group(template, due):
                if group.actual.doubts or not self._is_right(group, due, address.link):
                    yield _failure(address, due, group)

    def _is_plainly_right(self, actual: Decision, due: _Due, link: str) -> bool:
        """Whether it is right for every destination of that due, as far as that alone tells."""
        if actual.doubts:
            return False
        if due.kind == "own":
            return _leaves_by(actual, link)
        # What main decides by a specific route is what it is due: that is where dues come from.
        by_main = actual.rule is not None and actual.rule.table == TABLE_MAIN
        return actual.type == "local" if due.kind == "local" else by_main

    def _is_right(self, group: _Group, due: _Due, link: str) -> bool:
        if due.kind == "own":
            # Others' rules may reach networks of their own before ours: a VPN's peers.
            return _leaves_by(group.actual, link) or _is_internal(
                group.actual, self._dues.outward)
        if due.kind == "internal":
            return group.actual.hops == group.specific.hops
        return group.actual.type == group.specific.type

    def _group(self, template: Packet, due: _Due) -> List[_Group]:
        key = (self._database.signature(template), due.kind)
        if key not in self._groups:
            self._groups[key] = _merge(
                _overlay(self._database.classes(template, due.spans), due.classes))
        return self._groups[key]


def _find_dues(host: Host, uplinks: FrozenSet[str], version: int) -> Iterator[_Due]:
    rules = [
        Rule(version, 0, table=TABLE_LOCAL),
        Rule(version, 1, table=_LINK_SCOPE_TABLE),
        Rule(version, 2, table=TABLE_MAIN, suppress_prefixlength=0),
    ]
    routes = [each for each in host.routes if each.table in (TABLE_LOCAL, TABLE_MAIN)]
    routes += [Route(network, table=_LINK_SCOPE_TABLE, hops=(Hop(),))
               for network in _LINK_SCOPE[version]]
    dues: Dict[str, List[Class]] = {}
    template = Packet(destination=ANY[version].network_address)
    for each in Rpdb(rules, routes, host.links).classes(template):
        dues.setdefault(_kind(each.decision, uplinks), []).append(each)
    for kind, classes in dues.items():
        if kind != "any":
            spans = Spans([each.first for each in classes], [each.last for each in classes])
            yield _Due(kind, _join(spans), classes)


def _kind(decision: Decision, uplinks: FrozenSet[str]) -> str:
    if decision.table == _LINK_SCOPE_TABLE:
        return "any"
    if decision.type == "local":
        return "local"
    if decision.type != "unicast" and decision.route is not None:
        return "drop"
    return "internal" if _is_internal(decision, uplinks) else "own"


def _join(spans: Spans) -> Spans:
    """Neighbours made one."""
    joined = Spans([], [])
    for first, last in zip(*spans):
        if joined.ends and joined.ends[-1] == first - 1:
            joined.ends[-1] = last
        else:
            joined.starts.append(first)
            joined.ends.append(last)
    return joined


def _overlay(
    found: Sequence[Class], known: Sequence[Class]
) -> Iterator[Tuple[int, int, Decision, Decision]]:
    """Both cuts of one part of the destination space, laid over each other; ascending."""
    other = 0
    for each in found:
        while known[other].last < each.first:
            other += 1
        while other < len(known) and known[other].first <= each.last:
            yield (max(each.first, known[other].first), min(each.last, known[other].last),
                   each.decision, known[other].decision)
            if known[other].last > each.last:
                break
            other += 1
        other = min(other, len(known) - 1)


def _merge(parts: Iterable[Tuple[int, int, Decision, Decision]]) -> List[_Group]:
    groups: Dict[Tuple[object, ...], _Group] = {}
    for first, last, actual, specific in parts:
        key = (id(actual.rule), actual.type, actual.hops, actual.doubts,
               specific.type, specific.hops)
        known = groups.get(key)
        if known is None:
            groups[key] = _Group(actual, specific, first, last, 1)
        elif last - first > known.last - known.first:
            groups[key] = _Group(actual, specific, first, last, known.classes + 1)
        else:
            groups[key] = known._replace(classes=known.classes + 1)
    return list(groups.values())


def _leaves_by(actual: Decision, link: str) -> bool:
    return actual.type == "unicast" and all(each.link == link for each in actual.hops)


def _failure(address: Address, due: _Due, group: _Group) -> Failure:
    # Not the first, which is a network's own address, where there is another.
    destination = _address(address.version, min(group.first + 1, group.last))
    return Failure(address, destination, group.actual, _word(group, due, address.link),
                   classes=group.classes, internal=due.kind == "internal")


def _word(group: _Group, due: _Due, link: str) -> str:
    """Where the packet should go instead, in plain words."""
    if group.actual.doubts:
        return "be judged, but a rule that cannot be may catch it: %s" % "; ".join(
            group.actual.doubts)
    if due.kind == "internal":
        way = " or ".join(describe_hop(each) for each in group.specific.hops)
        return "go to the internal network %s" % way
    return {
        "local": "be delivered on this host",
        "drop": "be dropped, as main says",
    }.get(due.kind, "leave by %s" % link)


def _is_internal(decision: Decision, outward: FrozenSet[str]) -> bool:
    """Whether a specific route leads to a link that leads nowhere else: a container, a VPN's peer.

    `outward` are the uplinks and the links that are a way to everything.
    """
    route = decision.route
    return (
        decision.type == "unicast" and route is not None and not route.default
        and not decision.links & outward
    )


def _address(version: int, number: int) -> IPAddress:
    return IPv4Address(number) if version == IPv4Address(0).version else IPv6Address(number)
