"""The host as `inspect` understands it: tables for people, JSON for programs."""

from typing import Any, Dict, List, NamedTuple, Sequence, Tuple, Union

from symroute_nm.model.iproute2 import format_rule
from symroute_nm.report.links import gateways_json, group_skips, skips_json
from symroute_nm.workflow.inspect import InspectedUplink, Inspection

_MOST_NETWORKS = 8  # of a link, that are shown to people


Cell = Union[str, List[str]]  # plain text: a line, or several


class Table(NamedTuple):
    """A table for people."""

    title: str
    columns: Tuple[str, ...]
    rows: Sequence[Tuple[Cell, ...]]


def as_json(inspection: Inspection) -> Dict[str, Any]:
    """{"uplinks": […], "skipped": […], "guard": {…}, …}."""
    host = inspection.host
    return {
        "uplinks": [_uplink_json(uplink) for uplink in inspection.uplinks],
        "internal": [
            {"network": str(internal.network), "link": internal.link}
            for internal in inspection.internal
        ],
        "skipped": skips_json(inspection.skips),
        "tables": [table._asdict() for table in host.tables],
        "unnamed": [table._asdict() for table in inspection.unnamed],
        "rules": [
            {
                "version": rule.version,
                "priority": rule.priority,
                "rule": format_rule(rule),
                "ours": rule in inspection.our_rules,
            }
            for rule in inspection.rules
        ],
        "guard": {
            "name": inspection.guard.name,
            "reason": inspection.guard.reason,
            "suppress": host.suppress,
        },
        "dispatcher": host.dispatcher or None,
        "network_service": host.network_service,
        "forwarding": list(host.forwarding),
        "kernel": host.kernel,
    }


def _uplink_json(inspected: InspectedUplink) -> Dict[str, Any]:
    present = inspected.present
    return {
        "link": inspected.uplink.link.name,
        "profile": inspected.profile.name if inspected.profile else None,
        "problem": inspected.problem,
        "addresses": [str(address.interface) for address in present],
        "dynamic": [str(address.interface) for address in present if address.dynamic],
        "awaited": [str(address.ip) for address in inspected.awaited],
        "networks": sorted({str(address.network) for address in present}),
        "gateways": gateways_json(inspected.uplink),
    }


def tables(inspection: Inspection) -> List[Table]:
    """The inspection as tables for people; `lines` is the rest of it."""
    rules = [
        (
            str(rule.version),
            str(rule.priority),
            format_rule(rule),
            "yes" if rule in inspection.our_rules else "no",
        )
        for rule in inspection.rules
    ]
    named = [(str(table.id), table.name, table.path) for table in inspection.host.tables]
    unnamed = [
        (str(table.id), "", f"no name: {table.routes} routes, {table.rules} rules in the kernel")
        for table in inspection.unnamed
    ]
    return [
        Table(
            "Uplinks",
            ("uplink", "profile", "addresses", "ways out"),
            [_uplink_row(uplink) for uplink in inspection.uplinks],
        ),
        Table("Internal networks", ("network", "by"), _internal_rows(inspection)),
        Table(
            "Other links",
            ("link", "why it gets no table of its own"),
            group_skips(inspection.skips),
        ),
        Table("Rules besides the kernel's", ("IP", "priority", "rule", "ours"), rules),
        Table("Tables", ("id", "name", "from"), [*named, *unnamed]),
    ]


def lines(inspection: Inspection) -> List[str]:
    """What is said below the tables."""
    host, guard = inspection.host, inspection.guard
    script = host.dispatcher or "not found: rule files would not be applied"
    if host.network_service:
        script += " (network.service is enabled and applies the files, too)"
    return [f"guard: {guard.name} ({guard.reason})", f"dispatcher script: {script}"]


def _uplink_row(inspected: InspectedUplink) -> Tuple[Cell, ...]:
    addresses = [str(address.interface) for address in inspected.present]
    addresses += [f"{address.ip} (awaited)" for address in inspected.awaited]
    gateways = [
        f"{gateway.address or 'on the link'}: {gateway.origin}"
        for gateway in inspected.uplink.gateways
    ]
    return (
        inspected.uplink.link.name,
        inspected.profile.name if inspected.profile else f"none: {inspected.problem}",
        addresses,
        gateways,
    )


def _internal_rows(inspection: Inspection) -> List[Tuple[str, ...]]:
    """Each link's first networks, and how many more: a node's bridge has thousands."""
    by_link: Dict[str, List[str]] = {}
    for internal in inspection.internal:
        by_link.setdefault(internal.link, []).append(str(internal.network))
    rows: List[Tuple[str, ...]] = []
    for link, networks in by_link.items():
        name = link or "no link"
        rows += [(network, name) for network in networks[:_MOST_NETWORKS]]
        if len(networks) > _MOST_NETWORKS:
            rows.append((f"and {len(networks) - _MOST_NETWORKS} more (--json has all)", name))
    return rows
