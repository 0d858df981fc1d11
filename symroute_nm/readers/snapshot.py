"""Snapshots: a `Host` as JSON and back; only what differs from defaults, strictly checked."""

import functools
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from symroute_nm.errors import InputError, SystemFailure
from symroute_nm.files import access
from symroute_nm.model.codec import decode, encode, fail, shown
from symroute_nm.model.host import Host
from symroute_nm.model.network import ANY, VERSIONS, IPNetwork, Route, host_network
from symroute_nm.model.prefixes import network_of_key, prefix_key
from symroute_nm.model.profiles import Profiles
from symroute_nm.model.route_set import Column, Packer, RouteSet

FORMAT = "symroute-nm host"
VERSION = 1

_LARGEST_FILE = 512 << 20
_MOST_DIGITS = 20
_CONTROL = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029]")
# dev_valid_name() of net/core/dev.c; of 15 bytes each may stand as an escape of 4 characters.
_LINK_NAME = re.compile(r"[^/: \t\n\v\f\r]{1,60}")

# No text in JSON holds the end of a line, so that this stands nowhere else.
_ROUTES_HERE = '\n  "routes": null'
_INDENT = "\n   "

_MOST_KNOWN = 1 << 12  # kinds of routes whose text is kept, since it mostly comes again
_LARGE = 1 << 16  # bytes of a snapshot; a shorter one is read faster as a whole
# Where a list of routes is; a route of it as snapshots have them: the destination, all behind that,
# and whether another one follows.
_SPACE = rb"[ \t\n\r]*"
_LIST = re.compile(rb'"routes"%b:%b(?=\[)' % (_SPACE, _SPACE))
_ROUTE = re.compile(
    rb'%b\{%b"destination"%b:%b"([0-9A-Fa-f.:/]+)"' % (_SPACE, _SPACE, _SPACE, _SPACE)
    + rb"([^][{}]*(?:\[[^][]*\][^][{}]*)?\})%b([],])" % _SPACE
)


def dump_host(host: Host) -> str:
    """The snapshot's text; equal hosts give equal texts."""
    return "".join(dump_parts(host))


def dump_parts(host: Host) -> Iterator[str]:
    """The same piece by piece: of hundreds of thousands of routes one after the other."""
    content = {"format": FORMAT, "version": VERSION, "host": encode(host)}
    text = json.dumps(content, indent=1, ensure_ascii=True) + "\n"
    before, here, after = text.partition(_ROUTES_HERE)
    yield before
    if here:
        yield '\n  "routes": '
        yield from _dump_routes(host.routes)
        yield "\n  ]"
    yield after


def _dump_routes(routes: RouteSet) -> Iterator[str]:
    separator = "["
    for table in routes.tables:
        around = functools.lru_cache(maxsize=_MOST_KNOWN)(
            functools.partial(_around_destination, table.templates)
        )
        for kind, key in zip(table.kinds, table.prefix_keys):
            before, after = around(kind)
            yield "".join((separator, before, str(network_of_key(table.version, key)), after))
            separator = ","


def _around_destination(templates: Sequence[Route], kind: int) -> Tuple[str, str]:
    """The text of routes of that kind but for the destination, which is their first field."""
    route = templates[kind]
    text = _INDENT + json.dumps(encode(route), indent=1, ensure_ascii=True).replace("\n", _INDENT)
    before, _, after = text.partition(str(route.destination))
    return before, after


def read_host(path: Path) -> Host:
    """The host in a snapshot file; raises `InputError`, or `SystemFailure` if it cannot be read."""
    try:
        content = access.read_small(path, _LARGEST_FILE)
    except (InputError, SystemFailure) as error:
        missing = isinstance(error.__cause__, FileNotFoundError)
        kind = InputError if missing else type(error)
        raise kind(error.message, "check --host") from error
    return load_host(content, str(path))


def load_host(content: bytes, where: str) -> Host:
    """The host in a snapshot's content; raises `InputError` with the place in it."""
    document, routes = _take_apart(content) or (_parse(content, where), None)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        fail(where, "no snapshot of a host")
    if type(document.get("version")) is not int or document["version"] != VERSION:
        fail(
            where,
            f"version {shown(document.get('version'))}, but this program reads version {VERSION}",
        )
    host: Host = decode(Host, document.get("host"), f"{where}: host")
    _check(host, document["host"], where)
    return host._replace(
        routes=host.routes if routes is None else routes, profiles=Profiles(host.profiles)
    )


def _parse(content: bytes, where: str) -> Any:
    try:
        return _parse_text(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        fail(where, f"not JSON ({error})")


def _parse_text(text: str, parse_constant: Optional[Callable[[str], Any]] = None) -> Any:
    return json.loads(
        text,
        parse_int=_parse_integer,
        parse_constant=parse_constant,
        object_pairs_hook=_make_object,
    )


def _take_apart(content: bytes) -> Optional[Tuple[Any, RouteSet]]:
    """The document without its routes, and those, of which no object is made for each.

    None unless they are as snapshots have them: what is wrong, and where, the whole document tells.
    """
    beginning = _LIST.search(content) if len(content) >= _LARGE else None
    if beginning is None:
        return None
    start = beginning.end()
    # A constant that JSON does not know stands for the list, and comes back from its place.
    marks: List[Any] = []

    def mark(name: str) -> List[Any]:
        marks.append(name)
        return marks

    try:
        routes, end = _read_routes(content, start)
        rest = content[:start] + b"NaN" + content[end:]
        document = _parse_text(rest.decode("utf-8"), mark)
    except (ValueError, RecursionError, InputError):
        return None
    host = document.get("host") if isinstance(document, dict) else None
    if len(marks) != 1 or not isinstance(host, dict) or host.get("routes") is not marks:
        return None
    host["routes"] = []
    return document, routes


def _read_routes(content: bytes, start: int) -> Tuple[RouteSet, int]:
    """The routes of the list that begins there, and where it ends.

    Raises ValueError or `InputError` where they are not as snapshots have them.
    """
    packer = Packer()
    parse = json.JSONDecoder(parse_int=_parse_integer, object_pairs_hook=_make_object).decode
    find_slot = functools.lru_cache(maxsize=_MOST_KNOWN)(
        functools.partial(_find_slot, packer, parse)
    )
    end, more = start + 1, b","
    while more == b",":
        entry = _ROUTE.match(content, end)
        if entry is None:
            raise ValueError("no route")
        destination, rest, more = entry.groups()
        end = entry.end()
        network = decode(IPNetwork, destination.decode("ascii"), "")
        column, kind = find_slot(rest, network.version, default=network.prefixlen == 0)
        column.add(prefix_key(network), kind)
    return packer.pack(), end


def _find_slot(
    packer: Packer, parse: Callable[[str], Any], rest: bytes, version: int, *, default: bool
) -> Tuple[Column, int]:
    """Where routes with this text behind the destination go."""
    network = ANY[version] if default else host_network(ANY[version].network_address)
    # Where it ends was a guess, and right if this is JSON: no object is the beginning of another.
    text = f'{{"destination": "{network}"{rest.decode("utf-8")}'
    route: Route = decode(Route, parse(text), "")
    _check_route(route, "")
    return packer.slot(route)


def _check(host: Host, content: Mapping[str, Any], where: str) -> None:
    """What types alone cannot say: names that are unique, families that agree.

    The host was decoded from the content.
    """
    _check_links(host, where)
    for index, address in enumerate(host.addresses):
        if address.peer is not None and address.peer.version != address.version:
            fail(f"{where}: host.addresses[{index}]", "address and peer are of two families")
    for index, table in enumerate(host.tables):
        if _CONTROL.search(table.name):  # it would come out in files and on terminals
            fail(f"{where}: host.tables[{index}].name", "a control character")
    _check_routes(host.routes, content.get("routes"), where)
    _check_rules(host, where)


def _check_links(host: Host, where: str) -> None:
    names = [link.name for link in host.links]
    if len(set(names)) < len(names):
        fail(where, "two links of one name")
    for index, name in enumerate(names):
        if not _LINK_NAME.fullmatch(name) or name in (".", ".."):
            fail(f"{where}: host.links[{index}].name", f"{shown(name)} names no link")


def _check_rules(host: Host, where: str) -> None:
    for index, rule in enumerate(host.rules):
        for network in (rule.source, rule.destination):
            if rule.version not in VERSIONS or (network and network.version != rule.version):
                fail(f"{where}: host.rules[{index}]", "selectors of another family")
        # fib_nl_newrule() refuses the others, of which some would go in circles.
        if rule.action == "goto" and rule.target <= rule.priority:
            fail(f"{where}: host.rules[{index}]", "a goto that does not lead forward")


def _check_routes(routes: RouteSet, listed: Any, where: str) -> None:
    if any(map(_find_route_fault, routes.templates())):
        # A set is sorted: where the first one with a fault stands, only the list tells.
        for index, content in enumerate(listed):
            place = f"{where}: host.routes[{index}]"
            _check_route(decode(Route, content, place), place)


def _check_route(route: Route, where: str) -> None:
    fault = _find_route_fault(route)
    if fault:
        fail(where, fault)


def _find_route_fault(route: Route) -> str:
    """In what its parts do not fit together; of its destination only the family counts."""
    if route.source is not None and route.source.version != route.version:
        return "source and destination are of two families"
    for hop in route.hops:
        # An IPv4 route may go by an IPv6 gateway (RFC 5549), not the reverse.
        if hop.gateway is not None and hop.gateway.version < route.version:
            return f"an IPv6 route cannot have the gateway {hop.gateway}"
    return ""


def _make_object(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    """The object; ValueError where a key stands twice, of which others might take the first."""
    values = dict(pairs)
    if len(values) < len(pairs):
        again, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {shown(again)} twice")
    return values


def _parse_integer(text: str) -> int:
    if len(text) > _MOST_DIGITS:  # Python forbids, or takes long for, thousands of digits
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)
