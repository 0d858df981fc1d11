"""Our elements in firewalld's direct.xml, which has no comments that last.

firewalld writes the file anew whenever somebody changes permanent direct rules, and drops comments
then; so each element of ours is known by the chain that it names, not by marker lines around it.
"""

import re
from typing import List, NamedTuple, Optional, Tuple

from symroute_nm.errors import Refusal
from symroute_nm.model.marking import NAME

_HEAD = b'<?xml version="1.0" encoding="utf-8"?>\n<direct>\n'
_TAIL = b"</direct>\n"
# A blank begins none of these behind another: each of many would be tried up to the last.
_END = re.compile(rb"(?<![ \t])[ \t]*</direct>")
# firewalld.direct(5): <chain …/> and <rule …>arguments</rule>, of which no one else names ours.
_ELEMENT = re.compile(rb"(?<![ \t])[ \t]*<(?:chain\b([^<>]*)/>|rule\b([^<>]*)>([^<]*)</rule>)")
_REST = re.compile(rb"[ \t]*\n?")
_ATTRIBUTE = re.compile(rb"(?<!\w)(\w+)=[\"']([^\"'<>]*)[\"']")
_NAME = NAME.encode("ascii")
_EMPTY = re.compile(rb"\s*(?:<\?xml[^>]*\?>\s*)?<direct\s*(?:/>|>\s*</direct>)\s*")


def has_elements(content: bytes) -> bool:
    """Whether anything in it is ours."""
    return bool(_ours(content))


def put(existing: Optional[bytes], body: str, path: str) -> bytes:
    """The content with the body's elements as its last; Refusal for what is no such file.

    `existing` is None where there is no file. One that has just those elements stays: firewalld
    writes chains first, and its priorities make the order of rules.
    """
    text = body.encode("ascii")
    if existing is None:
        return _HEAD + text + _TAIL
    rest = _without_ours(existing)
    ends = [end.start() for end in _END.finditer(rest)]
    if len(ends) != 1:
        raise Refusal(
            f"{path}: not one </direct>, so there is no place for our rules",
            "mend it (firewall-cmd --check-config), or remove it",
        )
    if _elements(existing) == _elements(text):
        return existing
    before, after = rest[: ends[0]], rest[ends[0] :]
    newline = b"" if before.endswith(b"\n") else b"\n"
    return before + newline + text + after


def take_out(existing: bytes) -> Optional[bytes]:
    """The content without our elements; None: it held nothing else."""
    if not has_elements(existing):
        return existing
    rest = _without_ours(existing)
    return None if _EMPTY.fullmatch(rest) else rest


class _Element(NamedTuple):
    """One of ours: where it begins and ends, with the blanks around it and the end of its line."""

    start: int
    end: int
    attributes: List[Tuple[bytes, bytes]]
    arguments: bytes


def _ours(content: bytes) -> List[_Element]:
    ours = []
    for element in _ELEMENT.finditer(content):
        chain, rule, arguments = element.groups()
        attributes = sorted(_ATTRIBUTE.findall(rule if chain is None else chain))
        if (b"chain", _NAME) in attributes or arguments == b"-j " + _NAME:
            rest = _REST.match(content, element.end())
            end = rest.end() if rest else element.end()
            ours.append(_Element(element.start(), end, attributes, arguments or b""))
    return ours


def _without_ours(content: bytes) -> bytes:
    pieces, position = [], 0
    for element in _ours(content):
        pieces.append(content[position : element.start])
        position = element.end
    return b"".join([*pieces, content[position:]])


def _elements(content: bytes) -> List[Tuple[List[Tuple[bytes, bytes]], bytes]]:
    """Attributes and arguments of each element of ours, however they are laid out."""
    return sorted((element.attributes, element.arguments) for element in _ours(content))
