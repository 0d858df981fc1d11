"""Addresses that an uplink does not have now but may get: a cluster's, keepalived's."""

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
    claims = _claims(settings)
    if not any(claims.values()):
        return tuple(uplinks)
    owners = _Owners(host)
    claimed: Dict[IPAddress, str] = {}
    for name, addresses in claims.items():
        claimed.update(dict.fromkeys(addresses, name))
    return tuple(
        uplink._replace(addresses=_join(owners, uplink, claimed, claims.get(uplink.link.name, ())))
        for uplink in uplinks
    )


def notes_on_floating_addresses(
    host: Host, settings: Settings, uplinks: Sequence[Uplink]
) -> Tuple[str, ...]:
    """Which floating addresses get no rules, or are on no network of their link."""
    present = {link.name for link in host.links}
    claims = {name: claimed for name, claimed in _claims(settings).items() if name in present}
    if not any(claims.values()):
        return ()
    owners = _Owners(host)
    links = {uplink.link.name for uplink in uplinks}
    notes = []
    for name, addresses in claims.items():
        for ip in addresses:
            if name not in links:
                notes.append(
                    f"[interface {name}] addresses: {ip} gets no rules, for {name} is no uplink now"
                )
            elif not owners.of(ip):
                notes.append(
                    f"[interface {name}] addresses: {ip} is on no network of {name}: right "
                    "where its router sends it there"
                )
    return tuple(notes)


def _claims(settings: Settings) -> Dict[str, Tuple[IPAddress, ...]]:
    """The addresses that the configuration says may come to each link."""
    return {name: interface.addresses for name, interface in sorted(settings.interface.items())}


class _Owners:
    """To which links addresses belong: by the host's own, and by what main reaches."""

    def __init__(self, host: Host) -> None:
        self._idle = {link.name for link in host.links if link.loopback or link.kind in _NOWHERE}
        self.addresses = [address for address in host.addresses if address.link not in self._idle]
        self.on_link: Dict[IPNetwork, Set[str]] = {}
        for address in self.addresses:
            self.on_link.setdefault(address.network, set()).add(address.link)
        self._routes = host.routes

    def of(self, ip: IPAddress) -> Tuple[str, ...]:
        """The links that lead to the narrowest network around it."""
        bits = BITS[ip.version]
        for length in range(bits - 1, 0, -1):
            shift = bits - length
            around = network_of_key(ip.version, make_prefix_key(int(ip) >> shift << shift, length))
            routed: Set[str] = set()
            for route in self._routes.to(TABLE_MAIN, around):
                routed.update(hop.link for hop in route.hops)
            links = self.on_link.get(around, set()) | (routed - self._idle)
            if links:
                return tuple(sorted(links))
        return ()


def _join(
    owners: _Owners, uplink: Uplink, claimed: Mapping[IPAddress, str], wished: Sequence[IPAddress]
) -> Tuple[Address, ...]:
    name = uplink.link.name
    present = {address.ip for address in uplink.addresses}
    for ip in wished:
        problem = next(_problems(owners, uplink, ip), "")
        if claimed[ip] != name:
            problem = f"[interface {claimed[ip]}] claims it, too"
        if problem:
            raise InputError(
                f"[interface {name}] addresses: {ip}: {problem}", "correct it, or leave it out"
            )
    added = [Address(name, _single(ip)) for ip in wished if ip not in present]
    return tuple(
        sorted(
            (*uplink.addresses, *added),
            key=lambda address: (address.version, address.interface, str(address.peer)),
        )
    )


def _problems(owners: _Owners, uplink: Uplink, ip: IPAddress) -> Iterator[str]:
    """Why the address cannot be this uplink's."""
    name, gateway = uplink.link.name, uplink.gateway(ip.version)
    floating = Address(name, _single(ip))
    if not is_global(floating) or ip.is_multicast or ip.is_unspecified or ip.is_reserved:
        yield "no address at which others can ask a host"
    if gateway is None:
        yield f"no IPv{ip.version} gateway of {name} is known"
    elif gateway.address == ip:
        yield "that is the gateway"
    for address in owners.addresses:
        if address.ip == ip and address.link != name:
            yield f"it is {address.link}'s"
    if any(is_edge(network, ip) for network in owners.on_link):
        yield "a network's own or its broadcast address"
    links = owners.of(ip)
    if links and name not in links:
        yield f"{' and '.join(links)} leads to its network"


def _single(address: IPAddress) -> IPInterface:
    kind = IPv4Interface if isinstance(address, IPv4Address) else IPv6Interface
    return kind(int(address))
