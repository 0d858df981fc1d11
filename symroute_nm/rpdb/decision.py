"""What becomes of packets: decisions, the steps that led there, and their words (pure)."""

from ipaddress import IPv4Address, IPv6Address
from typing import FrozenSet, Iterable, Iterator, NamedTuple, Optional, Tuple

from symroute_nm.model.network import TABLE_MAIN, Hop, IPAddress, Route, Rule
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
        return IPv4Address(self.first) if self.version == 4 else IPv6Address(self.first)


def join(found: Iterable[DestinationClass]) -> Iterator[DestinationClass]:
    """Neighbours that are decided by the same rule and route, made one; ascending."""
    before: Optional[DestinationClass] = None
    for each in found:
        if before is None:
            before = each
        elif before.last == each.first - 1 and _same(before.decision, each.decision):
            before = before._replace(last=each.last)
        else:
            yield before
            before = each
    if before is not None:
        yield before


def _same(one: Decision, other: Decision) -> bool:
    same = one.rule is other.rule and one.route == other.route and one.type == other.type
    return same and one.hops == other.hops and one.doubts == other.doubts


class RuleTrial(NamedTuple):
    """A rule tried on a packet, and how that ended."""

    selector: CompiledRule
    verdict: str
    choice: Optional[Choice] = None


def conclude(tried: Optional[RuleTrial], doubts: Tuple[Doubt, ...]) -> Decision:
    """The decision of the rule that decided; None: no rule did."""
    if tried is None:
        return Decision("unreachable", doubts=doubts)
    rule, choice = tried.selector.rule, tried.choice
    if choice is None:
        return Decision(rule.action, rule=rule, doubts=doubts)
    return Decision(choice.type, choice.hops, choice.route, rule, doubts)


def settle(decision: Decision, packet: Packet, asked: FlowKey) -> Decision:
    """IPv4 sends what is bound to a link out there all the same (ip_route_output_key_hash_rcu)."""
    if packet.version == 6 or not asked.bound or asked.vrf or decision.type not in ERRORS:
        return decision
    return Decision("unicast", (Hop(asked.bound),), doubts=decision.doubts)


def describe(tried: RuleTrial, asked: FlowKey, packet: Packet) -> str:
    """What a rule did with a packet, in plain words."""
    rule, choice = tried.selector.rule, tried.choice
    if tried.verdict in ("mismatch", "unsure"):
        return explain_mismatch(tried.selector, asked, packet)
    if rule.action == "goto":
        return f"goes on from priority {rule.target}"
    if rule.action == "nop":
        return "matches and does nothing (nop)"
    if rule.action != "lookup":
        return f"decides: {rule.action}"
    where = f"the VRF's table {asked.vrf}" if rule.l3mdev else f"table {rule.table or TABLE_MAIN}"
    if choice is None:
        by = f" by {asked.bound}" if asked.bound else ""
        return f"{where} has no route to {packet.destination}{by}"
    return f"{where}: {_show(choice)}{_explain_verdict(tried)}"


def _explain_verdict(tried: RuleTrial) -> str:
    rule, choice = tried.selector.rule, tried.choice
    if tried.verdict == "throw":
        return ", so the next rule is asked"
    if tried.verdict != "suppressed" or choice is None:
        return ""
    length = choice.route.destination.prefixlen
    if length <= tried.selector.suppress.prefixlength:
        return (
            f", suppressed: its prefix length {length} is not above "
            f"{tried.selector.suppress.prefixlength} (suppress_prefixlength)"
        )
    return f", suppressed: its link is in group {rule.suppress_ifgroup or 0} (suppress_ifgroup)"


def _show(choice: Choice) -> str:
    route = choice.route
    parts = ["" if route.type == "unicast" else route.type + " "]
    parts.append("default" if route.default else str(route.destination))
    parts.append(" or".join(_show_hop(hop) for hop in choice.hops))
    return "".join(parts)


def _show_hop(hop: Hop) -> str:
    by = "" if hop.gateway is None else f" via {hop.gateway}"
    return by + (f" dev {hop.link}" if hop.link else "")
