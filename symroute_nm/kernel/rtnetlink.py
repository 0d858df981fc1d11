"""The running kernel -> `Host`, and rules and routes <-> the messages of rtnetlink(7).

Links, addresses, routes, rules and the sysctls that matter are read; rules and routes are made
into messages as ip(8) does.
"""

import os
import struct
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_interface
from pathlib import Path
from typing import Any, Dict, FrozenSet, Iterable, Iterator, List, Mapping, Optional, Tuple

from symroute_nm.errors import SystemFailure, pass_on_exhaustion
from symroute_nm.kernel import netlink
from symroute_nm.kernel.netlink import Message
from symroute_nm.model.host import Host
from symroute_nm.model.network import (
    ANY,
    ROUTE_TYPES,
    Address,
    Hop,
    IPAddress,
    IPNetwork,
    Link,
    Route,
    Rule,
    parse_network,
)
from symroute_nm.model.prefixes import make_prefix_key
from symroute_nm.model.route_set import Column, Packer, RouteSet

# linux/if.h, linux/if_addr.h, linux/rtnetlink.h, linux/fib_rules.h
IFF_UP = 0x1
_IFF_LOOPBACK, _IFF_LOWER_UP = 0x8, 0x10000
_IFA_F_TEMPORARY, _IFA_F_PERMANENT = 0x1, 0x80
_FIB_RULE_INVERT = 0x2
_RTM_F_CLONED, _RTNH_F_PERVASIVE, _RTNH_F_ONLINK = 0x200, 0x2, 0x4
_NONE = 0xFFFFFFFF  # how the kernel says that a suppress_* is not set
_RTPROT_BOOT = 3  # as `ip` has it for routes; for rules it says nothing
_SCOPE_UNIVERSE, _SCOPE_LINK = 0, 253
_LARGEST_SHORT_TABLE, _RT_TABLE_COMPAT = 255, 252  # what has a longer id stands under the latter
VERSIONS = {2: 4, 10: 6}  # AF_INET, AF_INET6; the other families are multicast routing's
_FAMILIES = {version: family for family, version in VERSIONS.items()}
_ACTIONS = {1: "lookup", 2: "goto", 3: "nop", 6: "blackhole", 7: "unreachable", 8: "prohibit"}
_ACTION_NUMBERS = {name: number for number, name in _ACTIONS.items()}
_ROUTE_NUMBERS = {name: number for number, name in ROUTE_TYPES.items()}
_WITHOUT_HOPS = {"blackhole", "unreachable", "prohibit", "throw"}
_MODELLED = {
    "FRA_DST",
    "FRA_SRC",
    "FRA_IIFNAME",
    "FRA_OIFNAME",
    "FRA_FWMARK",
    "FRA_FWMASK",
    "FRA_TABLE",
    "FRA_PRIORITY",
    "FRA_GOTO",
    "FRA_SUPPRESS_PREFIXLEN",
    "FRA_SUPPRESS_IFGROUP",
    "FRA_L3MDEV",
    "FRA_PROTOCOL",
    "FRA_PAD",
    "FRA_UNSPEC",
}
_PROC = Path("/proc/sys/net")

# struct rtmsg and struct fib_rule_hdr, which have these fields in common; then struct rtattr,
# struct rtnexthop, struct rtvia, enum rtattr_type_t
_MESSAGE = struct.Struct("=BBBBBBBBI")
FAMILY_AT = netlink.HEADER_SIZE
_LENGTH_AT = netlink.HEADER_SIZE + 1  # rtm_dst_len
TABLE_AT = netlink.HEADER_SIZE + 4
_KIND_AT = netlink.HEADER_SIZE + 7  # the last of eight fields of one byte
_FLAGS_AT = _KIND_AT + 1
_NEXT_HOP = struct.Struct("=HBBi")
_NUMBER = struct.Struct("=I")
_FAMILY = struct.Struct("=H")
(_DST, _OIF, _GATEWAY, _PRIORITY, _PREFSRC, _MULTIPATH, _TABLE, _VIA) = (1, 4, 5, 6, 7, 9, 15, 18)
_CACHEINFO, _ENCAP_TYPE, _ENCAP, _EXPIRES, _NH_ID = 12, 21, 22, 23, 30
# What the kernel lists of a nexthop object, and refuses to be told beside its number.
_OF_NEXT_HOP = {_OIF, _GATEWAY, _MULTIPATH, _VIA, _ENCAP_TYPE, _ENCAP}
_UNICAST, _BLACKHOLE = 1, 6
_DESTINATION_AT = netlink.HEADER_SIZE + _MESSAGE.size + netlink.ATTRIBUTE_HEADER_SIZE + _NUMBER.size
_CACHED_EXPIRY = struct.Struct("=8xi16x")  # struct rta_cacheinfo, in hundredths of a second
_HUNDREDTHS = 100


def read_host(probe: bool = True) -> Host:
    """The kernel's part of the host in this network namespace; raises `SystemFailure`.

    `probe`: find out whether the kernel honours suppress_prefixlength where rules do not show it.
    """
    connection = netlink.open_netlink()
    try:
        names, links = _read_links(netlink.dump(connection, netlink.LINKS))
        addresses = _read_addresses(netlink.dump(connection, netlink.ADDRESSES), names)
        routes = read_routes(connection, names)
        rules = _read_rules(netlink.dump(connection, netlink.RULES))
    finally:
        connection.close()
    return Host(
        links=links,
        addresses=addresses,
        routes=routes,
        rules=rules,
        kernel=os.uname().release,
        suppress=_suppression(rules, probe),
        forwarding=tuple(
            version
            for version, name in ((4, "ipv4/ip_forward"), (6, "ipv6/conf/all/forwarding"))
            if read_sysctl(name)
        ),
        rp_filter=read_sysctl("ipv4/conf/all/rp_filter"),
    )


def _suppression(rules: Iterable[Rule], probe: bool) -> Optional[bool]:
    if any(rule.suppress_prefixlength is not None for rule in rules):
        return True
    return netlink.probe_suppression() if probe else None


def _read_links(messages: Iterable[Message]) -> Tuple[Dict[int, str], Tuple[Link, ...]]:
    listed = list(messages)
    names = read_names(listed)
    return names, tuple(sorted((_link(line, names) for line in listed), key=lambda link: link.name))


def read_names(messages: Iterable[Message]) -> Dict[int, str]:
    """The links' names from a dump of links: {ifindex: name}."""
    return {
        message.fields["index"]: _text(message.attribute("IFLA_IFNAME")) for message in messages
    }


def _link(message: Message, names: Dict[int, str]) -> Link:
    flags = message.fields["flags"]
    kind, table = _kind(message)
    name = names[message.fields["index"]]
    return Link(
        ifindex=message.fields["index"],
        name=name,
        kind=kind,
        mac=message.attribute("IFLA_ADDRESS") or "",
        permanent_mac=message.attribute("IFLA_PERM_ADDRESS") or "",
        master=names.get(message.attribute("IFLA_MASTER") or 0, ""),
        table=table,
        loopback=bool(flags & _IFF_LOOPBACK),
        up=bool(flags & IFF_UP),
        carrier=bool(flags & _IFF_LOWER_UP),
        group=message.attribute("IFLA_GROUP") or 0,
        rp_filter=read_sysctl(f"ipv4/conf/{name}/rp_filter"),
    )


def _kind(message: Message) -> Tuple[str, int]:
    linkinfo = message.attribute("IFLA_LINKINFO")
    if linkinfo is None:
        return "", 0
    content: Any = linkinfo.get_attr("IFLA_INFO_DATA")
    table = content.get_attr("IFLA_VRF_TABLE") if hasattr(content, "get_attr") else None
    return linkinfo.get_attr("IFLA_INFO_KIND") or "", table or 0


def _read_addresses(messages: Iterable[Message], names: Dict[int, str]) -> Tuple[Address, ...]:
    addresses = (
        _address(message, names) for message in messages if message.fields["family"] in VERSIONS
    )
    return tuple(sorted(addresses, key=_address_key))


def _address_key(address: Address) -> Tuple[Any, ...]:
    return address.link, address.version, address.interface, str(address.peer)


def _address(message: Message, names: Dict[int, str]) -> Address:
    far = message.attribute("IFA_ADDRESS")
    own = message.attribute("IFA_LOCAL") or far
    flags = message.attribute("IFA_FLAGS") or message.fields["flags"]
    version = VERSIONS[message.fields["family"]]
    return Address(
        link=names.get(message.fields["index"], ""),
        interface=ip_interface(f"{own}/{message.fields['prefixlen']}"),
        peer=ip_address(far) if far and far != own else None,
        scope=message.fields["scope"],
        dynamic=not flags & _IFA_F_PERMANENT,
        temporary=version == 6 and bool(flags & _IFA_F_TEMPORARY),  # noqa: PLR2004  # IP version
    )


def _read_rules(messages: Iterable[Message]) -> Tuple[Rule, ...]:
    rules = [decode_rule(message) for message in messages if message.fields["family"] in VERSIONS]
    # Rules of one priority act in the kernel's order, which a stable sort keeps.
    return tuple(sorted(rules, key=lambda rule: (rule.version, rule.priority)))


def decode_rule(message: Message) -> Rule:
    """The rule of a message, with what is not modelled in `opaque`."""
    fields = message.fields
    version = VERSIONS[fields["family"]]
    mark = message.attribute("FRA_FWMARK") or 0
    mask = message.attribute("FRA_FWMASK")
    if mask is None:
        mask = _NONE if mark else 0
    return Rule(
        version=version,
        priority=message.attribute("FRA_PRIORITY") or 0,
        source=_selector(version, message.attribute("FRA_SRC"), fields["src_len"]),
        destination=_selector(version, message.attribute("FRA_DST"), fields["dst_len"]),
        iif=_text(message.attribute("FRA_IIFNAME")),
        oif=_text(message.attribute("FRA_OIFNAME")),
        mark=mark,
        mask=mask,
        tos=fields["tos"],
        invert=bool(fields["flags"] & _FIB_RULE_INVERT),
        action=_ACTIONS.get(fields["action"], f"action {fields['action']}"),
        table=message.attribute("FRA_TABLE") or fields["table"],
        target=message.attribute("FRA_GOTO") or 0,
        suppress_prefixlength=_unless_none(message.attribute("FRA_SUPPRESS_PREFIXLEN")),
        suppress_ifgroup=_unless_none(message.attribute("FRA_SUPPRESS_IFGROUP")),
        l3mdev=bool(message.attribute("FRA_L3MDEV")),
        opaque=tuple(_opaque(fields["attrs"])),
        protocol=message.attribute("FRA_PROTOCOL") or 0,
    )


def _opaque(attributes: List[Any]) -> Iterator[str]:
    for attribute in attributes:
        if attribute[0] not in _MODELLED:
            yield _describe(attribute[0], attribute[1])


def _describe(name: str, content: Any) -> str:
    if name == "UNKNOWN":  # of a kernel that is newer than pyroute2
        return f"attribute {content['header']['type']}"
    if isinstance(content, dict):
        content = " ".join(
            f"{key} {value}" for key, value in sorted(content.items()) if key != "header"
        )
    return f"{name.replace('FRA_', '').lower()} {content}"


def _unless_none(value: Optional[int]) -> Optional[int]:
    return None if value is None or value == _NONE else value


def _selector(version: int, address: Optional[str], length: int) -> Optional[IPNetwork]:
    return _network_of(version, address, length) if length else None


def _network_of(version: int, address: Optional[str], length: int) -> IPNetwork:
    return parse_network(f"{address}/{length}") if address else ANY[version]


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        # A link's name may be any bytes; pyroute2 leaves those alone that are not UTF-8.
        return value.decode("utf-8", "backslashreplace")
    return str(value) if value else ""


def read_sysctl(name: str) -> int:
    """The sysctl's number below /proc/sys/net; 0 where the kernel does not have it."""
    try:
        return int((_PROC / name).read_text().split()[0])
    except OSError as error:
        pass_on_exhaustion(error)
        return 0
    except (ValueError, IndexError):
        return 0


# -- routes ---------------------------------------------------------------------------------------
def read_routes(connection: netlink.Connection, names: Mapping[int, str]) -> RouteSet:
    """All routes, sorted; `names` are the links' by index. Raises `SystemFailure`.

    But for cached ones and those for certain IPv6 sources only (RTA_SRC): taken for plain, the
    latter would be wrong evidence for every other source.
    """
    reader = RouteReader(names)
    return netlink.consume(connection, netlink.ROUTES, reader.pack)


class RouteReader:
    """Reads routes of one host; what many have in common is kept once."""

    def __init__(self, names: Mapping[int, str]) -> None:
        self._names = names
        self._addresses: Dict[bytes, IPAddress] = {}
        self._hops: Dict[Tuple[int, bytes, bytes, int], Tuple[Hop, ...]] = {}

    def read(self, content: bytes, offset: int) -> Optional[Route]:
        """The route whose message begins there; None for one that is not to be known."""
        length, _, _ = netlink.header(content, offset)
        start = offset + netlink.HEADER_SIZE
        family, bits, source_bits, tos, table, protocol, scope, kind, flags = _MESSAGE.unpack_from(
            content, start
        )
        version = VERSIONS.get(family)
        if version is None or source_bits or flags & _RTM_F_CLONED:
            return None
        attributes = dict(_attributes(content, start + _MESSAGE.size, offset + length))
        type_ = ROUTE_TYPES.get(kind) or f"type {kind}"
        return Route(
            _network(version, attributes.get(_DST), bits),
            _number(attributes.get(_TABLE)) or table,
            type_,
            () if type_ in _WITHOUT_HOPS else self._read_hops(attributes, flags),
            _number(attributes.get(_PRIORITY)),
            tos,
            protocol,
            scope,
            self._address(attributes.get(_PREFSRC, b"")),
        )

    def pack(self, messages: Iterable[Tuple[bytes, int]]) -> RouteSet:
        """All routes whose messages begin in these contents, at these offsets."""
        packer = Packer()
        slots: Dict[bytes, Tuple[Column, int]] = {}  # by all but the destination
        for content, offset in messages:
            destination, rest = _split(content, offset)
            slot = slots.get(rest) if destination else None
            if slot is not None:
                first = int.from_bytes(destination, "big")
                slot[0].add(make_prefix_key(first, content[offset + _LENGTH_AT]), slot[1])
                continue
            route = self.read(content, offset)
            if route is not None:
                packer.add(route)
                if destination:
                    slots[rest] = packer.slot(route)
        return packer.pack()

    def _read_hops(self, attributes: Mapping[int, bytes], flags: int) -> Tuple[Hop, ...]:
        if _MULTIPATH in attributes:
            return tuple(self._next_hops(attributes[_MULTIPATH]))
        return self._hop(_number(attributes.get(_OIF)), attributes, flags)

    def _next_hops(self, content: bytes) -> Iterator[Hop]:
        for offset in _hop_offsets(content):
            length, flags, weight, index = _NEXT_HOP.unpack_from(content, offset)
            attributes = dict(_attributes(content, offset + _NEXT_HOP.size, offset + length))
            for hop in self._hop(index, attributes, flags):
                yield hop._replace(weight=weight + 1)

    def _hop(self, index: int, attributes: Mapping[int, bytes], flags: int) -> Tuple[Hop, ...]:
        gateway, via = attributes.get(_GATEWAY, b""), attributes.get(_VIA, b"")
        key = (index, gateway, via, flags & _RTNH_F_ONLINK)
        hops = self._hops.get(key)
        if hops is None:
            # RFC 5549: of another family than the destination's
            address = self._address(gateway or via[_FAMILY.size :])
            hops = self._hops[key] = (
                Hop(self._names.get(index, ""), address, bool(flags & _RTNH_F_ONLINK)),
            )
        return hops

    def _address(self, packed: bytes) -> Optional[IPAddress]:
        if not packed:
            return None
        if packed not in self._addresses:
            four = len(packed) == IPv4Address(0).max_prefixlen // 8
            self._addresses[packed] = IPv4Address(packed) if four else IPv6Address(packed)
        return self._addresses[packed]


def links_of(raw: bytes) -> FrozenSet[int]:
    """The indexes of the links that a listed route leads out of."""
    attributes = dict(_attributes(raw, _FLAGS_AT + _NUMBER.size, len(raw)))
    hops = attributes.get(_MULTIPATH, b"")
    indexes = {_NEXT_HOP.unpack_from(hops, offset)[-1] for offset in _hop_offsets(hops)}
    return frozenset(indexes | {_number(attributes[_OIF])} if _OIF in attributes else indexes)


def _hop_offsets(content: bytes) -> Iterator[int]:
    offset = 0
    while offset + _NEXT_HOP.size <= len(content):
        yield offset
        (length,) = _FAMILY.unpack_from(content, offset)
        offset += max(_NEXT_HOP.size, (length + 3) & ~3)


def _attributes(content: bytes, offset: int, end: int) -> Iterator[Tuple[int, bytes]]:
    return (
        (kind, content[at + netlink.ATTRIBUTE_HEADER_SIZE : at + length])
        for kind, at, length in netlink.walk_attributes(content, offset, end)
    )


def _split(content: bytes, offset: int) -> Tuple[bytes, bytes]:
    """A message's destination, and what else there is of the route but the prefix length.

    No destination where it does not stand where it always does, right behind RTA_TABLE
    (fib_dump_info, rt6_fill_node).
    """
    end = offset + _NUMBER.unpack_from(content, offset)[0]
    at = offset + _DESTINATION_AT
    if at + netlink.ATTRIBUTE_HEADER_SIZE > end:
        return b"", b""
    kind, size = netlink.read_attribute_header(content, at)
    if kind != _DST:
        return b"", b""
    length_at = offset + _LENGTH_AT
    return content[at + netlink.ATTRIBUTE_HEADER_SIZE : at + size], b"".join(
        (
            content[offset + netlink.HEADER_SIZE : length_at],
            content[length_at + 1 : at],
            content[at + size : end],
        )
    )


def _network(version: int, packed: Optional[bytes], bits: int) -> IPNetwork:
    if packed is None:
        return ANY[version]
    kind = IPv4Network if version == 4 else IPv6Network  # noqa: PLR2004  # IP version
    return kind((packed, bits))


def _number(packed: Optional[bytes]) -> int:
    return int(_NUMBER.unpack(packed)[0]) if packed else 0


# -- rules and routes into messages ---------------------------------------------------------------
def sendable_rule(raw: bytes) -> bytes:
    """A listed rule as a message to send: the kernel refuses flags that only tell a state."""
    (flags,) = _NUMBER.unpack_from(raw, _FLAGS_AT)
    lasting = _NUMBER.pack(flags & _FIB_RULE_INVERT)
    return raw[:_FLAGS_AT] + lasting + raw[_FLAGS_AT + _NUMBER.size :]


def sendable_route(raw: bytes, expiry: bool = True) -> bytes:
    """A listed route as a message to send: without what only tells a state, which is refused.

    Without `expiry`, as one to compare: when it expires is left out.
    """
    listed = list(_attributes(raw, _FLAGS_AT + _NUMBER.size, len(raw)))
    (flags,) = _NUMBER.unpack_from(raw, _FLAGS_AT)
    dropped = _OF_NEXT_HOP if _NH_ID in dict(listed) else set()
    lasting = 0 if dropped else _RTNH_F_PERVASIVE | _RTNH_F_ONLINK
    # A nexthop that is a blackhole has its routes listed as if they were blackholes themselves.
    kind = _UNICAST if dropped and raw[_KIND_AT] == _BLACKHOLE else raw[_KIND_AT]
    parts = [raw[:_KIND_AT], bytes([kind]), _NUMBER.pack(flags & lasting)]
    for kind, content in listed:
        if kind == _CACHEINFO:
            parts.append(_expiry(content) if expiry else b"")
        elif kind not in dropped:
            value = _plain_hops(content) if kind == _MULTIPATH else content
            parts.append(netlink.make_attribute(kind, value))
    return b"".join(parts)


def _expiry(cached: bytes) -> bytes:
    """When the route expires, as it is told; b"" where it does not."""
    (left,) = _CACHED_EXPIRY.unpack_from(cached)  # negative where it has, and is still there
    return (
        netlink.make_attribute(_EXPIRES, _NUMBER.pack(max(1, left // _HUNDREDTHS))) if left else b""
    )


def _plain_hops(content: bytes) -> bytes:
    """Next hops without flags such as RTNH_F_LINKDOWN."""
    plain = bytearray(content)
    for offset in _hop_offsets(content):
        plain[offset + 2] &= _RTNH_F_PERVASIVE | _RTNH_F_ONLINK
    return bytes(plain)


def short_table(table: int) -> int:
    """What stands in the one byte that a route's message has for its table."""
    return table if table <= _LARGEST_SHORT_TABLE else _RT_TABLE_COMPAT


def encode_rule(rule: Rule) -> bytes:
    """A rule as a message to send, as ``ip rule add`` has it."""
    fields = {
        "family": _FAMILIES[rule.version],
        "action": _ACTION_NUMBERS[rule.action],
        "src_len": rule.source.prefixlen if rule.source else 0,
        "table": rule.table if rule.table <= _LARGEST_SHORT_TABLE else 0,
        "tos": rule.tos,
        "flags": _FIB_RULE_INVERT if rule.invert else 0,
    }
    attributes: List[Tuple[str, Any]] = [
        ("FRA_PRIORITY", rule.priority),
        ("FRA_TABLE", rule.table),
    ]
    if rule.source:
        attributes.append(("FRA_SRC", str(rule.source.network_address)))
    if rule.iif:
        attributes.append(("FRA_IIFNAME", rule.iif))
    if rule.mask:
        attributes += [("FRA_FWMARK", rule.mark), ("FRA_FWMASK", rule.mask)]
    if rule.suppress_prefixlength is not None:
        attributes.append(("FRA_SUPPRESS_PREFIXLEN", rule.suppress_prefixlength))
    return netlink.encode(netlink.RULES, fields, attributes)


def encode_route(route: Route, links: Mapping[str, int]) -> bytes:
    """A route of one hop at most as a message to send, as ``ip route add`` has it.

    `links` are the links' indexes by name; raises `SystemFailure` where the route's is gone.
    """
    hop = route.hop
    on_link = route.hops and hop.gateway is None and route.version == 4  # noqa: PLR2004  # family
    fields = {
        "family": _FAMILIES[route.version],
        "dst_len": route.destination.prefixlen,
        "table": short_table(route.table),
        "proto": _RTPROT_BOOT,
        "type": _ROUTE_NUMBERS[route.type],
        "tos": route.tos,
        "scope": _SCOPE_LINK if on_link else _SCOPE_UNIVERSE,
        "flags": _RTNH_F_ONLINK if hop.onlink else 0,
    }
    return netlink.encode(netlink.ROUTES, fields, list(_route_attributes(route, links)))


def _route_attributes(route: Route, links: Mapping[str, int]) -> Iterator[Tuple[str, Any]]:
    yield "RTA_TABLE", route.table
    if not route.default:
        yield "RTA_DST", str(route.destination.network_address)
    if route.metric:
        yield "RTA_PRIORITY", route.metric
    if route.source:
        yield "RTA_PREFSRC", str(route.source)
    hop = route.hop
    if hop.link:
        if hop.link not in links:
            raise SystemFailure(f"{hop.link} is gone", "run it again")
        yield "RTA_OIF", links[hop.link]
    if hop.gateway is None:
        return
    if hop.gateway.version == route.version:
        yield "RTA_GATEWAY", str(hop.gateway)
    else:
        yield "RTA_VIA", {"family": _FAMILIES[hop.gateway.version], "addr": str(hop.gateway)}
