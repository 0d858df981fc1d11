"""Which links are uplinks, by which gateway, and why the others are not."""

from fnmatch import fnmatchcase
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from symroute_nm.errors import Refusal
from symroute_nm.model.host import Host
from symroute_nm.model.iproute2 import MOST_SHOWN, shorten_list
from symroute_nm.model.network import VERSIONS, IPAddress, Link
from symroute_nm.model.plan import EXCLUDED, NO_WAY_OUT, Skip, Uplink
from symroute_nm.model.prefixes import network_of_key
from symroute_nm.model.settings import Settings
from symroute_nm.plan.floating_addresses import add_floating_addresses
from symroute_nm.plan.gateways import DefaultRoutes, find_gateways


class Survey(NamedTuple):
    """The uplinks of a host, and every other link with the reason."""

    uplinks: Tuple[Uplink, ...]
    skips: Tuple[Skip, ...]


def find_uplinks(host: Host, settings: Settings) -> Survey:
    """All links with global addresses and a gateway in some family; profiles not yet looked at.

    With the floating addresses of the configuration; raises `InputError` for a wrong one.
    """
    defaults = DefaultRoutes(host, settings)
    uplinks: List[Uplink] = []
    skips: List[Skip] = []
    for link in sorted(host.links, key=lambda link: link.name):
        skip = _find_skip(link, defaults, settings)
        gateways = () if skip else tuple(find_gateways(defaults, link, host, settings))
        if gateways:
            versions = {gateway.version for gateway in gateways}
            addresses = tuple(
                address for address in defaults.addresses[link.name] if address.version in versions
            )
            uplinks.append(Uplink(link=link, addresses=addresses, gateways=gateways))
        else:
            skips.append(skip or Skip(link.name, _describe_inside(defaults, link), NO_WAY_OUT))
    return Survey(add_floating_addresses(host, settings, uplinks), tuple(skips))


def pair_families(survey: Survey) -> Survey:
    """The survey without the families that have one uplink only, where nothing is to choose."""
    shared = [
        version
        for version in VERSIONS
        if len([uplink for uplink in survey.uplinks if uplink.gateway(version)]) > 1
    ]
    kept, skips = [], list(survey.skips)
    for uplink in survey.uplinks:
        gateways = tuple(gateway for gateway in uplink.gateways if gateway.version in shared)
        addresses = tuple(address for address in uplink.addresses if address.version in shared)
        if gateways:
            kept.append(uplink._replace(gateways=gateways, addresses=addresses))
        else:
            families = " and ".join(f"IPv{gateway.version}" for gateway in uplink.gateways)
            skips.append(Skip(uplink.link.name, f"the only uplink in {families}"))
    return Survey(tuple(kept), tuple(sorted(skips)))


def check_addresses(uplinks: Sequence[Uplink]) -> None:
    """Raise `Refusal` for an address on two uplinks: a rule for it can lead to one of them only."""
    links: Dict[IPAddress, str] = {}
    for uplink in uplinks:
        for ip in dict.fromkeys(address.ip for address in uplink.addresses):
            if ip in links:
                raise Refusal(
                    f"{ip} is an address of {links[ip]} and of {uplink.link.name}, so it "
                    "does not tell by which of them a request came",
                    f"take it off one of them, or leave one out (--exclude {uplink.link.name})",
                )
            links[ip] = uplink.link.name


def _find_skip(link: Link, defaults: DefaultRoutes, settings: Settings) -> Optional[Skip]:
    """Why the link cannot be an uplink, whatever its routes say; None if it can."""
    if link.loopback:
        return Skip(link.name, "loopback")
    excluding = [pattern for pattern in settings.exclude if fnmatchcase(link.name, pattern)]
    if excluding:
        return Skip(link.name, f"excluded ({excluding[0]})", EXCLUDED)
    matching = [pattern for pattern in settings.interfaces if fnmatchcase(link.name, pattern)]
    if settings.interfaces and not matching:
        return Skip(link.name, "not among the interfaces asked for")
    reason = _in_vrf(link, defaults)
    if not reason and link.name not in defaults.addresses:
        reason = _without_address(link)
    return Skip(link.name, reason) if reason else None


def _in_vrf(link: Link, defaults: DefaultRoutes) -> str:
    if link.kind == "vrf":
        return f"VRF device: its table {link.table} is left alone"
    if link.master in defaults.vrfs:
        vrf = defaults.vrfs[link.master]
        return f"member of VRF {vrf.name}: its table {vrf.table} is left alone"
    return ""


def _without_address(link: Link) -> str:
    if link.master:
        return f"port of {link.master}"
    if not link.up:
        return "down, no global address"
    return "no global address" if link.carrier else "no carrier, no global address"


def _describe_inside(defaults: DefaultRoutes, link: Link) -> str:
    if not link.up:
        return "down: no default route through it now"
    inward = defaults.inward(link.name)
    first = [str(network_of_key(version, key)) for version, key in inward[:MOST_SHOWN]]
    behind = (
        f"internal network {shorten_list(first, len(inward))}" if first else "nothing behind it"
    )
    return f"no default route through it: {behind}"
