"""Changes as text for people: what ``diff -u`` would print (pure)."""

import difflib
from typing import Iterable, List, Optional

from symroute_nm.model.network import Change


def unified_diff(changes: Iterable[Change]) -> str:
    """The changes as ``diff -u`` prints them, with a/ and b/ paths; "" where nothing changes.

    What a terminal would act on or not show (control characters, bytes that are not UTF-8) is
    written as a backslash escape.
    """
    return "".join(_file_diff(change) for change in changes if change.kind != "keep")


def _file_diff(change: Change) -> str:
    old = "/dev/null" if change.before is None else "a" + change.path
    new = "/dev/null" if change.after is None else "b" + change.path
    hunks = list(difflib.unified_diff(_lines(change.before), _lines(change.after), n=3))[2:]
    return "".join(map(_printable, ["--- %s\n" % old, "+++ %s\n" % new, *hunks]))


def _lines(content: Optional[bytes]) -> List[str]:
    """The lines with their newlines; str.splitlines would also split at CR and form feed."""
    lines = (content or b"").decode("utf-8", "surrogateescape").split("\n")
    return [line + "\n" for line in lines[:-1]] + [line for line in lines[-1:] if line]


def _printable(line: str) -> str:
    text = line[:-1] if line.endswith("\n") else line
    end = "\n" if line.endswith("\n") else "\n\\ No newline at end of file\n"
    return (text if text.isprintable() else "".join(map(_visible, text))) + end


def _visible(character: str) -> str:
    if character == "\t" or character.isprintable():
        return character
    if "\udc80" <= character <= "\udcff":
        return "\\x%02x" % (ord(character) - 0xDC00)
    return character.encode("unicode_escape").decode("ascii")
