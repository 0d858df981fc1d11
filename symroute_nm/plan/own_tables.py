"""What an uplink's own table holds: connected networks, others by its gateway, throws (pure)."""

from heapq import merge
from itertools import islice
from operator import itemgetter
from typing import (
    AbstractSet,
    Any,
    Container,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    MutableSequence,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
    TypeVar,
)

from symroute_nm.model.host import Host
from symroute_nm.model.network import (
    LINK_LOCAL,
    TABLE_MAIN,
    VERSIONS,
    Hop,
    IPNetwork,
    Route,
    network_key,
)
from symroute_nm.model.plan import LeftOut, OwnTable, Uplink
from symroute_nm.model.prefixes import (
    BITS,
    LENGTH_MASK,
    PrefixSet,
    collapse,
    first_address,
    last_address,
    make_addresses,
    make_indexes,
    make_prefix_key,
    make_prefix_keys,
    network_of_key,
    prefix_key,
)
from symroute_nm.model.route_set import RouteTable, pack

Value = TypeVar("Value")
_Level = Tuple[MutableSequence[int], List[Value]]  # first addresses, ascending, and what holds

# As wide as a network is made that covers more than what was asked for: an eighth of a family's
# addresses and more would be a way to everything.
_WIDEST = {4: 8, 6: 32}


def needed(
    version: int, entries: Iterable[Tuple[int, Value]], fallback: Value
) -> Iterator[Tuple[int, Value]]:
    """The entries without those that decide as their nearest enclosing entry does.

    `fallback` is what decides where no entry but the default encloses.
    """
    bits = BITS[version]
    enclosing: List[Tuple[int, Value]] = []  # last address, and what decides up to there
    for number, value in entries:
        if not number & LENGTH_MASK:
            yield number, value
            continue
        first = first_address(number)
        while enclosing and enclosing[-1][0] < first:
            enclosing.pop()
        if value != (enclosing[-1][1] if enclosing else fallback):
            yield number, value
        enclosing.append((last_address(number, bits), value))


def join(version: int, entries: Iterable[Tuple[int, Value]]) -> Iterator[Tuple[int, Value]]:
    """The entries with each two halves that agree made one, whatever held for the whole.

    Never down to a default route, which a rule may suppress.
    """
    levels: Dict[int, _Level[Value]] = {}
    for number, value in entries:
        firsts, values = levels.setdefault(number & LENGTH_MASK, (make_addresses(version), []))
        firsts.append(first_address(number))
        values.append(value)
    made: Dict[int, Value] = {}
    for length in range(max(levels, default=0), 1, -1):
        level = _override(levels.get(length, (make_addresses(version), [])), made)
        made = {}
        levels[length] = _pair(version, length, level, made)
    if made:
        levels[1] = _override(levels.get(1, (make_addresses(version), [])), made)
    return merge(*(_number(length, level) for length, level in levels.items()), key=itemgetter(0))


def _override(level: "_Level[Value]", made: Mapping[int, Value]) -> "_Level[Value]":
    """The entries of one length, those that were made in the place of equal ones; ascending."""
    firsts, values = level
    if not made:
        return level
    found: _Level[Value] = (firsts[:0], [])
    kept = ((first, value) for first, value in zip(firsts, values) if first not in made)
    for first, value in merge(kept, sorted(made.items(), key=itemgetter(0)), key=itemgetter(0)):
        found[0].append(first)
        found[1].append(value)
    return found


def _pair(
    version: int, length: int, level: "_Level[Value]", made: Dict[int, Value]
) -> "_Level[Value]":
    """The entries of one length that stay; those of which two halves agree go to `made`."""
    other = 1 << (BITS[version] - length)
    firsts, values = level
    halves = {
        position
        for position, (first, following) in enumerate(zip(firsts, islice(firsts, 1, None)))
        if following == first | other
        and values[position] == values[position + 1]
        and not first & other
    }
    if not halves:
        return level
    made.update((firsts[each], values[each]) for each in halves)
    kept: _Level[Value] = (firsts[:0], [])
    for position, (first, value) in enumerate(zip(firsts, values)):
        if position not in halves and position - 1 not in halves:
            kept[0].append(first)
            kept[1].append(value)
    return kept


def _number(length: int, level: "_Level[Value]") -> Iterator[Tuple[int, Value]]:
    return ((make_prefix_key(first, length), value) for first, value in zip(*level))


def widen(version: int, entries: Mapping[int, bool], most: int) -> Dict[int, bool]:
    """The entries, those that are true and lie in no other widened until `most` of them are true.

    They take in nothing but addresses of which no entry knows; where that, or how wide they would
    be, forbids it, more are left.
    """
    bits = BITS[version]
    free = {each for each in collapse(sorted(entries), bits) if entries[each]}
    growing, rest = _by_length(free), _by_length(set(entries) - free)
    found = {each: value for each, value in entries.items() if each not in free}
    count = sum(entries.values())
    for length in range(bits, _WIDEST[version], -1):
        if count <= most:
            break
        half = 1 << (bits - length)
        wider = growing.setdefault(length - 1, set())
        # Whoever has something else beside it stays, and stands in the way of all around it.
        beside = {each & ~half for each in rest.get(length, ())}
        rest.setdefault(length - 1, set()).update(beside)
        for first in growing.pop(length, ()):
            whole = first & ~half
            if whole in rest[length - 1]:
                found[make_prefix_key(first, length)] = True
            else:
                count -= whole in wider
                wider.add(whole)
    found.update(
        (make_prefix_key(first, length), True) for length, here in growing.items() for first in here
    )
    return found


def _by_length(keys: Iterable[int]) -> Dict[int, Set[int]]:
    found: Dict[int, Set[int]] = {}
    for key in keys:
        found.setdefault(key & LENGTH_MASK, set()).add(first_address(key))
    return found


class Reach(NamedTuple):
    """How the uplinks reach a destination that main knows specifically."""

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


class Networks:
    """All that main knows specifically of one family, in ascending order of `keys`.

    `kinds` has the position in `reaches` for each: very many are reached alike.
    """

    def __init__(self, version: int, found: Iterable[Tuple[int, Reach]] = ()) -> None:
        self.version = version
        self.prefix_keys, self.kinds = make_prefix_keys(version), make_indexes()
        self.reaches: List[Reach] = []
        known: Dict[int, int] = {}
        for number, reach in found:
            kind = known.setdefault(id(reach), len(self.reaches))
            if kind == len(self.reaches):
                self.reaches.append(reach)  # which keeps its id
            self.prefix_keys.append(number)
            self.kinds.append(kind)

    def __len__(self) -> int:
        return len(self.prefix_keys)

    def reach(self, position: int) -> Reach:
        """How the uplinks reach the network at that position."""
        return self.reaches[self.kinds[position]]


def find_networks(host: Host, uplinks: Sequence[Uplink]) -> Dict[int, Networks]:
    """All that main knows specifically: {IP version: networks}."""
    routes, networks = pack(host.routes), {}
    for version in VERSIONS:
        links = {uplink.link.name for uplink in uplinks if uplink.gateway(version)}
        packed = routes.of(TABLE_MAIN, version)
        found = _reach_all(packed, links) if packed else iter(())
        connected: Dict[int, Dict[str, Hop]] = {}
        for uplink in uplinks:
            for address in uplink.addresses:
                if address.version == version and address.network.prefixlen < BITS[version]:
                    here = connected.setdefault(prefix_key(address.network), {})
                    here[uplink.link.name] = Hop(uplink.link.name)
        networks[version] = Networks(version, _add_connected(found, connected))
    return networks


def _reach_all(packed: RouteTable, links: AbstractSet[str]) -> Iterator[Tuple[int, Reach]]:
    """Main's specific destinations; the best route says whether an uplink's gateway is the way."""
    known: Dict[Tuple[int, bool], Reach] = {}  # many have the same hops
    own = prefix_key(LINK_LOCAL[packed.version])
    low, high = first_address(own), last_address(own, BITS[packed.version])
    for position in packed.starts():
        number = packed.prefix_keys[position]
        if not number & LENGTH_MASK:
            continue
        # Link-local networks belong to their link alone and are never sent by a gateway.
        local = low <= first_address(number) <= high and number & LENGTH_MASK >= own & LENGTH_MASK
        if position in packed.runs:
            routes = [each for each in packed.run(position) if each.type != "throw"]
            if routes:
                yield number, _reach(_sort_routes(routes, links), links, local)
            continue
        key = (packed.kinds[position], local)
        if key not in known:
            known[key] = _reach([packed.templates[key[0]]], links, local)
        if packed.templates[key[0]].type != "throw":
            yield number, known[key]


def _reach(routes: Sequence[Route], links: AbstractSet[str], local: bool) -> Reach:
    """How the routes to one destination reach it, the best of which comes first."""
    ways = [
        {
            hop.link: Hop(hop.link, hop.gateway, hop.onlink)
            for hop in reversed(route.hops)
            if hop.link in links and route.type == "unicast"
        }
        for route in routes
    ]
    by = {link: hop for each in reversed(ways) for link, hop in each.items()}
    best = routes[0]
    only = len(routes) == 1 and bool(ways[0]) and len(best.hops) == 1 and not best.tos
    return Reach(by, bool(ways[0]) and not local, best.hop.link if only else "")


def _sort_routes(routes: Iterable[Route], links: AbstractSet[str]) -> List[Route]:
    """Routes to one destination, the best first.

    The order is total, so that the one in which routes are listed never shows in a plan: of equal
    ones an uplink's comes first (if main goes by the other, the proof says so).
    """

    def preference(route: Route) -> Tuple[Any, ...]:
        """What the kernel prefers, of routes to one destination."""
        hops = [(hop.link, str(hop.gateway), hop.onlink, hop.weight) for hop in route.hops]
        by_uplink = route.type == "unicast" and not links.isdisjoint(hop[0] for hop in hops)
        return (route.tos, route.metric, not by_uplink, route.type, hops)

    return sorted(routes, key=preference)


def _add_connected(
    found: Iterable[Tuple[int, Reach]], connected: Mapping[int, Mapping[str, Hop]]
) -> Iterator[Tuple[int, Reach]]:
    """With the addresses' own networks, where main has no route to them (noprefixroute)."""
    added = ((number, Reach({}, False)) for number in sorted(connected))
    before = -1
    for number, reach in merge(found, added, key=itemgetter(0)):
        if number == before:  # main's came first
            continue
        before = number
        here = connected.get(number)
        lacking = here and not set(here) <= set(reach.by)
        yield number, reach._replace(by={**here, **reach.by}) if here and lacking else reach


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
        forwarded = [each.forwarded for each in networks.reaches]
        self._exact = _gather(
            self.version,
            needed(
                self.version,
                (
                    (number, forwarded[kind])
                    for number, kind in zip(networks.prefix_keys, networks.kinds)
                ),
                self._default,
            ),
        )
        self._aggregated: Optional[SharedEntries] = None
        self._common: Dict[str, SharedEntries] = {}
        self._named: Dict[int, IPNetwork] = {}

    @property
    def _default(self) -> bool:
        """What holds where no entry but the default route does.

        With suppressing rules the default does not count in the first stage, so that what the table
        does not know is left to main as a throw would.
        """
        return self._guard != "rules"

    def common(self, link: str) -> SharedEntries:
        """What the table of that uplink holds of networks that others reach, or none."""
        if link not in self._common:
            self._common[link] = self._choose(link)
        return self._common[link]

    def _choose(self, link: str) -> SharedEntries:
        exact = self._exact.prefix_keys
        if self._guard == "none" or len(exact) <= self._most:
            return self._exact
        own = self._own.get(link, ())
        if len(exact) - len(own) <= self._most:
            known = PrefixSet(self.version, exact)
            among = sum(known.has(self._networks.prefix_keys[each]) for each in own)
            if len(exact) - among <= self._most:
                return self._exact
        if self._aggregated is None:
            self._aggregated = self._aggregate()
        return self._aggregated

    def entries(self, link: str, out: Hop) -> List[Tuple[int, Hop]]:
        """What that uplink's table holds, with the default route `out`; throw: an empty `Hop`."""
        fallback = out if self._default else Hop()
        if self._guard == "none":
            plain = [
                (self._networks.prefix_keys[each], self._networks.reach(each).by[link])
                for each in self._own.get(link, ())
            ]
            return list(needed(self.version, [(_DEFAULT, out), *plain], fallback))
        common, spare = self.common(link), self._spare(link)
        found: Iterable[Tuple[int, Hop]] = self._guarded(common, link, out, spare)
        if common.aggregated or spare:
            found = join(self.version, needed(self.version, found, fallback))
        return list(needed(self.version, [(_DEFAULT, out), *found], fallback))

    def network(self, number: int) -> IPNetwork:
        """The network of that prefix key; one for all tables."""
        if number not in self._named:
            self._named[number] = network_of_key(self.version, number)
        return self._named[number]

    def _guarded(
        self, common: SharedEntries, link: str, out: Hop, spare: Container[int]
    ) -> Iterator[Tuple[int, Hop]]:
        """What is said of networks, or of some that more than one are made of; ascending."""
        ways = (Hop(), out)
        shared = (
            (number, ways[forwarded])
            for number, forwarded in zip(common.prefix_keys, common.forwarded)
        )
        decided: Dict[int, Hop] = {}  # by kind; most of them are of other links
        around = (
            (self._networks.prefix_keys[each], self._decide(link, out, each, spare, decided))
            for each in self._around(link)
        )
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
            link: sum(networks.has(self._networks.prefix_keys[each]) for each in positions)
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
        following, bits, keys = 0, BITS[self.version], self._networks.prefix_keys
        for position in self._own.get(link, ()):
            last = last_address(keys[position], bits)
            following = max(following, position)
            while following < len(keys) and last >= first_address(keys[following]):
                yield following
                following += 1

    def _aggregate(self) -> SharedEntries:
        joined = self._join_exact()
        if sum(joined.forwarded) <= self._most:
            return joined._replace(aggregated=True)
        del joined  # as long as all that main knows
        version, default = self.version, self._default
        connected = [each.forwarded and each.connected for each in self._networks.reaches]
        known = (
            (number, connected[kind])
            for number, kind in zip(self._networks.prefix_keys, self._networks.kinds)
        )
        kept = dict(needed(version, join(version, needed(version, known, default)), default))
        entries = kept
        if sum(kept.values()) > self._most:
            entries = self._widen(kept, connected)
        widened = tuple(
            network_of_key(version, each)
            for each, forwarded in sorted(entries.items())
            if forwarded and each not in kept
        )
        routed = PrefixSet(version, self._behind_routers())
        if sum(entries.values()) + len(routed) <= self._most:
            entries = {**entries, **dict.fromkeys(routed.prefix_keys, True)}
            routed = PrefixSet(version)
        return _gather(version, sorted(entries.items()))._replace(
            aggregated=True, left_out=routed if len(routed) else None, widened=widened
        )

    def _join_exact(self) -> SharedEntries:
        pairs = (
            (number, bool(value))
            for number, value in zip(self._exact.prefix_keys, self._exact.forwarded)
        )
        return _gather(self.version, needed(self.version, join(self.version, pairs), self._default))

    def _widen(self, kept: Mapping[int, bool], connected: Sequence[bool]) -> Dict[int, bool]:
        """The connected networks made wider."""
        # All that is not to be taken in
        avoided = [
            number
            for number, kind in zip(self._networks.prefix_keys, self._networks.kinds)
            if not connected[kind]
        ]
        avoided.append(prefix_key(LINK_LOCAL[self.version]))
        wide = widen(self.version, {**dict.fromkeys(avoided, False), **kept}, self._most)
        left = sorted(
            (each, forwarded) for each, forwarded in wide.items() if forwarded or each in kept
        )
        return dict(needed(self.version, join(self.version, left), self._default))

    def _behind_routers(self) -> Iterator[int]:
        """The networks behind routers of uplinks."""
        routed = [each.forwarded and not each.connected for each in self._networks.reaches]
        return (
            number
            for number, kind in zip(self._networks.prefix_keys, self._networks.kinds)
            if routed[kind]
        )


def _find_own(networks: Networks) -> Dict[str, Sequence[int]]:
    """The positions of the networks that each link reaches itself: {link: positions}."""
    own = {link: make_indexes() for each in networks.reaches for link in each.by}
    links = [[own[link] for link in each.by] for each in networks.reaches]
    for position, kind in enumerate(networks.kinds):
        for each in links[kind]:
            each.append(position)
    return dict(own)


def _gather(version: int, entries: Iterable[Tuple[int, bool]]) -> SharedEntries:
    keys, forwarded = make_prefix_keys(version), bytearray()
    for number, value in entries:
        keys.append(number)
        forwarded.append(value)
    return SharedEntries(keys, forwarded)


def fill_table(
    knowledge: Mapping[int, TableFiller], uplink: Uplink, table: OwnTable
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
    knowledge: Mapping[int, TableFiller], uplinks: Sequence[Uplink]
) -> Iterator[LeftOut]:
    """What own tables leave to main, and those of which uplinks: at most one a family."""
    for version, known in knowledge.items():
        common = {
            uplink.link.name: known.common(uplink.link.name)
            for uplink in uplinks
            if uplink.gateway(version)
        }
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
