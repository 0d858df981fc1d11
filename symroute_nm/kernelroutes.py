"""rtnetlink(7)'s RTM_NEWROUTE messages -> `Route`, one by one and with little to keep.

Hosts have hundreds of thousands of them, and pyroute2 takes 60 µs and 6 kB for each: so these few
fields are read here, and equal ways out are one object.
"""

import struct
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Dict, FrozenSet, Iterable, Iterator, Mapping, Optional, Tuple

from symroute_nm import attributes, netlink
from symroute_nm.model.network import ANY, Hop, IPAddress, IPNetwork, Route
from symroute_nm.model.prefixes import make_rank
from symroute_nm.model.route_set import Column, Packer, RouteSet

# linux/rtnetlink.h: struct rtmsg, struct rtattr, struct rtnexthop, struct rtvia, enum rtattr_type_t
_MESSAGE = struct.Struct("=BBBBBBBBI")
_NEXT_HOP = struct.Struct("=HBBi")
_NUMBER = struct.Struct("=I")
_FAMILY = struct.Struct("=H")
(_DST, _OIF, _GATEWAY, _PRIORITY, _PREFSRC, _MULTIPATH, _TABLE, _VIA) = (1, 4, 5, 6, 7, 9, 15, 18)
_CACHEINFO, _ENCAP_TYPE, _ENCAP, _EXPIRES, _NH_ID = 12, 21, 22, 23, 30
# What the kernel lists of a nexthop object, and refuses to be told beside its number.
_OF_NEXT_HOP = {_OIF, _GATEWAY, _MULTIPATH, _VIA, _ENCAP_TYPE, _ENCAP}
_KIND_AT = netlink.HEADER_SIZE + 7  # the last of eight fields of one byte
_FLAGS_AT = _KIND_AT + 1
_UNICAST, _BLACKHOLE = 1, 6
_LENGTH_AT = netlink.HEADER_SIZE + 1  # rtm_dst_len
_DESTINATION_AT = netlink.HEADER_SIZE + _MESSAGE.size + attributes.SIZE + _NUMBER.size
_CACHED_EXPIRY = struct.Struct("=8xi16x")  # struct rta_cacheinfo, in hundredths of a second
_HUNDREDTHS = 100
_RTM_F_CLONED, _RTNH_F_PERVASIVE, _RTNH_F_ONLINK = 0x200, 0x2, 0x4
ROUTE_TYPES = {
    1: "unicast", 2: "local", 3: "broadcast", 4: "anycast", 5: "multicast",
    6: "blackhole", 7: "unreachable", 8: "prohibit", 9: "throw", 10: "nat",
}
_WITHOUT_HOPS = {"blackhole", "unreachable", "prohibit", "throw"}
_VERSIONS = {2: 4, 10: 6}  # AF_INET, AF_INET6; the others are multicast routing's


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
            content, start)
        version = _VERSIONS.get(family)
        if version is None or source_bits or flags & _RTM_F_CLONED:
            return None
        found = dict(_attributes(content, start + _MESSAGE.size, offset + length))
        type_ = ROUTE_TYPES.get(kind) or "type %d" % kind
        return Route(
            _network(version, found.get(_DST), bits),
            _number(found.get(_TABLE)) or table,
            type_,
            () if type_ in _WITHOUT_HOPS else self._ways(found, flags),
            _number(found.get(_PRIORITY)),
            tos,
            protocol,
            scope,
            self._address(found.get(_PREFSRC, b"")),
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
                slot[0].add(make_rank(first, content[offset + _LENGTH_AT]), slot[1])
                continue
            route = self.read(content, offset)
            if route is not None:
                packer.add(route)
                if destination:
                    slots[rest] = packer.slot(route)
        return packer.pack()

    def _ways(self, found: Mapping[int, bytes], flags: int) -> Tuple[Hop, ...]:
        if _MULTIPATH in found:
            return tuple(self._next_hops(found[_MULTIPATH]))
        return self._hop(_number(found.get(_OIF)), found, flags)

    def _next_hops(self, content: bytes) -> Iterator[Hop]:
        for offset in _hop_offsets(content):
            length, flags, weight, index = _NEXT_HOP.unpack_from(content, offset)
            found = dict(_attributes(content, offset + _NEXT_HOP.size, offset + length))
            for each in self._hop(index, found, flags):
                yield each._replace(weight=weight + 1)

    def _hop(self, index: int, found: Mapping[int, bytes], flags: int) -> Tuple[Hop, ...]:
        gateway, via = found.get(_GATEWAY, b""), found.get(_VIA, b"")
        key = (index, gateway, via, flags & _RTNH_F_ONLINK)
        hops = self._hops.get(key)
        if hops is None:
            # RFC 5549: of another family than the destination's
            address = self._address(gateway or via[_FAMILY.size:])
            hops = self._hops[key] = (
                Hop(self._names.get(index, ""), address, bool(flags & _RTNH_F_ONLINK)),)
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
    found = dict(_attributes(raw, _FLAGS_AT + _NUMBER.size, len(raw)))
    hops = found.get(_MULTIPATH, b"")
    indexes = {_NEXT_HOP.unpack_from(hops, offset)[-1] for offset in _hop_offsets(hops)}
    return frozenset(indexes | {_number(found[_OIF])} if _OIF in found else indexes)


def sendable(raw: bytes, expiry: bool = True) -> bytes:
    """A listed route as a message to send: without what only tells a state, which is refused.

    Without `expiry`, as one to compare: when it expires is left out.
    """
    listed = list(_attributes(raw, _FLAGS_AT + _NUMBER.size, len(raw)))
    flags, = _NUMBER.unpack_from(raw, _FLAGS_AT)
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
            parts.append(attributes.make(kind, value))
    return b"".join(parts)


def _expiry(cached: bytes) -> bytes:
    """When the route expires, as it is told; b"" where it does not."""
    left, = _CACHED_EXPIRY.unpack_from(cached)  # negative where it has, and is still there
    return attributes.make(_EXPIRES, _NUMBER.pack(max(1, left // _HUNDREDTHS))) if left else b""


def _plain_hops(content: bytes) -> bytes:
    """Next hops without flags such as RTNH_F_LINKDOWN."""
    plain = bytearray(content)
    for offset in _hop_offsets(content):
        plain[offset + 2] &= _RTNH_F_PERVASIVE | _RTNH_F_ONLINK
    return bytes(plain)


def _hop_offsets(content: bytes) -> Iterator[int]:
    offset = 0
    while offset + _NEXT_HOP.size <= len(content):
        yield offset
        length, = _FAMILY.unpack_from(content, offset)
        offset += max(_NEXT_HOP.size, (length + 3) & ~3)


def _attributes(content: bytes, offset: int, end: int) -> Iterator[Tuple[int, bytes]]:
    return ((kind, content[at + attributes.SIZE:at + length])
            for kind, at, length in attributes.walk(content, offset, end))


def _split(content: bytes, offset: int) -> Tuple[bytes, bytes]:
    """A message's destination, and what else there is of the route but the prefix length.

    No destination where it does not stand where it always does, right behind RTA_TABLE
    (fib_dump_info, rt6_fill_node).
    """
    end = offset + _NUMBER.unpack_from(content, offset)[0]
    at = offset + _DESTINATION_AT
    if at + attributes.SIZE > end:
        return b"", b""
    kind, size = attributes.head(content, at)
    if kind != _DST:
        return b"", b""
    length_at = offset + _LENGTH_AT
    return content[at + attributes.SIZE:at + size], b"".join((
        content[offset + netlink.HEADER_SIZE:length_at], content[length_at + 1:at],
        content[at + size:end]))


def _network(version: int, packed: Optional[bytes], bits: int) -> IPNetwork:
    if packed is None:
        return ANY[version]
    kind = IPv4Network if version == 4 else IPv6Network  # noqa: PLR2004  # IP version
    return kind((packed, bits))


def _number(packed: Optional[bytes]) -> int:
    return int(_NUMBER.unpack(packed)[0]) if packed else 0
