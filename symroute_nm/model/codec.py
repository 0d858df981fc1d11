"""Model values as JSON's types and back, by their types' annotations, strictly checked."""

import functools
import re
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
from typing import Any, Callable, Dict, FrozenSet, Mapping, NoReturn, Tuple, Type, Union

from symroute_nm import errors
from symroute_nm.errors import InputError
from symroute_nm.model.network import (
    LARGEST_UINT32,
    IPAddress,
    IPInterface,
    IPNetwork,
    Route,
    Rule,
    parse_network,
)
from symroute_nm.model.route_set import RouteSet, pack

_LONGEST_TEXT = 1 << 20  # characters; no file that we read is longer
_ADDRESSES = (IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network)
_FROM_TEXT: Mapping[Any, Tuple[Callable[[str], Any], str]] = {
    IPAddress: (ip_address, "an address"),
    IPInterface: (ip_interface, "an address with prefix length"),
    IPNetwork: (ip_network, "a network"),
}
_SCALARS: Mapping[Any, str] = {bool: "true or false", int: "a number", str: "text"}
_OCTAL = re.compile(r"(?:[0-9]+\.)*0[0-9]")
_NONE_TYPE = type(None)

_Decoder = Callable[[Any, str], Any]  # of a value and its place


def encode(value: Any) -> Any:
    """A model value as JSON's types: named tuples as objects without the fields left at default.

    But None for a `RouteSet`, of which there may be too many.
    """
    if hasattr(value, "_fields"):
        defaults = _defaults(type(value))
        return {
            name: encode(field)
            for name, field in zip(value._fields, value)
            if name not in defaults or field != defaults[name]
        }
    if isinstance(value, RouteSet):
        return None
    if isinstance(value, (tuple, list)):
        return [encode(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    return str(value) if isinstance(value, _ADDRESSES) else value


def decode(kind: Any, value: Any, where: str) -> Any:
    """The value of that type for JSON's; `InputError`, which names the place, where it is none."""
    return _decoder(kind)(value, where)


@functools.lru_cache(maxsize=None)
def _decoder(kind: Any) -> _Decoder:
    """What decodes values of that type; kept, as types are few and looking at them takes long."""
    if kind in _FROM_TEXT:
        return functools.partial(_decode_text, *_FROM_TEXT[kind])
    if kind is RouteSet:
        return functools.partial(_decode_routes, _decoder(Route))
    if kind in _SCALARS:
        return functools.partial(_decode_scalar, kind)
    if hasattr(kind, "_fields"):
        fields = {name: _decoder(field) for name, field in kind.__annotations__.items()}
        if kind is Rule:  # the kernel's own may have host bits; its routes have none
            selector = functools.partial(_decode_text, parse_network, "a network")
            fields["source"] = fields["destination"] = functools.partial(_decode_optional, selector)
        required = frozenset(fields) - frozenset(_defaults(kind))
        return functools.partial(_decode_fields, kind, fields, required)
    arguments = kind.__args__
    if _NONE_TYPE in arguments:
        # typing flattens Optional[Union[A, B]]; what is left is one of our unions or one type.
        rest = tuple(argument for argument in arguments if argument is not _NONE_TYPE)
        return functools.partial(_decode_optional, _decoder(Union[rest]))
    return functools.partial(_decode_list, _decoder(arguments[0]))


def _decode_optional(decoder: _Decoder, value: Any, where: str) -> Any:
    return None if value is None else decoder(value, where)


def _decode_list(decoder: _Decoder, value: Any, where: str) -> Any:
    if not isinstance(value, list):
        fail(where, "not a list")
    return tuple(decoder(item, f"{where}[{index}]") for index, item in enumerate(value))


def _decode_routes(decoder: _Decoder, value: Any, where: str) -> RouteSet:
    return pack(_decode_list(decoder, value, where))


def _decode_fields(
    kind: Any, fields: Mapping[str, _Decoder], required: FrozenSet[str], value: Any, where: str
) -> Any:
    if not isinstance(value, dict):
        fail(where, "not an object")
    if not value.keys() <= fields.keys():
        fail(where, f"unknown field {shown(min(value.keys() - fields.keys()))}")
    if not value.keys() >= required:
        fail(where, f"no field {min(required - value.keys())!r}")
    return kind(**{name: fields[name](field, f"{where}.{name}") for name, field in value.items()})


def _decode_text(parse: Callable[[str], Any], what: str, value: Any, where: str) -> Any:
    # A zone (fe80::1%eth0) could hold any text, and would come out in a route file.
    # Zeros before other digits are octal to some versions of Python.
    if not isinstance(value, str) or "%" in value or _OCTAL.match(value):
        fail(where, f"{shown(value)} is not {what}")
    try:
        return parse(value)
    except ValueError:
        fail(where, f"{shown(value)} is not {what}")


def _decode_scalar(kind: Type[Any], value: Any, where: str) -> Any:
    if type(value) is not kind:
        fail(where, f"{shown(value)} is not {_SCALARS[kind]}")
    if kind is int and not 0 <= value <= LARGEST_UINT32:
        fail(where, f"{shown(value)} is out of range")
    if kind is str and (len(value) > _LONGEST_TEXT or "\0" in value):
        fail(where, "text too long, or with a NUL")
    return value


def _defaults(kind: Any) -> Dict[str, Any]:
    return getattr(kind, "_field_defaults", {})


def shown(value: Any) -> str:
    """What a message shows of one of JSON's values."""
    if isinstance(value, (dict, list)):  # may be nested too deep for repr()
        return "an object" if isinstance(value, dict) else "a list"
    return errors.shown(value)


def fail(where: str, what: str) -> NoReturn:
    """Raise `InputError` for what stands there (``FILE: host.routes[12].hops[0].link``)."""
    raise InputError(f"{where}: {what}", "make it again with symroute-nm snapshot")
