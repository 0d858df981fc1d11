"""Many routes in little memory: a `RouteSet` is a sequence as good as a tuple of `Route`s."""

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
    TABLE_MAIN,
    VERSIONS,
    IPNetwork,
    Route,
    contains,
    host_network,
)
from symroute_nm.model.prefixes import (
    BITS,
    LENGTH_MASK,
    first_address,
    make_indexes,
    make_prefix_key,
    make_prefix_keys,
    network_of_key,
    prefix_key,
)

# The destination of a template (`RouteTable.templates`) that is no default route
_SPECIFIC = {version: host_network(ANY[version].network_address) for version in VERSIONS}

# These are routed by the packet's own link only (rt6_need_strict); fec0::/10 between them is not.
_OF_LINKS = (LINK_LOCAL[6], IPv6Network("ff00::/8"))

Wanted = Callable[[Route], bool]

# What is worked out for all destinations is, with more routes, worked out for so many at a time
_STRETCH = 1 << 14


def is_specific_in_main(route: Route) -> bool:
    """Whether it stands in main and is no default route."""
    return route.table == TABLE_MAIN and not route.default


class RouteTable(NamedTuple):
    """The routes of one table and family, by destination; of one, by TOS and metric.

    Equal ones stand as the kernel lists them. What a route has beside its destination stands once,
    in `templates`: there is the default route's destination for default routes and one for all
    others.
    """

    table: int
    version: int
    prefix_keys: Sequence[int]  # of the destinations; ascending
    kinds: Sequence[int]  # the position in `templates` for each
    templates: Sequence[Route]
    # Destinations with several routes: {position of the first: past the last}
    runs: Mapping[int, int]

    def route(self, position: int) -> Route:
        """The route there."""
        return _restore(self.templates[self.kinds[position]], self.prefix_keys[position])

    def find(self, key: int) -> Optional[int]:
        """Where the first route to the network of that prefix key stands; None: nowhere."""
        position = bisect_left(self.prefix_keys, key)
        if position < len(self.prefix_keys) and self.prefix_keys[position] == key:
            return position
        return None

    def run(self, position: int) -> List[Route]:
        """All routes to the destination whose first one stands there."""
        end = self.runs.get(position, position + 1)
        return [self.route(index) for index in range(position, end)]

    def within(self, first: int, last: int) -> "RouteTable":
        """The routes to these addresses; those to wider networks around the first, too."""
        bits, keys = BITS[self.version], self.prefix_keys
        low = bisect_left(keys, make_prefix_key(first, 0))
        high = bisect_left(keys, make_prefix_key(last + 1, 0))
        around: List[int] = []
        for length in range(bits):
            shift = bits - length
            beginning = first >> shift << shift
            position = self.find(make_prefix_key(beginning, length)) if beginning < first else None
            if position is not None:
                around += range(position, self.runs.get(position, position + 1))
        return self._pick([*around, *range(low, high)])

    def _pick(self, positions: Sequence[int]) -> "RouteTable":
        """The routes at these positions, which are ascending."""
        keys = make_prefix_keys(
            self.version, [self.prefix_keys[position] for position in positions]
        )
        return self._replace(
            prefix_keys=keys,
            kinds=make_indexes([self.kinds[position] for position in positions]),
            runs=_find_runs(keys),
        )

    def stretches(self) -> Iterator[Tuple[int, int]]:
        """All addresses in pieces in which about `_STRETCH` of the routes begin: first to last."""
        first = 0
        for position in range(_STRETCH, len(self.prefix_keys), _STRETCH):
            following = first_address(self.prefix_keys[position])
            if following > first:
                yield first, following - 1
                first = following
        yield first, (1 << BITS[self.version]) - 1

    def starts(self) -> Iterator[int]:
        """The position of the first route to each destination."""
        position, end = 0, len(self.prefix_keys)
        while position < end:
            yield position
            position = self.runs.get(position, position + 1)


class RouteSet(Sequence[Route]):
    """The routes of a host, sorted by table, family and destination."""

    def __init__(self, tables: Iterable[RouteTable] = ()) -> None:
        self.tables = tuple(sorted(tables, key=itemgetter(0, 1)))

    def __len__(self) -> int:
        return sum(len(table.prefix_keys) for table in self.tables)

    def __iter__(self) -> Iterator[Route]:
        for table in self.tables:
            templates = table.templates
            for kind, key in zip(table.kinds, table.prefix_keys):
                yield _restore(templates[kind], key)

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
        return f"RouteSet({tuple(self)!r})"

    def of(self, table: int, version: int) -> Optional[RouteTable]:
        """The routes of that table and family; None where it has none."""
        for routes in self.tables:
            if (routes.table, routes.version) == (table, version):
                return routes
        return None

    def to(self, table: int, network: IPNetwork) -> List[Route]:
        """The routes to just that network."""
        routes = self.of(table, network.version)
        position = routes.find(prefix_key(network)) if routes else None
        return routes.run(position) if routes and position is not None else []

    def templates(self) -> Iterator[Route]:
        """All that routes have beside their destinations, each at least once (see `RouteTable`)."""
        return chain.from_iterable(table.templates for table in self.tables)

    def select(self, wanted: Wanted) -> Iterator[Route]:
        """The routes that are wanted, in order.

        `wanted` is asked for each kind of route once, and sees of the destination only its family
        and whether it is the default.
        """
        for table in self.tables:
            takes = [wanted(template) for template in table.templates]
            if any(takes):
                for kind, key in zip(table.kinds, table.prefix_keys):
                    if takes[kind]:
                        yield _restore(table.templates[kind], key)

    def select_prefix_keys(self, wanted: Wanted) -> Iterator[Tuple[Route, List[int]]]:
        """As `select`, the routes of each kind together: (their template, their prefix keys)."""
        for table in self.tables:
            by_kind: Dict[int, List[int]] = {
                kind: [] for kind, template in enumerate(table.templates) if wanted(template)
            }
            if by_kind:
                for kind, key in zip(table.kinds, table.prefix_keys):
                    if kind in by_kind:
                        by_kind[kind].append(key)
                for kind, keys in by_kind.items():
                    yield table.templates[kind], keys


class Column:
    """The routes of one table and family while they are packed, in any order."""

    def __init__(self, table: int, version: int) -> None:
        self._table, self._version = table, version
        self._keys, self._kinds = make_prefix_keys(version), make_indexes()
        # What came after one that it belongs before: prefix key and kind
        self._late: List[Tuple[int, int]] = []
        self._last_key = -1
        self._templates: List[Route] = []
        self._known: Dict[Route, int] = {}

    def kind(self, template: Route) -> int:
        """The number of that kind of route."""
        if template not in self._known:
            self._known[template] = len(self._templates)
            self._templates.append(template)
        return self._known[template]

    def add(self, key: int, kind: int) -> None:
        """Pack a route of that kind, to the network of that prefix key."""
        if key < self._last_key:
            self._late.append((key, kind))
            return
        self._last_key = key
        self._keys.append(key)
        self._kinds.append(kind)

    def pack(self) -> RouteTable:
        """All of them."""
        keys, kinds = self._keys, self._kinds
        if self._late:
            by_key = itemgetter(0)
            self._late.sort(key=by_key)
            keys, kinds = make_prefix_keys(self._version), make_indexes()
            for key, kind in merge(zip(self._keys, self._kinds), self._late, key=by_key):
                keys.append(key)
                kinds.append(kind)
        runs = _find_runs(keys)
        for start, end in runs.items():
            network = network_of_key(self._version, keys[start])
            by_link = any(contains(outer, network) for outer in _OF_LINKS)
            kinds[start:end] = make_indexes(self._sort_kinds(kinds[start:end], by_link))
        return RouteTable(self._table, self._version, keys, kinds, self._templates, runs)

    def _sort_kinds(self, kinds: Iterable[int], by_link: bool) -> List[int]:
        return sorted(kinds, key=lambda kind: _preference(self._templates[kind], by_link))


class Packer:
    """Packs routes one by one, in any order."""

    def __init__(self) -> None:
        self._columns: Dict[Tuple[int, int], Column] = {}
        self._last_likeness: Tuple[object, ...] = ()
        self._last_slot: Optional[Tuple[Column, int]] = None

    def column(self, table: int, version: int) -> Column:
        """Where the routes of that table and family go."""
        if (table, version) not in self._columns:
            self._columns[table, version] = Column(table, version)
        return self._columns[table, version]

    def slot(self, route: Route) -> Tuple[Column, int]:
        """Where routes like this one go, and their kind."""
        likeness = (route.version, route.default, *route[1:])
        if self._last_slot and self._last_likeness == likeness:  # far faster than its hash
            return self._last_slot
        column = self.column(route.table, route.version)
        destination = (ANY if route.default else _SPECIFIC)[route.version]
        slot = (column, column.kind(route._replace(destination=destination)))
        self._last_likeness, self._last_slot = likeness, slot
        return slot

    def add(self, route: Route) -> None:
        """Pack one."""
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


def _restore(template: Route, key: int) -> Route:
    if not key & LENGTH_MASK:
        return template
    return Route(network_of_key(template.destination.version, key), *template[1:])


def _find_runs(keys: Sequence[int]) -> Dict[int, int]:
    """Where equal ones stand: {first: past the last}."""
    runs: Dict[int, int] = {}
    start = -1
    followed = enumerate(zip(keys, islice(keys, 1, None)))
    for index in (index for index, (key, following) in followed if key == following):
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
