"""Lines of route and rule files that the dispatcher script cannot read, with what breaks them."""

import re
from typing import FrozenSet, List, Tuple

from symroute_nm.targets.ifcfg.conversion import is_variables_form

_BOM = b"\xef\xbb\xbf"
# What each flaw but that one has in it.
_FLAW_MARKS = (b"\r", b" #", b"\t#", b"\\")
_BLANK_OR_COMMENT = re.compile(rb"[ \t\r\f\v]*(#.*)?\Z", re.DOTALL)


def find_flaws(content: bytes) -> Tuple[str, ...]:
    """What in a route or rule file breaks when the dispatcher script reads it, by line number."""
    if not content.startswith(_BOM) and not any(mark in content for mark in _FLAW_MARKS):
        return ()  # as nearly always
    shell = is_variables_form(content)
    lines = content.split(b"\n")
    following = [*lines[1:], b""]
    flaws: List[str] = []
    for number, (line, after) in enumerate(zip(lines, following), 1):
        found = _line_flaws(line, after, first=number == 1, shell=shell)
        flaws += [f"line {number} {flaw}" for flaw in found]
    return tuple(flaws)


def find_flawed_lines(content: bytes) -> FrozenSet[int]:
    """The numbers of the lines that `find_flaws` names."""
    lines = content.split(b"\n")
    shell = is_variables_form(content)
    return frozenset(
        number
        for number, (line, after) in enumerate(zip(lines, [*lines[1:], b""]), 1)
        if _line_flaws(line, after, first=number == 1, shell=shell)
    )


def _line_flaws(line: bytes, after: bytes, *, first: bool, shell: bool) -> List[str]:
    flaws = []
    if first and line.startswith(_BOM):
        flaws.append("begins with a byte order mark, which breaks it: save without BOM")
        line = line[len(_BOM) :]
    comment = _is_comment(line)
    if line.endswith(b"\r") and not comment:
        flaws.append("ends in CR LF, and the CR breaks it: use LF alone (dos2unix)")
    if not comment and not shell and re.search(rb"[ \t]#", line):
        flaws.append("has a comment behind a route or rule, which breaks it: '#' must come first")
    if _joins_comment(line, after):
        flaws.append("ends in a backslash, which joins it with the next line: one is a comment")
    return flaws


def _joins_comment(line: bytes, after: bytes) -> bool:
    """Whether the shell's `read` (no -r) makes one line of a comment and something that is none."""
    slashes = len(line) - len(line.rstrip(b"\\"))
    return slashes % 2 == 1 and after.strip() != b"" and _is_comment(line) != _is_comment(after)


def _is_comment(line: bytes) -> bool:
    return _BLANK_OR_COMMENT.match(line) is not None
