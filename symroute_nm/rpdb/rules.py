"""Which packets a rule matches: compiled rules, packets, and the destinations in between.

The facts are those of fib_rule_match (net/core/fib_rules.c), fib4_rule_match and fib6_rule_match.
"""

from typing import Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from symroute_nm.errors import InputError
from symroute_nm.model.network import IPV4, IPV6, IPAddress, IPNetwork, Link, Rule
from symroute_nm.model.prefixes import BITS
from symroute_nm.rpdb.fib import TOS_MASK, WHOLE, Suppress
from symroute_nm.rpdb.intervals import Doubt, Intervals, complement, make_intervals

LOOPBACK = "lo"
NOWHERE = {version: make_intervals(version) for version in BITS}
# What of the DS field a rule sees: IPv4 the old TOS bits, IPv6 all but ECN
DS_MASK = {4: TOS_MASK, 6: 0xFC}


class Packet(NamedTuple):
    """What the kernel looks at; of a template for classes, `destination` only gives the family."""

    destination: IPAddress
    source: Optional[IPAddress] = None  # None: not chosen yet, as before connect(2)
    iif: str = ""  # the link that it came in by; "": sent by the host itself
    oif: str = ""  # the link that its socket is bound to (SO_BINDTODEVICE); own packets only
    mark: int = 0
    tos: int = 0  # the whole DS field

    @property
    def version(self) -> int:
        """4 or 6."""
        return self.destination.version


class FlowKey(NamedTuple):
    """A packet in the terms of selectors, as the kernel makes one for its lookup (struct flowi).

    `source` is None where no ``from`` can match (IPv6).
    """

    source: Optional[int]
    iif: FrozenSet[str]
    oif: FrozenSet[str]
    mark: int
    tos: int
    vrf: int  # the table of its VRF; 0: none
    bound: str  # the link that its route must have; "": any


class CompiledRule(NamedTuple):
    """A rule with its selectors as integers; an address is in the source where masked it is equal.

    `inside` is its destination, `outside` all else.
    """

    rule: Rule
    source: int
    source_mask: int
    inside: Intervals
    outside: Intervals
    suppress: Suppress
    doubt: Optional[Doubt] = None


def network_interval(network: IPNetwork) -> Intervals:
    """A network as one interval."""
    first = int(network.network_address)
    last = first + (1 << (BITS[network.version] - network.prefixlen)) - 1
    return make_intervals(network.version, (first, last))


class RuleIndex:
    """The rules of one family by what they select, so that a packet need not try them all."""

    def __init__(self, rules: Sequence[CompiledRule]) -> None:
        self._any: List[int] = []
        self._by_source: Dict[int, Dict[int, List[int]]] = {}  # mask, address
        self._by_iif: Dict[str, List[int]] = {}
        for position, compiled in enumerate(rules):
            if compiled.source_mask and not compiled.rule.invert:
                sources = self._by_source.setdefault(compiled.source_mask, {})
                sources.setdefault(compiled.source, []).append(position)
            elif compiled.rule.iif and not compiled.rule.invert:
                self._by_iif.setdefault(compiled.rule.iif, []).append(position)
            else:
                self._any.append(position)

    def of(self, flow_key: FlowKey) -> List[int]:
        """The positions of all rules that may match, and of others, in order."""
        positions = list(self._any)
        if flow_key.source is not None:
            for mask, sources in self._by_source.items():
                positions += sources.get(flow_key.source & mask, ())
        for name in flow_key.iif:
            positions += self._by_iif.get(name, ())
        return sorted(positions)


def compile_rule(rule: Rule, groups: Optional[Mapping[str, int]] = None) -> CompiledRule:
    """A rule made ready for matching; `groups` are the groups of links, None: not known."""
    inside, outside = WHOLE[rule.version], NOWHERE[rule.version]
    if rule.destination is not None and rule.destination.prefixlen:
        inside = network_interval(rule.destination)
        outside = complement(inside.starts, inside.ends, WHOLE[rule.version])
    source = mask = 0
    if rule.source is not None:
        source, mask = int(rule.source.network_address), int(rule.source.netmask)
    suppress = _compile_suppress(rule, groups or {})
    doubt = _find_doubt(rule, groups)
    return CompiledRule(rule, source, mask, inside, outside, suppress, doubt)


def _compile_suppress(rule: Rule, groups: Mapping[str, int]) -> Suppress:
    length = -1 if rule.suppress_prefixlength is None else rule.suppress_prefixlength
    if rule.suppress_ifgroup is None:
        return Suppress(length)
    links = [name for name, group in groups.items() if group == rule.suppress_ifgroup]
    return Suppress(length, frozenset(links))


def _find_doubt(rule: Rule, groups: Optional[Mapping[str, int]]) -> Optional[Doubt]:
    if rule.opaque:
        reason = f"{', '.join(rule.opaque)} is not modelled, taken as not matching"
        return Doubt(rule.priority, reason)
    if rule.suppress_ifgroup is None:
        return None
    if groups is None:
        words = "the groups of links are not known, taken as suppressing nothing"
    elif rule.version == IPV6 and _divides(rule.suppress_ifgroup, groups):
        # fib6_rule_suppress sees only the hop that the packet's hash has picked
        words = "of a route by several links, taken as all being in the group of the first"
    else:
        return None
    return Doubt(rule.priority, f"suppress_ifgroup {rule.suppress_ifgroup}: {words}")


def _divides(group: int, groups: Mapping[str, int]) -> bool:
    """Whether some links are in that group and others are not."""
    return len({other == group for name, other in groups.items() if name != LOOPBACK}) > 1


def make_flow_key(packet: Packet, links: Mapping[str, Link]) -> FlowKey:
    """A packet in the terms of selectors; InputError where its parts are of two families."""
    version = packet.version
    if packet.source is not None and packet.source.version != version:
        raise InputError(
            f"source {packet.source} and destination {packet.destination} are of two families",
            "give two IPv4 or two IPv6 addresses",
        )
    source = None if packet.source is None else int(packet.source)
    if source is None and version == IPV4:
        source = 0  # the flow's saddr; IPv6 knows "no source" (RT6_LOOKUP_F_HAS_SADDR)
    oif = "" if packet.iif else packet.oif
    # A socket bound to a VRF is bound to its table, not to a link (l3mdev_update_flow).
    bound = "" if oif in links and links[oif].table else oif
    return FlowKey(
        source,
        iif=frozenset((packet.iif or LOOPBACK, _master(packet.iif, links))) - {""},
        oif=frozenset((oif, _master(oif, links))) - {""},
        mark=packet.mark,
        tos=packet.tos & DS_MASK[version],
        vrf=_find_vrf(oif, links) or _find_vrf(packet.iif, links),
        bound=bound,
    )


def _master(name: str, links: Mapping[str, Link]) -> str:
    """The VRF that a link is a port of, ``""`` if none: its rules' iif and oif match ports too."""
    link = links.get(name)
    master = links.get(link.master) if link is not None else None
    return master.name if master is not None and master.table else ""


def _find_vrf(name: str, links: Mapping[str, Link]) -> int:
    link = links.get(_master(name, links) or name)
    return link.table if link is not None else 0


def is_selected(compiled: CompiledRule, flow_key: FlowKey) -> bool:
    """Whether the packet has all that the rule asks for but the destination, ``not`` left out."""
    rule = compiled.rule
    if compiled.source_mask and (
        flow_key.source is None or flow_key.source & compiled.source_mask != compiled.source
    ):
        return False
    if (rule.iif and rule.iif not in flow_key.iif) or (rule.oif and rule.oif not in flow_key.oif):
        return False
    if (rule.mark ^ flow_key.mark) & rule.mask or rule.tos not in (0, flow_key.tos):
        return False
    return not rule.l3mdev or bool(flow_key.vrf)


def matching_destinations(compiled: CompiledRule, flow_key: FlowKey) -> Intervals:
    """The destinations for which the rule surely matches."""
    rule = compiled.rule
    if not is_selected(compiled, flow_key):
        return (WHOLE if rule.invert else NOWHERE)[rule.version]
    if rule.invert:
        return compiled.outside
    return NOWHERE[rule.version] if rule.opaque else compiled.inside


def uncertain_destinations(compiled: CompiledRule, flow_key: FlowKey) -> Intervals:
    """The destinations for which a selector that is not modelled settles whether it matches."""
    if not compiled.rule.opaque or not is_selected(compiled, flow_key):
        return NOWHERE[compiled.rule.version]
    return compiled.inside


def explain_mismatch(compiled: CompiledRule, flow_key: FlowKey, packet: Packet) -> str:
    """In plain words why a rule does not match a packet."""
    rule = compiled.rule
    if rule.opaque and is_selected(compiled, flow_key) and _is_within(compiled.inside, packet):
        return f"not tried: {', '.join(rule.opaque)} is not modelled"
    if rule.invert:
        return "does not match: the packet has all that this rule excludes (not)"
    mismatches = _list_mismatches(compiled, flow_key, packet)
    reasons = [words for mismatch, words in mismatches if mismatch]
    return "does not match: " + "; ".join(reasons)


def _is_within(intervals: Intervals, packet: Packet) -> bool:
    address = int(packet.destination)
    return any(first <= address <= last for first, last in zip(*intervals))


def _list_mismatches(
    compiled: CompiledRule, flow_key: FlowKey, packet: Packet
) -> Sequence[Tuple[bool, str]]:
    """(whether the packet lacks something that the rule asks for, in plain words)."""
    rule, mask = compiled.rule, compiled.source_mask
    source = flow_key.source
    return (
        (
            bool(mask) and (source is None or source & mask != compiled.source),
            f"source {packet.source or 'none'} is not in {rule.source}",
        ),
        (
            not _is_within(compiled.inside, packet),
            f"destination {packet.destination} is not in {rule.destination}",
        ),
        (
            bool(rule.iif) and rule.iif not in flow_key.iif,
            f"it came in by {packet.iif or 'lo (the host itself)'}, not by {rule.iif}",
        ),
        (
            bool(rule.oif) and rule.oif not in flow_key.oif,
            f"its socket is bound to {packet.oif or 'no link'}, not to {rule.oif}",
        ),
        (
            bool((rule.mark ^ flow_key.mark) & rule.mask),
            f"mark 0x{flow_key.mark:x} is not 0x{rule.mark:x}/0x{rule.mask:x}",
        ),
        (
            bool(rule.tos) and rule.tos != flow_key.tos,
            f"tos 0x{flow_key.tos:02x} is not 0x{rule.tos:02x}",
        ),
        (rule.l3mdev and not flow_key.vrf, "the packet is in no VRF"),
    )
