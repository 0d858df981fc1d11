"""What a plan changes about the uplinks of earlier blocks, and why, in few words (pure)."""

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
    found = (
        _read_previous(each, routes.get(each, []), rules.get(each, []))
        for each in sorted({*rules, *routes})
    )
    return tuple(each for each in found if each.table)


def earlier_tables(portraits: Iterable[PreviousUplink]) -> Mapping[str, int]:
    """The id of each profile's table: {profile: id}."""
    return {portrait.profile: portrait.table for portrait in portraits}


def find_uplink_changes(
    earlier: Sequence[PreviousUplink], plan: Plan, host: Host, gone: Iterable[str]
) -> Tuple[UplinkChange, ...]:
    """What is otherwise than before, uplink by uplink; `gone` are profiles that lose their blocks.

    An uplink is known again by its profile, else by its link. Without any earlier block all is new,
    and nothing is said.
    """
    if not earlier:
        return ()
    profiles = {each.profile: each for each in earlier}
    planned = {_profile(planned) for planned in plan.uplinks}
    links = {each.link: each for each in earlier if each.profile not in planned}
    found: List[UplinkChange] = []
    known = set()
    for uplink in plan.uplinks:
        link = uplink.uplink.link.name
        before = profiles.get(_profile(uplink)) or links.get(link)
        if before is None:
            found.append(UplinkChange(link, NEW, "", str(uplink.table.id)))
        else:
            known.add(before.profile)
            found += _compare(before, uplink)
    lost = [each for each in earlier if each.profile in set(gone) - known]
    found += [
        UplinkChange(each.link, GONE, str(each.table), "", _reason(each, plan, host))
        for each in lost
    ]
    return (*_guard(earlier, plan), *found)


def _profile(uplink: UplinkPlan) -> str:
    return uplink.uplink.profile.name if uplink.uplink.profile else ""


def _read_previous(profile: str, routes: Sequence[Route], rules: Sequence[Rule]) -> PreviousUplink:
    links = [*(hop.link for route in routes for hop in route.hops), *(rule.iif for rule in rules)]
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
        one, other = (_of(each, version) for each in (before, after))
        yield from _changed(link, ADDRESS, _senders(one), _senders(other))
        yield from _changed(link, NETWORK, _connected(one), _connected(other))
        yield from _gateway_changed(one, other, uplink, version)
        yield from _beside(one, other)


def _of(portrait: PreviousUplink, version: int) -> PreviousUplink:
    return portrait._replace(
        routes=tuple(route for route in portrait.routes if route.version == version),
        rules=tuple(rule for rule in portrait.rules if rule.version == version),
    )


def _changed(
    link: str, what: str, before: FrozenSet[IPNetwork], after: FrozenSet[IPNetwork]
) -> Iterator[UplinkChange]:
    lost, found = _words(before - after), _words(after - before)
    if lost or found:
        yield UplinkChange(link, what, lost, found)


def _words(networks: Iterable[IPNetwork]) -> str:
    """Networks, addresses without their length."""
    return shorten_list(
        [
            str(network.network_address if network.prefixlen == network.max_prefixlen else network)
            for network in sorted(networks, key=network_key)
        ]
    )


def _senders(portrait: PreviousUplink) -> FrozenSet[IPNetwork]:
    return frozenset(rule.source for rule in portrait.rules if rule.source is not None)


def _connected(portrait: PreviousUplink) -> FrozenSet[IPNetwork]:
    return frozenset(
        route.destination
        for route in portrait.routes
        if route.hops
        and route.hop.gateway is None
        and not route.default
        and not contains(LINK_LOCAL[route.version], route.destination)
    )


def _gateway_changed(
    before: PreviousUplink, after: PreviousUplink, uplink: UplinkPlan, version: int
) -> Iterator[UplinkChange]:
    one, other = _gateway(before), _gateway(after)
    if one != other:
        way = uplink.uplink.gateway(version)
        yield UplinkChange(after.link, GATEWAY, one, other, way.origin if way else "")


def _gateway(portrait: PreviousUplink) -> str:
    """By what the default route leads; "" where there is none."""
    hop = next((route.hop for route in portrait.routes if route.default), None)
    return "" if hop is None else str(hop.gateway or "on the link")


def _beside(before: PreviousUplink, after: PreviousUplink) -> Iterator[UplinkChange]:
    """Networks of others, which the own table has by its gateway, or throws."""
    one, other = (
        {
            (route.destination, route.type)
            for route in portrait.routes
            if not route.default and (route.type == "throw" or route.hop.gateway is not None)
        }
        for portrait in (before, after)
    )
    lost, found = (_words({each for each, _ in some_}) for some_ in (one - other, other - one))
    if lost or found:
        yield UplinkChange(after.link, ROUTES, lost, found)


def _reason(portrait: PreviousUplink, plan: Plan, host: Host) -> str:
    """Why a profile's blocks go."""
    if portrait.profile not in {profile.name for profile in host.profiles}:
        return f"{profile_file_name(portrait.profile)} is gone"
    if portrait.link not in {link.name for link in host.links}:
        return "there is no such link now"
    return next((skip.reason for skip in plan.skips if skip.link == portrait.link), "")


def _guard(earlier: Sequence[PreviousUplink], plan: Plan) -> Iterator[UplinkChange]:
    before = _guard_of(earlier)
    if before and plan.uplinks and before != plan.guard:
        yield UplinkChange("", GUARD, before, plan.guard, plan.guard_reason)


def _guard_of(portraits: Sequence[PreviousUplink]) -> Optional[str]:
    """The guard of earlier blocks, where they show it."""
    if any(
        rule.suppress_prefixlength is not None for portrait in portraits for rule in portrait.rules
    ):
        return "rules"
    if any(route.type == "throw" for portrait in portraits for route in portrait.routes):
        return "throw"
    return None
