"""What becomes of a packet: the decision, the rules tried on the way, and their words."""

from ipaddress import IPv4Address, IPv6Address
from typing import FrozenSet, Iterable, Iterator, NamedTuple, Optional, Tuple

from symroute_nm.model.iproute2 import format_hop
from symroute_nm.model.network import IPV4, IPV6, TABLE_MAIN, Hop, IPAddress, Route, Rule
from symroute_nm.rpdb.fib import ERRORS, Choice
from symroute_nm.rpdb.intervals import Doubt
from symroute_nm.rpdb.rules import CompiledRule, FlowKey, Packet, explain_mismatch


class Decision(NamedTuple):
    """What becomes of a packet; ``unreachable`` without rule and route where nothing decides.

    `type` is unicast, local (also broadcast, anycast, multicast: see `route.type`), blackhole,
    unreachable or prohibit. Of several `hops` the kernel uses one. `doubts` names rules that are
    not modelled in full and come before the decision.
    """

    type: str
    hops: Tuple[Hop, ...] = ()
    route: Optional[Route] = None
    rule: Optional[Rule] = None
    doubts: Tuple[Doubt, ...] = ()

    @property
    def table(self) -> Optional[int]:
        """The number of the table that the route stands in."""
        return None if self.route is None else self.route.table

    @property
    def priority(self) -> Optional[int]:
        """The priority of the rule that decided."""
        return None if self.rule is None else self.rule.priority

    @property
    def links(self) -> FrozenSet[str]:
        """The names of the links that the packet may leave by; of the address where it is local."""
        return frozenset(hop.link for hop in self.hops)


class TraceStep(NamedTuple):
    """A rule that was tried, and in plain words what it decided or why it did not."""

    rule: Rule
    outcome: str
    decided: bool


class DestinationClass(NamedTuple):
    """An interval of destinations, `first` to `last` as integers, that are all decided alike."""

    version: int
    first: int
    last: int
    decision: Decision

    @property
    def representative(self) -> IPAddress:
        """Its first address, which speaks for all."""
        return IPv4Address(self.first) if self.version == IPV4 else IPv6Address(self.first)


class RuleTrial(NamedTuple):
    """A rule tried on a packet, and how that ended."""

    compiled: CompiledRule
    verdict: str  # mismatch unsure missing throw suppressed found, or the action of the rule
    choice: Optional[Choice] = None


def make_decision(trial: Optional[RuleTrial], doubts: Tuple[Doubt, ...]) -> Decision:
    """The decision of the rule that decided; None: no rule did."""
    if trial is None:
        return Decision("unreachable", doubts=doubts)
    rule, choice = trial.compiled.rule, trial.choice
    if choice is None:
        return Decision(rule.action, rule=rule, doubts=doubts)
    return Decision(choice.type, choice.hops, choice.route, rule, doubts)


def apply_bound_link(decision: Decision, packet: Packet, flow_key: FlowKey) -> Decision:
    """The decision, but for what is bound to a link: IPv4 sends it out there all the same.

    See ip_route_output_key_hash_rcu in net/ipv4/route.c.
    """
    if packet.version == IPV6 or not flow_key.bound or flow_key.vrf or decision.type not in ERRORS:
        return decision
    return Decision("unicast", (Hop(flow_key.bound),), doubts=decision.doubts)


def join_neighbours(classes: Iterable[DestinationClass]) -> Iterator[DestinationClass]:
    """Neighbours that are decided by the same rule and route, made one; ascending."""
    before: Optional[DestinationClass] = None
    for following in classes:
        if before is None:
            before = following
        elif before.last == following.first - 1 and _same(before.decision, following.decision):
            before = before._replace(last=following.last)
        else:
            yield before
            before = following
    if before is not None:
        yield before


def _same(one: Decision, other: Decision) -> bool:
    same = one.rule is other.rule and one.route == other.route and one.type == other.type
    return same and one.hops == other.hops and one.doubts == other.doubts


def describe_trial(trial: RuleTrial, flow_key: FlowKey, packet: Packet) -> str:
    """What a rule did with a packet, in plain words."""
    rule, choice = trial.compiled.rule, trial.choice
    if trial.verdict in ("mismatch", "unsure"):
        return explain_mismatch(trial.compiled, flow_key, packet)
    if rule.action == "goto":
        return f"goes on from priority {rule.target}"
    if rule.action == "nop":
        return "matches and does nothing (nop)"
    if rule.action != "lookup":
        return f"decides: {rule.action}"
    table = (
        f"the VRF's table {flow_key.vrf}" if rule.l3mdev else f"table {rule.table or TABLE_MAIN}"
    )
    if choice is None:
        by = f" by {flow_key.bound}" if flow_key.bound else ""
        return f"{table} has no route to {packet.destination}{by}"
    return f"{table}: {_format_choice(choice)}{_explain_verdict(trial)}"


def _explain_verdict(trial: RuleTrial) -> str:
    rule, choice = trial.compiled.rule, trial.choice
    if trial.verdict == "throw":
        return ", so the next rule is asked"
    if trial.verdict != "suppressed" or choice is None:
        return ""
    length = choice.route.destination.prefixlen
    if length <= trial.compiled.suppress.prefixlength:
        return (
            f", suppressed: its prefix length {length} is not above "
            f"{trial.compiled.suppress.prefixlength} (suppress_prefixlength)"
        )
    return f", suppressed: its link is in group {rule.suppress_ifgroup or 0} (suppress_ifgroup)"


def _format_choice(choice: Choice) -> str:
    route = choice.route
    parts = ["" if route.type == "unicast" else route.type + " "]
    parts.append("default" if route.default else str(route.destination))
    parts.append(" or".join(_format_hop(hop) for hop in choice.hops))
    return "".join(parts)


def _format_hop(hop: Hop) -> str:
    words = format_hop(hop._replace(onlink=False))
    return f" {words}" if words else ""
