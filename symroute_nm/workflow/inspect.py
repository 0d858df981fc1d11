"""`inspect`: the host as it is understood."""

from collections import Counter
from pathlib import Path
from typing import FrozenSet, List, NamedTuple, Optional, Set, Tuple

from symroute_nm.errors import SymrouteError
from symroute_nm.model.host import Host
from symroute_nm.model.network import (
    TABLE_DEFAULT,
    TABLE_LOCAL,
    TABLE_MAIN,
    TABLE_UNSPEC,
    Address,
    IPNetwork,
    Route,
    Rule,
)
from symroute_nm.model.ours import our_rules
from symroute_nm.model.plan import Skip, Uplink
from symroute_nm.model.profiles import Profile
from symroute_nm.model.settings import Settings
from symroute_nm.plan.guard import Guard, choose_guard
from symroute_nm.plan.uplinks import find_uplinks
from symroute_nm.readers.host import read_host
from symroute_nm.targets.base import choose_target

_KERNEL_PRIORITIES = {0, 32766, 32767}
_KERNEL_TABLES = {TABLE_UNSPEC, TABLE_DEFAULT, TABLE_MAIN, TABLE_LOCAL}


class InspectedUplink(NamedTuple):
    """An uplink, the profile that is its, or why there is none, and its addresses."""

    uplink: Uplink
    profile: Optional[Profile]
    problem: str  # "" where there is a profile
    present: Tuple[Address, ...]
    awaited: Tuple[Address, ...]  # by the configuration


class InternalNetwork(NamedTuple):
    """A network in main that is not an uplink's."""

    network: IPNetwork
    link: str


class UnnamedTable(NamedTuple):
    """A table that the kernel has and no file names."""

    id: int
    routes: int  # how many
    rules: int


class Inspection(NamedTuple):
    """A host as we understand it."""

    host: Host
    uplinks: Tuple[InspectedUplink, ...]
    internal: Tuple[InternalNetwork, ...]
    skips: Tuple[Skip, ...]
    unnamed: Tuple[UnnamedTable, ...]
    rules: Tuple[Rule, ...]  # besides the kernel's
    our_rules: FrozenSet[Rule]
    guard: Guard


def inspect(root: Path, host_file: Optional[Path], settings: Settings) -> Inspection:
    """This machine, or a snapshot, as we understand it; raises `SymrouteError`."""
    return inspect_host(read_host(root, host_file), settings)


def inspect_host(host: Host, settings: Settings) -> Inspection:
    """The host as we understand it. Raises `InputError`."""
    survey = find_uplinks(host, settings)
    guard = choose_guard(host, settings)
    rules = tuple(rule for rule in host.rules if rule.priority not in _KERNEL_PRIORITIES)
    return Inspection(
        host=host,
        uplinks=tuple(_inspect_uplink(host, settings, uplink) for uplink in survey.uplinks),
        internal=_find_internal(host, {uplink.link.name for uplink in survey.uplinks}),
        skips=survey.skips,
        unnamed=_find_unnamed(host),
        rules=rules,
        our_rules=frozenset(our_rules(host, settings)),
        guard=guard,
    )


def _inspect_uplink(host: Host, settings: Settings, uplink: Uplink) -> InspectedUplink:
    profile: Optional[Profile] = None
    problem = ""
    try:
        profile = choose_target().find_profile(host, settings, uplink.link)
    except SymrouteError as error:
        problem = str(error)
    present = tuple(address for address in uplink.addresses if address in host.addresses)
    awaited = tuple(address for address in uplink.addresses if address not in present)
    return InspectedUplink(uplink, profile, problem, present, awaited)


def _find_internal(host: Host, uplinks: Set[str]) -> Tuple[InternalNetwork, ...]:
    def is_internal(route: Route) -> bool:
        leads_elsewhere = any(hop.link not in uplinks for hop in route.hops)
        return route.table == TABLE_MAIN and not route.default and leads_elsewhere

    found: List[InternalNetwork] = []
    for route in host.routes.select(is_internal):
        links = (hop.link for hop in route.hops if hop.link not in uplinks)
        found += (InternalNetwork(route.destination, link) for link in links)
    return tuple(found)


def _find_unnamed(host: Host) -> Tuple[UnnamedTable, ...]:
    named = {table.id for table in host.tables} | _KERNEL_TABLES
    routes: Counter[int] = Counter()
    for table in host.routes.tables:
        if table.table not in named:
            routes[table.table] += len(table.prefix_keys)
    rules = Counter(rule.table for rule in host.rules if rule.table not in named)
    numbers = sorted({*routes, *rules})
    return tuple(UnnamedTable(number, routes[number], rules[number]) for number in numbers)
