"""What `inspect`, `diagnose`, `snapshot` and `explain` find out; they change nothing."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, NamedTuple, Optional

from symroute_nm.errors import SymrouteError
from symroute_nm.model.host import Host
from symroute_nm.model.iproute2 import format_rule
from symroute_nm.model.network import TABLE_DEFAULT, TABLE_LOCAL, TABLE_MAIN, TABLE_UNSPEC
from symroute_nm.model.ours import our_rules
from symroute_nm.model.plan import Uplink
from symroute_nm.model.profiles import Profile
from symroute_nm.model.route_set import pack
from symroute_nm.model.settings import Settings
from symroute_nm.plan.guard import choose_guard
from symroute_nm.plan.uplinks import Survey, find_uplinks
from symroute_nm.readers.host import read_host
from symroute_nm.targets.base import choose_target

if TYPE_CHECKING:
    from symroute_nm.diagnosis.diagnose import Diagnosis
    from symroute_nm.diagnosis.explain import Explanation


class Question(NamedTuple):
    """A packet as the command line names it, and whether it is asked of the plan."""

    source: str
    destination: str
    iif: str = ""
    mark: str = "0"
    planned: bool = False


def diagnose(root: Path, host_file: Optional[Path], settings: Settings) -> "Diagnosis":
    """How the addresses fare, and why; raises `SymrouteError`."""
    from symroute_nm.diagnosis import diagnose

    host = read_host(root, host_file, probe=False, evidence=True)
    return diagnose.diagnose(host, settings)


def take_snapshot(root: Path) -> Iterator[str]:
    """This host as JSON, piece by piece; raises `SymrouteError`."""
    from symroute_nm.readers.snapshot import dump_parts

    return dump_parts(read_host(root, None, evidence=True))


def explain(
    root: Path, host_file: Optional[Path], settings: Settings, question: Question
) -> "Explanation":
    """The packet's walk through rules and tables; raises `SymrouteError`."""
    from symroute_nm.diagnosis import explain
    from symroute_nm.plan.planner import make_plan
    from symroute_nm.targets.base import choose_target

    host = read_host(root, host_file, probe=question.planned and settings.guard == "auto")
    packet = explain.parse_packet(
        host, question.source, question.destination, question.iif, question.mark
    )
    plan = make_plan(host, settings, choose_target().bind) if question.planned else None
    return explain.explain(host, settings, packet, plan)


_KERNEL_PRIORITIES = {0, 32766, 32767}
_KERNEL_TABLES = {TABLE_UNSPEC, TABLE_DEFAULT, TABLE_MAIN, TABLE_LOCAL}


def inspection(host: Host, settings: Settings) -> Dict[str, Any]:
    """The host as we understand it: {"uplinks": […], "skipped": […], "guard": {…}, …}."""
    survey = find_uplinks(host, settings)
    guard = choose_guard(host, settings)
    ours = our_rules(host, settings)
    return {
        "uplinks": [_uplink(host, settings, uplink) for uplink in survey.uplinks],
        "internal": _internal(host, survey),
        "skipped": [{"link": skip.link, "reason": skip.reason} for skip in survey.skips],
        "tables": [table._asdict() for table in host.tables],
        "unnamed": _unnamed(host),
        "rules": [
            {
                "version": rule.version,
                "priority": rule.priority,
                "rule": format_rule(rule),
                "ours": rule in ours,
            }
            for rule in host.rules
            if rule.priority not in _KERNEL_PRIORITIES
        ],
        "guard": {"name": guard.name, "reason": guard.reason, "suppress": host.suppress},
        "dispatcher": host.dispatcher or None,
        "network_service": host.network_service,
        "forwarding": list(host.forwarding),
        "kernel": host.kernel,
    }


def _unnamed(host: Host) -> List[Dict[str, int]]:
    """The tables that the kernel has and no file names: [{"id", "routes", "rules"}]."""
    named = {table.id for table in host.tables} | _KERNEL_TABLES
    routes: Counter[int] = Counter()
    for table in pack(host.routes).tables:
        if table.table not in named:
            routes[table.table] += len(table.prefix_keys)
    rules = Counter(rule.table for rule in host.rules if rule.table not in named)
    return [
        {"id": each, "routes": routes[each], "rules": rules[each]}
        for each in sorted({*routes, *rules})
    ]


def _uplink(host: Host, settings: Settings, uplink: Uplink) -> Dict[str, Any]:
    profile: Optional[Profile] = None
    problem = ""
    try:
        profile = choose_target().find_profile(host, settings, uplink.link)
    except SymrouteError as error:
        problem = str(error)
    present = [address for address in uplink.addresses if address in host.addresses]
    return {
        "link": uplink.link.name,
        "profile": profile.name if profile else None,
        "problem": problem,
        "addresses": [str(each.interface) for each in present],
        "dynamic": [str(each.interface) for each in present if each.dynamic],
        "awaited": [str(address.ip) for address in uplink.addresses if address not in present],
        "networks": sorted({str(each.network) for each in present}),
        "gateways": _gateways(uplink),
    }


def _gateways(uplink: Uplink) -> List[Dict[str, Any]]:
    return [
        {
            "version": gateway.version,
            "address": str(gateway.address) if gateway.address else None,
            "origin": gateway.origin,
        }
        for gateway in uplink.gateways
    ]


def _internal(host: Host, survey: Survey) -> List[Dict[str, str]]:
    uplinks = {uplink.link.name for uplink in survey.uplinks}
    return [
        {"network": str(route.destination), "link": hop.link}
        for route in pack(host.routes).select(
            lambda route: (
                route.table == TABLE_MAIN
                and not route.default
                and any(hop.link not in uplinks for hop in route.hops)
            )
        )
        for hop in route.hops
        if hop.link not in uplinks
    ]
