"""The routes that route files list, as the dispatcher script hands them to `ip` (pure)."""

import re
from typing import Iterable, Iterator, Mapping, Optional, Tuple

from symroute_nm.model.host import Host
from symroute_nm.model.iproute2 import parse_place, parse_route, read_lines
from symroute_nm.model.listing import ListedRoute
from symroute_nm.model.network import Route
from symroute_nm.model.observations import ConfigFile
from symroute_nm.rulefiles import profile_of, table_numbers

_ROUTE_FILE = re.compile(r".*/route(6?)-[^/]+")


def list_routes(files: Iterable[ConfigFile], host: Host) -> Tuple[ListedRoute, ...]:
    """The routes in all of the route files, in order; lines not understood are left out."""
    tables = table_numbers(host)
    return tuple(
        ListedRoute(route, file.path, profile_of(file.path))
        for file in files for route in _routes(file, tables) if route is not None)


def list_places(files: Iterable[ConfigFile], host: Host) -> Tuple[ListedRoute, ...]:
    """As `list_routes`, but of each route only its destination, table and metric.

    Those are understood in lines with anything else, too: next hops, ``mtu lock``, encapsulation.
    """
    tables = table_numbers(host)
    return tuple(
        ListedRoute(route, file.path, profile_of(file.path))
        for file in files for line, version in _lines(file)
        for route in [parse_place(line, version, tables)] if route is not None)


def _routes(file: ConfigFile, tables: Mapping[str, int]) -> Iterator[Optional[Route]]:
    for line, version in _lines(file):
        yield parse_route(line, version, tables)


def _lines(file: ConfigFile) -> Iterator[Tuple[str, int]]:
    """The lines of a route file, with the family that they are of; none of other files."""
    name = _ROUTE_FILE.fullmatch(file.path)
    for line in read_lines(file.text) if name else ():
        yield line, 6 if name and name.group(1) else 4
