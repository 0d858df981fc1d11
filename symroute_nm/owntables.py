"""What an uplink's own table holds: connected networks, others by its gateway, throws (pure)."""

from typing import Dict, FrozenSet, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from symroute_nm.aggregation import join, needed, widen
from symroute_nm.model import (
    ANY,
    LINK_LOCAL,
    Hop,
    IPNetwork,
    LeftOut,
    OwnTable,
    Route,
    Uplink,
    network_key,
)
from symroute_nm.networks import Network


class Common(NamedTuple):
    """What the table of an uplink holds that reaches none of the networks itself.

    True is by the own gateway, False by main, as is what no entry knows.
    """

    entries: Mapping[IPNetwork, bool]
    aggregated: bool = False
    left_out: FrozenSet[IPNetwork] = frozenset()  # too many: left to main
    widened: Tuple[IPNetwork, ...] = ()  # which take in addresses that main does not know


class Knowledge:
    """What the own tables of one family may have to know; what they share is worked out once.

    Past `most` networks that other uplinks reach, these are aggregated; where they are still more,
    only the connected ones are kept, as wider networks if need be.
    """

    def __init__(self, version: int, networks: Sequence[Network], guard: str, most: int) -> None:
        self.version = version
        self._networks = networks
        self._guard = guard
        self._most = most
        self._own: Dict[str, List[int]] = {}
        for position, network in enumerate(networks):
            for link in network.by:
                self._own.setdefault(link, []).append(position)
        self._exact = Common(
            needed({each.destination: each.forwarded for each in networks}, self._default))
        self._aggregated: Optional[Common] = None
        self._common: Dict[str, Common] = {}

    @property
    def _default(self) -> bool:
        """What holds where no entry but the default route does.

        With suppressing rules the default does not count in the first stage, so that what the table
        does not know is left to main as a throw would.
        """
        return self._guard != "rules"

    def common(self, link: str) -> Common:
        """What the table of that uplink holds of networks that others reach, or none."""
        if link not in self._common:
            self._common[link] = self._choose(link)
        return self._common[link]

    def _choose(self, link: str) -> Common:
        exact = self._exact.entries
        own = sum(each.destination in exact for each in self._reached_by(link))
        if self._guard == "none" or len(exact) - own <= self._most:
            return self._exact
        if self._aggregated is None:
            self._aggregated = self._aggregate()
        return self._aggregated

    def entries(self, link: str, out: Hop) -> Dict[IPNetwork, Hop]:
        """What that uplink's table holds, with the default route `out`; throw: an empty `Hop`."""
        fallback = out if self._default else Hop()
        if self._guard == "none":
            found = {each.destination: each.by[link] for each in self._reached_by(link)}
        else:
            found = self._guarded(link, out, fallback)
        found[ANY[self.version]] = out
        return needed(found, fallback)

    def _guarded(self, link: str, out: Hop, fallback: Hop) -> Dict[IPNetwork, Hop]:
        common, spare = self.common(link), self._spare(link)
        found = {each: out if forwarded else Hop() for each, forwarded in common.entries.items()}
        for each in self._around(link):
            decided = each.by.get(link, out if each.forwarded else Hop())
            found[each.destination] = Hop() if each.destination in spare else decided
        return join(needed(found, fallback)) if common.aggregated or spare else found

    def _reached_by(self, link: str) -> Iterator[Network]:
        return (self._networks[each] for each in self._own.get(link, ()))

    def ways(self, networks: FrozenSet[IPNetwork]) -> Dict[str, int]:
        """How many of these networks each uplink reaches: {link: number}."""
        return {
            link: sum(self._networks[each].destination in networks for each in positions)
            for link, positions in sorted(self._own.items())
        }

    def _spare(self, link: str) -> FrozenSet[IPNetwork]:
        """Networks behind routers of the link's own, where they are many and main has them so."""
        routed = [each.destination for each in self._reached_by(link)
                  if each.by[link].gateway is not None and each.main == link]
        return frozenset(routed if self._guard == "rules" and len(routed) > self._most else ())

    def _around(self, link: str) -> Iterator[Network]:
        """The networks that the link reaches, and all that lie in them."""
        following = 0
        for position in self._own.get(link, ()):
            outer = self._networks[position].destination
            # hostmask would be kept with every network
            last = int(outer.network_address) + (1 << (outer.max_prefixlen - outer.prefixlen)) - 1
            following = max(following, position)
            while following < len(self._networks) and last >= int(
                    self._networks[following].destination.network_address):
                yield self._networks[following]
                following += 1

    def _aggregate(self) -> Common:
        joined = needed(join(self._exact.entries), self._default)
        if sum(joined.values()) <= self._most:
            return Common(joined, aggregated=True)
        connected = {each.destination: each.forwarded and each.connected for each in self._networks}
        kept = needed(join(needed(connected, self._default)), self._default)
        entries = kept
        if sum(kept.values()) > self._most:
            # All that is not to be taken in when networks are made wider
            avoided = [each for each, forwarded in connected.items() if not forwarded]
            avoided.append(LINK_LOCAL[self.version])
            wide = widen({**dict.fromkeys(avoided, False), **kept}, self._most)
            entries = needed(join({
                each: forwarded for each, forwarded in wide.items() if forwarded or each in kept
            }), self._default)
        widened = tuple(sorted(
            (each for each, forwarded in entries.items() if forwarded and each not in kept),
            key=network_key))
        routed = [each.destination for each in self._networks
                  if each.forwarded and not each.connected]
        if sum(entries.values()) + len(routed) <= self._most:
            everything = {**entries, **dict.fromkeys(routed, True)}
            return Common(everything, True, frozenset(), widened)
        return Common(entries, True, frozenset(routed), widened)


def fill_table(
    knowledge: Mapping[int, Knowledge], uplink: Uplink, table: OwnTable
) -> Tuple[Route, ...]:
    """The routes of the uplink's own table, in the order in which they are to be added."""
    routes: List[Route] = []
    for gateway in uplink.gateways:
        link = uplink.link.name
        out = Hop(link, gateway.address, gateway.onlink)
        entries = knowledge[gateway.version].entries(link, out)
        routes += [_route(network, hop, table) for network, hop in entries.items()]
    return tuple(sorted(routes, key=_order))


def find_left_out(
    knowledge: Mapping[int, Knowledge], uplinks: Sequence[Uplink]
) -> Iterator[LeftOut]:
    """What own tables leave to main, and those of which uplinks: at most one a family."""
    for version, known in knowledge.items():
        common = {each.link.name: known.common(each.link.name)
                  for each in uplinks if each.gateway(version)}
        links = tuple(link for link, each in common.items() if each.left_out)
        if links:
            yield LeftOut(version, links, common[links[0]].left_out)


def _route(network: IPNetwork, hop: Hop, table: OwnTable) -> Route:
    if hop == Hop():
        return Route(network, table=table.id, type="throw")
    return Route(network, table=table.id, hops=(hop,))


def _order(route: Route) -> Tuple[int, int, Tuple[int, int, int]]:
    """Connected routes stand before those whose gateway is reached by them (DESIGN 3.7)."""
    stage = 2 if route.default else 0 if route.hop.gateway is None else 1
    return (route.version, stage, network_key(route.destination))
