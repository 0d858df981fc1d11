"""Addresses that an uplink does not have now but may get: a cluster's, keepalived's (pure)."""

from ipaddress import IPv4Address, IPv4Interface, IPv6Interface
from typing import Dict, Iterator, Mapping, Sequence, Set, Tuple

from symroute_nm.errors import InputError
from symroute_nm.model.host import Host
from symroute_nm.model.network import (
    TABLE_MAIN,
    Address,
    IPAddress,
    IPInterface,
    IPNetwork,
    is_global,
)
from symroute_nm.model.plan import Uplink
from symroute_nm.model.prefixes import BITS, make_prefix_key, network_of_key
from symroute_nm.model.route_set import pack
from symroute_nm.model.settings import Settings
from symroute_nm.plan.gateways import is_edge

_NOWHERE = ("dummy",)  # kinds of link that lead nowhere: where an address is kept for LVS or BGP


def add_floating_addresses(
    host: Host, settings: Settings, uplinks: Sequence[Uplink]
) -> Tuple[Uplink, ...]:
    """The uplinks with the addresses that the configuration says may come to them.

    Each is a /32 or /128, as keepalived adds them. Raises `InputError` for one that cannot be this
    uplink's: another link has it or its network, or no gateway leads out from it.
    """
    claims = {name: each.addresses for name, each in sorted(settings.interface.items())}
    if not any(claims.values()):
        return tuple(uplinks)
    known = _Known(host)
    claimed = {ip: name for name, addresses in claims.items() for ip in addresses}
    return tuple(
        uplink._replace(addresses=_join(known, uplink, claimed, claims.get(uplink.link.name, ())))
        for uplink in uplinks
    )


def note_addresses(host: Host, settings: Settings, uplinks: Sequence[Uplink]) -> Tuple[str, ...]:
    """What is said of awaited addresses that get no rules, or that no network of the link holds."""
    present = {link.name for link in host.links}
    names = [
        name
        for name, each in sorted(settings.interface.items())
        if each.addresses and name in present
    ]
    if not names:
        return ()
    known = _Known(host)
    links = {uplink.link.name for uplink in uplinks}
    notes = []
    for name in names:
        for ip in settings.interface[name].addresses:
            if name not in links:
                notes.append(
                    f"[interface {name}] addresses: {ip} gets no rules, for {name} is no uplink now"
                )
            elif not known.owners(ip):
                notes.append(
                    f"[interface {name}] addresses: {ip} is on no network of {name}: right "
                    "where its router sends it there"
                )
    return tuple(notes)


class _Known:
    """The addresses of the host and the networks that main reaches, with their links."""

    def __init__(self, host: Host) -> None:
        self._idle = {link.name for link in host.links if link.loopback or link.kind in _NOWHERE}
        self.addresses = [address for address in host.addresses if address.link not in self._idle]
        self.on_link: Dict[IPNetwork, Set[str]] = {}
        for address in self.addresses:
            self.on_link.setdefault(address.network, set()).add(address.link)
        self._routes = pack(host.routes)

    def owners(self, ip: IPAddress) -> Tuple[str, ...]:
        """The links that lead to the narrowest network around it."""
        bits = BITS[ip.version]
        for length in range(bits - 1, 0, -1):
            shift = bits - length
            around = network_of_key(ip.version, make_prefix_key(int(ip) >> shift << shift, length))
            routed = {
                hop.link for route in self._routes.to(TABLE_MAIN, around) for hop in route.hops
            }
            links = self.on_link.get(around, set()) | (routed - self._idle)
            if links:
                return tuple(sorted(links))
        return ()


def _join(
    known: _Known, uplink: Uplink, claimed: Mapping[IPAddress, str], wished: Sequence[IPAddress]
) -> Tuple[Address, ...]:
    name = uplink.link.name
    present = {address.ip for address in uplink.addresses}
    for ip in wished:
        problem = next(_problems(known, uplink, ip), "")
        if claimed[ip] != name:
            problem = f"[interface {claimed[ip]}] claims it, too"
        if problem:
            raise InputError(
                f"[interface {name}] addresses: {ip}: {problem}", "correct it, or leave it out"
            )
    added = [Address(name, _single(each)) for each in wished if each not in present]
    return tuple(
        sorted(
            (*uplink.addresses, *added),
            key=lambda each: (each.version, each.interface, str(each.peer)),
        )
    )


def _problems(known: _Known, uplink: Uplink, ip: IPAddress) -> Iterator[str]:
    """Why the address cannot be this uplink's."""
    name, gateway = uplink.link.name, uplink.gateway(ip.version)
    awaited = Address(name, _single(ip))
    if not is_global(awaited) or ip.is_multicast or ip.is_unspecified or ip.is_reserved:
        yield "no address at which others can ask a host"
    if gateway is None:
        yield f"no IPv{ip.version} gateway of {name} is known"
    elif gateway.address == ip:
        yield "that is the gateway"
    for address in known.addresses:
        if address.ip == ip and address.link != name:
            yield f"it is {address.link}'s"
    if any(is_edge(network, ip) for network in known.on_link):
        yield "a network's own or its broadcast address"
    owners = known.owners(ip)
    if owners and name not in owners:
        yield f"{' and '.join(owners)} leads to its network"


def _single(address: IPAddress) -> IPInterface:
    kind = IPv4Interface if isinstance(address, IPv4Address) else IPv6Interface
    return kind(int(address))
