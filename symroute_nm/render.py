"""Plan -> {path: text}: the bodies of the blocks that go into each file; the only jinja2 import."""

from pathlib import Path
from typing import Dict, Mapping, Sequence, Tuple

import jinja2

from symroute_nm.model import (
    FRAGMENT,
    NETWORK_SCRIPTS,
    RT_TABLES,
    TABLE_MAIN,
    VERSIONS,
    Host,
    OwnTable,
    Plan,
    UplinkPlan,
)

_SUFFIX = {4: "", 6: "6"}


def render(plan: Plan, host: Host, kept: Sequence[OwnTable] = ()) -> Dict[str, str]:
    """The text of each block: {absolute path on the host: lines}; no uplinks, no files.

    `kept` are tables of earlier blocks that stay: their names stay with them.
    """
    texts: Dict[str, str] = {}
    environment = _environment()
    for each in plan.uplinks:
        lookup = _lookup(plan, each)
        for version in VERSIONS:
            texts.update(_render_uplink(environment, each, version, lookup))
    if texts:
        template = environment.get_template("ifcfg/rt_tables.j2")
        path = FRAGMENT if host.drop_ins else RT_TABLES
        texts[path] = template.render(tables=_named_by_us(plan, kept))
    return texts


def _render_uplink(
    environment: jinja2.Environment, each: UplinkPlan, version: int, lookup: Mapping[int, str]
) -> Dict[str, str]:
    rules = [rule for rule in each.rules if rule.version == version]
    routes = [route for route in each.routes if route.version == version]
    if not rules or each.uplink.profile is None:
        return {}
    route_path, rule_path = (
        "%s/%s%s-%s" % (NETWORK_SCRIPTS, kind, _SUFFIX[version], each.uplink.profile.name)
        for kind in ("route", "rule")
    )
    words = {"link": each.uplink.link.name, "table": each.table, "lookup": lookup}
    return {
        route_path: environment.get_template("ifcfg/route.j2").render(routes=routes, **words),
        rule_path: environment.get_template("ifcfg/rule.j2").render(rules=rules, **words),
    }


def _lookup(plan: Plan, each: UplinkPlan) -> Dict[int, str]:
    named = plan.table_names
    return {
        TABLE_MAIN: "main",
        each.table.id: each.table.name if named else str(each.table.id),
    }


def _named_by_us(plan: Plan, kept: Sequence[OwnTable]) -> Tuple[OwnTable, ...]:
    """The names that our fragment gives: not those that an administrator's file gives already."""
    planned = {each.table.name: each.table for each in plan.uplinks}
    taken = {table.id for table in planned.values()}
    earlier = {each.name: each for each in kept if each.id not in taken}
    tables = [each for each in {**earlier, **planned}.values() if not each.named]
    return tuple(sorted(tables))


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(str(_templates())),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        optimized=False,  # constant folding takes longer than it saves
        autoescape=False,  # noqa: S701  plain text files, no markup
    )


def _templates() -> Path:
    """The installed ``symroute_nm.templates``, or the checkout's folder (editable install)."""
    package = Path(__file__).parent
    installed = package / "templates"
    return installed if installed.is_dir() else package.parent / "templates"
