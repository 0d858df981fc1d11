"""Host + settings -> plan: the rule set of DESIGN 2 (pure; the heart)."""

from types import MappingProxyType
from typing import (
    Callable,
    Dict,
    FrozenSet,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

from symroute_nm.awaited import note_addresses
from symroute_nm.errors import InputError, Refusal
from symroute_nm.gateways import check_gateways
from symroute_nm.marks import Marked, make_marking, mark_rules, remark_marks
from symroute_nm.model.host import Host, suppresses
from symroute_nm.model.iproute2 import delete_rule, format_rule
from symroute_nm.model.marking import Marking
from symroute_nm.model.network import (
    TABLE_MAIN,
    VERSIONS,
    Address,
    IPNetwork,
    Rule,
    contains,
    host_network,
    network_key,
)
from symroute_nm.model.ours import STAGES, foreign_rules, looks_like_ours, our_rules, priorities
from symroute_nm.model.plan import LeftOut, OwnTable, Plan, Uplink, UplinkPlan
from symroute_nm.model.route_set import pack
from symroute_nm.model.settings import Settings
from symroute_nm.networks import find_networks
from symroute_nm.owntables import Knowledge, fill_table, find_left_out
from symroute_nm.remarks import Guard, remark_guard, remark_size, remark_uplinks
from symroute_nm.tables import allocate_tables
from symroute_nm.uplinks import check_addresses, find_uplinks, pair_families

NO_TABLES: Mapping[str, int] = MappingProxyType({})
NOTHING_TO_DO = "fewer than two uplinks in any family: nothing to do"


class _Draft(NamedTuple):
    """What every uplink's part of the plan depends on."""

    host: Host
    settings: Settings
    uplinks: Sequence[Uplink]
    guard: str
    knowledge: Mapping[int, Knowledge]
    marking: Optional[Marking]


# Gives each uplink its profile; raises `Refusal` where one has none.
Binder = Callable[[Host, Settings, Sequence[Uplink]], Tuple[Uplink, ...]]


def make_plan(
    host: Host, settings: Settings, bind: Binder, earlier: Mapping[str, int] = NO_TABLES
) -> Plan:
    """The cure for the host; raises `InputError` or `Refusal` for what cannot be justified.

    `bind` is the target's, which knows the profiles. `earlier` are the tables of each profile's
    blocks: a link that was renamed keeps its own.
    """
    found = find_uplinks(host, settings)
    survey = pair_families(found)
    check_addresses(survey.uplinks)
    check_gateways(host, survey.uplinks)
    guard = choose_guard(host, settings)
    plan = Plan(skips=survey.skips, guard=guard.name, guard_reason=guard.reason,
                table_names=settings.table_names)
    if not survey.uplinks:
        return plan._replace(notes=(NOTHING_TO_DO,))
    uplinks = bind(host, settings, survey.uplinks)
    check_block(host, settings)
    tables = allocate_tables(
        [each.link.name for each in uplinks],
        {name: each.table for name, each in settings.interface.items()},
        host.tables,
        used_tables(host),
        _tables_by_link(uplinks, earlier),
    )
    _check_vrfs(host, tables.values())
    marking = _marking(host, settings, tables)
    knowledge = know(host, settings, uplinks, guard.name)
    draft = _Draft(host, settings, uplinks, guard.name, knowledge, marking)
    planned = tuple(_plan_uplink(draft, each, tables[each.link.name]) for each in uplinks)
    left_out = tuple(find_left_out(draft.knowledge, uplinks))
    return plan._replace(
        uplinks=planned, left_out=left_out, marking=marking,
        notes=(*remark_guard(settings, guard, host, _without_iif(host, settings, guard.name)),
               *(remark_marks(marking, foreign_rules(host, settings), host.forwarding)
                 if marking else ()),
               *remark_size(draft.knowledge, uplinks, left_out, settings.most_networks),
               *note_addresses(host, settings, uplinks),
               *remark_uplinks(host, settings, found.uplinks, planned)))


def _tables_by_link(uplinks: Sequence[Uplink], earlier: Mapping[str, int]) -> Dict[str, int]:
    return {each.link.name: earlier[each.profile.name] for each in uplinks
            if each.profile and each.profile.name in earlier}


def _marking(
    host: Host, settings: Settings, tables: Mapping[str, OwnTable]
) -> Optional[Marking]:
    if not settings.forwarded:
        return None
    return make_marking(host, settings, sorted(tables.items()), foreign_rules(host, settings))


def left_to_main(
    host: Host, settings: Settings, uplinks: Sequence[Uplink]
) -> Tuple[LeftOut, ...]:
    """What a plan for these uplinks would leave to main, as too much for own tables."""
    if len(host.routes) <= settings.most_networks:
        return ()
    guard = choose_guard(host, settings).name
    return tuple(find_left_out(know(host, settings, uplinks, guard), uplinks))


def know(
    host: Host, settings: Settings, uplinks: Sequence[Uplink], guard: str
) -> Dict[int, Knowledge]:
    """What the own tables of these uplinks may have to know: {IP version: knowledge}."""
    return {version: Knowledge(networks, guard, settings.most_networks)
            for version, networks in find_networks(host, uplinks).items()}


def choose_guard(host: Host, settings: Settings) -> Guard:
    """The guard asked for, or the one that the kernel's evidence justifies."""
    if settings.guard != "auto":
        return Guard(settings.guard, "asked for")
    if host.suppress is not None:
        return Guard("rules" if host.suppress else "throw", "probed")
    if suppresses(host.kernel):
        return Guard("rules", "not probed; by kernel release %s" % host.kernel)
    return Guard("throw", "not probed; kernel release %s may lack suppress_prefixlength" % (
        host.kernel or "unknown"))


def used_tables(host: Host) -> FrozenSet[int]:
    """The ids that kernel routes, rules and VRFs use."""
    return frozenset(
        [each.table for each in pack(host.routes).packed]
        + [each.table for each in host.rules]
        + [each.table for each in host.links]
    )


def check_block(host: Host, settings: Settings) -> None:
    """Raise `Refusal` for a priority block in which somebody else's rules stand.

    `InputError` where rules by mark have no room before the others.
    """
    if priorities(settings)[0] <= 0:  # there is the kernel's own, for local
        raise InputError("priority-base = %d leaves no room for rules by mark" % (
            settings.priority_base), "they take the four priorities before it: set 5 or more")
    ours = our_rules(host, settings)
    for rule in sorted(host.rules, key=lambda each: (each.version, each.priority)):
        if rule.priority in priorities(settings) and rule not in ours:
            left = "; if an earlier run left it, delete it (%s)" % (
                delete_rule(rule)) if looks_like_ours(rule, settings) else ""
            raise Refusal(
                "priority %d is taken by a rule that is not ours (%s)" % (
                    rule.priority, format_rule(rule)),
                "set priority-base to the first of three free priorities%s%s" % (
                    ", with four free ones before it" if settings.forwarded else "", left))


def _check_vrfs(host: Host, tables: Iterable[OwnTable]) -> None:
    """A VRF's table cannot be an uplink's: its rule looks it up for others' packets."""
    vrfs = {each.table: each.name for each in host.links if each.table}
    for table in tables:
        if table.id in vrfs:
            raise InputError("table %d is the VRF %s's" % (table.id, vrfs[table.id]),
                             "choose another id for %s" % table.name)


def _plan_uplink(draft: _Draft, uplink: Uplink, table: OwnTable) -> UplinkPlan:
    return UplinkPlan(
        uplink,
        table,
        routes=fill_table(draft.knowledge, uplink, table),
        rules=_rules(draft, uplink, table),
    )


def _rules(draft: _Draft, uplink: Uplink, table: OwnTable) -> Tuple[Rule, ...]:
    rules: List[Rule] = []
    for gateway in uplink.gateways:
        version = gateway.version
        for source in _sources(draft, uplink, version):
            rules += _stages(draft, Rule(version, 0, source=source), table)
        transit = uses_iif(draft.host, draft.settings, draft.guard, version)
        if transit:
            rules += _stages(draft, Rule(version, 0, iif=uplink.link.name), table)
        for mark in draft.marking.marks if draft.marking else ():
            if mark.link == uplink.link.name:
                marked = Marked(mark, draft.settings.mark_mask, table.id, draft.guard,
                                draft.settings.priority_base)
                rules += mark_rules(version, marked, transit)
    return tuple(sorted(rules, key=lambda each: (each.version, each.priority)))


def uses_iif(host: Host, settings: Settings, guard: str, version: int) -> bool:
    """Whether transit gets rules: not where they would cut a new container network off."""
    if settings.iif is not None:
        return settings.iif
    return guard != "throw" or version not in host.forwarding


def _without_iif(host: Host, settings: Settings, guard: str) -> List[int]:
    return [version for version in VERSIONS if not uses_iif(host, settings, guard, version)]


def _stages(draft: _Draft, selector: Rule, table: OwnTable) -> List[Rule]:
    """The selector's rules; transit (iif) goes by main's specific routes before T's."""
    first, second, third = priorities(draft.settings)[-STAGES:]
    last = selector._replace(priority=third, table=table.id)
    if draft.guard != "rules":
        return [last]
    specific = selector._replace(
        priority=second, table=TABLE_MAIN, suppress_prefixlength=0)
    if selector.iif:
        return [specific, last]
    return [selector._replace(priority=first, table=table.id, suppress_prefixlength=0),
            specific, last]


def _sources(draft: _Draft, uplink: Uplink, version: int) -> Tuple[IPNetwork, ...]:
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
    on_link = pack(host.routes).where(
        lambda route: route.table == TABLE_MAIN and not route.default
        and any(hop.link == address.link and hop.gateway is None for hop in route.hops))
    wider = [route.destination for route in on_link
             if contains(route.destination, network) and route.destination != network]
    return max(wider, key=lambda each: each.prefixlen, default=network)


def _selects_network(
    draft: _Draft, uplink: Uplink, address: Address, network: IPNetwork
) -> bool:
    if draft.settings.sources != "auto":
        return draft.settings.sources == "network"
    if not address.dynamic or address.peer is not None:
        return False
    others = (
        other.interface.network
        for each in draft.uplinks if each.link.name != uplink.link.name
        for other in each.addresses
    )
    shared = any(contains(network, each) or contains(each, network) for each in others)
    return not shared and not any(
        contains(network, each) for each in _elsewhere(draft.host, uplink))


def _elsewhere(host: Host, uplink: Uplink) -> Iterator[IPNetwork]:
    """What main reaches by other links: a rule for a network around it would catch its packets."""
    elsewhere = pack(host.routes).where(
        lambda route: route.table == TABLE_MAIN and not route.default
        and uplink.link.name not in {each.link for each in route.hops})
    return (route.destination for route in elsewhere)
