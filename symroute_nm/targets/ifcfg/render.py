"""Plan -> {path: text}: the bodies of the blocks that go into each file."""

from typing import TYPE_CHECKING, Dict, Mapping, Sequence, Tuple

from symroute_nm.model.host import Host
from symroute_nm.model.network import TABLE_MAIN, VERSIONS
from symroute_nm.model.places import FRAGMENT, NETWORK_SCRIPTS, RT_TABLES
from symroute_nm.model.plan import OwnTable, Plan, UplinkPlan
from symroute_nm.rendering import load_templates
from symroute_nm.targets.marks import _render_marking

if TYPE_CHECKING:
    from symroute_nm.rendering import Template


_SUFFIX = {4: "", 6: "6"}


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
        texts.update(_render_marking(plan.marking))
    return texts


def _render_uplink(
    templates: "Mapping[str, Template]", each: UplinkPlan, version: int, lookup: Mapping[int, str]
) -> Dict[str, str]:
    rules = [rule for rule in each.rules if rule.version == version]
    routes = [route for route in each.routes if route.version == version]
    if not rules or each.uplink.profile is None:
        return {}
    route_path, rule_path = (
        f"{NETWORK_SCRIPTS}/{kind}{_SUFFIX[version]}-{each.uplink.profile.name}"
        for kind in ("route", "rule")
    )
    words = {"link": each.uplink.link.name, "table": each.table, "lookup": lookup}
    return {
        route_path: templates["route"].render(routes=routes, **words),
        rule_path: templates["rule"].render(rules=rules, **words),
    }


def _lookup(plan: Plan, each: UplinkPlan) -> Dict[int, str]:
    named = plan.table_names
    return {
        TABLE_MAIN: "main",
        each.table.id: each.table.name if named else str(each.table.id),
    }


def _named_by_us(plan: Plan, kept: Sequence[OwnTable]) -> Tuple[OwnTable, ...]:
    """The names that our fragment gives: not those that an administrator's file gives already."""
    planned = {planned.table.name: planned.table for planned in plan.uplinks}
    taken = {table.id for table in planned.values()}
    earlier = {each.name: each for each in kept if each.id not in taken}
    tables = [each for each in {**earlier, **planned}.values() if not each.named]
    return tuple(sorted(tables))
