"""Host and settings -> plan. Knows no file and no target.

Imports model, and touches nothing.
"""

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

from symroute_nm.errors import InputError, Refusal
from symroute_nm.model.host import Host, suppresses
from symroute_nm.model.iproute2 import delete_rule, format_rule, shorten_list
from symroute_nm.model.marking import Marking
from symroute_nm.model.network import (
    TABLE_MAIN,
    VERSIONS,
    Address,
    IPNetwork,
    Rule,
    contains,
    host_network,
    is_global,
    network_key,
)
from symroute_nm.model.ours import STAGES, foreign_rules, looks_like_ours, our_rules, priorities
from symroute_nm.model.plan import LeftOut, OwnTable, Plan, Uplink, UplinkPlan
from symroute_nm.model.route_set import pack
from symroute_nm.model.settings import Settings
from symroute_nm.plan.floating_addresses import note_addresses
from symroute_nm.plan.gateways import check_gateways
from symroute_nm.plan.marks import Marked, make_marking, mark_rules, notes_on_marks
from symroute_nm.plan.own_tables import TableFiller, fill_table, find_left_out, find_networks
from symroute_nm.plan.table_ids import allocate_tables
from symroute_nm.plan.uplinks import check_addresses, find_uplinks, pair_families


class Guard(NamedTuple):
    """How internal networks are kept reachable, and why so."""

    name: str  # rules throw none
    reason: str


def notes_on_guard(
    settings: Settings, guard: Guard, host: Host, without_iif: Iterable[int]
) -> Iterator[str]:
    """What the guard asks of the user; `without_iif`: the IP versions whose transit has no rule."""
    if settings.guard == "auto" and host.suppress is None:
        yield "guard %s: %s" % guard
    if guard.name == "throw":
        yield "guard by throw routes: generate again whenever a container network is added"
        for version in without_iif:
            yield f"IPv{version} is forwarded, so no rule catches transit (iif)"
    if guard.name == "none":
        yield "no guard: replies to containers and other internal networks leave by the uplinks"


def notes_on_size(
    knowledge: Mapping[int, TableFiller],
    uplinks: Sequence[Uplink],
    left_out: Iterable[LeftOut],
    most: int,
) -> Iterator[str]:
    """What own tables leave to main or know less exactly, so that they hold no more than `most`."""
    for each in left_out:
        ways = knowledge[each.networks.version].ways(each.networks).items()
        yield (
            "%d IPv%d networks behind routers (%s) are answered by the link that main reaches them "
            "by, whichever was asked: so many do not go into own tables (most-networks = %d)"
            % (
                len(each.networks),
                each.networks.version,
                shorten_list(["%s: %d" % way for way in ways if way[1]]),
                most,
            )
        )
    for known in knowledge.values():
        links = [uplink.link.name for uplink in uplinks if uplink.gateway(known.version)]
        found = {wide for link in links for wide in known.common(link).widened}
        wide = [str(each) for each in sorted(found, key=network_key)]
        if wide:
            yield (
                f"own tables know the other uplinks' networks as {shorten_list(wide)} "
                f"(most-networks = {most}): generate again whenever a container network "
                "is added inside"
            )


def notes_on_uplinks(
    host: Host, settings: Settings, found: Sequence[Uplink], planned: Sequence[UplinkPlan]
) -> Tuple[str, ...]:
    """What is left out; `found` are the uplinks before families with one only were."""
    notes = [
        *_lone_families(found),
        *_without_gateway(host, found),
        *_other_gateways(host, planned),
    ]
    if settings.sources == "auto":
        notes += _moving_addresses(planned)
    return tuple(notes)


def _lone_families(found: Sequence[Uplink]) -> Iterator[str]:
    for version in VERSIONS:
        names = [each.link.name for each in found if each.gateway(version)]
        if len(names) == 1:
            yield f"IPv{version}: {names[0]} is the only uplink: nothing is written for it"


def _without_gateway(host: Host, found: Sequence[Uplink]) -> Iterator[str]:
    """Uplinks in one family that have addresses in the other, in which another link leads out."""
    for version in VERSIONS:
        if not any(each.gateway(version) for each in found):
            continue
        addressed = {
            address.link
            for address in host.addresses
            if address.version == version and is_global(address)
        }
        for each in found:
            name = each.link.name
            if name in addressed and not each.gateway(version):
                yield (
                    f"{name}: no IPv{version} gateway of it is known, so its IPv{version} "
                    f"addresses get no rules (--gateway {name}=ADDRESS)"
                )


def _other_gateways(host: Host, planned: Sequence[UplinkPlan]) -> Iterator[str]:
    """The gateways of a multipath default on one link that its own table does without."""
    chosen: Dict[str, str] = {
        each.uplink.link.name: str(gateway.address)
        for each in planned
        for gateway in each.uplink.gateways
    }
    for route in pack(host.routes).select(
        lambda route: len(route.hops) != 1 and route.table == TABLE_MAIN and route.default
    ):
        for link, gateway in chosen.items():
            others = [
                str(hop.gateway)
                for hop in route.hops
                if hop.link == link and str(hop.gateway) != gateway
            ]
            if others:
                yield (f"{link}: its own table goes by {gateway} alone, not by {', '.join(others)}")


def _moving_addresses(planned: Sequence[UplinkPlan]) -> Iterator[str]:
    """Dynamic addresses that are rules' sources themselves, since their network cannot be."""
    for each in planned:
        sources = {rule.source for rule in each.rules}
        moving = [
            str(address.ip)
            for address in each.uplink.addresses
            if address.dynamic and address.peer is None and host_network(address.ip) in sources
        ]
        if moving:
            yield (
                f"{each.uplink.link.name}: the rules for {', '.join(moving)} are for the "
                "address itself, since its network is another link's, too: generate again "
                "whenever it changes"
            )


NO_TABLES: Mapping[str, int] = MappingProxyType({})
NOTHING_TO_DO = "fewer than two uplinks in any family: nothing to do"


class _Draft(NamedTuple):
    """What every uplink's part of the plan depends on."""

    host: Host
    settings: Settings
    uplinks: Sequence[Uplink]
    guard: str
    knowledge: Mapping[int, TableFiller]
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
    plan = Plan(
        skips=survey.skips,
        guard=guard.name,
        guard_reason=guard.reason,
        table_names=settings.table_names,
    )
    if not survey.uplinks:
        return plan._replace(notes=(NOTHING_TO_DO,))
    uplinks = bind(host, settings, survey.uplinks)
    check_block(host, settings)
    tables = allocate_tables(
        [uplink.link.name for uplink in uplinks],
        {name: each.table for name, each in settings.interface.items()},
        host.tables,
        used_tables(host),
        _tables_by_link(uplinks, earlier),
    )
    _check_vrfs(host, tables.values())
    marking = _marking(host, settings, tables)
    knowledge = know(host, settings, uplinks, guard.name)
    draft = _Draft(host, settings, uplinks, guard.name, knowledge, marking)
    planned = tuple(_plan_uplink(draft, uplink, tables[uplink.link.name]) for uplink in uplinks)
    left_out = tuple(find_left_out(draft.knowledge, uplinks))
    return plan._replace(
        uplinks=planned,
        left_out=left_out,
        marking=marking,
        notes=(
            *notes_on_guard(settings, guard, host, _without_iif(host, settings, guard.name)),
            *(
                notes_on_marks(marking, foreign_rules(host, settings), host.forwarding)
                if marking
                else ()
            ),
            *notes_on_size(draft.knowledge, uplinks, left_out, settings.most_networks),
            *note_addresses(host, settings, uplinks),
            *notes_on_uplinks(host, settings, found.uplinks, planned),
        ),
    )


def _tables_by_link(uplinks: Sequence[Uplink], earlier: Mapping[str, int]) -> Dict[str, int]:
    return {
        uplink.link.name: earlier[uplink.profile.name]
        for uplink in uplinks
        if uplink.profile and uplink.profile.name in earlier
    }


def _marking(host: Host, settings: Settings, tables: Mapping[str, OwnTable]) -> Optional[Marking]:
    if not settings.forwarded:
        return None
    return make_marking(host, settings, sorted(tables.items()), foreign_rules(host, settings))


def left_to_main(host: Host, settings: Settings, uplinks: Sequence[Uplink]) -> Tuple[LeftOut, ...]:
    """What a plan for these uplinks would leave to main, as too much for own tables."""
    if len(host.routes) <= settings.most_networks:
        return ()
    guard = choose_guard(host, settings).name
    return tuple(find_left_out(know(host, settings, uplinks, guard), uplinks))


def know(
    host: Host, settings: Settings, uplinks: Sequence[Uplink], guard: str
) -> Dict[int, TableFiller]:
    """What the own tables of these uplinks may have to know: {IP version: knowledge}."""
    return {
        version: TableFiller(networks, guard, settings.most_networks)
        for version, networks in find_networks(host, uplinks).items()
    }


def choose_guard(host: Host, settings: Settings) -> Guard:
    """The guard asked for, or the one that the kernel's evidence justifies."""
    if settings.guard != "auto":
        return Guard(settings.guard, "asked for")
    if host.suppress is not None:
        return Guard("rules" if host.suppress else "throw", "probed")
    if suppresses(host.kernel):
        return Guard("rules", f"not probed; by kernel release {host.kernel}")
    return Guard(
        "throw",
        f"not probed; kernel release {host.kernel or 'unknown'} may lack suppress_prefixlength",
    )


def used_tables(host: Host) -> FrozenSet[int]:
    """The ids that kernel routes, rules and VRFs use."""
    return frozenset(
        [table.table for table in pack(host.routes).tables]
        + [rule.table for rule in host.rules]
        + [link.table for link in host.links]
    )


def check_block(host: Host, settings: Settings) -> None:
    """Raise `Refusal` for a priority block in which somebody else's rules stand.

    `InputError` where rules by mark have no room before the others.
    """
    if priorities(settings)[0] <= 0:  # there is the kernel's own, for local
        raise InputError(
            f"priority-base = {settings.priority_base} leaves no room for rules by mark",
            "they take the four priorities before it: set 5 or more",
        )
    ours = our_rules(host, settings)
    for rule in sorted(host.rules, key=lambda rule: (rule.version, rule.priority)):
        if rule.priority in priorities(settings) and rule not in ours:
            left = (
                f"; if an earlier run left it, delete it ({delete_rule(rule)})"
                if looks_like_ours(rule, settings)
                else ""
            )
            raise Refusal(
                f"priority {rule.priority} is taken by a rule that is not ours "
                f"({format_rule(rule)})",
                "set priority-base to the first of three free "
                f"priorities{', with four free ones before it' if settings.forwarded else ''}{left}",
            )


def _check_vrfs(host: Host, tables: Iterable[OwnTable]) -> None:
    """A VRF's table cannot be an uplink's: its rule looks it up for others' packets."""
    vrfs = {link.table: link.name for link in host.links if link.table}
    for table in tables:
        if table.id in vrfs:
            raise InputError(
                f"table {table.id} is the VRF {vrfs[table.id]}'s",
                f"choose another id for {table.name}",
            )


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
                marked = Marked(
                    mark,
                    draft.settings.mark_mask,
                    table.id,
                    draft.guard,
                    draft.settings.priority_base,
                )
                rules += mark_rules(version, marked, transit)
    return tuple(sorted(rules, key=lambda rule: (rule.version, rule.priority)))


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
    specific = selector._replace(priority=second, table=TABLE_MAIN, suppress_prefixlength=0)
    if selector.iif:
        return [specific, last]
    return [
        selector._replace(priority=first, table=table.id, suppress_prefixlength=0),
        specific,
        last,
    ]


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
    on_link = pack(host.routes).select(
        lambda route: (
            route.table == TABLE_MAIN
            and not route.default
            and any(hop.link == address.link and hop.gateway is None for hop in route.hops)
        )
    )
    wider = [
        route.destination
        for route in on_link
        if contains(route.destination, network) and route.destination != network
    ]
    return max(wider, key=lambda each: each.prefixlen, default=network)


def _selects_network(draft: _Draft, uplink: Uplink, address: Address, network: IPNetwork) -> bool:
    if draft.settings.sources != "auto":
        return draft.settings.sources == "network"
    if not address.dynamic or address.peer is not None:
        return False
    others = (
        other.interface.network
        for planned in draft.uplinks
        if planned.link.name != uplink.link.name
        for other in planned.addresses
    )
    shared = any(contains(network, each) or contains(each, network) for each in others)
    return not shared and not any(
        contains(network, each) for each in _elsewhere(draft.host, uplink)
    )


def _elsewhere(host: Host, uplink: Uplink) -> Iterator[IPNetwork]:
    """What main reaches by other links: a rule for a network around it would catch its packets."""
    elsewhere = pack(host.routes).select(
        lambda route: (
            route.table == TABLE_MAIN
            and not route.default
            and uplink.link.name not in {hop.link for hop in route.hops}
        )
    )
    return (route.destination for route in elsewhere)
