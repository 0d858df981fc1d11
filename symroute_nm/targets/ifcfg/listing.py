"""The rules that rule files list, as the dispatcher script hands them to `ip` (pure)."""

import re
from typing import Dict, Iterable, Iterator, List, Mapping, Optional, Tuple

from symroute_nm.files import blocks
from symroute_nm.model.host import Host
from symroute_nm.model.iproute2 import (
    KERNEL_TABLES,
    parse_route,
    parse_route_key,
    parse_rule,
    read_lines,
)
from symroute_nm.model.listing import Files, ListedRoute, ListedRule, Listing
from symroute_nm.model.network import Route, Rule
from symroute_nm.model.observations import ConfigFile, config_file

_PREFIXES = ("route-", "route6-", "rule-", "rule6-")
_RULE_FILE = re.compile(r".*/rule(6?)-[^/]+")


def list_rules(files: Iterable[ConfigFile], host: Host) -> Tuple[ListedRule, ...]:
    """The rules in all of the rule files, in order; lines that are not understood are left out."""
    tables = table_numbers(host)
    return tuple(
        ListedRule(rule, file.path, profile_of(file.path))
        for file in files
        for _, rule in _rules(file, tables)
        if rule is not None
    )


def unread_lines(files: Iterable[ConfigFile], host: Host) -> Iterator[Tuple[str, str]]:
    """The lines of rule files that `list_rules` leaves out, each behind its file's path."""
    tables = table_numbers(host)
    for file in files:
        yield from ((file.path, line) for line, rule in _rules(file, tables) if rule is None)


def is_rule_file(path: str) -> bool:
    """Whether it is a ``rule-`` or ``rule6-`` file by its name."""
    return _RULE_FILE.fullmatch(path) is not None


def _rules(file: ConfigFile, tables: Mapping[str, int]) -> Iterator[Tuple[str, Optional[Rule]]]:
    """Each line with its rule, None where it is not understood; nothing of other files."""
    name = _RULE_FILE.fullmatch(file.path)
    version = 6 if name and name.group(1) else 4
    for line in read_lines(file.text) if name else ():
        yield line, parse_rule(line, version, tables)


def table_numbers(host: Host) -> Dict[str, int]:
    """What iproute2 takes a table's name for: {name: number}."""
    return {**{table.name: table.id for table in host.tables}, **KERNEL_TABLES}


def profile_of(path: str) -> str:
    """The profile that a route or rule file is named after; "" for other files."""
    name = path.rpartition("/")[2]
    prefix = next((each for each in _PREFIXES if name.startswith(each)), "")
    return name[len(prefix) :] if prefix else ""


_ROUTE_FILE = re.compile(r".*/route(6?)-[^/]+")


def list_routes(files: Iterable[ConfigFile], host: Host) -> Tuple[ListedRoute, ...]:
    """The routes in all of the route files, in order; lines not understood are left out."""
    tables = table_numbers(host)
    return tuple(
        ListedRoute(route, file.path, profile_of(file.path))
        for file in files
        for route in _routes(file, tables)
        if route is not None
    )


def list_places(files: Iterable[ConfigFile], host: Host) -> Tuple[ListedRoute, ...]:
    """As `list_routes`, but of each route only its destination, table and metric.

    Those are understood in lines with anything else, too: next hops, ``mtu lock``, encapsulation.
    """
    tables = table_numbers(host)
    return tuple(
        ListedRoute(route, file.path, profile_of(file.path))
        for file in files
        for line, version in _read_route_lines(file)
        for route in [parse_route_key(line, version, tables)]
        if route is not None
    )


def _routes(file: ConfigFile, tables: Mapping[str, int]) -> Iterator[Optional[Route]]:
    for line, version in _read_route_lines(file):
        yield parse_route(line, version, tables)


def _read_route_lines(file: ConfigFile) -> Iterator[Tuple[str, int]]:
    """The lines of a route file, with the family that they are of; none of other files."""
    name = _ROUTE_FILE.fullmatch(file.path)
    for line in read_lines(file.text) if name else ():
        yield line, 6 if name and name.group(1) else 4


def read_files(files: Iterable[ConfigFile], host: Host) -> Files:
    """Our lines and the administrator's; raises `Refusal` for a damaged block."""
    ours: List[ConfigFile] = []
    foreign: List[ConfigFile] = []
    for file in files:
        parts = blocks.split(file.text.encode("utf-8", "surrogateescape"), file.path)
        ours.append(config_file(file.path, parts.block or b""))
        foreign += [config_file(file.path, text) for text in (parts.before, parts.after) if text]
    return Files(
        Listing(list_rules(ours, host), list_routes(ours, host)),
        Listing(list_rules(foreign, host), list_places(foreign, host)),
    )
