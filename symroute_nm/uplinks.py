"""Which links are uplinks, by which gateway and profile, and why the others are not (pure)."""

import re
from fnmatch import fnmatchcase
from itertools import chain
from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from symroute_nm.choices import InterfaceSettings, Settings
from symroute_nm.errors import InputError, Refusal, SymrouteError
from symroute_nm.match import match
from symroute_nm.model import (
    LINK_LOCAL,
    TABLE_MAIN,
    VERSIONS,
    Address,
    Gateway,
    Hop,
    Host,
    IPNetwork,
    Link,
    Profile,
    Route,
    Skip,
    Uplink,
    contains,
    host_network,
)

# What neither a shell's word splitting nor its globbing changes (the dispatcher script does both),
# and no `ip` option.
_SAFE = re.compile(r"(?!-)[A-Za-z0-9_.:@+-]+\Z")
_TWO = 2
EXCLUDED = "excluded"
_IFCFG = "/etc/sysconfig/network-scripts/ifcfg-"


class Survey(NamedTuple):
    """The uplinks of a host, and every other link with the reason."""

    uplinks: Tuple[Uplink, ...]
    skips: Tuple[Skip, ...]


def find_uplinks(host: Host, settings: Settings) -> Survey:
    """All links with global addresses and a gateway in some family; profiles not yet looked at."""
    ways = _Ways(host)
    uplinks: List[Uplink] = []
    skips: List[Skip] = []
    for link in sorted(host.links, key=lambda each: each.name):
        reason = _reason_before(link, ways, settings)
        gateways = () if reason else tuple(_gateways(ways, link, host, settings))
        if gateways:
            addresses = tuple(
                each for each in ways.addresses[link.name]
                if each.version in {gateway.version for gateway in gateways}
            )
            uplinks.append(Uplink(link=link, addresses=addresses, gateways=gateways))
        else:
            skips.append(Skip(link.name, reason or _internal(ways, link)))
    return Survey(tuple(uplinks), tuple(skips))


def pair_families(survey: Survey) -> Survey:
    """The survey without the families that have one uplink only, where nothing is to choose."""
    shared = [
        version for version in VERSIONS
        if _TWO <= sum(1 for each in survey.uplinks if each.gateway(version))
    ]
    kept, skips = [], list(survey.skips)
    for uplink in survey.uplinks:
        gateways = tuple(each for each in uplink.gateways if each.version in shared)
        addresses = tuple(each for each in uplink.addresses if each.version in shared)
        if gateways:
            kept.append(uplink._replace(gateways=gateways, addresses=addresses))
        else:
            families = " and ".join("IPv%d" % each.version for each in uplink.gateways)
            skips.append(Skip(uplink.link.name, "the only uplink in %s" % families))
    return Survey(tuple(kept), tuple(sorted(skips)))


def check_gateways(host: Host, uplinks: Iterable[Uplink]) -> None:
    """Raise `InputError` for a gateway that the link cannot reach, or that is the host itself."""
    ours = {each.ip for each in host.addresses}
    on_link: Dict[str, List[IPNetwork]] = {}
    for route in host.routes:
        if route.table == TABLE_MAIN and route.type == "unicast":
            for hop in route.hops:
                if hop.gateway is None and not route.default:
                    on_link.setdefault(hop.link, []).append(route.destination)
    for address in host.addresses:
        on_link.setdefault(address.link, []).append(address.network)
    for uplink in uplinks:
        for gateway in uplink.gateways:
            _check_gateway(uplink.link.name, gateway, on_link.get(uplink.link.name, []))
            if gateway.address in ours:
                raise InputError(
                    "%s: the gateway %s is an address of this host" % (
                        uplink.link.name, gateway.address),
                    "set gateway in [interface %s]" % uplink.link.name,
                )


def name_profiles(host: Host, settings: Settings, uplinks: Sequence[Uplink]) -> Tuple[Uplink, ...]:
    """The uplinks with their profiles; raises one `Refusal` that tells all that is wrong."""
    named, problems = [], []
    for uplink in uplinks:
        try:
            profile = find_profile(host, settings, uplink.link)
        except SymrouteError as error:
            problems.append(str(error))
        else:
            named.append(uplink._replace(profile=profile))
    taken: Dict[str, str] = {}
    for each in named:
        name = each.profile.name if each.profile else ""
        if name in taken:
            problems.append("%s and %s: both use the profile %s; give each a profile of its own" % (
                taken[name], each.link.name, name))
        taken[name] = each.link.name
    if problems:
        raise Refusal("\n".join(problems))
    return tuple(named)


def find_profile(host: Host, settings: Settings, link: Link) -> Profile:
    """The ifcfg profile whose name the link's files carry; raises `Refusal` with what to do."""
    if not _SAFE.match(link.name):
        raise Refusal("%r: the dispatcher script cannot take this name" % link.name,
                      "rename the link or leave it out (exclude)")
    wished = settings.interface.get(link.name, InterfaceSettings()).profile
    profiles = match(link, host.profiles)
    if wished:
        profiles = tuple(each for each in host.profiles if each.name == wished)
    if not profiles:
        raise Refusal(_no_profile(link, wished), (
            "make an ifcfg profile for it (nmcli connection migrate --plugin ifcfg-rh PROFILE, or "
            "write %s%s), or leave it out with --exclude %s" % (_IFCFG, link.name, link.name)))
    if _TWO <= len(profiles):
        raise Refusal(
            "%s: the profiles %s all fit" % (link.name, ", ".join(each.name for each in profiles)),
            "set profile in [interface %s]" % link.name)
    _check_profile(host, link, profiles[0])
    return profiles[0]


def is_global(address: Address) -> bool:
    """Whether others can ask the host at it: neither link-local, nor of link or host scope."""
    return (
        address.scope == 0
        and not address.ip.is_loopback
        and not contains(LINK_LOCAL[address.version], host_network(address.ip))
    )


class _Ways:
    """What leads out of each link, indexed once."""

    def __init__(self, host: Host) -> None:
        self.addresses: Dict[str, List[Address]] = {}
        for address in sorted(
            host.addresses,
            key=lambda each: (each.version, each.interface, str(each.peer), each.dynamic),
        ):
            if is_global(address):
                self.addresses.setdefault(address.link, []).append(address)
        self.defaults: Dict[Tuple[str, int], List[Tuple[Route, Hop]]] = {}
        self.networks: Dict[str, List[str]] = {}
        for route in host.routes:
            if route.type == "unicast" and (route.default or route.table == TABLE_MAIN):
                self._add(route)
        self.vrfs = {each.name: each for each in host.links if each.kind == "vrf"}
        self.table_names = {each.id: each.name for each in host.tables}

    def _add(self, route: Route) -> None:
        for hop in route.hops:
            if route.default:
                self.defaults.setdefault((hop.link, route.version), []).append((route, hop))
            else:
                self.networks.setdefault(hop.link, []).append(str(route.destination))


def _reason_before(link: Link, ways: _Ways, settings: Settings) -> str:
    """Why the link cannot be an uplink, whatever its routes say; "" if it can."""
    if link.loopback:
        return "loopback"
    return (
        _unwanted(link, settings) or _in_vrf(link, ways)
        or ("" if link.name in ways.addresses else _without_address(link))
    )


def _unwanted(link: Link, settings: Settings) -> str:
    pattern = next((each for each in settings.exclude if fnmatchcase(link.name, each)), "")
    if pattern:
        return "%s (%s)" % (EXCLUDED, pattern)
    asked = not settings.interfaces or any(
        fnmatchcase(link.name, each) for each in settings.interfaces)
    return "" if asked else "not among the interfaces asked for"


def _in_vrf(link: Link, ways: _Ways) -> str:
    if link.kind == "vrf":
        return "VRF device: its table %d is left alone" % link.table
    if link.master in ways.vrfs:
        return "member of VRF %s: its table %d is left alone" % (
            link.master, ways.vrfs[link.master].table)
    return ""


def _without_address(link: Link) -> str:
    if link.master:
        return "port of %s" % link.master
    state = "" if link.carrier else "no carrier, "
    return "%sno global address" % (state if link.up else "down, ")


def _internal(ways: _Ways, link: Link) -> str:
    networks = sorted(ways.networks.get(link.name, ()))
    what = "internal network %s" % ", ".join(networks) if networks else "nothing behind it"
    return "no default route through it: %s" % what


def _gateways(ways: _Ways, link: Link, host: Host, settings: Settings) -> Iterator[Gateway]:
    for version in VERSIONS:
        if any(each.version == version for each in ways.addresses[link.name]):
            gateway = _gateway(ways, link, version, host, settings)
            if gateway:
                yield gateway


def _gateway(
    ways: _Ways, link: Link, version: int, host: Host, settings: Settings
) -> Optional[Gateway]:
    """The first evidence in DESIGN's order: configuration, main, other tables, ifcfg, lease."""
    interface = settings.interface.get(link.name, InterfaceSettings())
    said = (each for each in interface.gateways if each.version == version)
    evidence = chain(
        (Gateway(version, each, "configuration") for each in said),
        _routed(ways, link, version, host),
        (
            Gateway(version, address, "GATEWAY in ifcfg-%s" % profile.name)
            for profile in match(link, host.profiles)
            for address in profile.gateways if address.version == version
        ),
        (
            Gateway(version, lease.gateway, "DHCP lease %s" % lease.path)
            for lease in host.leases
            if lease.link == link.name and lease.gateway.version == version
        ),
    )
    return next(evidence, None)


def _routed(ways: _Ways, link: Link, version: int, host: Host) -> Iterator[Gateway]:
    """Default routes through the link: main's, then those of tables chosen for its addresses."""
    found = sorted(ways.defaults.get((link.name, version), []), key=_by_preference)
    for route, hop in found:
        if route.table == TABLE_MAIN:
            metric = " (metric %d)" % route.metric if route.metric else ""
            yield Gateway(version, hop.gateway, "main's default route" + metric, hop.onlink)
    chosen = _chosen_tables(host, ways, link, version)
    for route, hop in found:
        if route.table in chosen:
            name = ways.table_names.get(route.table, "")
            origin = "table %d%s" % (route.table, " (%s)" % name if name else "")
            yield Gateway(version, hop.gateway, origin, hop.onlink)


def _by_preference(way: Tuple[Route, Hop]) -> Tuple[int, int, int, int, bool]:
    route, hop = way
    gateway = int(hop.gateway) if hop.gateway else 0
    return (route.tos, route.metric, route.table, gateway, hop.onlink)


def _chosen_tables(host: Host, ways: _Ways, link: Link, version: int) -> Tuple[int, ...]:
    """The tables that some rule chooses for this link's own addresses.

    A default in any other table (wg-quick's, a VPN's) is not evidence that the link is an uplink.
    """
    networks = [each.network for each in ways.addresses[link.name]]
    return tuple(
        rule.table
        for rule in host.rules
        if rule.version == version and rule.action == "lookup" and not rule.invert
        and (rule.iif == link.name or (
            rule.source is not None and any(contains(each, rule.source) for each in networks)))
    )


def _check_gateway(link: str, gateway: Gateway, networks: Iterable[IPNetwork]) -> None:
    address = gateway.address
    if address is None or gateway.onlink or address.is_link_local:
        return
    if any(contains(each, host_network(address)) for each in networks):
        return
    if address.version != gateway.version:
        return  # RFC 5549: an IPv4 route by an IPv6 gateway, as main has it
    raise InputError("%s: %s is on no network of %s" % (link, address, link),
                     "set gateway in [interface %s]" % link)


def _no_profile(link: Link, wished: str) -> str:
    if wished:
        return "%s: there is no profile %s%s" % (link.name, _IFCFG, wished)
    return "%s: no ifcfg profile has it, so no file would be applied" % link.name


def _check_profile(host: Host, link: Link, profile: Profile) -> None:
    path = _IFCFG + profile.name
    if not _SAFE.match(profile.name):
        raise Refusal("%s: the dispatcher script cannot take the profile name %r" % (
            link.name, profile.name), "rename the file to ifcfg-%s" % link.name)
    if profile.problem:
        raise Refusal("%s: %s: %s" % (link.name, path, profile.problem), "mend the file")
    if not profile.managed and not host.network_service:
        raise Refusal("%s: %s says NM_CONTROLLED=no and network.service is not enabled, so no "
                      "file would be applied" % (link.name, path), "remove that line")
    if profile.rules:
        raise Refusal("%s: %s has ROUTING_RULE keys, which NetworkManager leaves out as soon as "
                      "a rule file exists" % (link.name, path),
                      "move them to %s" % path.replace("ifcfg-", "rule-"))
