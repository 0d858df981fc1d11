"""The values of ifcfg files as NetworkManager reads them: nearly but not quite as bash does.

NetworkManager expands nothing: an unquoted ``$`` or backtick is an ordinary character. Only
``NAME=`` at the start of a line (after blanks) assigns: ``export NAME=`` does not. A ``#`` begins a
comment only after a blank or ``;``. Source: NetworkManager 1.42, ifcfg-rh/shvar.c.
"""

import re
from types import MappingProxyType
from typing import Dict, Mapping, Match, Optional, Union

_BLANK = b" \t\n\f\r"  # g_ascii_isspace(): no vertical tab
_LINE = re.compile(rb"[ \t\f\r]*([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)

# The alternatives exclude each other by their first bytes, so that matching stays linear.
_TOKEN = re.compile(
    rb"""
      '(?P<single>[^']*)'
    | "(?P<double>(?:[^"\\`$]|\\.)*)"
    | \$'(?P<ansi>(?:[^'\\]|\\.)*)'
    | \\(?P<escaped>.)
    | (?P<plain>(?:[^ \t\n\f\r;|&()<>'"\\$]|\$(?!'))+)
    """,
    re.DOTALL | re.VERBOSE,
)
# What NetworkManager's own writer used to make: there, \' and \~ lose the backslash.
_OLD_STYLE = re.compile(rb'"(?:[^"\\$`\'~]|\\["\\$`\'~])*"')
_DOUBLE_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_ANSI_ESCAPE = re.compile(
    rb"\\(?:(?P<octal>[0-7]{1,3})|x(?P<byte>[0-9A-Fa-f]{1,2})"
    rb"|(?:u(?P<short>[0-9A-Fa-f]{1,4})|U(?P<long>[0-9A-Fa-f]{1,8}))|(?P<letter>.))",
    re.DOTALL,
)
_LETTERS = dict(zip(b"abeEfnrtv?\"\\'", b"\a\b\x1b\x1b\f\n\r\t\v?\"\\'"))
_INVALID = b"\xff"  # stands in no UTF-8 text: the whole value is rejected


def unescape(value: Union[bytes, str]) -> Optional[str]:
    """The text that stands behind ``NAME=``, or None where NetworkManager rejects the quoting."""
    raw = _encode(value)
    old_style = _OLD_STYLE.fullmatch(raw) is not None
    parts = []
    position = 0
    token = _TOKEN.match(raw)
    while token:
        parts.append(_unquote(token, old_style=old_style))
        position = token.end()
        token = _TOKEN.match(raw, position)
    return _decode(b"".join(parts)) if _ends_here(raw[position:]) else None


def parse(text: Union[bytes, str]) -> Mapping[str, Optional[str]]:
    """All assignments of a file, ``{name: value}``: the last one wins, None where rejected."""
    values: Dict[str, Optional[str]] = {}
    for line in _encode(text).split(b"\n"):
        assignment = _LINE.fullmatch(line)
        if assignment:
            values[assignment.group(1).decode("ascii")] = unescape(assignment.group(2))
    return MappingProxyType(values)


def line_numbers(text: Union[bytes, str]) -> Mapping[str, int]:
    """The line, from 1, of each variable's last assignment, the one that counts."""
    numbers: Dict[str, int] = {}
    for number, line in enumerate(_encode(text).split(b"\n"), 1):
        assignment = _LINE.fullmatch(line)
        if assignment:
            numbers[assignment.group(1).decode("ascii")] = number
    return numbers


def _encode(text: Union[bytes, str]) -> bytes:
    raw = text if isinstance(text, bytes) else _encode_text(text)
    return raw.partition(b"\0")[0]  # to NetworkManager a file is a C string


def _encode_text(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # lone surrogates that stand for no byte
        return text.encode("utf-8", "surrogatepass")


def _decode(raw: bytes) -> Optional[str]:
    if b"\0" in raw:
        return None
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _ends_here(rest: bytes) -> bool:
    rest = rest.lstrip(_BLANK)
    if rest.startswith(b";"):
        rest = rest[1:].lstrip(_BLANK)
    return not rest or rest.startswith(b"#")


def _unquote(token: Match[bytes], *, old_style: bool) -> bytes:
    kind = token.lastgroup or ""
    content = token.group(kind)
    if kind == "double":
        dropped = b"$`\"\\'~" if old_style else b'$`"\\'
        return _DOUBLE_ESCAPE.sub(lambda escape: escape.group(escape.group(1) in dropped), content)
    return _ANSI_ESCAPE.sub(_ansi, content) if kind == "ansi" else content


def _ansi(escape: Match[bytes]) -> bytes:
    kind = escape.lastgroup or ""
    digits = escape.group(kind)
    if kind == "letter":
        letter = _LETTERS.get(digits[0])
        return escape.group() if letter is None else bytes((letter,))
    if kind == "octal":
        return bytes((int(digits, 8) & 0xFF,))  # as bash, which cuts \772 to \372
    if kind == "byte":
        return bytes((int(digits, 16),))
    return _character(int(digits, 16))


def _character(number: int) -> bytes:
    try:
        return chr(number).encode("utf-8")
    except (ValueError, OverflowError):  # beyond Unicode, or a surrogate
        return _INVALID
