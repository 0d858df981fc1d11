"""A `Host` as JSON and back: versioned, only what differs from the defaults, strictly checked."""

import json
import re
from collections import Counter
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, NoReturn, Tuple, Type, Union

from symroute_nm.errors import InputError, SystemFailure, shown
from symroute_nm.model import VERSIONS, Host, IPAddress, IPInterface, IPNetwork
from symroute_nm.routes import Routes, pack

FORMAT = "symroute-nm host"
VERSION = 1

_LARGEST_FILE = 512 << 20
_LARGEST_NUMBER = 2**32 - 1
_MOST_DIGITS = 20
_LONGEST_TEXT = 1 << 20  # a file's content: what bounded.read() takes
_ADDRESSES = (
    IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
)
_FROM_TEXT: Mapping[Any, Tuple[Callable[[str], Any], str]] = {
    IPAddress: (ip_address, "an address"),
    IPInterface: (ip_interface, "an address with prefix length"),
    IPNetwork: (ip_network, "a network"),
}
_CONTROL = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029]")
_OCTAL = re.compile(r"(?:[0-9]+\.)*0[0-9]")
# dev_valid_name() of net/core/dev.c; of 15 bytes each may stand as an escape of 4 characters.
_LINK_NAME = re.compile(r"[^/: \t\n\v\f\r]{1,60}")
_NONE_TYPE = type(None)


def dump_host(host: Host) -> str:
    """The snapshot's text; equal hosts give equal texts."""
    packed = host._replace(routes=pack(host.routes))
    content = {"format": FORMAT, "version": VERSION, "host": encode(packed)}
    return json.dumps(content, indent=1, ensure_ascii=True) + "\n"


def encode(value: Any) -> Any:
    """A model value as JSON's types: named tuples as objects without the fields left at default."""
    if hasattr(value, "_fields"):
        defaults = _defaults(type(value))
        return {
            name: encode(each)
            for name, each in zip(value._fields, value)
            if name not in defaults or each != defaults[name]
        }
    if isinstance(value, (tuple, list, Routes)):
        return [encode(each) for each in value]
    if isinstance(value, Mapping):
        return {str(key): encode(each) for key, each in value.items()}
    return str(value) if isinstance(value, _ADDRESSES) else value


def read_host(path: Path) -> Host:
    """The host in a snapshot file; raises `InputError`, or `SystemFailure` if it cannot be read."""
    try:
        with path.open("rb") as stream:
            content = stream.read(_LARGEST_FILE + 1)
    except OSError as error:
        kind = InputError if isinstance(error, FileNotFoundError) else SystemFailure
        raise kind("%s: %s" % (path, error.strerror), "check --host") from error
    if len(content) > _LARGEST_FILE:
        raise InputError("%s: larger than 512 MiB" % path, "this is no snapshot of a host")
    return load_host(content, str(path))


def load_host(content: bytes, where: str) -> Host:
    """The host in a snapshot's content; raises `InputError` with the place in it."""
    try:
        document = json.loads(
            content.decode("utf-8"), parse_int=_parse_integer, object_pairs_hook=_make_object)
    except (ValueError, RecursionError) as error:
        _fail(where, "not JSON (%s)" % error)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        _fail(where, "no snapshot of a host")
    if type(document.get("version")) is not int or document["version"] != VERSION:
        _fail(where, "version %s, but this program reads version %d" % (
            _shown(document.get("version")), VERSION))
    host: Host = _decode(Host, document.get("host"), "%s: host" % where)
    _check(host, where)
    return host._replace(routes=pack(host.routes))


def _decode(kind: Any, value: Any, where: str) -> Any:
    if kind in _FROM_TEXT:
        return _decode_text(kind, value, where)
    if kind in (bool, int, str):
        return _decode_scalar(kind, value, where)
    if hasattr(kind, "_fields"):
        return _decode_fields(kind, value, where)
    arguments = kind.__args__
    if _NONE_TYPE in arguments:
        if value is None:
            return None
        # typing flattens Optional[Union[A, B]]; what is left is one of our unions or one type.
        rest = tuple(each for each in arguments if each is not _NONE_TYPE)
        return _decode(Union[rest], value, where)
    if not isinstance(value, list):
        _fail(where, "not a list")
    return tuple(
        _decode(arguments[0], each, "%s[%d]" % (where, index)) for index, each in enumerate(value))


def _decode_fields(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        _fail(where, "not an object")
    unknown = sorted(set(value) - set(kind._fields))
    if unknown:
        _fail(where, "unknown field %s" % _shown(unknown[0]))
    missing = sorted(set(kind._fields) - set(value) - set(_defaults(kind)))
    if missing:
        _fail(where, "no field %r" % missing[0])
    types = kind.__annotations__
    return kind(**{
        name: _decode(types[name], each, "%s.%s" % (where, name)) for name, each in value.items()})


def _decode_text(kind: Any, value: Any, where: str) -> Any:
    parse, what = _FROM_TEXT[kind]
    # A zone (fe80::1%eth0) could hold any text, and would come out in a route file.
    # Zeros before other digits are octal to some versions of Python.
    if not isinstance(value, str) or "%" in value or _OCTAL.match(value):
        _fail(where, "%s is not %s" % (_shown(value), what))
    try:
        return parse(value)
    except ValueError:
        _fail(where, "%s is not %s" % (_shown(value), what))


def _decode_scalar(kind: Type[Any], value: Any, where: str) -> Any:
    names = {bool: "true or false", int: "a number", str: "text"}
    if type(value) is not kind:
        _fail(where, "%s is not %s" % (_shown(value), names[kind]))
    if kind is int and not 0 <= value <= _LARGEST_NUMBER:
        _fail(where, "%s is out of range" % _shown(value))
    if kind is str and (len(value) > _LONGEST_TEXT or "\0" in value):
        _fail(where, "text too long, or with a NUL")
    return value


def _defaults(kind: Any) -> Dict[str, Any]:
    return getattr(kind, "_field_defaults", {})


def _check(host: Host, where: str) -> None:
    """What types alone cannot say: names that are unique, families that agree."""
    _check_links(host, where)
    for index, address in enumerate(host.addresses):
        if address.peer is not None and address.peer.version != address.version:
            _fail("%s: host.addresses[%d]" % (where, index), "address and peer are of two families")
    for index, table in enumerate(host.tables):
        if _CONTROL.search(table.name):  # it would come out in files and on terminals
            _fail("%s: host.tables[%d].name" % (where, index), "a control character")
    _check_routes(host, where)
    _check_rules(host, where)


def _check_links(host: Host, where: str) -> None:
    names = [each.name for each in host.links]
    if len(set(names)) < len(names):
        _fail(where, "two links of one name")
    for index, name in enumerate(names):
        if not _LINK_NAME.fullmatch(name) or name in (".", ".."):
            _fail("%s: host.links[%d].name" % (where, index), "%s names no link" % _shown(name))


def _check_rules(host: Host, where: str) -> None:
    for index, rule in enumerate(host.rules):
        for network in (rule.source, rule.destination):
            if rule.version not in VERSIONS or (network and network.version != rule.version):
                _fail("%s: host.rules[%d]" % (where, index), "selectors of another family")
        # fib_nl_newrule() refuses the others, of which some would go in circles.
        if rule.action == "goto" and rule.target <= rule.priority:
            _fail("%s: host.rules[%d]" % (where, index), "a goto that does not lead forward")


def _check_routes(host: Host, where: str) -> None:
    for index, route in enumerate(host.routes):
        place = "%s: host.routes[%d]" % (where, index)
        if route.source is not None and route.source.version != route.version:
            _fail(place, "source and destination are of two families")
        for hop in route.hops:
            # An IPv4 route may go by an IPv6 gateway (RFC 5549), not the reverse.
            if hop.gateway is not None and hop.gateway.version < route.version:
                _fail(place, "an IPv6 route cannot have the gateway %s" % hop.gateway)


def _make_object(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    """The object; ValueError where a key stands twice, of which others might take the first."""
    made = dict(pairs)
    if len(made) < len(pairs):
        again, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError("the key %s twice" % _shown(again))
    return made


def _parse_integer(text: str) -> int:
    if len(text) > _MOST_DIGITS:  # Python forbids, or takes long for, thousands of digits
        raise ValueError("a number of %d digits" % len(text))
    return int(text)


def _shown(value: Any) -> str:
    if isinstance(value, (dict, list)):  # may be nested too deep for repr()
        return "an object" if isinstance(value, dict) else "a list"
    return shown(value)


def _fail(where: str, what: str) -> NoReturn:
    raise InputError("%s: %s" % (where, what), "make it again with symroute-nm snapshot")
