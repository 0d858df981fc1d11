"""What an uplink's own table holds: connected networks, others by its gateway, throws."""

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

from symroute_nm.model.network import LINK_LOCAL, Hop, IPNetwork, Route, network_key
from symroute_nm.model.plan import LeftOut, OwnTable, Uplink
from symroute_nm.model.prefixes import (
    BITS,
    PrefixSet,
    first_address,
    last_address,
    make_indexes,
    make_prefix_keys,
    network_of_key,
    prefix_key,
)
from symroute_nm.plan.aggregation import count_true, drop_implied, join_halves, widen
from symroute_nm.plan.reach import Networks

_DEFAULT = 0  # the prefix key of the default route


class SharedEntries(NamedTuple):
    """What the table of an uplink holds that reaches none of the networks itself.

    `forwarded` is true for what is by the own gateway; false is by main, as is what no entry knows.
    """

    prefix_keys: Sequence[int]
    forwarded: Sequence[int]
    aggregated: bool = False
    left_out: Optional[PrefixSet] = None  # too many: left to main
    widened: Tuple[IPNetwork, ...] = ()  # which take in addresses that main does not know


def fill_table(
    fillers: Mapping[int, "TableFiller"], uplink: Uplink, table: OwnTable
) -> Tuple[Route, ...]:
    """The routes of the uplink's own table, in the order in which they are to be added.

    `fillers` are those of each IP version.
    """
    routes: List[Route] = []
    for gateway in uplink.gateways:
        filler = fillers[gateway.version]
        out = Hop(uplink.link.name, gateway.address, gateway.onlink)
        routes += [
            _make_route(filler.network(key), hop, table)
            for key, hop in filler.entries(uplink.link.name, out)
        ]
    return tuple(sorted(routes, key=_order))


def find_left_out(
    fillers: Mapping[int, "TableFiller"], uplinks: Sequence[Uplink]
) -> Iterator[LeftOut]:
    """What own tables leave to main, and those of which uplinks: at most one a family."""
    for version, filler in fillers.items():
        links = [uplink.link.name for uplink in uplinks if uplink.gateway(version)]
        left_out = {link: filler.shared(link).left_out for link in links}
        leaving = tuple(link for link, networks in left_out.items() if networks)
        networks = left_out[leaving[0]] if leaving else None
        if networks:
            yield LeftOut(leaving, networks)


class TableFiller:
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
        self._exact = self._gather_exact()
        self._aggregated: Optional[SharedEntries] = None
        self._shared: Dict[str, SharedEntries] = {}
        self._known_networks: Dict[int, IPNetwork] = {}

    def entries(self, link: str, out: Hop) -> List[Tuple[int, Hop]]:
        """What that uplink's table holds, as prefix keys and hops; throw: an empty `Hop`.

        With the default route, which goes by `out`.
        """
        fallback = out if self._default else Hop()
        if self._guard == "none":
            plain = [
                (self._networks.prefix_keys[position], self._networks.reach(position).by[link])
                for position in self._own.get(link, ())
            ]
            return list(drop_implied(self.version, [(_DEFAULT, out), *plain], fallback))
        shared, spare = self.shared(link), self._find_spare(link)
        entries: Iterable[Tuple[int, Hop]] = self._guarded_entries(shared, link, out, spare)
        if shared.aggregated or spare:
            entries = join_halves(self.version, drop_implied(self.version, entries, fallback))
        return list(drop_implied(self.version, [(_DEFAULT, out), *entries], fallback))

    def shared(self, link: str) -> SharedEntries:
        """What the table of that uplink holds of networks that others reach, or none."""
        if link not in self._shared:
            self._shared[link] = self._choose_shared(link)
        return self._shared[link]

    def network(self, key: int) -> IPNetwork:
        """The network of that prefix key; one for all tables."""
        if key not in self._known_networks:
            self._known_networks[key] = network_of_key(self.version, key)
        return self._known_networks[key]

    def count_reached(self, networks: PrefixSet) -> Dict[str, int]:
        """How many of these networks each uplink reaches: {link: number}."""
        return {
            link: self._count(positions, networks) for link, positions in sorted(self._own.items())
        }

    def _count(self, positions: Iterable[int], among: PrefixSet) -> int:
        """How many of the networks at these positions are among those."""
        keys = self._networks.prefix_keys
        return sum(1 for position in positions if among.has(keys[position]))

    @property
    def _default(self) -> bool:
        """What holds where no entry but the default route does.

        With suppressing rules the default does not count in the first stage, so that what the table
        does not know is left to main as a throw would.
        """
        return self._guard != "rules"

    def _choose_shared(self, link: str) -> SharedEntries:
        exact = self._exact.prefix_keys
        if self._guard == "none" or len(exact) <= self._most:
            return self._exact
        own = self._own.get(link, ())
        if len(exact) - len(own) <= self._most:
            own_exact = self._count(own, PrefixSet(self.version, exact))
            if len(exact) - own_exact <= self._most:
                return self._exact
        if self._aggregated is None:
            self._aggregated = self._aggregate()
        return self._aggregated

    def _guarded_entries(
        self, shared: SharedEntries, link: str, out: Hop, spare: Container[int]
    ) -> Iterator[Tuple[int, Hop]]:
        """What is said of networks, or of some that more than one are made of; ascending."""
        throw = Hop()
        by_shared = (
            (key, out if forwarded else throw)
            for key, forwarded in zip(shared.prefix_keys, shared.forwarded)
        )
        decided: Dict[int, Hop] = {}  # by kind; most of them are of other links
        around = (
            (
                self._networks.prefix_keys[position],
                self._decide(link, out, position, spare, decided),
            )
            for position in self._around(link)
        )
        before = -1
        for key, hop in merge(around, by_shared, key=itemgetter(0)):
            if key != before:  # what is around the link came first
                yield key, hop
            before = key

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

    def _find_spare(self, link: str) -> Set[int]:
        """The kinds of the networks behind routers of the link's own, where these are many.

        Of those that main has so: they are left to it.
        """
        spare = self._routed.get(link)
        if not spare or self._guard != "rules":
            return set()
        kinds = self._networks.kinds
        number = sum(1 for position in self._own.get(link, ()) if kinds[position] in spare)
        return spare if number > self._most else set()

    def _around(self, link: str) -> Iterator[int]:
        """The positions of the networks that the link reaches, and of all that lie in them."""
        following, bits, keys = 0, BITS[self.version], self._networks.prefix_keys
        for position in self._own.get(link, ()):
            last = last_address(keys[position], bits)
            following = max(following, position)
            while following < len(keys) and last >= first_address(keys[following]):
                yield following
                following += 1

    def _select(self, wanted: Sequence[bool]) -> Iterator[int]:
        """The prefix keys of the networks of the kinds that are wanted: an answer for each kind."""
        return (key for key, kind in self._all() if wanted[kind])

    def _all(self) -> Iterator[Tuple[int, int]]:
        """The prefix key and the kind of each network."""
        return zip(self._networks.prefix_keys, self._networks.kinds)

    def _gather_exact(self) -> SharedEntries:
        forwarded = [reach.forwarded for reach in self._networks.reaches]
        known = ((key, forwarded[kind]) for key, kind in self._all())
        return _gather(self.version, drop_implied(self.version, known, self._default))

    def _aggregate(self) -> SharedEntries:
        joined = self._join_exact()
        if sum(joined.forwarded) <= self._most:
            return joined._replace(aggregated=True)
        del joined  # as long as all that main knows
        connected = [reach.forwarded and reach.connected for reach in self._networks.reaches]
        kept = dict(self._join((key, connected[kind]) for key, kind in self._all()))
        entries = kept
        if count_true(kept) > self._most:
            entries = self._widen(kept, connected)
        widened = tuple(
            network_of_key(self.version, key)
            for key, forwarded in sorted(entries.items())
            if forwarded and key not in kept
        )
        routed = PrefixSet(self.version, self._behind_routers())
        if count_true(entries) + len(routed) <= self._most:
            entries = {**entries, **dict.fromkeys(routed.prefix_keys, True)}
            routed = PrefixSet(self.version)
        return _gather(self.version, sorted(entries.items()))._replace(
            aggregated=True, left_out=routed if len(routed) else None, widened=widened
        )

    def _join_exact(self) -> SharedEntries:
        exact = zip(self._exact.prefix_keys, map(bool, self._exact.forwarded))
        joined = join_halves(self.version, exact)
        return _gather(self.version, drop_implied(self.version, joined, self._default))

    def _join(self, entries: Iterable[Tuple[int, bool]]) -> Iterator[Tuple[int, bool]]:
        """The entries that are needed, with halves that agree made one."""
        needed = drop_implied(self.version, entries, self._default)
        return drop_implied(self.version, join_halves(self.version, needed), self._default)

    def _widen(self, kept: Mapping[int, bool], connected: Sequence[bool]) -> Dict[int, bool]:
        """The connected networks made wider; they take in none of the others."""
        avoided = [*self._select([not is_connected for is_connected in connected])]
        avoided.append(prefix_key(LINK_LOCAL[self.version]))
        wide = widen(self.version, {**dict.fromkeys(avoided, False), **kept}, self._most)
        left = sorted(
            (key, forwarded) for key, forwarded in wide.items() if forwarded or key in kept
        )
        return dict(drop_implied(self.version, join_halves(self.version, left), self._default))

    def _behind_routers(self) -> Iterator[int]:
        """The networks behind routers of uplinks, as prefix keys."""
        return self._select(
            [reach.forwarded and not reach.connected for reach in self._networks.reaches]
        )


def _find_own(networks: Networks) -> Dict[str, Sequence[int]]:
    """The positions of the networks that each link reaches itself: {link: positions}."""
    links: Set[str] = set().union(*(reach.by for reach in networks.reaches))
    own = {link: make_indexes() for link in sorted(links)}
    by_kind = [[own[link] for link in reach.by] for reach in networks.reaches]
    for position, kind in enumerate(networks.kinds):
        for positions in by_kind[kind]:
            positions.append(position)
    return dict(own)


def _gather(version: int, entries: Iterable[Tuple[int, bool]]) -> SharedEntries:
    keys, forwarded = make_prefix_keys(version), bytearray()
    for key, value in entries:
        keys.append(key)
        forwarded.append(value)
    return SharedEntries(keys, forwarded)


def _make_route(network: IPNetwork, hop: Hop, table: OwnTable) -> Route:
    if hop == Hop():
        return Route(network, table=table.id, type="throw")
    return Route(network, table=table.id, hops=(hop,))


def _order(route: Route) -> Tuple[int, int, Tuple[int, int, int]]:
    """Connected routes stand before those whose gateway is reached by them (DESIGN 3.7)."""
    specific = 0 if route.hop.gateway is None else 1
    stage = 2 if route.default else specific
    return (route.version, stage, network_key(route.destination))
