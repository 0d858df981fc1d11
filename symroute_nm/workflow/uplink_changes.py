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
        why = " (%s)" % self.why if self.why else ""
        words = {
            NEW: "%s: new uplink, table %s" % (self.link, self.after),
            GONE: "%s: no uplink any more" % self.link,
            NAME: "%s: was %s" % (self.link, self.before),
            GUARD: "guard by %s -> %s" % (self.before, self.after),
        }
        return words.get(self.what, "%s: %s" % (self.link, self._passage())) + why

    def _passage(self) -> str:
        if self.what == ROUTES:
            words = ["now has %s" % self.after] if self.after else []
            words += ["no longer has %s" % self.before] if self.before else []
            return "its table %s" % " and ".join(words)
        if not self.before:
            return "new %s %s" % (self.what, self.after)
        if not self.after:
            return "%s %s is gone" % (self.what, self.before)
        return "%s %s -> %s" % (self.what, self.before, self.after)


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
    found = (_read_previous(each, routes.get(each, []), rules.get(each, []))
             for each in sorted({*rules, *routes}))
    return tuple(each for each in found if each.table)


def earlier_tables(portraits: Iterable[PreviousUplink]) -> Mapping[str, int]:
    """The id of each profile's table: {profile: id}."""
    return {each.profile: each.table for each in portraits}


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
    planned = {_profile(each) for each in plan.uplinks}
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
    found += [UplinkChange(each.link, GONE, str(each.table), "", _reason(each, plan, host))
              for each in lost]
    return (*_guard(earlier, plan), *found)


def _profile(uplink: UplinkPlan) -> str:
    return uplink.uplink.profile.name if uplink.uplink.profile else ""


def _read_previous(profile: str, routes: Sequence[Route], rules: Sequence[Rule]) -> PreviousUplink:
    links = [*(hop.link for each in routes for hop in each.hops), *(each.iif for each in rules)]
    tables = [*(each.table for each in routes), *(each.table for each in rules)]
    return PreviousUplink(
        profile, next(filter(None, links), profile),
        next((each for each in tables if each != TABLE_MAIN), 0), tuple(routes), tuple(rules))


def _compare(before: PreviousUplink, uplink: UplinkPlan) -> Iterator[UplinkChange]:
    after = PreviousUplink(_profile(uplink), uplink.uplink.link.name, uplink.table.id,
                     uplink.routes, uplink.rules)
    link = after.link
    if before.link != link:
        profile = uplink.uplink.profile
        bound = profile is not None and profile.hwaddr
        why = "same HWADDR" if bound else "same profile ifcfg-%s" % after.profile
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
        routes=tuple(each for each in portrait.routes if each.version == version),
        rules=tuple(each for each in portrait.rules if each.version == version))


def _changed(
    link: str, what: str, before: FrozenSet[IPNetwork], after: FrozenSet[IPNetwork]
) -> Iterator[UplinkChange]:
    lost, found = _words(before - after), _words(after - before)
    if lost or found:
        yield UplinkChange(link, what, lost, found)


def _words(networks: Iterable[IPNetwork]) -> str:
    """Networks, addresses without their length."""
    return shorten_list([
        str(each.network_address if each.prefixlen == each.max_prefixlen else each)
        for each in sorted(networks, key=network_key)])


def _senders(portrait: PreviousUplink) -> FrozenSet[IPNetwork]:
    return frozenset(each.source for each in portrait.rules if each.source is not None)


def _connected(portrait: PreviousUplink) -> FrozenSet[IPNetwork]:
    return frozenset(
        each.destination for each in portrait.routes
        if each.hops and each.hop.gateway is None and not each.default
        and not contains(LINK_LOCAL[each.version], each.destination))


def _gateway_changed(
    before: PreviousUplink, after: PreviousUplink, uplink: UplinkPlan, version: int
) -> Iterator[UplinkChange]:
    one, other = _gateway(before), _gateway(after)
    if one != other:
        way = uplink.uplink.gateway(version)
        yield UplinkChange(after.link, GATEWAY, one, other, way.origin if way else "")


def _gateway(portrait: PreviousUplink) -> str:
    """By what the default route leads; "" where there is none."""
    hop = next((each.hop for each in portrait.routes if each.default), None)
    return "" if hop is None else str(hop.gateway or "on the link")


def _beside(before: PreviousUplink, after: PreviousUplink) -> Iterator[UplinkChange]:
    """Networks of others, which the own table has by its gateway, or throws."""
    one, other = (
        {(each.destination, each.type) for each in portrait.routes
         if not each.default and (each.type == "throw" or each.hop.gateway is not None)}
        for portrait in (before, after))
    lost, found = (_words({each for each, _ in some_}) for some_ in (one - other, other - one))
    if lost or found:
        yield UplinkChange(after.link, ROUTES, lost, found)


def _reason(portrait: PreviousUplink, plan: Plan, host: Host) -> str:
    """Why a profile's blocks go."""
    if portrait.profile not in {each.name for each in host.profiles}:
        return "ifcfg-%s is gone" % portrait.profile
    if portrait.link not in {each.name for each in host.links}:
        return "there is no such link now"
    return next((each.reason for each in plan.skips if each.link == portrait.link), "")


def _guard(earlier: Sequence[PreviousUplink], plan: Plan) -> Iterator[UplinkChange]:
    before = _guard_of(earlier)
    if before and plan.uplinks and before != plan.guard:
        yield UplinkChange("", GUARD, before, plan.guard, plan.guard_reason)


def _guard_of(portraits: Sequence[PreviousUplink]) -> Optional[str]:
    """The guard of earlier blocks, where they show it."""
    if any(rule.suppress_prefixlength is not None for each in portraits for rule in each.rules):
        return "rules"
    if any(route.type == "throw" for each in portraits for route in each.routes):
        return "throw"
    return None
