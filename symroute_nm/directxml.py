"""Our elements in firewalld's direct.xml, which has no comments that last (pure, on bytes).

firewalld writes the file anew whenever somebody changes permanent direct rules, and drops comments
then; so each element of ours is known by the chain that it names, not by marker lines around it.
"""

import re
from typing import List, Optional, Tuple

from symroute_nm.errors import Refusal
from symroute_nm.marking import NAME

_HEAD = b'<?xml version="1.0" encoding="utf-8"?>\n<direct>\n'
_TAIL = b"</direct>\n"
_END = re.compile(rb"[ \t]*</direct>")
# firewalld.direct(5): <chain …/> and <rule …>arguments</rule>, of which no one else names ours.
_OURS = re.compile(
    rb"[ \t]*<(?:chain\b[^<>]*\bchain=[\"']%(name)s[\"'][^<>]*/>"
    rb"|rule\b[^<>]*\bchain=[\"']%(name)s[\"'][^<>]*>[^<]*</rule>"
    rb"|rule\b[^<>]*>-j %(name)s</rule>)[ \t]*\n?" % {b"name": NAME.encode("ascii")})
_ATTRIBUTE = re.compile(rb"(\w+)=[\"']([^\"'<>]*)[\"']")
_ARGUMENTS = re.compile(rb">([^<]*)</")
_EMPTY = re.compile(rb"\s*(?:<\?xml[^>]*\?>)?\s*<direct\s*(?:/>|>\s*</direct>)\s*")


def has_elements(content: bytes) -> bool:
    """Whether anything in it is ours."""
    return _OURS.search(content) is not None


def put(existing: Optional[bytes], body: str, path: str) -> bytes:
    """The content with the body's elements as its last; Refusal for what is no such file.

    `existing` is None where there is no file. One that has just those elements stays: firewalld
    writes chains first, and its priorities make the order of rules.
    """
    text = body.encode("ascii")
    if existing is None:
        return _HEAD + text + _TAIL
    rest = _OURS.sub(b"", existing)
    ends = [each.start() for each in _END.finditer(rest)]
    if len(ends) != 1:
        raise Refusal("%s: not one </direct>, so there is no place for our rules" % path,
                      "mend it (firewall-cmd --check-config), or remove it")
    if _elements(existing) == _elements(text):
        return existing
    before, after = rest[:ends[0]], rest[ends[0]:]
    newline = b"" if before.endswith(b"\n") else b"\n"
    return before + newline + text + after


def _elements(content: bytes) -> List[Tuple[List[Tuple[bytes, bytes]], List[bytes]]]:
    """Attributes and arguments of each element of ours, however they are laid out."""
    return sorted(
        (sorted(_ATTRIBUTE.findall(each)), _ARGUMENTS.findall(each))
        for each in _OURS.findall(content))


def take_out(existing: bytes) -> Optional[bytes]:
    """The content without our elements; None: it held nothing else."""
    if not has_elements(existing):
        return existing
    rest = _OURS.sub(b"", existing)
    return None if _EMPTY.fullmatch(rest) else rest
