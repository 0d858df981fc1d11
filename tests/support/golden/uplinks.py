"""Hosts of golden cases by what their uplinks are: their addresses, and what kind of link."""

from ipaddress import ip_address, ip_network
from typing import Callable, Dict, Tuple

from support.hosts import (
    ADMINS,
    BRIDGE,
    BY_ETH0,
    BY_ETH1,
    DOCKER0,
    ETH0,
    ETH1,
    ETH2,
    PROFILES,
    USERS,
    address,
    host,
    link,
    plain,
    route,
    two_uplinks,
)
from symroute_nm.model.host import Host, Lease
from symroute_nm.model.network import Address, Hop, Link, Route
from symroute_nm.model.profiles import Profile
from symroute_nm.model.route_set import pack

ANYWHERE = ip_network("0.0.0.0/0")
DYNAMIC = [each._replace(dynamic=True) for each in (USERS, ADMINS)]


def with_gateway(name: str, gateway: str) -> Tuple[Profile, ...]:
    """The two profiles, that one with a GATEWAY of its own."""
    return tuple(
        profile._replace(gateways=(ip_address(gateway),)) if profile.name == name else profile
        for profile in PROFILES
    )


def dhcp_metrics() -> Host:
    """Both by DHCP; NetworkManager gave both defaults, with a metric each."""
    return host(
        [ETH0, ETH1],
        DYNAMIC,
        [
            route("default", "eth0", "10.0.6.1", metric=100, protocol=16),
            route("default", "eth1", "10.0.5.1", metric=101, protocol=16),
        ],
    )


def dhcp_without_default(**fields: object) -> Host:
    """Both by DHCP; eth1 has DEFROUTE=no, so that main has no default by it."""
    return host([ETH0, ETH1], DYNAMIC, [BY_ETH0], **fields)


def leased(gateway: str, path: str) -> Host:
    return dhcp_without_default(leases=(Lease("eth1", ip_address(gateway), path),))


def slaac(second: str) -> Host:
    """Both by router advertisements, with privacy addresses; the routers' are link-local."""
    addresses = [
        address(name, f"{prefix}:{end}/64", dynamic=True, temporary=end.startswith("91c3"))
        for name, prefix, ends in (
            ("eth0", "2001:db8:6:0", ("5054:ff:fe00:2", "91c3:6:6:6")),
            ("eth1", second, ("5054:ff:fe00:3", "91c3:5:5:5")),
        )
        for end in ends
    ]
    own = [
        address("eth0", "fe80::5054:ff:fe00:2/64", scope=253),
        address("eth1", "fe80::5054:ff:fe00:3/64", scope=253),
    ]
    return host(
        [ETH0, ETH1],
        addresses + own,
        [
            route("default", "eth0", "fe80::1", metric=100),
            route("default", "eth1", "fe80::2", metric=101),
        ],
    )


def several_addresses() -> Host:
    """eth0 has two addresses in one network, a smaller one within it, and another network."""
    return plain(
        addresses=[
            address("eth0", "10.0.6.7/24"),
            address("eth0", "10.0.6.130/25"),
            address("eth0", "192.0.2.5/28"),
        ]
    )


def aliased() -> Host:
    """ifcfg-eth1:1 adds a network, and has the gateway; main has no default by it."""
    return host(
        [ETH0, ETH1],
        [USERS, address("eth1", "10.0.9.5/24"), ADMINS],
        [BY_ETH0],
        profiles=with_gateway("eth1", "10.0.9.1"),
    )


def two_hosts_a_network() -> Host:
    """RFC 3021: both uplinks on a /31, whose lower address is a host's as well."""
    return host(
        [ETH0, ETH1],
        [address("eth0", "10.0.6.5/31"), address("eth1", "10.0.5.4/31")],
        [
            route("default", "eth0", "10.0.6.4", metric=101),
            route("default", "eth1", "10.0.5.5", metric=100),
        ],
    )


def outside(name: str, gateway: str) -> Route:
    """A default by a gateway that is on no network of the link, ``onlink``."""
    return Route(ANYWHERE, hops=(Hop(name, ip_address(gateway), onlink=True),), metric=101)


def hosted() -> Host:
    """As some hosting firms have it: a /32, and a gateway that is on no network of the link."""
    return host(
        [ETH0, ETH1],
        [address("eth0", "203.0.113.5/32"), ADMINS],
        [BY_ETH1, outside("eth0", "100.64.0.1")],
    )


TUN0 = link(9, "tun0", kind="tun")


def tunnel() -> Host:
    """OpenVPN's tun0 took the default over; it made the link itself, so no profile has it."""
    return plain(
        [TUN0],
        [address("tun0", "10.8.0.6/32", peer=ip_address("10.8.0.5"))],
        [route("default", "tun0", metric=50), route("10.8.0.0/24", "tun0", "10.8.0.5")],
    )


def tunnel_in_halves() -> Host:
    """OpenVPN's redirect-gateway def1: two routes that together are a default."""
    return plain(
        [TUN0],
        [address("tun0", "10.8.0.6/32", peer=ip_address("10.8.0.5"))],
        [
            route("0.0.0.0/1", "tun0", "10.8.0.5"),
            route("128.0.0.0/1", "tun0", "10.8.0.5"),
            route("198.51.100.7/32", "eth1", "10.0.5.1"),
        ],
    )


def several_defaults() -> Host:
    """Two routers on eth0's network, with metrics."""
    return plain(
        routes=[
            route("default", "eth0", "10.0.6.2", metric=90),
            route("default", "eth0", "10.0.6.3", metric=400),
        ]
    )


def several_hops() -> Host:
    """One default by two routers, both on eth0."""
    both = Route(
        ANYWHERE,
        hops=(Hop("eth0", ip_address("10.0.6.1")), Hop("eth0", ip_address("10.0.6.2"))),
        metric=101,
    )
    return host([ETH0, ETH1], [USERS, ADMINS], [BY_ETH1, both])


def on_links(users: Link, admins: Link, *others: Link, **fields: object) -> Host:
    """The two uplinks on links of other names."""
    return host(
        [users, admins, *others],
        [USERS._replace(link=users.name), ADMINS._replace(link=admins.name)],
        [
            route("default", users.name, "10.0.6.1", metric=101),
            route("default", admins.name, "10.0.5.1", metric=100),
        ],
        **fields,
    )


def team() -> Host:
    """A team with two ports, and a VLAN on it."""
    profiles = (
        Profile("team0", id="System team0", device="team0", type="Team"),
        Profile("team0.200", id="Vlan team0.200", device="team0.200", type="Vlan"),
    )
    ports = [link(number, f"eth{number - 2}", master="team0") for number in (2, 3)]
    return on_links(
        link(20, "team0", kind="team"),
        link(21, "team0.200", kind="vlan"),
        *ports,
        profiles=profiles,
    )


def bridged() -> Host:
    """br0 has eth0 and virtual machines as ports, and the addresses."""
    profiles = (Profile("br0", id="System br0", device="br0", type="Bridge"), *PROFILES)
    return on_links(
        link(20, "br0", kind="bridge"),
        ETH1,
        ETH0._replace(master="br0"),
        link(21, "vnet0", kind="tun", master="br0"),
        link(22, "vnet1", kind="tun", master="br0"),
        profiles=profiles,
    )


def macvlan(managed: bool) -> Host:
    """Both on one cable; the plugin knows no macvlan, so it is network.service's."""
    profiles = (
        PROFILES[0],
        Profile("macvlan0", id="System macvlan0", device="macvlan0", managed=managed),
    )
    return on_links(
        ETH0, link(20, "macvlan0", kind="macvlan"), profiles=profiles, network_service=True
    )


def same_address() -> Host:
    """An address that stands on both links."""
    return host([ETH0, ETH1], [USERS, USERS._replace(link="eth1"), ADMINS], [BY_ETH0, BY_ETH1])


def nested_networks() -> Host:
    """eth1's network lies in eth0's."""
    return host(
        [ETH0, ETH1],
        [address("eth0", "10.9.9.5/8"), address("eth1", "10.1.0.5/16")],
        [
            route("default", "eth0", "10.9.9.1", metric=101),
            route("default", "eth1", "10.1.0.1", metric=100),
        ],
    )


def without_carrier() -> Host:
    """eth0's cable is out: NetworkManager has taken its routes, not yet its address."""
    return host(
        [ETH0._replace(carrier=False), ETH1],
        [USERS, ADMINS],
        [BY_ETH1],
        profiles=with_gateway("eth0", "10.0.6.1"),
    )


def down(**fields: object) -> Host:
    """eth2 was set down: its address stays, its routes are gone."""
    off = address("eth2", "10.0.7.5/24")
    made = plain([ETH2._replace(up=False, carrier=False)], **fields)
    return made._replace(
        addresses=(*made.addresses, off),
        profiles=(*PROFILES, Profile("eth2", id="System eth2", device="eth2")),
    )


def other_down() -> Host:
    """eth1 has neither carrier nor address now, so one uplink is left."""
    return host([ETH0, ETH1._replace(carrier=False)], [USERS], [BY_ETH0])


def ipv6_on_third() -> Host:
    """eth1 is an uplink in IPv6 only: its IPv4 network has no gateway."""
    made = two_uplinks()
    return made._replace(
        links=made.links[:3],
        addresses=tuple(assigned for assigned in made.addresses if assigned.link != "docker0"),
        routes=pack(
            entry
            for entry in made.routes
            if entry.hop.link != "docker0"
            and not (entry.default and entry.version == 4 and entry.hop.link == "eth1")
        ),
        forwarding=(),
    )


def load_balanced() -> Host:
    """An LVS real server: the cluster's address stands on lo, and is asked for by eth0."""
    made = plain()
    return made._replace(
        addresses=(*made.addresses, Address("lo", address("lo", "10.0.6.100/32").interface))
    )


CASES: Dict[str, Callable[[], Host]] = {
    "alias-file": aliased,
    "bridge-with-ports": bridged,
    "dhcp-dhclient-lease": lambda: leased(
        "10.0.5.1", "/var/lib/NetworkManager/dhclient-3b1c-eth1.lease"
    ),
    "dhcp-gateway-in-ifcfg": lambda: dhcp_without_default(
        profiles=with_gateway("eth1", "10.0.5.1")
    ),
    "dhcp-old-lease": lambda: leased("192.168.1.1", "/var/lib/dhclient/dhclient-eth1.leases"),
    "dhcp-two-metrics": dhcp_metrics,
    "gateway-outside": hosted,
    "keepalived": lambda: plain([DOCKER0], [BRIDGE]),
    "keepalived-elsewhere": plain,
    "link-down": down,
    "load-balanced": load_balanced,
    "macvlan": lambda: macvlan(managed=False),
    "macvlan-of-networkmanager": lambda: macvlan(managed=True),
    "multipath-one-link": several_hops,
    "networks-nested": nested_networks,
    "no-carrier": without_carrier,
    "same-address": same_address,
    "several-addresses": several_addresses,
    "several-defaults": several_defaults,
    "slaac": lambda: slaac("2001:db8:5:0"),
    "slaac-shared-network": lambda: slaac("2001:db8:6:0"),
    "stale-alone": other_down,
    "stale-alone-pruned": other_down,
    "team-and-vlan": team,
    "thirty-one": two_hosts_a_network,
    "tunnel-default": tunnel,
    "tunnel-excluded": tunnel,
    "tunnel-in-halves": tunnel_in_halves,
    "uplink-in-ipv6-only": ipv6_on_third,
}
