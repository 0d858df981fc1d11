"""Generated blocks in files that may hold an administrator's own lines (on bytes).

A block begins with a ``# BEGIN symroute-nm`` line and ends with a ``# END symroute-nm`` line. What
stands outside stays byte for byte: CRLF, a BOM, a missing last newline, bytes that are not UTF-8.
"""

import re
from typing import List, Match, NamedTuple, NoReturn, Optional, Tuple

from symroute_nm.errors import InputError, Refusal

BEGIN = '# BEGIN symroute-nm: generated, change with "symroute-nm generate"'
END = "# END symroute-nm"

# What `take_out` has to undo stands in the BEGIN line: there is no other place that an edit or a
# copy of the file would keep.
# The length tells the line that `put` had to end from one that somebody wrote since.
_CUT = " (no newline before, {} bytes)"
EMPTY = " (the file was empty)"
# A script's first line must be its interpreter's: it stands before the block and goes with it.
FIRST = " (with the line before)"

_BEGIN_MARK = b"# BEGIN symroute-nm"
_END_MARK = END.encode("ascii")
_NOTE = re.compile(
    rb" \((?:no newline before, ([0-9]{1,10}) bytes|the file was empty|with the line before)\)"
)


class Parts(NamedTuple):
    """A file in three: foreign lines, the block with its marker lines or None, foreign lines."""

    before: bytes
    block: Optional[bytes] = None
    after: bytes = b""

    @property
    def note(self) -> str:
        """What the BEGIN line remembers of the file before: `_CUT`, `EMPTY` or ""."""
        match = self._note_match()
        return match.group().decode("ascii") if match else ""

    @property
    def cut(self) -> int:
        """The length in bytes of what stood before without a last newline; -1: it had one."""
        match = self._note_match()
        return int(match.group(1)) if match and match.group(1) else -1

    def _note_match(self) -> Optional[Match[bytes]]:
        return _NOTE.search((self.block or b"").split(b"\n", 1)[0])


def has_marker(content: bytes) -> bool:
    """Whether a line of the content begins or ends a block, damaged or not."""
    return bool(_starts(content, _BEGIN_MARK) or _starts(content, _END_MARK))


def _starts(content: bytes, mark: bytes) -> List[int]:
    """At which bytes lines begin that begin with the mark."""
    starts, at = [], content.find(mark)
    while at >= 0:
        if at == 0 or content[at - 1 : at] == b"\n":
            starts.append(at)
        at = content.find(mark, at + 1)
    return starts


def split(content: bytes, path: str = "the file") -> Parts:
    """The content in `Parts`; Refusal (naming `path` and the line) where markers do not pair up."""
    begins, ends = _starts(content, _BEGIN_MARK), _starts(content, _END_MARK)
    if not begins and not ends:
        return Parts(content)
    if len(begins) != 1 or len(ends) != 1 or ends[0] < begins[0]:
        _refuse_markers(content, begins, ends, path)
    start = begins[0]
    stop = content.find(b"\n", ends[0]) + 1 or len(content)
    return Parts(content[:start], content[start:stop], content[stop:])


def _refuse_markers(content: bytes, begins: List[int], ends: List[int], path: str) -> NoReturn:
    """Raise Refusal with the line of each marker."""
    marks = [(at, "BEGIN") for at in begins] + [(at, "END") for at in ends]
    where = [(content.count(b"\n", 0, at) + 1, name) for at, name in sorted(marks)]
    raise Refusal(
        f"{path}: the symroute-nm markers are damaged "
        f"({', '.join(f'{name} in line {line}' for line, name in where)}; a block is "
        "one BEGIN line, then one END line)",
        "delete the generated lines and their markers by hand, keep your own, and run it again",
    )


def put(existing: Optional[bytes], body: str, path: str = "the file") -> bytes:
    """The content with `body` as its block: in place of the old one, else after all foreign lines.

    `existing` is None where there is no file. A first line ``#!…`` of the body comes before the
    block of a new file. InputError if the body has marker lines of its own.
    """
    text = body.encode("utf-8", "surrogateescape")
    first, text = _interpreter(text)
    if has_marker(text):
        raise InputError(
            f"{path}: the generated text has a '{END}' or BEGIN line of its own",
            "take the marker lines out of the template: they are added",
        )
    parts = split(existing or b"", path)
    if parts.block is not None:
        return parts.before + _block(text, parts.note) + parts.after
    if existing is None and first:
        return first + _block(text, FIRST)
    if existing == b"":
        return _block(text, EMPTY)
    if parts.before and not parts.before.endswith(b"\n"):
        return parts.before + b"\n" + _block(text, _CUT.format(len(parts.before)))
    return parts.before + _block(text, "")


def _interpreter(text: bytes) -> Tuple[bytes, bytes]:
    """The script's first line and the rest; nothing and all where it is no script."""
    if not text.startswith(b"#!"):
        return b"", text
    first, newline, rest = text.partition(b"\n")
    return first + newline, rest


def _block(text: bytes, note: str) -> bytes:
    newline = b"\n" if text and not text.endswith(b"\n") else b""
    return (BEGIN + note).encode("ascii") + b"\n" + text + newline + _END_MARK + b"\n"


def take_out(existing: bytes, path: str = "the file") -> Optional[bytes]:
    """The content without its block; None: it held nothing else, so the file goes away with it.

    Undoes `put` byte for byte, the newline that it had to insert included.
    """
    parts = split(existing, path)
    if parts.block is None:
        return existing
    before = parts.before
    # With foreign lines behind the block the newline is needed: without it two lines would be one.
    if not parts.after and before.endswith(b"\n") and len(before) == parts.cut + 1:
        before = before[:-1]
    rest = before + parts.after
    if (
        parts.note == FIRST
        and before.count(b"\n") == 1
        and rest.startswith(b"#!")
        and not parts.after
    ):
        return None
    return rest if rest or parts.note == EMPTY else None
