"""Which links are uplinks, by which gateway, and why the others are not (pure)."""

from fnmatch import fnmatchcase
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from symroute_nm.errors import Refusal
from symroute_nm.model.host import Host
from symroute_nm.model.iproute2 import MOST_SHOWN, shorten_list
from symroute_nm.model.network import VERSIONS, IPAddress, Link
from symroute_nm.model.plan import EXCLUDED, Skip, Uplink
from symroute_nm.model.prefixes import network_at
from symroute_nm.model.settings import Settings
from symroute_nm.plan.floating_addresses import add_floating_addresses
from symroute_nm.plan.gateways import DefaultRoutes, find_gateways

_TWO = 2


class Survey(NamedTuple):
    """The uplinks of a host, and every other link with the reason."""

    uplinks: Tuple[Uplink, ...]
    skips: Tuple[Skip, ...]


def find_uplinks(host: Host, settings: Settings) -> Survey:
    """All links with global addresses and a gateway in some family; profiles not yet looked at.

    With the addresses that the configuration awaits; raises `InputError` for a wrong one.
    """
    ways = DefaultRoutes(host, settings)
    uplinks: List[Uplink] = []
    skips: List[Skip] = []
    for link in sorted(host.links, key=lambda each: each.name):
        skip = _find_skip(link, ways, settings)
        gateways = () if skip else tuple(find_gateways(ways, link, host, settings))
        if gateways:
            addresses = tuple(
                each for each in ways.addresses[link.name]
                if each.version in {gateway.version for gateway in gateways}
            )
            uplinks.append(Uplink(link=link, addresses=addresses, gateways=gateways))
        else:
            skips.append(skip or Skip(link.name, _internal(ways, link)))
    return Survey(add_floating_addresses(host, settings, uplinks), tuple(skips))


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


def check_addresses(uplinks: Sequence[Uplink]) -> None:
    """Raise `Refusal` for an address on two uplinks: a rule for it can lead to one of them only."""
    links: Dict[IPAddress, str] = {}
    for uplink in uplinks:
        for ip in dict.fromkeys(each.ip for each in uplink.addresses):
            if ip in links:
                raise Refusal(
                    "%s is an address of %s and of %s, so it does not tell by which of them a "
                    "request came" % (ip, links[ip], uplink.link.name),
                    "take it off one of them, or leave one out (--exclude %s)" % uplink.link.name)
            links[ip] = uplink.link.name


def _find_skip(link: Link, ways: DefaultRoutes, settings: Settings) -> Optional[Skip]:
    """Why the link cannot be an uplink, whatever its routes say; None if it can."""
    if link.loopback:
        return Skip(link.name, "loopback")
    excluding = [pattern for pattern in settings.exclude if fnmatchcase(link.name, pattern)]
    if excluding:
        return Skip(link.name, f"excluded ({excluding[0]})", EXCLUDED)
    asked = [pattern for pattern in settings.interfaces if fnmatchcase(link.name, pattern)]
    if settings.interfaces and not asked:
        return Skip(link.name, "not among the interfaces asked for")
    reason = _in_vrf(link, ways)
    if not reason and link.name not in ways.addresses:
        reason = _without_address(link)
    return Skip(link.name, reason) if reason else None


def _in_vrf(link: Link, ways: DefaultRoutes) -> str:
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


def _internal(ways: DefaultRoutes, link: Link) -> str:
    if not link.up:
        return "down: no default route through it now"
    found = ways.inward(link.name)
    networks = shorten_list([str(network_at(*each)) for each in found[:MOST_SHOWN]], len(found))
    what = "internal network %s" % networks if networks else "nothing behind it"
    return "no default route through it: %s" % what
