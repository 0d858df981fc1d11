"""What an uplink's own table holds: connected networks, others by its gateway, throws (pure)."""

from heapq import merge
from operator import itemgetter
from typing import (
    Container,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
)

from symroute_nm.aggregation import join, needed, widen
from symroute_nm.model.network import LINK_LOCAL, Hop, IPNetwork, Route, network_key
from symroute_nm.model.plan import LeftOut, OwnTable, Uplink
from symroute_nm.model.prefixes import (
    BITS,
    PrefixSet,
    first_of,
    last_of,
    make_indexes,
    make_ranks,
    network_at,
    prefix_key,
)
from symroute_nm.networks import Networks

_DEFAULT = 0  # the rank of the default route


class Common(NamedTuple):
    """What the table of an uplink holds that reaches none of the networks itself.

    `forwarded` is true for what is by the own gateway; false is by main, as is what no entry knows.
    """

    ranks: Sequence[int]
    forwarded: Sequence[int]
    aggregated: bool = False
    left_out: Optional[PrefixSet] = None  # too many: left to main
    widened: Tuple[IPNetwork, ...] = ()  # which take in addresses that main does not know


class Knowledge:
    """What the own tables of one family may have to know; what they share is worked out once.

    Past `most` networks that other uplinks reach, these are aggregated; where they are still more,
    only the connected ones are kept, as wider networks if need be.
    """

    def __init__(self, networks: Networks, guard: str, most: int) -> None:
        self.version = networks.version
        self._networks = networks
        self._guard = guard
        self._most = most
        self._own = _find_own(networks)
        self._routed: Dict[str, Set[int]] = {}  # kinds that main has behind routers, by link
        for kind, reach in enumerate(networks.reaches):
            if reach.main and reach.by[reach.main].gateway is not None:
                self._routed.setdefault(reach.main, set()).add(kind)
        forwarded = [each.forwarded for each in networks.reaches]
        self._exact = _gather(self.version, needed(
            self.version, ((number, forwarded[kind])
                           for number, kind in zip(networks.ranks, networks.kinds)), self._default))
        self._aggregated: Optional[Common] = None
        self._common: Dict[str, Common] = {}
        self._named: Dict[int, IPNetwork] = {}

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
        exact = self._exact.ranks
        if self._guard == "none" or len(exact) <= self._most:
            return self._exact
        own = self._own.get(link, ())
        if len(exact) - len(own) <= self._most:
            known = PrefixSet(self.version, exact)
            among = sum(known.has(self._networks.ranks[each]) for each in own)
            if len(exact) - among <= self._most:
                return self._exact
        if self._aggregated is None:
            self._aggregated = self._aggregate()
        return self._aggregated

    def entries(self, link: str, out: Hop) -> List[Tuple[int, Hop]]:
        """What that uplink's table holds, with the default route `out`; throw: an empty `Hop`."""
        fallback = out if self._default else Hop()
        if self._guard == "none":
            plain = [(self._networks.ranks[each], self._networks.reach(each).by[link])
                     for each in self._own.get(link, ())]
            return list(needed(self.version, [(_DEFAULT, out), *plain], fallback))
        common, spare = self.common(link), self._spare(link)
        found: Iterable[Tuple[int, Hop]] = self._guarded(common, link, out, spare)
        if common.aggregated or spare:
            found = join(self.version, needed(self.version, found, fallback))
        return list(needed(self.version, [(_DEFAULT, out), *found], fallback))

    def network(self, number: int) -> IPNetwork:
        """The network of that rank; one for all tables."""
        if number not in self._named:
            self._named[number] = network_at(self.version, number)
        return self._named[number]

    def _guarded(
        self, common: Common, link: str, out: Hop, spare: Container[int]
    ) -> Iterator[Tuple[int, Hop]]:
        """What is said of networks, or of some that more than one are made of; ascending."""
        ways = (Hop(), out)
        shared = ((number, ways[forwarded])
                  for number, forwarded in zip(common.ranks, common.forwarded))
        decided: Dict[int, Hop] = {}  # by kind; most of them are of other links
        around = ((self._networks.ranks[each], self._decide(link, out, each, spare, decided))
                  for each in self._around(link))
        before = -1
        for number, hop in merge(around, shared, key=itemgetter(0)):
            if number != before:  # what is around the link came first
                yield number, hop
            before = number

    def _decide(
        self, link: str, out: Hop, position: int, spare: Container[int], decided: Dict[int, Hop]
    ) -> Hop:
        """How the link's own table reaches the network at that position; kept in `decided`."""
        kind = self._networks.kinds[position]
        hop = decided.get(kind)
        if hop is None:
            reach = self._networks.reaches[kind]
            own = reach.by.get(link, out if reach.forwarded else Hop())
            hop = decided[kind] = Hop() if kind in spare else own
        return hop

    def ways(self, networks: PrefixSet) -> Dict[str, int]:
        """How many of these networks each uplink reaches: {link: number}."""
        return {
            link: sum(networks.has(self._networks.ranks[each]) for each in positions)
            for link, positions in sorted(self._own.items())
        }

    def _spare(self, link: str) -> Set[int]:
        """The kinds of the networks behind routers of the link's own, where these are many.

        Of those that main has so: they are left to it.
        """
        spare = self._routed.get(link)
        if not spare or self._guard != "rules":
            return set()
        number = sum(self._networks.kinds[each] in spare for each in self._own.get(link, ()))
        return spare if number > self._most else set()

    def _around(self, link: str) -> Iterator[int]:
        """The positions of the networks that the link reaches, and of all that lie in them."""
        following, bits, ranks = 0, BITS[self.version], self._networks.ranks
        for position in self._own.get(link, ()):
            last = last_of(ranks[position], bits)
            following = max(following, position)
            while following < len(ranks) and last >= first_of(ranks[following]):
                yield following
                following += 1

    def _aggregate(self) -> Common:
        joined = self._join_exact()
        if sum(joined.forwarded) <= self._most:
            return joined._replace(aggregated=True)
        del joined  # as long as all that main knows
        version, default = self.version, self._default
        connected = [each.forwarded and each.connected for each in self._networks.reaches]
        known = ((number, connected[kind])
                 for number, kind in zip(self._networks.ranks, self._networks.kinds))
        kept = dict(needed(version, join(version, needed(version, known, default)), default))
        entries = kept
        if sum(kept.values()) > self._most:
            entries = self._widen(kept, connected)
        widened = tuple(network_at(version, each) for each, forwarded in sorted(entries.items())
                        if forwarded and each not in kept)
        routed = PrefixSet(version, self._behind_routers())
        if sum(entries.values()) + len(routed) <= self._most:
            entries = {**entries, **dict.fromkeys(routed.ranks, True)}
            routed = PrefixSet(version)
        return _gather(version, sorted(entries.items()))._replace(
            aggregated=True, left_out=routed if len(routed) else None, widened=widened)

    def _join_exact(self) -> Common:
        pairs = ((number, bool(value))
                 for number, value in zip(self._exact.ranks, self._exact.forwarded))
        return _gather(self.version, needed(
            self.version, join(self.version, pairs), self._default))

    def _widen(self, kept: Mapping[int, bool], connected: Sequence[bool]) -> Dict[int, bool]:
        """The connected networks made wider."""
        # All that is not to be taken in
        avoided = [number for number, kind in zip(self._networks.ranks, self._networks.kinds)
                   if not connected[kind]]
        avoided.append(prefix_key(LINK_LOCAL[self.version]))
        wide = widen(self.version, {**dict.fromkeys(avoided, False), **kept}, self._most)
        left = sorted((each, forwarded) for each, forwarded in wide.items()
                      if forwarded or each in kept)
        return dict(needed(self.version, join(self.version, left), self._default))

    def _behind_routers(self) -> Iterator[int]:
        """The networks behind routers of uplinks."""
        routed = [each.forwarded and not each.connected for each in self._networks.reaches]
        return (number for number, kind in zip(self._networks.ranks, self._networks.kinds)
                if routed[kind])


def _find_own(networks: Networks) -> Dict[str, Sequence[int]]:
    """The positions of the networks that each link reaches itself: {link: positions}."""
    own = {link: make_indexes() for each in networks.reaches for link in each.by}
    links = [[own[link] for link in each.by] for each in networks.reaches]
    for position, kind in enumerate(networks.kinds):
        for each in links[kind]:
            each.append(position)
    return dict(own)


def _gather(version: int, entries: Iterable[Tuple[int, bool]]) -> Common:
    ranks, forwarded = make_ranks(version), bytearray()
    for number, value in entries:
        ranks.append(number)
        forwarded.append(value)
    return Common(ranks, forwarded)


def fill_table(
    knowledge: Mapping[int, Knowledge], uplink: Uplink, table: OwnTable
) -> Tuple[Route, ...]:
    """The routes of the uplink's own table, in the order in which they are to be added."""
    routes: List[Route] = []
    for gateway in uplink.gateways:
        link = uplink.link.name
        out = Hop(link, gateway.address, gateway.onlink)
        known = knowledge[gateway.version]
        entries = known.entries(link, out)
        routes += [_route(known.network(number), hop, table) for number, hop in entries]
    return tuple(sorted(routes, key=_order))


def find_left_out(
    knowledge: Mapping[int, Knowledge], uplinks: Sequence[Uplink]
) -> Iterator[LeftOut]:
    """What own tables leave to main, and those of which uplinks: at most one a family."""
    for version, known in knowledge.items():
        common = {each.link.name: known.common(each.link.name)
                  for each in uplinks if each.gateway(version)}
        left_out = {link: each.left_out for link, each in common.items() if each.left_out}
        for networks in list(left_out.values())[:1]:
            yield LeftOut(tuple(left_out), networks)


def _route(network: IPNetwork, hop: Hop, table: OwnTable) -> Route:
    if hop == Hop():
        return Route(network, table=table.id, type="throw")
    return Route(network, table=table.id, hops=(hop,))


def _order(route: Route) -> Tuple[int, int, Tuple[int, int, int]]:
    """Connected routes stand before those whose gateway is reached by them (DESIGN 3.7)."""
    stage = 2 if route.default else 0 if route.hop.gateway is None else 1
    return (route.version, stage, network_key(route.destination))
