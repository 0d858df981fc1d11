"""Symmetric or not: a verdict on every uplink address, over every destination there is."""

from ipaddress import IPv4Address, IPv6Address
from itertools import chain, islice
from typing import Dict, FrozenSet, Hashable, Iterable, Iterator, List, NamedTuple, Sequence, Tuple

from symroute_nm.model.host import Host
from symroute_nm.model.iproute2 import format_hop, format_route, format_rule
from symroute_nm.model.network import ANY, IPV4, VERSIONS, Address, IPAddress
from symroute_nm.model.plan import LeftOut, Uplink
from symroute_nm.rpdb.decision import Decision
from symroute_nm.rpdb.deviations import MOST_WAYS, Deviation, Flow, Group, Judge
from symroute_nm.rpdb.expectations import Expectations, find_catch_all_links
from symroute_nm.rpdb.fib import Query
from symroute_nm.rpdb.intervals import Intervals
from symroute_nm.rpdb.lookup import Rpdb
from symroute_nm.rpdb.rules import Packet

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
    return judge_states([host], uplinks, left_out)[0]


def judge_states(
    hosts: Sequence[Host], uplinks: Sequence[Uplink], left_out: Sequence[LeftOut] = ()
) -> Tuple[Tuple[Verdict, ...], ...]:
    """The verdicts on a host in several states, which differ in rules and own tables alone.

    What is expected follows from main and local, so it is worked out once, on the first. All
    failures are told of the last state only, one an address of those before; and what own tables
    leave out may go by main in the last alone.
    """
    flows = [
        Flow(address, Packet(ANY[address.version].network_address, source=address.ip))
        for address in chain.from_iterable(uplink.addresses for uplink in uplinks)
    ]
    first = Rpdb(hosts[0].rules, hosts[0].routes, hosts[0].links)
    later = [Rpdb(host.rules, host.routes, host.links, like=first) for host in hosts[1:]]
    states = [_State(database, brief=True) for database in (first, *later)]
    states[-1] = states[-1]._replace(brief=False, excused=_excused(left_out))
    expectations = _expect(hosts[0], uplinks, left_out, first)
    return tuple(_judge_states(expectations, states, flows))


def judge_replies(
    host: Host,
    uplinks: Sequence[Uplink],
    replies: Iterable[Reply],
    left_out: Sequence[LeftOut] = (),
) -> Tuple[Verdict, ...]:
    """The verdicts on marked packets, one for all that meet the same rules."""
    database = Rpdb(host.rules, host.routes, host.links)
    flows: Dict[Hashable, Flow] = {}
    for reply in replies:
        template = Packet(
            ANY[reply.address.version].network_address,
            reply.address.ip,
            iif=reply.iif,
            mark=reply.mark,
        )
        unjudged = (*_UNMARKED, *(("own", "main") if reply.request else ()))
        # Whatever link it came in by, as long as that makes no rule match
        signature = database.signature(template)._replace(query=Query())
        flows[signature, reply.address.link, reply.request] = Flow(
            reply.address, template, unjudged
        )
    expectations = _expect(host, uplinks, left_out, database)
    state = _State(database, _excused(left_out))
    return _judge_states(expectations, [state], list(flows.values()))[0]


def _expect(
    host: Host, uplinks: Iterable[Uplink], left_out: Iterable[LeftOut], database: Rpdb
) -> Expectations:
    names = frozenset(uplink.link.name for uplink in uplinks)
    outward = names | find_catch_all_links(host, names)
    return Expectations(host, outward, [left.networks for left in left_out], database)


def is_by_destination(failure: Failure) -> bool:
    """Whether the rule that decides asks for no sender, and its route is no default.

    So do VPNs' rules: strongSwan's table 220 and Calico's table 1 hold their peers' networks.
    """
    rule, route = failure.decision.rule, failure.decision.route
    return (
        rule is not None
        and rule.source is None
        and not rule.iif
        and route is not None
        and not route.default
        and not failure.decision.doubts
    )


def describe_failure(failure: Failure) -> str:
    """The packet that fails and why, in one line."""
    decision = failure.decision
    way = " or ".join(format_hop(hop) for hop in decision.hops) or decision.type
    rule = decision.rule
    because = f" by rule {rule.priority} ({format_rule(rule)})" if rule else ""
    route = f", route {format_route(decision.route)}" if decision.route else ""
    more = f" (and {failure.classes - 1} more destination ranges)" if failure.classes > 1 else ""
    mark = f" marked 0x{failure.mark:x}" if failure.mark else ""
    return (
        f"from {failure.address.ip}{mark} to {failure.destination}{more}: goes "
        f"{way}{because}{route}; should {failure.wanted}"
    )


class _State(NamedTuple):
    """A state of the host that is judged."""

    database: Rpdb
    excused: FrozenSet[str] = frozenset()  # links whose replies may go by what is left to main
    brief: bool = False  # whether one failure of each flow is enough


def _excused(left_out: Iterable[LeftOut]) -> FrozenSet[str]:
    return frozenset().union(*(left.links for left in left_out))


# What goes wrong of one flow, by what is expected
_Wrong = Dict[str, Deviation]


def _judge_states(
    expectations: Expectations, states: Sequence[_State], flows: Sequence[Flow]
) -> List[Tuple[Verdict, ...]]:
    """The verdicts on all flows in each state, stretch by stretch of the destinations."""
    wrong: List[List[_Wrong]] = [[{} for _ in flows] for _ in states]
    for version in VERSIONS:
        if any(flow.address.version == version for flow in flows):
            for stretch, _ in states[0].database.stretches(version):
                _judge_stretch(expectations, version, stretch, zip(states, wrong), flows)
    return [
        tuple(
            Verdict(flow.address, tuple(islice(_tell(flow, by_kind), 1 if state.brief else None)))
            for flow, by_kind in zip(flows, found)
        )
        for state, found in zip(states, wrong)
    ]


def _judge_stretch(
    expectations: Expectations,
    version: int,
    stretch: Intervals,
    states: Iterable[Tuple[_State, List[_Wrong]]],
    flows: Sequence[Flow],
) -> None:
    """Add what goes wrong in a stretch of a family's destinations to each state's `wrong`."""
    expected = expectations.of(version, stretch)
    for state, wrong in states:
        database = state.database.within(version, stretch.starts[0], stretch.ends[0])
        stretch_judge = Judge(database, expected, expectations.outward, state.excused)
        for flow, by_kind in zip(flows, wrong):
            if flow.address.version == version and not (state.brief and by_kind):
                for kind, more in stretch_judge.find_wrong(flow):
                    by_kind[kind] = by_kind[kind].add(more) if kind in by_kind else more


def _tell(flow: Flow, wrong: _Wrong) -> Iterator[Failure]:
    """One for each way to go wrong; the last of too many speaks for the rest of them."""
    for kind, deviation in wrong.items():
        told = deviation.groups[: MOST_WAYS - 1]
        for group in told:
            yield _make_failure(flow, kind, group)
        rest = deviation.number - sum(group.number for group in told)
        for group in deviation.groups[MOST_WAYS - 1 :]:
            overlap = group.overlap._replace(number=rest)
            yield _make_failure(flow, kind, group._replace(overlap=overlap))


def _make_failure(flow: Flow, kind: str, group: Group) -> Failure:
    address = flow.address
    return Failure(
        address,
        _make_address(address.version, group.representative),
        group.actual,
        _describe_wanted(group, kind, address.link),
        classes=group.number,
        internal=kind == "internal",
        mark=flow.template.mark,
    )


def _describe_wanted(group: Group, kind: str, link: str) -> str:
    """Where the packet should go instead, in plain words."""
    if group.actual.doubts:
        doubts = "; ".join(map(str, group.actual.doubts))
        return f"be judged, but a rule that cannot be may catch it: {doubts}"
    if kind == "internal":
        way = " or ".join(format_hop(hop) for hop in group.specific.hops)
        return f"go to the internal network {way}"
    return {
        "local": "be delivered on this host",
        "drop": "be dropped, as main says",
    }.get(kind, f"leave by {link}")


def _make_address(version: int, number: int) -> IPAddress:
    return IPv4Address(number) if version == IPV4 else IPv6Address(number)
