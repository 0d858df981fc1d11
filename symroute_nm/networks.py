"""Which destinations main knows specifically, and how the uplinks reach them (pure)."""

from itertools import groupby
from typing import (
    AbstractSet,
    Any,
    Dict,
    Iterable,
    Iterator,
    Mapping,
    NamedTuple,
    Sequence,
    Tuple,
)

from symroute_nm.aggregation import rank
from symroute_nm.model import (
    LINK_LOCAL,
    TABLE_MAIN,
    VERSIONS,
    Hop,
    Host,
    IPNetwork,
    Route,
    Uplink,
    contains,
)


class Network(NamedTuple):
    """A destination that main knows specifically, as the uplinks see it."""

    destination: IPNetwork
    by: Mapping[str, Hop]  # uplinks that reach it themselves: {link: how}
    forwarded: bool  # the other uplinks reach it by their gateways; else it is main's alone
    main: str = ""  # the uplink that main reaches it by, and by no other

    @property
    def internal(self) -> bool:
        """Whether no uplink reaches it: a container's, a VPN's, a blackhole."""
        return not self.by and not self.forwarded

    @property
    def connected(self) -> bool:
        """Whether some uplink has it on its link, rather than behind a router of its own."""
        return any(each.gateway is None for each in self.by.values())


def find_networks(host: Host, uplinks: Sequence[Uplink]) -> Dict[int, Tuple[Network, ...]]:
    """All that main knows specifically: {IP version: networks in ascending order}."""
    networks = {}
    for version in VERSIONS:
        links = {each.link.name for each in uplinks if each.gateway(version)}
        found = _merge_routes(_main_routes(host, version, links), links, version)
        for uplink in uplinks:
            for address in uplink.addresses:
                if address.version == version and not _is_host(address.network):
                    _add_connected(found, uplink.link.name, address.network)
        ordered = sorted(found.values(), key=lambda each: rank(each.destination))
        networks[version] = tuple(ordered)
    return networks


def _merge_routes(
    routes: Iterable[Route], links: AbstractSet[str], version: int
) -> Dict[IPNetwork, Network]:
    """The routes by destination; the best of each says whether an uplink's gateway is the way."""
    found: Dict[IPNetwork, Network] = {}
    same: Dict[Tuple[Hop, ...], Mapping[str, Hop]] = {}  # many routes have the same hops
    for route in routes:
        ways = same.get(route.hops)
        if ways is None:
            ways = same[route.hops] = {
                each.link: Hop(each.link, each.gateway, each.onlink)
                for each in reversed(route.hops) if each.link in links
            }
        if route.type != "unicast":
            ways = {}
        known = found.get(route.destination)
        if known is None:
            # Link-local networks belong to their link alone and are never sent by a gateway.
            forwarded = bool(ways) and not contains(LINK_LOCAL[version], route.destination)
            main = route.hop.link if ways and len(route.hops) == 1 and not route.tos else ""
            found[route.destination] = Network(route.destination, ways, forwarded, main)
        else:
            found[route.destination] = known._replace(by={**ways, **known.by}, main="")
    return found


def _add_connected(found: Dict[IPNetwork, Network], link: str, network: IPNetwork) -> None:
    """An address's own network, where main has no route to it (noprefixroute)."""
    known = found.get(network, Network(network, {}, False))
    found[network] = known._replace(by={link: Hop(link), **known.by})


def _main_routes(host: Host, version: int, links: AbstractSet[str]) -> Iterator[Route]:
    """Main's specific routes, the best of each destination first.

    The order is total, so that the one in which routes are listed never shows in a plan: of equal
    ones an uplink's comes first (if main goes by the other, the proof says so).
    """

    def preference(route: Route) -> Tuple[Any, ...]:
        """What the kernel prefers, of routes to one destination."""
        hops = [(each.link, str(each.gateway), each.onlink, each.weight) for each in route.hops]
        by_uplink = route.type == "unicast" and not links.isdisjoint(hop[0] for hop in hops)
        return (route.tos, route.metric, not by_uplink, route.type, hops)

    routes = [
        each for each in host.routes
        if each.table == TABLE_MAIN and each.version == version and not each.default
        and each.type != "throw"
    ]
    routes.sort(key=lambda each: rank(each.destination))
    # Nearly all destinations have one route, which need not be ranked.
    for _, group in groupby(routes, key=lambda each: each.destination):
        several = list(group)
        yield from sorted(several, key=preference) if len(several) > 1 else several


def _is_host(network: IPNetwork) -> bool:
    return network.prefixlen == network.max_prefixlen
