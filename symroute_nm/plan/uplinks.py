"""Which links are uplinks, by which gateway, and why the others are not (pure)."""

from fnmatch import fnmatchcase
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from symroute_nm.errors import Refusal
from symroute_nm.model.host import Host
from symroute_nm.model.iproute2 import MOST_SHOWN, shorten_list
from symroute_nm.model.network import VERSIONS, IPAddress, Link
from symroute_nm.model.plan import EXCLUDED, NO_WAY_OUT, Skip, Uplink
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
    for link in sorted(host.links, key=lambda link: link.name):
        skip = _find_skip(link, ways, settings)
        gateways = () if skip else tuple(find_gateways(ways, link, host, settings))
        if gateways:
            addresses = tuple(
                address
                for address in ways.addresses[link.name]
                if address.version in {gateway.version for gateway in gateways}
            )
            uplinks.append(Uplink(link=link, addresses=addresses, gateways=gateways))
        else:
            skips.append(skip or Skip(link.name, _internal(ways, link), NO_WAY_OUT))
    return Survey(add_floating_addresses(host, settings, uplinks), tuple(skips))


def pair_families(survey: Survey) -> Survey:
    """The survey without the families that have one uplink only, where nothing is to choose."""
    shared = [
        version
        for version in VERSIONS
        if _TWO <= sum(1 for uplink in survey.uplinks if uplink.gateway(version))
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
        return f"VRF device: its table {link.table} is left alone"
    if link.master in ways.vrfs:
        return (
            f"member of VRF {link.master}: its table {ways.vrfs[link.master].table} is left alone"
        )
    return ""


def _without_address(link: Link) -> str:
    if link.master:
        return f"port of {link.master}"
    state = "" if link.carrier else "no carrier, "
    return f"{state if link.up else 'down, '}no global address"


def _internal(ways: DefaultRoutes, link: Link) -> str:
    if not link.up:
        return "down: no default route through it now"
    found = ways.inward(link.name)
    networks = shorten_list([str(network_at(*each)) for each in found[:MOST_SHOWN]], len(found))
    what = f"internal network {networks}" if networks else "nothing behind it"
    return f"no default route through it: {what}"
