"""Plan -> {path: text}: the bodies of the blocks that go into each file."""

from typing import TYPE_CHECKING, Dict, Mapping, Sequence, Tuple

from symroute_nm.model.host import Host
from symroute_nm.model.network import TABLE_MAIN, VERSIONS
from symroute_nm.model.places import FRAGMENT, RT_TABLES
from symroute_nm.model.plan import OwnTable, Plan, UplinkPlan
from symroute_nm.rendering import load_templates
from symroute_nm.targets.ifcfg.names import ROUTE, RULE, path_of
from symroute_nm.targets.marks import render_marking

if TYPE_CHECKING:
    from symroute_nm.rendering import Template


def render(plan: Plan, host: Host, kept: Sequence[OwnTable] = ()) -> Dict[str, str]:
    """The text of each block: {absolute path on the host: lines}; no uplinks, no files.

    `kept` are tables of earlier blocks that stay: their names stay with them.
    """
    texts: Dict[str, str] = {}
    if not plan.uplinks:
        return texts
    templates = load_templates("ifcfg", "route", "rule", "rt_tables")
    for planned in plan.uplinks:
        lookup = _lookup(plan, planned)
        for version in VERSIONS:
            texts.update(_render_uplink(templates, planned, version, lookup))
    if texts:
        template = templates["rt_tables"]
        path = FRAGMENT if host.drop_ins else RT_TABLES
        texts[path] = template.render(tables=_named_by_us(plan, kept))
    if plan.marking is not None:
        texts.update(render_marking(plan.marking))
    return texts


def _render_uplink(
    templates: "Mapping[str, Template]",
    planned: UplinkPlan,
    version: int,
    lookup: Mapping[int, str],
) -> Dict[str, str]:
    rules = [rule for rule in planned.rules if rule.version == version]
    routes = [route for route in planned.routes if route.version == version]
    if not rules or planned.uplink.profile is None:
        return {}
    profile = planned.uplink.profile.name
    words = {"link": planned.uplink.link.name, "table": planned.table, "lookup": lookup}
    return {
        path_of(ROUTE, version, profile): templates["route"].render(routes=routes, **words),
        path_of(RULE, version, profile): templates["rule"].render(rules=rules, **words),
    }


def _lookup(plan: Plan, planned: UplinkPlan) -> Dict[int, str]:
    """How lines write the tables that they look up: {id: name or number}."""
    table = planned.table
    return {TABLE_MAIN: "main", table.id: table.name if plan.table_names else str(table.id)}


def _named_by_us(plan: Plan, kept: Sequence[OwnTable]) -> Tuple[OwnTable, ...]:
    """The names that our fragment gives: not those that an administrator's file gives already."""
    planned = {planned.table.name: planned.table for planned in plan.uplinks}
    taken = {table.id for table in planned.values()}
    earlier = {table.name: table for table in kept if table.id not in taken}
    tables = {**earlier, **planned}.values()
    return tuple(sorted(table for table in tables if not table.named))
