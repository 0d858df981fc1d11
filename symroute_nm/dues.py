"""What every destination is due: delivery, a drop, an internal network, the asked link (pure)."""

from ipaddress import IPv4Network, IPv6Network
from typing import (
    AbstractSet,
    Dict,
    FrozenSet,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Sequence,
    Tuple,
)

from symroute_nm.aggregation import collapse
from symroute_nm.classes import Flat, Spans
from symroute_nm.model import (
    ANY,
    LINK_LOCAL,
    TABLE_LOCAL,
    TABLE_MAIN,
    Hop,
    Host,
    IPNetwork,
    Route,
    Rule,
)
from symroute_nm.rpdb import Class, Decision, Packet, Rpdb

# A link that has specific routes to this much of a family's addresses is a way to everything, in
# pieces, and no internal network: OpenVPN's redirect-gateway has 0.0.0.0/1 and 128.0.0.0/1, or ::/3
# and 2000::/4; WireGuard's AllowedIPs may spell the Internet out. 2000::/3 is an eighth of IPv6.
_WIDE_SHARE = 8

# Link-local and multicast destinations belong to the link that they are asked for on; and so does
# ::1 (rt6_need_strict), which comes in by none.
_LINK_SCOPE: Mapping[int, Tuple[IPNetwork, ...]] = {
    4: (LINK_LOCAL[4], IPv4Network("224.0.0.0/4"), IPv4Network("255.255.255.255/32")),
    6: (LINK_LOCAL[6], IPv6Network("ff00::/8"), IPv6Network("::1/128")),
}
_LINK_SCOPE_TABLE = 1  # in a database of our own, which has no other but local and main


class Due(NamedTuple):
    """What a part of the destination space is due, by what local and main know specifically."""

    kind: str  # local, drop, internal, main: left to it, own: by the link of the source address
    spans: Spans
    specific: Flat  # as local and main alone decide there: of one type and ways out, one decision


class Dues:
    """What each family's destinations are due, worked out when first asked for."""

    def __init__(
        self, host: Host, outward: FrozenSet[str], left_out: Sequence[AbstractSet[IPNetwork]],
        like: Rpdb
    ) -> None:
        self.outward = outward
        self._host = host
        self._left_out = left_out
        self._like = like  # with tables to share
        self._dues: Dict[int, List[Due]] = {}

    def of(self, version: int) -> List[Due]:
        """The dues of a family, which leave out what is of link scope."""
        if version not in self._dues:
            self._dues[version] = list(self._find(version))
        return self._dues[version]

    def _find(self, version: int) -> Iterator[Due]:
        dues: Dict[str, Flat] = {}
        known: Dict[Tuple[object, ...], Tuple[str, Decision]] = {}  # very many are of few kinds
        for _, first, last, decision in _classes(self._host, version, self._like):
            route = decision.route
            key = (decision.type, decision.hops, decision.table, route is None or route.default)
            found = known.get(key)
            if found is None:
                found = known[key] = (_kind(decision, self.outward), decision)
            kind, like = found
            if kind == "own" and route is not None and any(
                    route.destination in each for each in self._left_out):
                kind = "main"
            flat = dues.setdefault(kind, Flat([], [], []))
            flat.starts.append(first)
            flat.ends.append(last)
            flat.values.append(like)
        for kind, flat in dues.items():
            if kind != "any":
                yield Due(kind, _join(flat), flat)


def find_wide_links(host: Host, uplinks: AbstractSet[str]) -> FrozenSet[str]:
    """The links that are no uplinks and yet lead to most of a family: a VPN's default in pieces."""
    spans: Dict[Tuple[str, int], List[IPNetwork]] = {}
    for route in host.routes:
        if route.type == "unicast" and not route.default:
            for hop in route.hops:
                if hop.link not in uplinks:
                    spans.setdefault((hop.link, route.version), []).append(route.destination)
    return frozenset(
        link for (link, version), networks in spans.items()
        if sum(map(_size, collapse(networks))) >= _size(ANY[version]) // _WIDE_SHARE)


def _size(network: IPNetwork) -> int:
    # num_addresses keeps what it works out with every network.
    return 1 << (network.max_prefixlen - network.prefixlen)


def is_internal(decision: Decision, outward: FrozenSet[str]) -> bool:
    """Whether a specific route leads to a link that leads nowhere else: a container, a VPN's peer.

    `outward` are the uplinks and the links that are a way to everything.
    """
    route = decision.route
    return (
        decision.type == "unicast" and route is not None and not route.default
        and not decision.links & outward
    )


def _classes(host: Host, version: int, like: Rpdb) -> Iterator[Class]:
    """All destinations, as local and what main knows specifically decide."""
    rules = [
        Rule(version, 0, table=TABLE_LOCAL),
        Rule(version, 1, table=_LINK_SCOPE_TABLE),
        Rule(version, 2, table=TABLE_MAIN, suppress_prefixlength=0),
    ]
    routes = [each for each in host.routes if each.table in (TABLE_LOCAL, TABLE_MAIN)]
    routes += [Route(network, table=_LINK_SCOPE_TABLE, hops=(Hop(),))
               for network in _LINK_SCOPE[version]]
    template = Packet(destination=ANY[version].network_address)
    return Rpdb(rules, routes, host.links, like=like).each_class(template)


def _kind(decision: Decision, outward: FrozenSet[str]) -> str:
    if decision.table == _LINK_SCOPE_TABLE:
        return "any"
    if decision.type == "local":
        return "local"
    if decision.type != "unicast" and decision.route is not None:
        return "drop"
    return "internal" if is_internal(decision, outward) else "own"


def _join(flat: Flat) -> Spans:
    """Neighbours made one."""
    joined = Spans([], [])
    for first, last in zip(flat.starts, flat.ends):
        if joined.ends and joined.ends[-1] == first - 1:
            joined.ends[-1] = last
        else:
            joined.starts.append(first)
            joined.ends.append(last)
    return joined
