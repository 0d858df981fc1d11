"""The plan for a host: `make_plan`, and what it refuses to plan for."""

from types import MappingProxyType
from typing import Callable, Dict, FrozenSet, Iterable, Iterator, Mapping, Optional, Sequence, Tuple

from symroute_nm.errors import InputError, Refusal
from symroute_nm.model.host import Host
from symroute_nm.model.iproute2 import delete_rule, format_rule
from symroute_nm.model.marking import Marking
from symroute_nm.model.ours import foreign_rules, looks_like_ours, our_rules, priorities
from symroute_nm.model.plan import LeftOut, OwnTable, Plan, Uplink, UplinkPlan
from symroute_nm.model.settings import Settings
from symroute_nm.plan.floating_addresses import notes_on_floating_addresses
from symroute_nm.plan.gateways import check_gateways
from symroute_nm.plan.guard import choose_guard, notes_on_guard
from symroute_nm.plan.marks import make_marking, notes_on_marks
from symroute_nm.plan.notes import notes_on_size, notes_on_uplinks
from symroute_nm.plan.own_tables import TableFiller, fill_table, find_left_out
from symroute_nm.plan.reach import find_networks
from symroute_nm.plan.rules import Draft, make_rules
from symroute_nm.plan.table_ids import allocate_tables
from symroute_nm.plan.uplinks import check_addresses, find_uplinks, pair_families

NO_TABLES: Mapping[str, int] = MappingProxyType({})
NOTHING_TO_DO = "fewer than two uplinks in any family: nothing to do"

# Gives each uplink its profile; raises `Refusal` where one has none.
Binder = Callable[[Host, Settings, Sequence[Uplink]], Tuple[Uplink, ...]]


def make_plan(
    host: Host, settings: Settings, bind: Binder, earlier: Mapping[str, int] = NO_TABLES
) -> Plan:
    """The cure for the host; raises `InputError` or `Refusal` for what cannot be justified.

    `bind` is the target's, which knows the profiles. `earlier` are the tables of each profile's
    blocks: a link that was renamed keeps its own.
    """
    unpaired = find_uplinks(host, settings)
    survey = pair_families(unpaired)
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
        {name: interface.table for name, interface in settings.interface.items()},
        host.tables,
        used_tables(host),
        _tables_by_link(uplinks, earlier),
    )
    _check_vrfs(host, tables.values())
    marking = _make_marking(host, settings, tables)
    fillers = make_fillers(host, settings, uplinks, guard.name)
    draft = Draft(host, settings, uplinks, guard.name, marking)
    planned = tuple(
        _plan_uplink(draft, fillers, uplink, tables[uplink.link.name]) for uplink in uplinks
    )
    left_out = tuple(find_left_out(fillers, uplinks))
    return plan._replace(
        uplinks=planned,
        left_out=left_out,
        marking=marking,
        notes=(
            *notes_on_guard(host, settings, guard),
            *_notes_on_marking(host, settings, marking),
            *notes_on_size(fillers, uplinks, left_out, settings.most_networks),
            *notes_on_floating_addresses(host, settings, uplinks),
            *notes_on_uplinks(host, settings, unpaired.uplinks, planned),
        ),
    )


def _tables_by_link(uplinks: Sequence[Uplink], earlier: Mapping[str, int]) -> Dict[str, int]:
    return {
        uplink.link.name: earlier[uplink.profile.name]
        for uplink in uplinks
        if uplink.profile and uplink.profile.name in earlier
    }


def _check_vrfs(host: Host, tables: Iterable[OwnTable]) -> None:
    """A VRF's table cannot be an uplink's: its rule looks it up for others' packets."""
    vrfs = {link.table: link.name for link in host.links if link.table}
    for table in tables:
        if table.id in vrfs:
            raise InputError(
                f"table {table.id} is the VRF {vrfs[table.id]}'s",
                f"choose another id for {table.name}",
            )


def _make_marking(
    host: Host, settings: Settings, tables: Mapping[str, OwnTable]
) -> Optional[Marking]:
    if not settings.forwarded:
        return None
    return make_marking(host, settings, sorted(tables.items()), foreign_rules(host, settings))


def _plan_uplink(
    draft: Draft, fillers: Mapping[int, TableFiller], uplink: Uplink, table: OwnTable
) -> UplinkPlan:
    return UplinkPlan(
        uplink,
        table,
        routes=fill_table(fillers, uplink, table),
        rules=make_rules(draft, uplink, table),
    )


def _notes_on_marking(host: Host, settings: Settings, marking: Optional[Marking]) -> Iterator[str]:
    if marking:
        yield from notes_on_marks(marking, foreign_rules(host, settings), host.forwarding)


def left_to_main(host: Host, settings: Settings, uplinks: Sequence[Uplink]) -> Tuple[LeftOut, ...]:
    """What a plan for these uplinks would leave to main, as too much for own tables."""
    if len(host.routes) <= settings.most_networks:
        return ()
    guard = choose_guard(host, settings).name
    return tuple(find_left_out(make_fillers(host, settings, uplinks, guard), uplinks))


def make_fillers(
    host: Host, settings: Settings, uplinks: Sequence[Uplink], guard: str
) -> Dict[int, TableFiller]:
    """What the own tables of these uplinks are filled with: {IP version: filler}."""
    return {
        version: TableFiller(networks, guard, settings.most_networks)
        for version, networks in find_networks(host, uplinks).items()
    }


def used_tables(host: Host) -> FrozenSet[int]:
    """The ids that kernel routes, rules and VRFs use."""
    return frozenset(
        [table.table for table in host.routes.tables]
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
            hint = "set priority-base to the first of three free priorities"
            if settings.forwarded:
                hint += ", with four free ones before it"
            if looks_like_ours(rule, settings):
                hint += f"; if an earlier run left it, delete it ({delete_rule(rule)})"
            raise Refusal(
                f"priority {rule.priority} is taken by a rule that is not ours "
                f"({format_rule(rule)})",
                hint,
            )
