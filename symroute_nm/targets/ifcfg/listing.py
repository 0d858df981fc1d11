"""The rules and routes that rule and route files list, as the dispatcher script reads them."""

from typing import Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple

from symroute_nm.files import blocks
from symroute_nm.model.host import Host
from symroute_nm.model.ip_lines import KERNEL_TABLES, LineError, read_rule
from symroute_nm.model.iproute2 import parse_route, parse_route_key, parse_rule, read_lines
from symroute_nm.model.listing import Files, ListedRoute, ListedRule, Listing
from symroute_nm.model.network import Route
from symroute_nm.model.observations import ConfigFile, config_file
from symroute_nm.targets.ifcfg.names import ROUTE, RULE, RouteFileName, parse_path


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


def list_rules(files: Iterable[ConfigFile], host: Host) -> Tuple[ListedRule, ...]:
    """The rules in all of the rule files, in order; lines that are not understood are left out."""
    tables = table_numbers(host)
    listed: List[ListedRule] = []
    for file, name in _of_kind(files, RULE):
        for line in read_lines(file.text):
            rule = parse_rule(line, name.version, tables)
            if rule is not None:
                listed.append(ListedRule(rule, file.path, name.profile))
    return tuple(listed)


def unread_rules(files: Iterable[ConfigFile], host: Host) -> Iterator[Tuple[str, str]]:
    """The lines of rule files that `ip` takes and `list_rules` leaves out, behind their paths."""
    tables = table_numbers(host)
    for file, name in _of_kind(files, RULE):
        for line in read_lines(file.text):
            try:
                known = read_rule(line, name.version, tables) is not None
            except LineError:  # then no kernel has it
                continue
            if not known:
                yield file.path, line


def list_routes(files: Iterable[ConfigFile], host: Host) -> Tuple[ListedRoute, ...]:
    """The routes in all of the route files, in order; lines not understood are left out."""
    return _list_routes(files, host, parse_route)


def list_places(files: Iterable[ConfigFile], host: Host) -> Tuple[ListedRoute, ...]:
    """As `list_routes`, but of each route only its destination, table and metric.

    Those are understood in lines with anything else, too: next hops, ``mtu lock``, encapsulation.
    """
    return _list_routes(files, host, parse_route_key)


def _list_routes(
    files: Iterable[ConfigFile],
    host: Host,
    parse: Callable[[str, int, Mapping[str, int]], Optional[Route]],
) -> Tuple[ListedRoute, ...]:
    tables = table_numbers(host)
    listed: List[ListedRoute] = []
    for file, name in _of_kind(files, ROUTE):
        for line in read_lines(file.text):
            route = parse(line, name.version, tables)
            if route is not None:
                listed.append(ListedRoute(route, file.path, name.profile))
    return tuple(listed)


def _of_kind(files: Iterable[ConfigFile], kind: str) -> Iterator[Tuple[ConfigFile, RouteFileName]]:
    """The files of that kind with what their names say."""
    for file in files:
        name = parse_path(file.path)
        if name is not None and name.kind == kind:
            yield file, name


def table_numbers(host: Host) -> Dict[str, int]:
    """What iproute2 takes a table's name for: {name: number}."""
    return {**{table.name: table.id for table in host.tables}, **KERNEL_TABLES}
