"""Our elements in firewalld's direct.xml, which has no comments that last (pure, on bytes).

firewalld writes the file anew whenever somebody changes permanent direct rules, and drops comments
then; so each element of ours is known by the chain that it names, not by marker lines around it.
"""

import re
from typing import Dict, List, NamedTuple, Optional, Tuple

from symroute_nm.errors import Refusal
from symroute_nm.model.marking import DIRECT, NAME, SCRIPT, SYSCTL, Marking, planned_rules
from symroute_nm.rendering import load_templates

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
    ends = [each.start() for each in _END.finditer(rest)]
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


class _Element(NamedTuple):
    """One of ours: where it begins and ends, with the blanks around it and the end of its line."""

    start: int
    end: int
    attributes: List[Tuple[bytes, bytes]]
    arguments: bytes


def _ours(content: bytes) -> List[_Element]:
    found = []
    for element in _ELEMENT.finditer(content):
        chain, rule, arguments = element.groups()
        attributes = sorted(_ATTRIBUTE.findall(rule if chain is None else chain))
        if (b"chain", _NAME) in attributes or arguments == b"-j " + _NAME:
            rest = _REST.match(content, element.end())
            end = rest.end() if rest else element.end()
            found.append(_Element(element.start(), end, attributes, arguments or b""))
    return found


def _without_ours(content: bytes) -> bytes:
    pieces, position = [], 0
    for element in _ours(content):
        pieces.append(content[position : element.start])
        position = element.end
    return b"".join([*pieces, content[position:]])


def _elements(content: bytes) -> List[Tuple[List[Tuple[bytes, bytes]], bytes]]:
    """Attributes and arguments of each element of ours, however they are laid out."""
    return sorted((element.attributes, element.arguments) for element in _ours(content))


def take_out(existing: bytes) -> Optional[bytes]:
    """The content without our elements; None: it held nothing else."""
    if not has_elements(existing):
        return existing
    rest = _without_ours(existing)
    return None if _EMPTY.fullmatch(rest) else rest


def render_script(marking: Marking) -> str:
    """The script that sets the marks up."""
    return _render_marking(marking)[SCRIPT]


def _render_marking(marking: Marking) -> Dict[str, str]:
    """The dispatcher script with its rules, the sysctl, and firewalld's copy of the rules."""
    templates = load_templates(
        "marks", "dispatcher", "nft", "iptables", "matches", "sysctl", "direct"
    )
    planned = planned_rules(marking)
    matches = templates["matches"].render(rules=planned).splitlines()
    nft = marking.backend == "nft"
    rules = (
        templates["nft"].render(name=NAME, rules=planned)
        if nft
        else templates["iptables"].render(name=NAME, rules=matches)
    )
    texts = {
        SCRIPT: templates["dispatcher"].render(name=NAME, backend=marking.backend, rules=rules),
        SYSCTL: templates["sysctl"].render(),
    }
    if marking.backend == "firewalld":
        texts[DIRECT] = templates["direct"].render(name=NAME, rules=matches)
    return texts
