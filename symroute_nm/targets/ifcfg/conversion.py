"""Route files in ``ADDRESSn=`` form rewritten in ip form.

The dispatcher script sources a file with such a line as shell and reads no ip lines there, so the
two forms cannot stand in one file.
"""

import ipaddress
import re
import shlex
from itertools import chain
from typing import Dict, List, NamedTuple, Tuple

from symroute_nm.errors import InputError, shown

_ASSIGNMENT = re.compile(
    r"(ADDRESS|NETMASK|PREFIX|GATEWAY|METRIC|OPTIONS)([0-9]{1,9})=(.*)", re.DOTALL
)
# Of a shell's line: a comment, a word with its quotes, or a quote without its end.
_PIECE = re.compile(
    r"""
      (?<![^ \t\r])(?P<comment>\#.*)
    | (?P<word>(?:[^ \t\r'"\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")+)
    | ['"\\]
    """,
    re.DOTALL | re.VERBOSE,
)
_LONGEST_WORD = 4096  # shlex takes seconds for a mebibyte
_MOST_SHOWN = 20
_SAFE_OPTIONS = re.compile(r"[A-Za-z0-9_.:/ -]*\Z")
_SAFE_DEVICE = re.compile(r"[A-Za-z0-9_.:@+-]+\Z")


def convert(content: bytes, device: str, path: str = "the file") -> bytes:
    """An ``ADDRESSn=`` route file in ip form (``NET/PREFIX via GW dev DEVICE metric N``).

    Comments and blank lines stay; each route stands where its ADDRESSn stood. InputError, naming
    `path` and line, for all that is not understood. Keys: ifcfg-rh reader, read_one_ip4_route().
    """
    if not _SAFE_DEVICE.match(device):
        raise InputError(f"{path}: no usable device name: {device!r}", "give the link's name")
    lines: List[_Line] = []
    for number, text in enumerate(_lines(content), 1):
        lines += _read_line(text, number, path)
    values = _collect(lines, path)
    order = [line.number for line in lines if line.key == "ADDRESS"]
    if order != list(range(len(order))):
        raise InputError(
            f"{path}: ADDRESSn must count 0, 1, 2 in this order, not "
            f"{', '.join(map(str, order[:_MOST_SHOWN]))}: the rest is not applied",
            "number the routes from 0 and run it again",
        )
    _check_strays(values, order, path)
    routes = {number: _route(values, number, device, path) for number in order}
    written = chain.from_iterable(_written(line, routes) for line in lines)
    return "\n".join(written).encode("utf-8", "surrogateescape")


class _Line(NamedTuple):
    """A line of an ``ADDRESSn=`` file: an assignment, or (key "") a comment or blank line."""

    at: int  # from 1
    text: str = ""  # what stays: the line, or the comment behind its value
    key: str = ""
    number: int = 0
    value: str = ""


def _lines(content: bytes) -> List[str]:
    return content.decode("utf-8", "surrogateescape").split("\n")


def _read_line(text: str, at: int, path: str) -> List[_Line]:
    """The assignments of a line; the shell takes several, NetworkManager none of those."""
    bare = text.strip(" \t\r")
    if not bare or bare.startswith("#"):
        return [_Line(at, text)]
    words, comment = _shell_words(bare)
    lines: List[_Line] = []
    for word in words:
        assignment = _ASSIGNMENT.match(word)
        if assignment is None:
            lines = []
            break
        key, route, value = assignment.groups()
        lines.append(_Line(at, "" if lines else comment, key, int(route), value.strip()))
    if not lines:
        raise InputError(
            f"{path} line {at} is not understood: {shown(bare)}",
            "rewrite the file in ip form by hand (one 'NET/PREFIX via GATEWAY dev LINK' a line)",
        )
    return lines


def _shell_words(text: str) -> Tuple[List[str], str]:
    """The words of a shell line and its comment; no words where quotes do not pair up.

    shlex takes ``a#b`` for a comment, the shell does not: so the comment is looked for here.
    """
    words: List[str] = []
    for piece in _PIECE.finditer(text):
        if piece.group("comment") is not None:
            return words, piece.group("comment")
        word = piece.group("word") or ""
        if not word or _LONGEST_WORD < len(word):
            return [], ""
        words += shlex.split(word)
    return words, ""


def _collect(lines: List[_Line], path: str) -> Dict[Tuple[str, int], _Line]:
    values: Dict[Tuple[str, int], _Line] = {}
    for line in lines:
        if not line.key:
            continue
        if (line.key, line.number) in values:
            first = values[line.key, line.number].at
            raise InputError(
                f"{path} line {line.at}: {line.key}{line.number} was set in line {first} already",
                "keep one of the two",
            )
        values[line.key, line.number] = line
    return values


def _check_strays(values: Dict[Tuple[str, int], _Line], order: List[int], path: str) -> None:
    known = set(order)
    for (key, number), line in values.items():
        if number not in known:
            raise InputError(
                f"{path} line {line.at}: {key}{number} has no ADDRESS{number}",
                "complete the route or delete the line",
            )


def _route(values: Dict[Tuple[str, int], _Line], number: int, device: str, path: str) -> str:
    def value(key: str) -> str:
        line = values.get((key, number))
        return line.value if line else ""

    at = values["ADDRESS", number].at
    try:
        words = [str(_network(value("ADDRESS"), value("NETMASK"), value("PREFIX")))]
        # The kernel takes 0.0.0.0 for no gateway.
        if value("GATEWAY") and int(_address(value("GATEWAY"))):
            words += ["via", value("GATEWAY")]
        words += ["dev", device]
        if value("METRIC"):
            words += ["metric", str(_number(value("METRIC")))]
        return " ".join(words + _options(value("OPTIONS")))
    except ValueError as error:
        raise InputError(
            f"{path} line {at}: route {number} is not understood: {error}",
            "mend the file, or rewrite it in ip form by hand",
        ) from error


def _network(address: str, netmask: str, prefix: str) -> ipaddress.IPv4Network:
    """The destination, host bits cleared as NetworkManager does; ValueError if it is none."""
    if not netmask:
        raise ValueError(
            "no NETMASK (PREFIX alone is read neither by NetworkManager nor by the "
            "dispatcher script)"
        )
    mask = ipaddress.IPv4Network("0.0.0.0/" + netmask)
    # ipaddress takes a length and an inverted mask, too; the script and NetworkManager do not.
    if str(mask.netmask) != netmask:
        raise ValueError(f"NETMASK {shown(netmask)}")
    if prefix and _number(prefix) != mask.prefixlen:
        raise ValueError(f"NETMASK {shown(netmask)} and PREFIX {shown(prefix)} give no one length")
    return ipaddress.IPv4Network(f"{_address(address)}/{mask.prefixlen}", strict=False)


def _address(text: str) -> ipaddress.IPv4Address:
    """The address; ValueError also for leading zeros: octal to some, decimal to others."""
    address = ipaddress.IPv4Address(text)
    if str(address) != text:
        raise ValueError(f"address {shown(text)}")
    return address


def _number(text: str) -> int:
    if not re.match(r"[0-9]{1,10}\Z", text) or int(text) >= 1 << 32:
        raise ValueError(f"number {shown(text)}")
    return int(text)


def _options(text: str) -> List[str]:
    if not _SAFE_OPTIONS.match(text):
        raise ValueError(f"OPTIONS {shown(text)}")
    return text.split()


def _written(line: _Line, routes: Dict[int, str]) -> List[str]:
    """The lines that take a line's place; a comment behind a value gets a line of its own."""
    if not line.key:
        return [line.text]
    route = routes[line.number] if line.key == "ADDRESS" else ""
    return [text for text in (line.text, route) if text]


# The test of the dispatcher script (10-ifcfg-rh-routes.sh) for files that it sources as shell.
_VARIABLES = re.compile(rb"^[ \t\r\f\v]*ADDRESS[0-9]+=", re.MULTILINE)


def is_variables_form(content: bytes) -> bool:
    """Whether the dispatcher script sources the file as shell (``ADDRESSn=``), not as ip lines."""
    return b"ADDRESS" in content and _VARIABLES.search(content) is not None
