"""The selectors of rules, and which destinations they leave for a packet (pure).

The facts are those of fib_rule_match (net/core/fib_rules.c), fib4_rule_match and fib6_rule_match.
"""

from typing import Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from symroute_nm.errors import InputError
from symroute_nm.model.network import IPAddress, IPNetwork, Link, Rule
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
    """A packet in the terms of selectors; `source` is None where no ``from`` can match (IPv6)."""

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


def span(network: IPNetwork) -> Intervals:
    """A network as one interval."""
    first = int(network.network_address)
    last = first + (1 << (BITS[network.version] - network.prefixlen)) - 1
    return make_intervals(network.version, (first, last))


class Selection:
    """The rules of one family by what they select, so that a packet need not try them all."""

    def __init__(self, selectors: Sequence[CompiledRule]) -> None:
        self._any: List[int] = []
        self._by_source: Dict[int, Dict[int, List[int]]] = {}  # mask, address
        self._by_iif: Dict[str, List[int]] = {}
        for position, each in enumerate(selectors):
            if each.source_mask and not each.rule.invert:
                sources = self._by_source.setdefault(each.source_mask, {})
                sources.setdefault(each.source, []).append(position)
            elif each.rule.iif and not each.rule.invert:
                self._by_iif.setdefault(each.rule.iif, []).append(position)
            else:
                self._any.append(position)

    def of(self, asked: FlowKey) -> List[int]:
        """The positions of all rules that may match, and of others, in order."""
        found = list(self._any)
        if asked.source is not None:
            for mask, sources in self._by_source.items():
                found += sources.get(asked.source & mask, ())
        for name in asked.iif:
            found += self._by_iif.get(name, ())
        return sorted(found)


def compile_rule(rule: Rule, groups: Optional[Mapping[str, int]] = None) -> CompiledRule:
    """A rule made ready for matching; `groups` are the groups of links, None: not known."""
    inside, outside = WHOLE[rule.version], NOWHERE[rule.version]
    if rule.destination is not None and rule.destination.prefixlen:
        inside = span(rule.destination)
        outside = complement(inside.starts, inside.ends, WHOLE[rule.version])
    source = mask = 0
    if rule.source is not None:
        source, mask = int(rule.source.network_address), int(rule.source.netmask)
    veto = _compile_suppress(rule, groups or {})
    return CompiledRule(rule, source, mask, inside, outside, veto, _find_doubt(rule, groups))


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
    elif rule.version == 6 and _divides(rule.suppress_ifgroup, groups):
        # fib6_rule_suppress sees only the hop that the packet's hash has picked
        words = "of a route by several links, taken as all being in the group of the first"
    else:
        return None
    return Doubt(rule.priority, f"suppress_ifgroup {rule.suppress_ifgroup}: {words}")


def _divides(group: int, groups: Mapping[str, int]) -> bool:
    return len({each == group for name, each in groups.items() if name != LOOPBACK}) > 1


def translate(packet: Packet, links: Mapping[str, Link]) -> FlowKey:
    """A packet in the terms of selectors; InputError where its parts are of two families."""
    version, source = packet.version, None if packet.source is None else int(packet.source)
    if packet.source is not None and packet.source.version != version:
        raise InputError(
            f"source {packet.source} and destination {packet.destination} are of two families",
            "give two IPv4 or two IPv6 addresses",
        )
    if source is None and version == 4:
        source = 0  # the flow's saddr; IPv6 knows "no source" (RT6_LOOKUP_F_HAS_SADDR)
    oif = "" if packet.iif else packet.oif
    # A socket bound to a VRF is bound to its table, not to a link (l3mdev_update_flow).
    bound = "" if oif in links and links[oif].table else oif
    return FlowKey(
        source,
        frozenset((packet.iif or LOOPBACK, _master(packet.iif, links))) - {""},
        frozenset((oif, _master(oif, links))) - {""},
        packet.mark,
        packet.tos & DS_MASK[version],
        _find_vrf(oif, links) or _find_vrf(packet.iif, links),
        bound,
    )


def _master(name: str, links: Mapping[str, Link]) -> str:
    """The VRF that a link is a port of, ``""`` if none: its rules' iif and oif match ports too."""
    link = links.get(name)
    master = links.get(link.master) if link is not None else None
    return master.name if master is not None and master.table else ""


def _find_vrf(name: str, links: Mapping[str, Link]) -> int:
    link = links.get(_master(name, links) or name)
    return link.table if link is not None else 0


def selected(selector: CompiledRule, asked: FlowKey) -> bool:
    """Whether the packet has all that the rule asks for but the destination, ``not`` left out."""
    rule = selector.rule
    if selector.source_mask and (
        asked.source is None or asked.source & selector.source_mask != selector.source
    ):
        return False
    if (rule.iif and rule.iif not in asked.iif) or (rule.oif and rule.oif not in asked.oif):
        return False
    if (rule.mark ^ asked.mark) & rule.mask or rule.tos not in (0, asked.tos):
        return False
    return not rule.l3mdev or bool(asked.vrf)


def matching(selector: CompiledRule, asked: FlowKey) -> Intervals:
    """The destinations for which the rule surely matches."""
    rule = selector.rule
    if not selected(selector, asked):
        return (WHOLE if rule.invert else NOWHERE)[rule.version]
    if rule.invert:
        return selector.outside
    return NOWHERE[rule.version] if rule.opaque else selector.inside


def uncertain_destinations(selector: CompiledRule, asked: FlowKey) -> Intervals:
    """The destinations for which a selector that is not modelled settles whether it matches."""
    if not selector.rule.opaque or not selected(selector, asked):
        return NOWHERE[selector.rule.version]
    return selector.inside


def explain_mismatch(selector: CompiledRule, asked: FlowKey, packet: Packet) -> str:
    """In plain words why a rule does not match a packet."""
    rule = selector.rule
    if rule.opaque and selected(selector, asked) and _within(selector.inside, packet):
        return f"not tried: {', '.join(rule.opaque)} is not modelled"
    if rule.invert:
        return "does not match: the packet has all that this rule excludes (not)"
    reasons = [words for wrong, words in _list_mismatches(selector, asked, packet) if wrong]
    return "does not match: " + "; ".join(reasons)


def _within(spans: Intervals, packet: Packet) -> bool:
    address = int(packet.destination)
    return any(first <= address <= last for first, last in zip(*spans))


def _list_mismatches(
    selector: CompiledRule, asked: FlowKey, packet: Packet
) -> Sequence[Tuple[bool, str]]:
    rule, mask = selector.rule, selector.source_mask
    source = asked.source
    return (
        (
            bool(mask) and (source is None or source & mask != selector.source),
            f"source {packet.source or 'none'} is not in {rule.source}",
        ),
        (
            not _within(selector.inside, packet),
            f"destination {packet.destination} is not in {rule.destination}",
        ),
        (
            bool(rule.iif) and rule.iif not in asked.iif,
            f"it came in by {packet.iif or 'lo (the host itself)'}, not by {rule.iif}",
        ),
        (
            bool(rule.oif) and rule.oif not in asked.oif,
            f"its socket is bound to {packet.oif or 'no link'}, not to {rule.oif}",
        ),
        (
            bool((rule.mark ^ asked.mark) & rule.mask),
            f"mark 0x{asked.mark:x} is not 0x{rule.mark:x}/0x{rule.mask:x}",
        ),
        (
            bool(rule.tos) and rule.tos != asked.tos,
            f"tos 0x{asked.tos:02x} is not 0x{rule.tos:02x}",
        ),
        (rule.l3mdev and not asked.vrf, "the packet is in no VRF"),
    )
