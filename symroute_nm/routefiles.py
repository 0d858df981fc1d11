"""The routes that route files list, as the dispatcher script hands them to `ip` (pure)."""

import re
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple

from symroute_nm.listing import ListedRoute
from symroute_nm.model import ANY, TABLE_MAIN, Hop, Host, IPAddress, IPNetwork, Route, parse_network
from symroute_nm.observation import ConfigFile
from symroute_nm.rulefiles import parse_number, profile_of, read_lines, table_numbers

_ROUTE_FILE = re.compile(r".*/route(6?)-[^/]+")
_IPV4 = 4
# ip-route(8)
_WITHOUT_HOPS = {"throw", "blackhole", "unreachable", "prohibit"}
_TYPES = {"unicast", *_WITHOUT_HOPS}
_OTHER_TYPES = {"local", "broadcast", "multicast", "anycast", "nat"}
_METRIC = {"metric", "priority", "preference"}
# Words with a value that say neither where a packet goes nor which route it is.
_BESIDE = {"proto", "protocol", "scope", "mtu", "advmss", "rtt", "window", "initcwnd", "initrwnd"}
# Networks, gateways and hops that are kept once: own tables have many in common.
_MOST_WORDS = 1 << 14


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


def parse_place(line: str, version: int, tables: Mapping[str, int]) -> Optional[Route]:
    """Destination, table and metric of the route that ``ip route add LINE`` makes, or None."""
    words = line.split()
    if words and words[0] in _TYPES | _OTHER_TYPES:
        del words[0]
    try:
        fields = _fields([
            each for pair in zip(words, words[1:]) if pair[0] == "table" or pair[0] in _METRIC
            for each in pair], tables)
        return Route(_destination(words[0], version), **{"table": TABLE_MAIN, **fields})
    except (ValueError, IndexError):
        return None


def _routes(file: ConfigFile, tables: Mapping[str, int]) -> Iterator[Optional[Route]]:
    for line, version in _lines(file):
        yield parse_route(line, version, tables)


def _lines(file: ConfigFile) -> Iterator[Tuple[str, int]]:
    """The lines of a route file, with the family that they are of; none of other files."""
    name = _ROUTE_FILE.fullmatch(file.path)
    for line in read_lines(file.text) if name else ():
        yield line, 6 if name and name.group(1) else 4


def parse_route(line: str, version: int, tables: Mapping[str, int]) -> Optional[Route]:
    """The route that ``ip route add LINE`` makes; None where the line is not wholly understood.

    `tables` are the names of tables: {name: number}. Routes with several hops are not understood.
    """
    words = line.split()
    kind = words.pop(0) if words and words[0] in _TYPES else "unicast"
    if not words:
        return None
    try:
        destination = _destination(words.pop(0), version)
        fields = _fields(words, tables)
    except ValueError:
        return None
    hops = _hops(fields.get("link", ""), fields.get("gateway"), fields.get("onlink", False))
    return Route(
        destination, type=kind, table=fields.get("table", TABLE_MAIN),
        hops=() if kind in _WITHOUT_HOPS else hops, metric=fields.get("metric", 0),
        source=fields.get("source"))


@lru_cache(maxsize=_MOST_WORDS)
def _hops(link: str, gateway: Optional[IPAddress], onlink: bool) -> Tuple[Hop, ...]:
    return (Hop(link, gateway, onlink),)


@lru_cache(maxsize=_MOST_WORDS)
def _destination(word: str, version: int) -> IPNetwork:
    if word in ("default", "all", "any"):
        return ANY[version]
    network = parse_network(word)
    if network.version != version:
        raise ValueError("of another family")
    # The kernel clears host bits of IPv6 (ip6_route_info_create), and refuses those of IPv4 with
    # EINVAL (fib_valid_key_len).
    if version == _IPV4 and ip_address(word.partition("/")[0]) != network.network_address:
        raise ValueError("has host bits set")
    return network


def _fields(words: List[str], tables: Mapping[str, int]) -> Dict[str, Any]:
    """The words behind the destination; raises `ValueError` for one that is not known."""
    fields: Dict[str, Any] = {}
    rest = iter(words)
    for word in rest:
        if word == "onlink":
            fields["onlink"] = True
            continue
        value = next(rest, "")
        if word == "via":
            fields["gateway"] = _gateway(value, rest)
        elif word == "dev":
            fields["link"] = value
        elif word in ("table", "src") or word in _METRIC:
            fields.update(_field(word, value, tables))
        elif word not in _BESIDE:
            raise ValueError("unknown word")
    return fields


def _gateway(value: str, rest: Iterator[str]) -> IPAddress:
    """The gateway behind ``via``, with or without its family."""
    return _address(next(rest, "") if value in ("inet", "inet6") else value)


@lru_cache(maxsize=_MOST_WORDS)
def _address(word: str) -> IPAddress:
    return ip_address(word)


def _field(word: str, value: str, tables: Mapping[str, int]) -> Dict[str, Any]:
    if word == "src":
        return {"source": _address(value)}
    if word == "table":
        return {"table": tables[value] if value in tables else parse_number(value)}
    return {"metric": parse_number(value)}
