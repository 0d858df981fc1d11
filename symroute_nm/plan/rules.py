"""The rules of one uplink: by source address, by incoming link, by mark."""

from itertools import chain
from typing import Iterator, List, NamedTuple, Optional, Sequence, Tuple

from symroute_nm.model.host import Host
from symroute_nm.model.marking import Mark, Marking
from symroute_nm.model.network import (
    TABLE_MAIN,
    Address,
    IPNetwork,
    Route,
    Rule,
    contains,
    host_network,
    network_key,
)
from symroute_nm.model.ours import STAGES, priorities
from symroute_nm.model.plan import OwnTable, Uplink
from symroute_nm.model.route_set import is_specific_in_main
from symroute_nm.model.settings import Settings
from symroute_nm.plan.guard import uses_iif
from symroute_nm.plan.marks import Marked, mark_rules


class Draft(NamedTuple):
    """What the rules of every uplink depend on; `uplinks` are all of them."""

    host: Host
    settings: Settings
    uplinks: Sequence[Uplink]
    guard: str
    marking: Optional[Marking]


def make_rules(draft: Draft, uplink: Uplink, table: OwnTable) -> Tuple[Rule, ...]:
    """The rules that send the uplink's packets to its table, by IP version and priority."""
    rules: List[Rule] = []
    for gateway in uplink.gateways:
        version = gateway.version
        for source in _sources(draft, uplink, version):
            rules += _stages(draft, Rule(version, 0, source=source), table)
        transit = uses_iif(draft.host, draft.settings, draft.guard, version)
        if transit:
            rules += _stages(draft, Rule(version, 0, iif=uplink.link.name), table)
        if draft.marking:
            marks = [mark for mark in draft.marking.marks if mark.link == uplink.link.name]
            for mark in marks:
                rules += mark_rules(version, _mark(draft, mark, table), transit)
    return tuple(sorted(rules, key=lambda rule: (rule.version, rule.priority)))


def _mark(draft: Draft, mark: Mark, table: OwnTable) -> Marked:
    return Marked(
        mark,
        mask=draft.settings.mark_mask,
        table=table.id,
        guard=draft.guard,
        base=draft.settings.priority_base,
    )


def _stages(draft: Draft, selector: Rule, table: OwnTable) -> List[Rule]:
    """The selector's rules; transit (iif) goes by main's specific routes before T's."""
    first, second, third = priorities(draft.settings)[-STAGES:]
    last = selector._replace(priority=third, table=table.id)
    if draft.guard != "rules":
        return [last]
    specific = selector._replace(priority=second, table=TABLE_MAIN, suppress_prefixlength=0)
    if selector.iif:
        return [specific, last]
    return [
        selector._replace(priority=first, table=table.id, suppress_prefixlength=0),
        specific,
        last,
    ]


def _sources(draft: Draft, uplink: Uplink, version: int) -> Tuple[IPNetwork, ...]:
    """What replies of this uplink come from: addresses, or networks where a lease may change."""
    sources = set()
    for address in uplink.addresses:
        if address.version == version:
            network = _find_network(draft.host, address)
            wide = _selects_network(draft, uplink, address, network)
            sources.add(network if wide else host_network(address.ip))
    return tuple(sorted(sources, key=network_key))


def _find_network(host: Host, address: Address) -> IPNetwork:
    """The network in which the next lease would be; DHCPv6 gives /128s within an RA's prefix."""
    network = address.interface.network
    if network.prefixlen < network.max_prefixlen:
        return network

    def is_on_link(route: Route) -> bool:
        return is_specific_in_main(route) and any(
            hop.link == address.link and hop.gateway is None for hop in route.hops
        )

    wider = [
        route.destination
        for route in host.routes.select(is_on_link)
        if contains(route.destination, network) and route.destination != network
    ]
    return max(wider, key=lambda around: around.prefixlen, default=network)


def _selects_network(draft: Draft, uplink: Uplink, address: Address, network: IPNetwork) -> bool:
    if draft.settings.sources != "auto":
        return draft.settings.sources == "network"
    if not address.dynamic or address.peer is not None:
        return False
    addresses = chain.from_iterable(
        other.addresses for other in draft.uplinks if other.link.name != uplink.link.name
    )
    others = (other.interface.network for other in addresses)
    shared = any(contains(network, other) or contains(other, network) for other in others)
    return not shared and not any(
        contains(network, destination) for destination in _elsewhere(draft.host, uplink)
    )


def _elsewhere(host: Host, uplink: Uplink) -> Iterator[IPNetwork]:
    """What main reaches by other links: a rule for a network around it would catch its packets."""

    def is_elsewhere(route: Route) -> bool:
        return is_specific_in_main(route) and all(
            hop.link != uplink.link.name for hop in route.hops
        )

    return (route.destination for route in host.routes.select(is_elsewhere))
