"""What a plan changes about the uplinks of earlier blocks, and why, in few words."""

from itertools import chain
from typing import (
    Dict,
    FrozenSet,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
)

from symroute_nm.model.host import Host
from symroute_nm.model.iproute2 import shorten_list
from symroute_nm.model.listing import Listing
from symroute_nm.model.network import (
    LINK_LOCAL,
    TABLE_MAIN,
    VERSIONS,
    IPNetwork,
    Route,
    Rule,
    contains,
    network_key,
)
from symroute_nm.model.plan import Plan, UplinkPlan
from symroute_nm.model.profiles import profile_file_name

NEW, GONE, GUARD = "uplink", "gone", "guard"
NAME, PROFILE, TABLE, GATEWAY, ROUTES = "name", "profile", "table", "gateway", "routes"
ADDRESS, NETWORK = "address", "network"


class UplinkChange(NamedTuple):
    """One thing that is otherwise than in the earlier blocks; "" where there was, or is, none."""

    link: str
    what: str  # uplink gone name profile table address network gateway routes guard
    before: str
    after: str
    why: str = ""

    @property
    def text(self) -> str:
        """For people, e.g. ``eth1: address 10.0.5.5 -> 10.0.7.5``."""
        why = f" ({self.why})" if self.why else ""
        words = {
            NEW: f"{self.link}: new uplink, table {self.after}",
            GONE: f"{self.link}: no uplink any more",
            NAME: f"{self.link}: was {self.before}",
            GUARD: f"guard by {self.before} -> {self.after}",
        }
        return words.get(self.what, f"{self.link}: {self._passage()}") + why

    def _passage(self) -> str:
        if self.what == ROUTES:
            words = [f"now has {self.after}"] if self.after else []
            words += [f"no longer has {self.before}"] if self.before else []
            return f"its table {' and '.join(words)}"
        if not self.before:
            return f"new {self.what} {self.after}"
        if not self.after:
            return f"{self.what} {self.before} is gone"
        return f"{self.what} {self.before} -> {self.after}"


class PreviousUplink(NamedTuple):
    """One uplink, as its routes and rules show it."""

    profile: str
    link: str
    table: int
    routes: Tuple[Route, ...]
    rules: Tuple[Rule, ...]


def read_previous_uplinks(listing: Listing) -> Tuple[PreviousUplink, ...]:
    """The uplinks of earlier blocks; a block without anything that is understood shows none."""
    rules: Dict[str, List[Rule]] = {}
    routes: Dict[str, List[Route]] = {}
    for rule in listing.rules:
        rules.setdefault(rule.profile, []).append(rule.rule)
    for route in listing.routes:
        routes.setdefault(route.profile, []).append(route.route)
    uplinks = (
        _read_previous(profile, routes.get(profile, []), rules.get(profile, []))
        for profile in sorted({*rules, *routes})
    )
    return tuple(uplink for uplink in uplinks if uplink.table)


def earlier_tables(uplinks: Iterable[PreviousUplink]) -> Mapping[str, int]:
    """The id of each profile's table: {profile: id}."""
    return {uplink.profile: uplink.table for uplink in uplinks}


def find_uplink_changes(
    earlier: Sequence[PreviousUplink], plan: Plan, host: Host, gone: Iterable[str]
) -> Tuple[UplinkChange, ...]:
    """What is otherwise than before, uplink by uplink; `gone` are profiles that lose their blocks.

    An uplink is known again by its profile, else by its link. Without any earlier block all is new,
    and nothing is said.
    """
    if not earlier:
        return ()
    by_profile = {uplink.profile: uplink for uplink in earlier}
    planned = {_profile(uplink_plan) for uplink_plan in plan.uplinks}
    by_link = {uplink.link: uplink for uplink in earlier if uplink.profile not in planned}
    changes: List[UplinkChange] = []
    known = set()
    for uplink_plan in plan.uplinks:
        link = uplink_plan.uplink.link.name
        before = by_profile.get(_profile(uplink_plan)) or by_link.get(link)
        if before is None:
            changes.append(UplinkChange(link, NEW, "", str(uplink_plan.table.id)))
        else:
            known.add(before.profile)
            changes += _compare(before, uplink_plan)
    lost = set(gone) - known
    for previous in earlier:
        if previous.profile in lost:
            why = _reason(previous, plan, host)
            changes.append(UplinkChange(previous.link, GONE, str(previous.table), "", why))
    return (*_guard(earlier, plan), *changes)


def _profile(uplink: UplinkPlan) -> str:
    return uplink.uplink.profile.name if uplink.uplink.profile else ""


def _read_previous(profile: str, routes: Sequence[Route], rules: Sequence[Rule]) -> PreviousUplink:
    hops = chain.from_iterable(route.hops for route in routes)
    links = [*(hop.link for hop in hops), *(rule.iif for rule in rules)]
    tables = [*(route.table for route in routes), *(rule.table for rule in rules)]
    return PreviousUplink(
        profile,
        next(filter(None, links), profile),
        next((table for table in tables if table != TABLE_MAIN), 0),
        tuple(routes),
        tuple(rules),
    )


def _compare(before: PreviousUplink, uplink: UplinkPlan) -> Iterator[UplinkChange]:
    after = PreviousUplink(
        _profile(uplink), uplink.uplink.link.name, uplink.table.id, uplink.routes, uplink.rules
    )
    link = after.link
    if before.link != link:
        profile = uplink.uplink.profile
        bound = profile is not None and profile.hwaddr
        why = "same HWADDR" if bound else f"same profile {profile_file_name(after.profile)}"
        yield UplinkChange(link, NAME, before.link, link, why)
    if before.profile != after.profile:
        yield UplinkChange(link, PROFILE, before.profile, after.profile)
    if before.table != after.table:
        yield UplinkChange(link, TABLE, str(before.table), str(after.table))
    for version in VERSIONS:
        was, will_be = _of(before, version), _of(after, version)
        yield from _changed(link, ADDRESS, _senders(was), _senders(will_be))
        yield from _changed(link, NETWORK, _connected(was), _connected(will_be))
        yield from _gateway_changed(was, will_be, uplink, version)
        yield from _other_networks_changed(was, will_be)


def _of(uplink: PreviousUplink, version: int) -> PreviousUplink:
    return uplink._replace(
        routes=tuple(route for route in uplink.routes if route.version == version),
        rules=tuple(rule for rule in uplink.rules if rule.version == version),
    )


def _changed(
    link: str, what: str, before: FrozenSet[IPNetwork], after: FrozenSet[IPNetwork]
) -> Iterator[UplinkChange]:
    lost, gained = _words(before - after), _words(after - before)
    if lost or gained:
        yield UplinkChange(link, what, lost, gained)


def _words(networks: Iterable[IPNetwork]) -> str:
    """Networks, addresses without their length."""
    return shorten_list(
        [
            str(network.network_address if network.prefixlen == network.max_prefixlen else network)
            for network in sorted(networks, key=network_key)
        ]
    )


def _senders(uplink: PreviousUplink) -> FrozenSet[IPNetwork]:
    return frozenset(rule.source for rule in uplink.rules if rule.source is not None)


def _connected(uplink: PreviousUplink) -> FrozenSet[IPNetwork]:
    return frozenset(
        route.destination
        for route in uplink.routes
        if route.hops
        and route.hop.gateway is None
        and not route.default
        and not contains(LINK_LOCAL[route.version], route.destination)
    )


def _gateway_changed(
    before: PreviousUplink, after: PreviousUplink, uplink: UplinkPlan, version: int
) -> Iterator[UplinkChange]:
    was, will_be = _gateway(before), _gateway(after)
    if was != will_be:
        gateway = uplink.uplink.gateway(version)
        origin = gateway.origin if gateway else ""
        yield UplinkChange(after.link, GATEWAY, was, will_be, origin)


def _gateway(uplink: PreviousUplink) -> str:
    """By what the default route leads; "" where there is none."""
    hop = next((route.hop for route in uplink.routes if route.default), None)
    return "" if hop is None else str(hop.gateway or "on the link")


def _other_networks_changed(
    before: PreviousUplink, after: PreviousUplink
) -> Iterator[UplinkChange]:
    was, will_be = _other_networks(before), _other_networks(after)
    lost = _words({network for network, _ in was - will_be})
    gained = _words({network for network, _ in will_be - was})
    if lost or gained:
        yield UplinkChange(after.link, ROUTES, lost, gained)


def _other_networks(uplink: PreviousUplink) -> Set[Tuple[IPNetwork, str]]:
    """Networks of others, which the own table has by its gateway, or throws, and the type."""
    return {
        (route.destination, route.type)
        for route in uplink.routes
        if not route.default and (route.type == "throw" or route.hop.gateway is not None)
    }


def _reason(uplink: PreviousUplink, plan: Plan, host: Host) -> str:
    """Why a profile's blocks go."""
    if uplink.profile not in {profile.name for profile in host.profiles}:
        return f"{profile_file_name(uplink.profile)} is gone"
    if uplink.link not in {link.name for link in host.links}:
        return "there is no such link now"
    return next((skip.reason for skip in plan.skips if skip.link == uplink.link), "")


def _guard(earlier: Sequence[PreviousUplink], plan: Plan) -> Iterator[UplinkChange]:
    before = _guard_of(earlier)
    if before and plan.uplinks and before != plan.guard:
        yield UplinkChange("", GUARD, before, plan.guard, plan.guard_reason)


def _guard_of(uplinks: Sequence[PreviousUplink]) -> Optional[str]:
    """The guard of earlier blocks, where they show it."""
    for uplink in uplinks:
        if any(rule.suppress_prefixlength is not None for rule in uplink.rules):
            return "rules"
    for uplink in uplinks:
        if any(route.type == "throw" for route in uplink.routes):
            return "throw"
    return None
