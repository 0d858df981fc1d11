"""Hosts for tests, put together from a few words instead of hundreds of lines of JSON."""

from ipaddress import ip_address, ip_interface, ip_network
from typing import Any, Iterable, List, Mapping, Sequence, Tuple

from symroute_nm.model.host import Host, TableName
from symroute_nm.model.network import (
    TABLE_DEFAULT,
    TABLE_LOCAL,
    TABLE_MAIN,
    Address,
    Hop,
    Link,
    Route,
    Rule,
    host_network,
)
from symroute_nm.model.places import FRAGMENT
from symroute_nm.model.plan import Plan
from symroute_nm.model.profiles import Profile, Profiles
from symroute_nm.model.route_set import pack
from symroute_nm.model.settings import Settings
from symroute_nm.plan import planner
from symroute_nm.targets.base import choose_target

KERNEL = "5.14.0-427.el9.x86_64"
SCRIPT = "/usr/lib/NetworkManager/dispatcher.d/pre-up.d/10-ifcfg-rh-routes.sh"
VENDOR = tuple(
    TableName(number, name, "/etc/iproute2/rt_tables")
    for number, name in ((255, "local"), (254, "main"), (253, "default"), (0, "unspec"))
)


def kernel_rules() -> Tuple[Rule, ...]:
    """The rules that every kernel begins with."""
    four = [
        Rule(4, 0, table=TABLE_LOCAL),
        Rule(4, 32766, table=TABLE_MAIN),
        Rule(4, 32767, table=TABLE_DEFAULT),
    ]
    six = [Rule(6, 0, table=TABLE_LOCAL), Rule(6, 32766, table=TABLE_MAIN)]
    return tuple(four + six)


def route(text: str, link: str = "", via: str = "", **fields: Any) -> Route:
    """A route from words: ``route("default", "eth0", "10.0.6.1", metric=100)``; any family."""
    gateway = ip_address(via) if via else None
    six = fields.pop("six", gateway is not None and gateway.version == 6)
    words = {"default": "::/0" if six else "0.0.0.0/0"}
    hops = (Hop(link, gateway),) if link else ()
    return Route(ip_network(words.get(text, text)), hops=hops, **fields)


def connected(address: Address) -> List[Route]:
    """The routes that the kernel makes for an address."""
    local = Route(
        host_network(address.ip), table=TABLE_LOCAL, type="local", hops=(Hop(address.link),)
    )
    if address.network.prefixlen == address.network.max_prefixlen and address.peer is None:
        return [local]
    return [
        Route(
            address.network, hops=(Hop(address.link),), metric=256 if address.version == 6 else 0
        ),
        local,
    ]


def host(
    links: Sequence[Link], addresses: Iterable[Address], routes: Iterable[Route], **fields: Any
) -> Host:
    """A host with these links and addresses, the routes that follow from them, and `routes`."""
    addresses = tuple(addresses)
    derived = [each for address in addresses for each in connected(address)]
    given = {
        "rules": kernel_rules(),
        "kernel": KERNEL,
        "suppress": True,
        "dispatcher": SCRIPT,
        "tables": VENDOR,
        "profiles": Profiles(
            Profile(name=device.name, device=device.name, id="System " + device.name)
            for device in links
            if device.name.startswith("eth")
        ),
    }
    given.update(fields)
    return Host(
        links=(Link(1, "lo", loopback=True), *links),
        addresses=addresses,
        routes=pack((*derived, *routes)),
        **given,
    )


def with_routes(host: Host, *routes: Route) -> Host:
    """The host with these routes, too."""
    return host._replace(routes=pack((*host.routes, *routes)))


def link(number: int, name: str, **fields: Any) -> Link:
    """A link whose MAC address follows from its number."""
    mac = f"52:54:00:00:00:{number:02x}"
    return Link(
        number, name, mac=mac, permanent_mac=mac if name.startswith("eth") else "", **fields
    )


def address(name: str, text: str, **fields: Any) -> Address:
    """An address with prefix length on a link."""
    return Address(name, ip_interface(text), **fields)


ETH0, ETH1 = link(2, "eth0"), link(3, "eth1")
DOCKER0 = link(4, "docker0", kind="bridge")


def one_link(name="eth0", **fields):
    """A host of one link with an address, and nothing that says where its gateway is."""
    return host([link(2, name)], [address(name, "10.0.6.5/24")], (), **fields)


def two_uplinks(**fields: Any) -> Host:
    """DESIGN 2's example: eth0 for users, eth1 for administrators and main's best default."""
    addresses = [
        address("eth0", "10.0.6.5/24"),
        address("eth0", "2001:db8:6::5/64"),
        address("eth0", "fe80::5054:ff:fe00:2/64", scope=253),
        address("eth1", "10.0.5.5/24"),
        address("eth1", "2001:db8:5::5/64"),
        address("eth1", "fe80::5054:ff:fe00:3/64", scope=253),
        address("docker0", "172.17.0.1/16"),
    ]
    routes = [
        route("default", "eth1", "10.0.5.1", metric=100),
        route("default", "eth0", "10.0.6.1", metric=101),
        route("default", "eth1", "2001:db8:5::1", metric=100),
        route("default", "eth0", "2001:db8:6::1", metric=101),
    ]
    return host([ETH0, ETH1, DOCKER0], addresses, routes, forwarding=(4,), **fields)


USERS, ADMINS = address("eth0", "10.0.6.5/24"), address("eth1", "10.0.5.5/24")
BRIDGE = address("docker0", "172.17.0.1/16")
ETH2 = link(5, "eth2")
BY_ETH0 = route("default", "eth0", "10.0.6.1", metric=101)
BY_ETH1 = route("default", "eth1", "10.0.5.1", metric=100)
PROFILES = (
    Profile("eth0", id="System eth0", device="eth0"),
    Profile("eth1", id="System eth1", device="eth1"),
)


def plain(
    links: Sequence[Link] = (),
    addresses: Sequence[Address] = (),
    routes: Sequence[Route] = (),
    **fields: object,
) -> Host:
    """Two IPv4 uplinks, and whatever else."""
    return host(
        [ETH0, ETH1, *links], [USERS, ADMINS, *addresses], [BY_ETH1, BY_ETH0, *routes], **fields
    )


def vlans(number, step=1):
    """A host with so many uplinks, each in a network of its own."""
    names = [f"bond0.{each}" for each in range(number)]
    networks = ["10.{}.{}".format(*divmod(each * step, 256)) for each in range(number)]
    return host(
        [link(10 + each, name, kind="vlan") for each, name in enumerate(names)],
        [address(name, base + ".5/24") for name, base in zip(names, networks)],
        [
            route("default", name, base + ".1", metric=100 + each)
            for each, (name, base) in enumerate(zip(names, networks))
        ],
        profiles=tuple(Profile(name, id=name, device=name) for name in names),
    )


def make_plan(
    host: Host, settings: Settings, earlier: Mapping[str, int] = planner.NO_TABLES
) -> Plan:
    """The plan for the host, bound to its profiles by the target that it has."""
    return planner.make_plan(host, settings, choose_target().bind, earlier)


def with_table_names(host):
    """The host with the names of tables that an earlier run has written."""
    names = tuple(
        TableName(100 + number, f"eth{number}", FRAGMENT, owned=True) for number in range(3)
    )
    return host._replace(tables=(*host.tables, *names))
