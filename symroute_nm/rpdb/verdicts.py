"""Symmetric or not, for every uplink address and every destination there is (pure, on rpdb)."""

from ipaddress import IPv4Address, IPv6Address
from itertools import islice
from typing import Dict, FrozenSet, Iterable, Iterator, List, NamedTuple, Sequence, Tuple

from symroute_nm.model.host import Host
from symroute_nm.model.iproute2 import format_hop, format_route, format_rule
from symroute_nm.model.network import ANY, VERSIONS, Address, IPAddress
from symroute_nm.model.plan import LeftOut, Uplink
from symroute_nm.rpdb.database import Rpdb
from symroute_nm.rpdb.decision import Decision
from symroute_nm.rpdb.expectations import Expectations, find_catch_all_links
from symroute_nm.rpdb.rules import Packet
from symroute_nm.rpdb.symmetry import MOST_WAYS, Astray, Flow, Group, Judge

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
    senders = [
        Flow(address, Packet(ANY[address.version].network_address, source=address.ip))
        for uplink in uplinks
        for address in uplink.addresses
    ]
    first = Rpdb(hosts[0].rules, hosts[0].routes, hosts[0].links)
    databases = [
        first,
        *(Rpdb(host.rules, host.routes, host.links, like=first) for host in hosts[1:]),
    ]
    trials = [_Trial(each, frozenset(), brief=True) for each in databases]
    trials[-1] = _Trial(databases[-1], _excused(left_out))
    return tuple(_try(hosts[0], uplinks, left_out, trials, senders))


def judge_replies(
    host: Host,
    uplinks: Sequence[Uplink],
    replies: Iterable[Reply],
    left_out: Sequence[LeftOut] = (),
) -> Tuple[Verdict, ...]:
    """The verdicts on marked packets, one for all that meet the same rules."""
    database = Rpdb(host.rules, host.routes, host.links)
    senders = {}
    for reply in replies:
        template = Packet(
            ANY[reply.address.version].network_address,
            reply.address.ip,
            iif=reply.iif,
            mark=reply.mark,
        )
        unjudged = (*_UNMARKED, *(("own", "main") if reply.request else ()))
        version, _, vrf, rules = database.signature(template)
        kind = (version, vrf, rules, reply.address.link, reply.request)
        senders[kind] = Flow(reply.address, template, unjudged)
    trial = _Trial(database, _excused(left_out))
    return _try(host, uplinks, left_out, [trial], list(senders.values()))[0]


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
    because = (
        f" by rule {decision.rule.priority} ({format_rule(decision.rule)})" if decision.rule else ""
    )
    route = f", route {format_route(decision.route)}" if decision.route else ""
    more = f" (and {failure.classes - 1} more destination ranges)" if failure.classes > 1 else ""
    mark = f" marked 0x{failure.mark:x}" if failure.mark else ""
    return (
        f"from {failure.address.ip}{mark} to {failure.destination}{more}: goes "
        f"{way}{because}{route}; should {failure.wanted}"
    )


class _Trial(NamedTuple):
    """A state of the host."""

    database: Rpdb
    excused: FrozenSet[str]  # links whose replies to what is left to main may go by it
    brief: bool = False  # whether one failure of each sender is enough


def _excused(left_out: Iterable[LeftOut]) -> FrozenSet[str]:
    return frozenset().union(*(each.links for each in left_out))


# What goes wrong of one sender, by what it is due
_Wrong = Dict[str, Astray]


def _try(
    host: Host,
    uplinks: Sequence[Uplink],
    left_out: Sequence[LeftOut],
    trials: Sequence[_Trial],
    senders: Sequence[Flow],
) -> List[Tuple[Verdict, ...]]:
    """The verdicts on all senders in each trial, stretch by stretch of the destinations."""
    names = frozenset(uplink.link.name for uplink in uplinks)
    dues = Expectations(
        host,
        names | find_catch_all_links(host, names),
        [each.networks for each in left_out],
        trials[0].database,
    )
    wrong: List[List[_Wrong]] = [[{} for _ in senders] for _ in trials]
    for version in VERSIONS:
        here = [
            number for number, sender in enumerate(senders) if sender.address.version == version
        ]
        for stretch, _ in trials[0].database.stretches(version) if here else ():
            due = dues.of(version, stretch)
            for trial, found in zip(trials, wrong):
                database = trial.database.within(version, stretch.starts[0], stretch.ends[0])
                bench = Judge(database, due, dues.outward, trial.excused)
                for number in here:
                    if not (trial.brief and found[number]):
                        _add(found[number], bench.find_wrong(senders[number]))
    return [
        tuple(
            Verdict(sender.address, tuple(islice(_tell(sender, each), 1 if trial.brief else None)))
            for sender, each in zip(senders, found)
        )
        for trial, found in zip(trials, wrong)
    ]


def _add(wrong: _Wrong, found: Iterable[Tuple[str, Astray]]) -> None:
    for kind, more in found:
        wrong[kind] = wrong[kind].add(more) if kind in wrong else more


def _tell(sender: Flow, wrong: _Wrong) -> Iterator[Failure]:
    """One for each way to go wrong; the last of too many speaks for the rest of them."""
    for kind, (groups, number) in wrong.items():
        for group in groups[: MOST_WAYS - 1]:
            yield _failure(sender, kind, group)
        rest = number - sum(group.found.number for group in groups[: MOST_WAYS - 1])
        for group in groups[MOST_WAYS - 1 :]:
            yield _failure(sender, kind, group._replace(found=group.found._replace(number=rest)))


def _failure(sender: Flow, kind: str, group: Group) -> Failure:
    address = sender.address
    destination = _address(address.version, group.speaker)
    return Failure(
        address,
        destination,
        group.actual,
        _word(group, kind, address.link),
        classes=group.found.number,
        internal=kind == "internal",
        mark=sender.template.mark,
    )


def _word(group: Group, kind: str, link: str) -> str:
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


def _address(version: int, number: int) -> IPAddress:
    return IPv4Address(number) if version == IPv4Address(0).version else IPv6Address(number)
