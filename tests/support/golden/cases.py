"""The host of each golden case, from the builders in `hosts`: name of the folder -> `Host`."""

from ipaddress import ip_address, ip_network
from typing import Callable, Dict

from support.golden import others, uplinks
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
    VENDOR,
    address,
    host,
    kernel_rules,
    link,
    plain,
    route,
    two_uplinks,
    with_routes,
)
from symroute_nm.model.host import Host, Lease, TableName
from symroute_nm.model.network import Hop, Route, Rule
from symroute_nm.model.profiles import Profile
from symroute_nm.model.route_set import pack


def three_uplinks() -> Host:
    """The third has several networks and no default in main, but a gateway in its ifcfg file."""
    third = [address("eth2", "10.0.7.5/24"), address("eth2", "10.0.8.5/25")]
    profile = Profile("eth2", id="storage", device="eth2", gateways=(ip_address("10.0.7.1"),))
    return plain([DOCKER0, ETH2], [BRIDGE, *third], profiles=(*PROFILES, profile))


def one_uplink() -> Host:
    """Nothing is asymmetric where there is one way out."""
    return host([ETH0, DOCKER0], [USERS, BRIDGE], [BY_ETH0])


def default_on(name: str) -> Host:
    """One default route in main; the other uplink's gateway is in its ifcfg file."""
    routes = {"eth0": BY_ETH0, "eth1": BY_ETH1}
    gateways = {"eth0": "10.0.6.1", "eth1": "10.0.5.1"}
    profiles = tuple(
        profile
        if profile.name == name
        else profile._replace(gateways=(ip_address(gateways[profile.name]),))
        for profile in PROFILES
    )
    return host(
        [ETH0, ETH1, DOCKER0],
        [USERS, ADMINS, BRIDGE],
        [routes[name]._replace(metric=0)],
        profiles=profiles,
    )


def ids_in_use() -> Host:
    """Other people's: table 100 in the kernel, 102 in a rule, 101 and 103 in rt_tables files."""
    names = (
        TableName(101, "foo", "/etc/iproute2/rt_tables"),
        TableName(103, "bar", "/etc/iproute2/rt_tables.d/bar.conf"),
    )
    rule = Rule(4, 500, source=ip_network("192.0.2.0/24"), table=102)
    return plain(
        routes=[route("198.51.100.0/24", "eth0", "10.0.6.9", table=100)],
        rules=(*kernel_rules(), rule),
        tables=VENDOR + names,
    )


def ipv6_only() -> Host:
    """Gateways are link-local, as router advertisements give them; privacy addresses."""
    addresses = [
        address("eth0", "2001:db8:6::5/64"),
        address("eth0", "fe80::5054:ff:fe00:2/64", scope=253),
        address("eth1", "2001:db8:5:0:5054:ff:fe00:3/64", dynamic=True),
        address("eth1", "2001:db8:5:0:91c3:1:2:3/64", dynamic=True, temporary=True),
        address("eth1", "fe80::5054:ff:fe00:3/64", scope=253),
    ]
    routes = [
        route("default", "eth0", "fe80::1", metric=101),
        route("default", "eth1", "fe80::1", metric=100),
    ]
    return host([ETH0, ETH1], addresses, routes)


def dhcp() -> Host:
    """eth1's address and gateway come from a lease; it has DEFROUTE=no."""
    lease = Lease("eth1", ip_address("10.0.5.1"), "/var/lib/NetworkManager/internal-x-eth1.lease")
    return host([ETH0, ETH1], [USERS, ADMINS._replace(dynamic=True)], [BY_ETH0], leases=(lease,))


def forwarding_throw() -> Host:
    """A RHEL 7 kernel without suppress_prefixlength that forwards for containers."""
    return plain(
        [DOCKER0], [BRIDGE], suppress=False, forwarding=(4,), kernel="3.10.0-1160.el7.x86_64"
    )


def overlapping() -> Host:
    """10.0.0.0/8 by a router on eth0, around a bridge's 10.200.0.0/16."""
    return plain(
        [link(6, "virbr0", kind="bridge")],
        [address("virbr0", "10.200.0.1/16")],
        [route("10.0.0.0/8", "eth0", "10.0.6.254")],
    )


def static_routes() -> Host:
    """Routes with gateways of their own, onlink ones, metrics, and a blackhole."""
    onlink = Route(
        ip_network("203.0.113.0/24"), hops=(Hop("eth1", ip_address("10.9.9.9"), onlink=True),)
    )
    return plain(
        routes=[
            route("192.168.0.0/16", "eth0", "10.0.6.254"),
            route("192.168.7.0/24", "eth1", "10.0.5.254", metric=50),
            route("192.168.7.0/24", "eth0", "10.0.6.253", metric=60),
            Route(ip_network("192.168.9.0/24"), type="blackhole"),
            onlink,
        ]
    )


def profile_names() -> Host:
    """Profiles are named otherwise than their links: found by DEVICE and by HWADDR."""
    profiles = (
        Profile("Wired_connection_1", id="Wired connection 1", device="eth0"),
        Profile("System_eth1", id="System eth1", hwaddr="52:54:00:00:00:03"),
        Profile("old", id="old", hwaddr="52:54:00:00:00:99"),
    )
    return two_uplinks()._replace(profiles=profiles)


def wg_quick() -> Host:
    """A tunnel that takes all by a rule and a table of its own; its peers' networks in main."""
    mark = 0xCA6C
    rules = (
        Rule(4, 32764, table=254, suppress_prefixlength=0),
        Rule(4, 32765, mark=mark, mask=0xFFFFFFFF, invert=True, table=51820),
    )
    return plain(
        [link(7, "wg0", kind="wireguard")],
        [address("wg0", "10.66.0.2/24")],
        [route("default", "wg0", table=51820), route("10.77.0.0/16", "wg0")],
        rules=kernel_rules() + rules,
    )


def vrf() -> Host:
    """eth2 is in a VRF with a table and a default of its own: left alone."""
    blue = link(8, "blue", kind="vrf", table=100)
    member = address("eth2", "10.0.6.77/24")
    routes = [route("default", "eth2", "10.0.6.1", table=100)]
    made = plain(
        [blue, ETH2._replace(master="blue")],
        (),
        routes,
        rules=(*kernel_rules(), Rule(4, 1000, l3mdev=True), Rule(6, 1000, l3mdev=True)),
    )
    return with_routes(
        made._replace(addresses=(*made.addresses, member)), route("10.0.6.0/24", "eth2", table=100)
    )


def point_to_point() -> Host:
    """ppp0 has a peer and a default without gateway."""
    own = address("ppp0", "192.0.2.10/32", peer=ip_address("192.0.2.1"))
    # NetworkManager's plugin knows no TYPE=xdsl: rp-pppoe's profiles are network.service's.
    dsl = Profile("dsl", id="dsl", device="ppp0", type="xdsl", managed=False)
    return host(
        [ETH0, link(9, "ppp0")],
        [USERS, own],
        [BY_ETH0, route("default", "ppp0", metric=50)],
        profiles=(PROFILES[0], dsl),
        network_service=True,
    )


def multipath() -> Host:
    """One default route by both uplinks at once."""
    both = Route(
        ip_network("0.0.0.0/0"),
        hops=(Hop("eth0", ip_address("10.0.6.1")), Hop("eth1", ip_address("10.0.5.1"), weight=2)),
    )
    return host([ETH0, ETH1], [USERS, ADMINS], [both])


def on_link_gateways() -> Host:
    """A /32 with its gateway outside, a /31, and an alias in a network of its own."""
    addresses = [
        address("eth0", "192.0.2.5/32"),
        address("eth1", "10.0.5.2/31"),
        address("eth1", "10.0.9.5/24"),
    ]
    routes = [
        route("10.255.0.1/32", "eth0", scope=253),
        route("default", "eth0", "10.255.0.1", metric=101),
        route("default", "eth1", "10.0.5.3", metric=100),
    ]
    return host([ETH0, ETH1], addresses, routes)


def own_tables_at_work() -> Host:
    """No evidence in main: another table's default, chosen by a rule for the link's address."""
    rule = Rule(4, 999, source=ip_network("10.0.6.5/32"), table=200)
    return host(
        [ETH0, ETH1],
        [USERS, ADMINS],
        [BY_ETH1, route("default", "eth0", "10.0.6.1", table=200)],
        rules=(*kernel_rules(), rule),
    )


def ipv6_on_one() -> Host:
    """Both have IPv4; IPv6 goes by eth0 alone, so there is nothing to choose in it."""
    made = two_uplinks()
    routes = tuple(
        entry
        for entry in made.routes
        if not (entry.default and entry.version == 6 and entry.hop.link == "eth1")
    )
    return made._replace(routes=pack(routes))


def many_containers() -> Host:
    """Ports of bridges have no address of their own; bond0.100 is an uplink."""
    vlan = link(10, "bond0.100", kind="vlan")
    ports = [
        link(100 + number, f"veth{number}", kind="veth", master="docker0") for number in range(12)
    ]
    addresses = [USERS, address("bond0.100", "10.0.5.5/24"), BRIDGE]
    bond = link(11, "bond0", kind="bond")
    slaves = [link(12, "eth3", master="bond0"), link(13, "eth4", master="bond0")]
    profiles = (PROFILES[0], Profile("VLAN_100", id="VLAN 100", device="bond0.100", type="Vlan"))
    return host(
        [ETH0, bond, *slaves, vlan, DOCKER0, *ports],
        addresses,
        [BY_ETH0, route("default", "bond0.100", "10.0.5.1", metric=100)],
        profiles=profiles,
    )


def stale() -> Host:
    """eth2 has a profile and, at the moment, no address; eth9's profile is gone."""
    made = plain([ETH2._replace(carrier=False)])
    return made._replace(profiles=(*PROFILES, Profile("eth2", id="System eth2", device="eth2")))


def shared_network() -> Host:
    """Both uplinks in one network, one of them by DHCP: no rule may be wide."""
    return host(
        [ETH0, ETH1],
        [USERS, address("eth1", "10.0.6.6/24", dynamic=True)],
        [BY_ETH0, route("default", "eth1", "10.0.6.1", metric=100)],
    )


def unmatched() -> Host:
    """eth1 has no ifcfg profile."""
    return plain()._replace(profiles=PROFILES[:1])


def ambiguous() -> Host:
    """Two profiles fit eth1."""
    return plain()._replace(profiles=(*PROFILES, Profile("office", id="office", device="eth1")))


def taken_priority() -> Host:
    """Somebody else's rule stands in our block of priorities."""
    rule = Rule(4, 20001, source=ip_network("192.0.2.0/24"), table=200)
    return plain(rules=(*kernel_rules(), rule))


def far_gateway() -> Host:
    """The ifcfg file names a gateway that is on no network of the link."""
    profile = PROFILES[0]._replace(gateways=(ip_address("10.99.0.1"),))
    return host([ETH0, ETH1], [USERS, ADMINS], [BY_ETH1], profiles=(profile, PROFILES[1]))


def many_networks(step: int) -> Host:
    """Eight networks behind routers of eth0 and eth1, in turn, and a bridge among them."""
    ways = [("eth0", "10.0.6.254"), ("eth1", "10.0.5.254")]
    routes = [route(f"192.168.{number * step}.0/24", *ways[number % 2]) for number in range(8)]
    return plain(
        [DOCKER0, ETH2],
        [BRIDGE, address("eth2", "10.0.7.5/24")],
        [*routes, route("default", "eth2", "10.0.7.1", metric=102)],
        profiles=(*PROFILES, Profile("eth2", id="System eth2", device="eth2")),
    )


def many_vlans() -> Host:
    """Six uplinks in networks that do not meet, and a bridge between two of them."""
    names = [f"bond0.{number}" for number in range(100, 106)]
    networks = [f"10.0.{each}" for each in (0, 2, 4, 8, 12, 14)]
    links = [link(20 + number, name, kind="vlan") for number, name in enumerate(names)]
    addresses = [address(name, base + ".5/24") for name, base in zip(names, networks)]
    routes = [
        route("default", name, base + ".1", metric=100 + number)
        for number, (name, base) in enumerate(zip(names, networks))
    ]
    profiles = tuple(Profile(name, id=name, device=name, type="Vlan") for name in names)
    return host(
        [*links, DOCKER0],
        [*addresses, address("docker0", "10.0.10.1/24")],
        routes,
        profiles=profiles,
    )


def mask_taken() -> Host:
    """Somebody's rule goes by bits of the marks' mask."""
    rule = Rule(4, 1024, mark=0x10, mask=0xF0, table=200)
    return two_uplinks(firewalls=("nft",), rules=(*kernel_rules(), rule))


CASES: Dict[str, Callable[[], Host]] = {
    "addresses-form": plain,
    "addresses-form-converted": plain,
    "administrators-name": plain,
    "ambiguous-profile": ambiguous,
    "both-defaults-in-main": lambda: plain([DOCKER0], [BRIDGE]),
    "byte-order-mark": plain,
    "configured": plain,
    "damaged-block": plain,
    "default-on-eth0": lambda: default_on("eth0"),
    "default-on-eth1": lambda: default_on("eth1"),
    "dhcp-by-address": dhcp,
    "dhcp-by-network": dhcp,
    "earlier-fragment": plain,
    "edited-block": plain,
    "end-without-begin": plain,
    "excluded-link": three_uplinks,
    "far-gateway": far_gateway,
    "foreign-lines": plain,
    "forwarded": lambda: two_uplinks(firewalls=("nft", "iptables", "firewalld")),
    "forwarded-el7": lambda: forwarding_throw()._replace(firewalls=("iptables", "firewalld")),
    "forwarded-mask-taken": mask_taken,
    "forwarding-throw": forwarding_throw,
    "guard-none": two_uplinks,
    "guard-throw": lambda: two_uplinks()._replace(forwarding=()),
    "ids-in-use": ids_in_use,
    "ipv6-on-one": ipv6_on_one,
    "ipv6-only": ipv6_only,
    "many-containers": many_containers,
    "many-networks-aggregated": lambda: many_networks(1),
    "many-networks-past-the-bound": lambda: many_networks(2),
    "many-networks-widened": many_vlans,
    "multipath": multipath,
    "no-drop-ins": lambda: plain(drop_ins=False),
    "no-profile": unmatched,
    "on-link-gateways": on_link_gateways,
    "one-uplink": one_uplink,
    "only-asked-for": three_uplinks,
    "other-tables-default": own_tables_at_work,
    "overlapping": overlapping,
    "point-to-point": point_to_point,
    "profile-names": profile_names,
    "routes-for-networkmanager-alone": plain,
    "shared-network": shared_network,
    "stale-excluded": three_uplinks,
    "stale-kept": stale,
    "stale-pruned": stale,
    "static-routes": static_routes,
    "table-names": two_uplinks,
    "taken-priority": taken_priority,
    "three-uplinks": three_uplinks,
    "two-blocks": plain,
    "two-uplinks": two_uplinks,
    "vrf-member": vrf,
    "wg-quick": wg_quick,
    **others.CASES,
    **uplinks.CASES,
}
