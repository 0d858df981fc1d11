"""Many routes in little memory: `Routes` is a sequence as good as a tuple of them (pure)."""

from bisect import bisect_left
from heapq import merge
from ipaddress import IPv6Network
from itertools import chain, islice
from operator import eq, itemgetter
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    overload,
)

from symroute_nm.model.network import (
    ANY,
    LINK_LOCAL,
    VERSIONS,
    IPNetwork,
    Route,
    contains,
    host_network,
)
from symroute_nm.model.prefixes import (
    BITS,
    LENGTH_MASK,
    first_of,
    make_indexes,
    make_rank,
    make_ranks,
    network_at,
    prefix_key,
)

# The destination of a `Packed.templates` that is no default route
_SPECIFIC = {version: host_network(ANY[version].network_address) for version in VERSIONS}

# These are routed by the packet's own link only (rt6_need_strict); fec0::/10 between them is not.
_OF_LINKS = (LINK_LOCAL[6], IPv6Network("ff00::/8"))

Wanted = Callable[[Route], bool]

# What is worked out for all destinations is, with more routes, worked out for so many at a time
_STRETCH = 1 << 14


class RouteTable(NamedTuple):
    """The routes of one table and family, by destination; of one, by TOS and metric.

    Equal ones stand as the kernel lists them. What a route has beside its destination stands once,
    in `templates`: there is the default route's destination for default routes and one for all
    others.
    """

    table: int
    version: int
    ranks: Sequence[int]  # see `ranks`; ascending
    kinds: Sequence[int]  # the position in `templates` for each
    templates: Sequence[Route]
    # Destinations with several routes: {position of the first: past the last}
    runs: Mapping[int, int]

    def route(self, position: int) -> Route:
        """The route there."""
        return _restore(self.templates[self.kinds[position]], self.ranks[position])

    def find(self, number: int) -> Optional[int]:
        """Where the first route to the network of that rank stands; None: nowhere."""
        position = bisect_left(self.ranks, number)
        here = position < len(self.ranks) and self.ranks[position] == number
        return position if here else None

    def run(self, position: int) -> List[Route]:
        """All routes to the destination whose first one stands there."""
        return [self.route(each) for each in range(position, self.runs.get(position, position + 1))]

    def within(self, first: int, last: int) -> "RouteTable":
        """The routes to these addresses; those to wider networks around the first, too."""
        bits, ranks = BITS[self.version], self.ranks
        low = bisect_left(ranks, make_rank(first, 0))
        high = bisect_left(ranks, make_rank(last + 1, 0))
        around: List[int] = []
        for length in range(bits):
            shift = bits - length
            beginning = first >> shift << shift
            position = self.find(make_rank(beginning, length)) if beginning < first else None
            if position is not None:
                around += range(position, self.runs.get(position, position + 1))
        return self._pick([*around, *range(low, high)])

    def _pick(self, positions: Sequence[int]) -> "RouteTable":
        """The routes at these positions, which are ascending."""
        ranks = make_ranks(self.version, [self.ranks[each] for each in positions])
        return self._replace(
            ranks=ranks,
            kinds=make_indexes([self.kinds[each] for each in positions]),
            runs=_find_runs(ranks),
        )

    def stretches(self) -> Iterator[Tuple[int, int]]:
        """All addresses in pieces in which about `_STRETCH` of the routes begin: first to last."""
        first = 0
        for position in range(_STRETCH, len(self.ranks), _STRETCH):
            following = first_of(self.ranks[position])
            if following > first:
                yield first, following - 1
                first = following
        yield first, (1 << BITS[self.version]) - 1

    def starts(self) -> Iterator[int]:
        """The position of the first route to each destination."""
        position, end = 0, len(self.ranks)
        while position < end:
            yield position
            position = self.runs.get(position, position + 1)


class RouteSet(Sequence[Route]):
    """The routes of a host, sorted by table, family and destination."""

    def __init__(self, packed: Iterable[RouteTable] = ()) -> None:
        self.packed = tuple(sorted(packed, key=itemgetter(0, 1)))

    def __len__(self) -> int:
        return sum(len(table.ranks) for table in self.packed)

    def __iter__(self) -> Iterator[Route]:
        for table in self.packed:
            templates = table.templates
            for kind, number in zip(table.kinds, table.ranks):
                yield _restore(templates[kind], number)

    @overload
    def __getitem__(self, index: int) -> Route: ...
    @overload
    def __getitem__(self, index: slice) -> Tuple[Route, ...]: ...
    def __getitem__(self, index: Any) -> Any:
        return tuple(self)[index]

    def __eq__(self, other: object) -> bool:
        """Whether the other has the same routes, in whatever order: sorted they are one value."""
        if not isinstance(other, (RouteSet, tuple)):
            return NotImplemented
        return len(self) == len(other) and all(map(eq, self, pack(other)))

    # A tuple is equal whatever its order is, but has a hash for each order.
    __hash__ = None  # type: ignore[assignment]  # a method in the base class

    def __repr__(self) -> str:
        return f"Routes({tuple(self)!r})"

    def of(self, table: int, version: int) -> Optional[RouteTable]:
        """The routes of that table and family; None where it has none."""
        return next((each for each in self.packed if each[:2] == (table, version)), None)

    def to(self, table: int, network: IPNetwork) -> List[Route]:
        """The routes to just that network."""
        packed = self.of(table, network.version)
        position = packed.find(prefix_key(network)) if packed else None
        return packed.run(position) if packed and position is not None else []

    def templates(self) -> Iterator[Route]:
        """All that routes have beside their destinations, each at least once (see `Packed`)."""
        return chain.from_iterable(table.templates for table in self.packed)

    def select(self, wanted: Wanted) -> Iterator[Route]:
        """The routes that are wanted, in order.

        `wanted` is asked for each kind of route once, and sees of the destination only its family
        and whether it is the default.
        """
        for table in self.packed:
            takes = [wanted(template) for template in table.templates]
            if any(takes):
                for kind, number in zip(table.kinds, table.ranks):
                    if takes[kind]:
                        yield _restore(table.templates[kind], number)

    def select_ranks(self, wanted: Wanted) -> Iterator[Tuple[Route, List[int]]]:
        """As `select`, the routes of each kind together: what they have in common, their ranks."""
        for table in self.packed:
            found: Dict[int, List[int]] = {
                kind: [] for kind, template in enumerate(table.templates) if wanted(template)
            }
            if found:
                for kind, number in zip(table.kinds, table.ranks):
                    if kind in found:
                        found[kind].append(number)
                yield from ((table.templates[kind], ranks) for kind, ranks in found.items())


class Column:
    """The routes of one table and family while they are put away, in any order."""

    def __init__(self, table: int, version: int) -> None:
        self._place = (table, version)
        self._ranks, self._kinds = make_ranks(version), make_indexes()
        self._late: List[Tuple[int, int]] = []  # what came after one that it belongs before
        self._last = -1
        self._templates: List[Route] = []
        self._known: Dict[Route, int] = {}

    def kind(self, template: Route) -> int:
        """The number of that kind of route."""
        if template not in self._known:
            self._known[template] = len(self._templates)
            self._templates.append(template)
        return self._known[template]

    def add(self, number: int, kind: int) -> None:
        """Put a route of that rank and kind away."""
        if number < self._last:
            self._late.append((number, kind))
            return
        self._last = number
        self._ranks.append(number)
        self._kinds.append(kind)

    def pack(self) -> RouteTable:
        """All of them."""
        ranks, kinds = self._ranks, self._kinds
        if self._late:
            first, version = itemgetter(0), self._place[1]
            self._late.sort(key=first)
            ranks, kinds = make_ranks(version), make_indexes()
            for number, kind in merge(zip(self._ranks, self._kinds), self._late, key=first):
                ranks.append(number)
                kinds.append(kind)
        runs = _find_runs(ranks)
        for start, end in runs.items():
            network = network_at(self._place[1], ranks[start])
            by_link = any(contains(each, network) for each in _OF_LINKS)
            kinds[start:end] = make_indexes(
                sorted(
                    kinds[start:end], key=lambda kind: _preference(self._templates[kind], by_link)
                )
            )
        return RouteTable(*self._place, ranks, kinds, self._templates, runs)


class Packer:
    """Puts routes away one by one, in any order."""

    def __init__(self) -> None:
        self._columns: Dict[Tuple[int, int], Column] = {}
        self._last: Tuple[Tuple[object, ...], Optional[Tuple[Column, int]]] = ((), None)

    def column(self, table: int, version: int) -> Column:
        """Where the routes of that table and family go."""
        place = (table, version)
        if place not in self._columns:
            self._columns[place] = Column(table, version)
        return self._columns[place]

    def slot(self, route: Route) -> Tuple[Column, int]:
        """Where routes like this one go, and their kind."""
        like = (route.version, route.default, *route[1:])
        if self._last[1] and self._last[0] == like:  # far faster than its hash
            return self._last[1]
        column = self.column(route.table, route.version)
        bare = ANY[route.version] if route.default else _SPECIFIC[route.version]
        slot = (column, column.kind(route._replace(destination=bare)))
        self._last = (like, slot)
        return slot

    def add(self, route: Route) -> None:
        """Put one away."""
        column, kind = self.slot(route)
        column.add(prefix_key(route.destination), kind)

    def pack(self) -> RouteSet:
        """All of them."""
        return RouteSet(column.pack() for column in self._columns.values())


def pack(routes: Iterable[Route]) -> RouteSet:
    """The routes in little memory; the very same where they are already."""
    if isinstance(routes, RouteSet):
        return routes
    packer = Packer()
    for route in routes:
        packer.add(route)
    return packer.pack()


def _restore(template: Route, number: int) -> Route:
    if not number & LENGTH_MASK:
        return template
    return Route(network_at(template.destination.version, number), *template[1:])


def _find_runs(ranks: Sequence[int]) -> Dict[int, int]:
    """Where equal ones stand: {first: past the last}."""
    runs: Dict[int, int] = {}
    start = -1
    equal = (
        index
        for index, (one, other) in enumerate(zip(ranks, islice(ranks, 1, None)))
        if one == other
    )
    for index in equal:
        if start < 0 or runs[start] != index + 1:
            start = index
        runs[start] = index + 2
    return runs


def _preference(route: Route, by_link: bool) -> Tuple[Any, ...]:
    """What several routes to one destination are in order by.

    Of equal ones (ip route append) the first is taken, and a stable sort keeps it first; but where
    only the packet's own link counts, equal routing tables have one order.
    """
    hops = tuple((hop.link, str(hop.gateway)) for hop in route.hops) if by_link else ()
    return (route.tos, route.metric, hops)
