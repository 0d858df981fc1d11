"""Symmetric or not, for every uplink address and every destination there is (pure, on rpdb)."""

from ipaddress import IPv4Address, IPv6Address
from itertools import islice
from typing import (
    Dict,
    FrozenSet,
    Hashable,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    Sequence,
    Tuple,
)

from symroute_nm.classes import Flat
from symroute_nm.dues import Due, Dues, find_wide_links, is_internal
from symroute_nm.model import (
    ANY,
    TABLE_MAIN,
    Address,
    Host,
    IPAddress,
    LeftOut,
    Uplink,
)
from symroute_nm.rpdb import Class, Decision, Packet, Rpdb
from symroute_nm.wording import describe_hop, describe_route, describe_rule

# So many ways to go wrong are told one by one
_MOST_WAYS = 8
# What no mark has to do with: local comes first, and of IPv6's link-local each link has its own
_UNMARKED = ("local", "drop")


class Failure(NamedTuple):
    """A packet from an uplink's address that does not go where it should, for all of its kind."""

    address: Address
    destination: IPAddress  # speaks for all destinations that fail in the same way
    decision: Decision
    wanted: str  # in plain words
    classes: int = 1  # how many intervals fail so
    internal: bool = False  # it should have gone to an internal network
    mark: int = 0


class Verdict(NamedTuple):
    """What becomes of one uplink address's replies, over all destinations."""

    address: Address
    failures: Tuple[Failure, ...]

    @property
    def symmetric(self) -> bool:
        """Whether every reply leaves by the link of the address, or to an internal network."""
        return not self.failures


class Reply(NamedTuple):
    """A marked packet that comes in by `iif`; the address's link is where it should leave.

    Of a request only that it reaches internal networks.
    """

    address: Address
    iif: str
    mark: int
    request: bool = False


def judge(
    host: Host, uplinks: Sequence[Uplink], left_out: Sequence[LeftOut] = ()
) -> Tuple[Verdict, ...]:
    """A verdict for each address of each uplink, in order."""
    return judge_each([host], uplinks, left_out)[0]


def judge_each(
    hosts: Sequence[Host], uplinks: Sequence[Uplink], left_out: Sequence[LeftOut] = ()
) -> Tuple[Tuple[Verdict, ...], ...]:
    """The verdicts on a host in several states, which differ in rules and own tables alone.

    What is due follows from main and local, so it is worked out once, on the first. All failures
    are told of the last state only, one an address of those before; and what own tables leave out
    may go by main in the last alone.
    """
    databases = _build_databases(hosts)
    dues, excused = _prepare(hosts[0], databases[0], uplinks, left_out)
    addresses = [address for uplink in uplinks for address in uplink.addresses]
    before = [_Bench(each, dues, frozenset()) for each in databases[:-1]]
    last = _Bench(databases[-1], dues, excused)
    return (
        *(tuple(Verdict(each, tuple(islice(bench.failures(each), 1))) for each in addresses)
          for bench in before),
        tuple(Verdict(each, tuple(last.failures(each))) for each in addresses),
    )


def is_by_destination(failure: Failure) -> bool:
    """Whether the rule that decides asks for no sender, and its route is no default.

    So do VPNs' rules: strongSwan's table 220 and Calico's table 1 hold their peers' networks.
    """
    rule, route = failure.decision.rule, failure.decision.route
    return (
        rule is not None and rule.source is None and not rule.iif
        and route is not None and not route.default and not failure.decision.doubts
    )


def _build_databases(hosts: Sequence[Host]) -> List[Rpdb]:
    databases: List[Rpdb] = []
    for host in hosts:
        like = databases[0] if databases else None
        databases.append(Rpdb(host.rules, host.routes, host.links, like=like))
    return databases


def judge_replies(
    host: Host, uplinks: Sequence[Uplink], replies: Iterable[Reply],
    left_out: Sequence[LeftOut] = ()
) -> Tuple[Verdict, ...]:
    """The verdicts on marked packets, one for all that meet the same rules."""
    database = Rpdb(host.rules, host.routes, host.links)
    bench = _Bench(database, *_prepare(host, database, uplinks, left_out))
    distinct = {(bench.kind(each), each.address.link, each.request): each for each in replies}
    return tuple(Verdict(each.address, tuple(bench.reply_failures(each)))
                 for each in distinct.values())


def _prepare(
    host: Host, database: Rpdb, uplinks: Sequence[Uplink], left_out: Sequence[LeftOut]
) -> Tuple[Dues, FrozenSet[str]]:
    """What destinations are due, and the links whose replies to what is left out may go by main."""
    names = frozenset(each.link.name for each in uplinks)
    dues = Dues(host, names | find_wide_links(host, names),
                [each.networks for each in left_out], database)
    return dues, frozenset().union(*(each.links for each in left_out))


def describe_failure(failure: Failure) -> str:
    """The packet that fails and why, in one line."""
    decision = failure.decision
    way = " or ".join(describe_hop(each) for each in decision.hops) or decision.type
    because = " by rule %d (%s)" % (
        decision.rule.priority, describe_rule(decision.rule)) if decision.rule else ""
    route = ", route %s" % describe_route(decision.route) if decision.route else ""
    more = " (and %d more destination ranges)" % (
        failure.classes - 1) if failure.classes > 1 else ""
    mark = " marked 0x%x" % failure.mark if failure.mark else ""
    return "from %s%s to %s%s: goes %s%s%s; should %s" % (
        failure.address.ip, mark, failure.destination, more, way, because, route, failure.wanted)


class _Group(NamedTuple):
    """Destinations that are decided alike and due the same; the widest interval stands for all."""

    actual: Decision
    specific: Decision  # as local and main alone decide
    first: int
    last: int
    classes: int


class _Bench:
    """The host's RPDB beside what is due; what many addresses share is worked out once."""

    def __init__(self, database: Rpdb, dues: Dues, excused: FrozenSet[str]) -> None:
        self._database = database
        self._dues = dues
        self._excused = excused  # links whose replies to what is left to main may go by it
        self._groups: Dict[Hashable, List[_Group]] = {}
        self._decisions: Dict[Hashable, List[Decision]] = {}

    def failures(self, address: Address) -> Iterator[Failure]:
        """The packets from the address that go wrong, one for each way to go wrong.

        Past `_MOST_WAYS` ways for what is due the same, the last speaks for all of them.
        """
        return self._judge(address, Packet(
            destination=ANY[address.version].network_address, source=address.ip))

    def kind(self, reply: Reply) -> Hashable:
        """What tells replies apart: those of one kind meet the same rules."""
        version, _, vrf, rules = self._database.signature(_packet(reply))
        return (version, vrf, rules)

    def reply_failures(self, reply: Reply) -> Iterator[Failure]:
        """The packets of a reply that go wrong."""
        return self._judge(reply.address, _packet(reply), (
            *_UNMARKED, *(("own", "main") if reply.request else ())))

    def _judge(
        self, address: Address, template: Packet, unjudged: Sequence[str] = ()
    ) -> Iterator[Failure]:
        for due in self._dues.of(address.version):
            if due.kind in unjudged:
                continue
            # The few ways out tell at once whether all is right; the many classes, what is not.
            if all(self._is_plainly_right(each, due, address.link)
                   for each in self._ways(template, due)):
                continue
            wrong = (group for group in self._group(template, due)
                     if group.actual.doubts or not self._is_right(group, due, address.link))
            for group in islice(wrong, _MOST_WAYS - 1):
                yield _failure(address, due, group, template.mark)
            rest = list(wrong)
            if rest:
                classes = sum(each.classes for each in rest)
                yield _failure(
                    address, due, rest[0]._replace(classes=classes), template.mark)

    def _ways(self, template: Packet, due: Due) -> List[Decision]:
        """What packets that only differ in what no rule selects have in common."""
        key = (self._database.signature(template), due.kind)
        if key not in self._decisions:
            found = self._database.ways(template, due.spans)
            self._decisions[key] = [each.decision for each in found]
        return self._decisions[key]

    def _is_plainly_right(self, actual: Decision, due: Due, link: str) -> bool:
        """Whether it is right for every destination of that due, as far as that alone tells."""
        if actual.doubts:
            return False
        if due.kind in ("own", "main") and _leaves_by(actual, link):
            return True
        if due.kind == "own" or (due.kind == "main" and link not in self._excused):
            return False
        # What main decides by a specific route is what it is due: that is where dues come from.
        by_main = actual.rule is not None and actual.rule.table == TABLE_MAIN
        return actual.type == "local" if due.kind == "local" else by_main

    def _is_right(self, group: _Group, due: Due, link: str) -> bool:
        as_main = group.actual.hops == group.specific.hops
        if due.kind in ("own", "main"):
            # Others' rules may reach networks of their own before ours: a VPN's peers.
            return (
                _leaves_by(group.actual, link) or is_internal(group.actual, self._dues.outward)
                or (as_main and due.kind == "main" and link in self._excused)
            )
        if due.kind == "internal":
            return as_main
        return group.actual.type == group.specific.type

    def _group(self, template: Packet, due: Due) -> List[_Group]:
        key = (self._database.signature(template), due.kind)
        if key not in self._groups:
            self._groups[key] = _merge(
                _overlay(self._database.each_class(template, due.spans), due.specific))
        return self._groups[key]


def _packet(reply: Reply) -> Packet:
    return Packet(destination=ANY[reply.address.version].network_address,
                  source=reply.address.ip, iif=reply.iif, mark=reply.mark)


def _overlay(
    found: Iterable[Class], known: Flat
) -> Iterator[Tuple[int, int, Decision, Decision]]:
    """Both cuts of one part of the destination space, laid over each other; ascending."""
    other, (starts, ends, decisions) = 0, known
    for _, first, last, decision in found:
        while ends[other] < first:
            other += 1
        while other < len(ends) and starts[other] <= last:
            yield (max(first, starts[other]), min(last, ends[other]), decision, decisions[other])
            if ends[other] > last:
                break
            other += 1
        other = min(other, len(ends) - 1)


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


def _failure(address: Address, due: Due, group: _Group, mark: int) -> Failure:
    # Not the first, which is a network's own address, where there is another.
    destination = _address(address.version, min(group.first + 1, group.last))
    return Failure(address, destination, group.actual, _word(group, due, address.link),
                   classes=group.classes, internal=due.kind == "internal", mark=mark)


def _word(group: _Group, due: Due, link: str) -> str:
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


def _address(version: int, number: int) -> IPAddress:
    return IPv4Address(number) if version == IPv4Address(0).version else IPv6Address(number)
