"""Links, addresses, routes and rules: the same types serve kernel, files, plan and proof.

Addresses are ``ipaddress`` objects, never strings.
"""

from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_network,
)
from typing import Any, Mapping, NamedTuple, Optional, Tuple, Union

IPAddress = Union[IPv4Address, IPv6Address]
IPInterface = Union[IPv4Interface, IPv6Interface]
IPNetwork = Union[IPv4Network, IPv6Network]

# A route's family, table, destination and metric as the kernel lists it.
LineKey = Tuple[int, int, IPNetwork, int]

# linux/rtnetlink.h, enum rt_class_t
TABLE_UNSPEC = 0
TABLE_DEFAULT = 253
TABLE_MAIN = 254
TABLE_LOCAL = 255

LARGEST_UINT32 = 2**32 - 1  # of table ids, marks and metrics

IP6_RT_PRIO_USER = 1024  # linux/ipv6_route.h

IPV4, IPV6 = VERSIONS = (4, 6)
ANY: Mapping[int, IPNetwork] = {4: IPv4Network("0.0.0.0/0"), 6: IPv6Network("::/0")}
LINK_LOCAL: Mapping[int, IPNetwork] = {
    4: IPv4Network("169.254.0.0/16"),
    6: IPv6Network("fe80::/10"),
}

# linux/rtnetlink.h, enum rtn_type: those that the kernel may list
ROUTE_TYPES: Mapping[int, str] = {
    1: "unicast",
    2: "local",
    3: "broadcast",
    4: "anycast",
    5: "multicast",
    6: "blackhole",
    7: "unreachable",
    8: "prohibit",
    9: "throw",
    10: "nat",
}


class Link(NamedTuple):
    """A kernel network device."""

    ifindex: int
    name: str
    kind: str = ""  # IFLA_INFO_KIND: bridge, veth, vlan …; "" for hardware
    mac: str = ""  # lower case, colons
    permanent_mac: str = ""  # IFLA_PERM_ADDRESS (Linux 5.6), what HWADDR= is matched with
    master: str = ""  # name of the bridge, bond, team or VRF that it is a port of
    table: int = 0  # a VRF's table
    loopback: bool = False
    up: bool = True  # IFF_UP
    carrier: bool = True  # IFF_LOWER_UP
    group: int = 0  # ip-link(8), what suppress_ifgroup goes by
    rp_filter: int = 0  # net.ipv4.conf.LINK.rp_filter alone, without "all"
    connection: str = ""  # UUID of NetworkManager's active connection, where known


class Address(NamedTuple):
    """An address on a link, with its prefix length."""

    link: str
    interface: IPInterface
    peer: Optional[IPAddress] = None  # the far end of a point-to-point link
    scope: int = 0  # rtnetlink(7): 0 universe, 253 link, 254 host
    dynamic: bool = False  # has a lifetime: DHCP or SLAAC
    temporary: bool = False  # RFC 8981 privacy address

    @property
    def version(self) -> int:
        """4 or 6."""
        return self.interface.version

    @property
    def ip(self) -> IPAddress:
        """The address alone."""
        return self.interface.ip

    @property
    def network(self) -> IPNetwork:
        """The network on the link: the peer's where the address has a peer."""
        network = self.interface.network
        if self.peer is None:
            return network
        return type(network)((int(self.peer), network.prefixlen), strict=False)


class Hop(NamedTuple):
    """One way out of a route: the link, and the gateway unless the destination is on the link."""

    link: str = ""
    gateway: Optional[IPAddress] = None
    onlink: bool = False
    weight: int = 1


class Route(NamedTuple):
    """A route in a table; `hops` is empty for blackhole, unreachable, prohibit and throw."""

    destination: IPNetwork
    table: int = TABLE_MAIN
    type: str = "unicast"  # rtnetlink(7): unicast local broadcast anycast multicast blackhole …
    hops: Tuple[Hop, ...] = ()
    metric: int = 0
    tos: int = 0
    protocol: int = 0
    scope: int = 0
    source: Optional[IPAddress] = None  # RTA_PREFSRC

    @property
    def version(self) -> int:
        """4 or 6."""
        return self.destination.version

    @property
    def default(self) -> bool:
        """Whether it is the way to everything else."""
        return self.destination.prefixlen == 0

    @property
    def kernel_metric(self) -> int:
        """The metric as the kernel lists it: IPv6 takes 1024 (IP6_RT_PRIO_USER) for none."""
        return self.metric or (IP6_RT_PRIO_USER if self.version == IPV6 else 0)

    @property
    def hop(self) -> Hop:
        """The first way out; an empty `Hop` where there is none."""
        return self.hops[0] if self.hops else Hop()

    @property
    def line_key(self) -> LineKey:
        """Which of a table's routes it is, whatever its way out: what lines and routes share."""
        return (self.version, self.table, self.destination, self.kernel_metric)

    @property
    def kernel_key(self) -> Tuple[Any, ...]:
        """What tells routes of one table apart: the kernel replaces the first that has the same."""
        return (self.table, self.destination, self.tos, self.kernel_metric)

    @property
    def identity(self) -> Tuple[Any, ...]:
        """What of a route a plan says and the kernel gives back."""
        hops = tuple((hop.link, hop.gateway, hop.onlink) for hop in self.hops)
        return (*self.kernel_key, self.type, hops, self.source)


class Rule(NamedTuple):
    """A rule of the RPDB: priority, selector, action (ip-rule(8), linux/fib_rules.h)."""

    version: int
    priority: int
    source: Optional[IPNetwork] = None
    destination: Optional[IPNetwork] = None
    iif: str = ""
    oif: str = ""
    mark: int = 0
    mask: int = 0  # 0: no mark selector
    tos: int = 0
    invert: bool = False  # ip rule add not …
    action: str = "lookup"  # lookup goto nop blackhole unreachable prohibit
    table: int = 0
    target: int = 0  # goto: the priority to go on from
    suppress_prefixlength: Optional[int] = None
    suppress_ifgroup: Optional[int] = None
    l3mdev: bool = False  # looks up the table of the packet's VRF
    opaque: Tuple[str, ...] = ()  # selectors that are not modelled, e.g. "uidrange 0-99"
    protocol: int = 0

    @property
    def without_protocol(self) -> "Rule":
        """The rule without who added it, for comparison."""
        return self._replace(protocol=0)

    @property
    def sender(self) -> str:
        """The source as `ip rule` lists it: an address where it is one; "" where there is none."""
        if self.source is None:
            return ""
        host = self.source.prefixlen == self.source.max_prefixlen
        return str(self.source.network_address if host else self.source)


def parse_network(text: str) -> IPNetwork:
    """The network that an address with a prefix length lies in: ``10.2.2.0/16`` is in 10.2.0.0/16.

    Rules may have such selectors: the kernel keeps the address as it is and compares under the mask
    (fib4_rule_match of net/ipv4/fib_rules.c, ipv6_prefix_equal in net/ipv6/fib6_rules.c). Raises
    `ValueError`.
    """
    return ip_network(text, strict=False)


def host_network(address: IPAddress) -> IPNetwork:
    """The /32 or /128 of an address."""
    if isinstance(address, IPv4Address):
        return IPv4Network((int(address), 32))
    return IPv6Network((int(address), 128))


def is_global(address: Address) -> bool:
    """Whether others can ask the host at it: neither link-local, nor of link or host scope."""
    return (
        address.scope == 0
        and not address.ip.is_loopback
        and not contains(LINK_LOCAL[address.version], host_network(address.ip))
    )


def contains(outer: IPNetwork, inner: IPNetwork) -> bool:
    """Whether `inner` lies in `outer` (``subnet_of`` is 3.7+)."""
    length = outer.prefixlen
    if length > inner.prefixlen or outer.version != inner.version:
        return False
    shift = outer.max_prefixlen - length
    return int(inner.network_address) >> shift == int(outer.network_address) >> shift


def network_key(network: IPNetwork) -> Tuple[int, int, int]:
    """A sort key over both families: version, address, prefix length."""
    return (network.version, int(network.network_address), network.prefixlen)
