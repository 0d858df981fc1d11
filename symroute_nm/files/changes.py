"""Files as they are and as they will be, and the difference as ``diff -u`` shows it."""

import difflib
from typing import Iterable, List, NamedTuple, Optional, Set

from symroute_nm.errors import visible
from symroute_nm.files import blocks

# Bytes that are not UTF-8, as "surrogateescape" reads them.
_STRAY_BYTES = {0xDC00 + byte: f"\\x{byte:02x}" for byte in range(0x80, 0x100)}


class Change(NamedTuple):
    """One file as it is and as it will be; None: does not exist."""

    path: str
    before: Optional[bytes]
    after: Optional[bytes]
    mode: int = 0o644  # permission bits, where the file is new

    @property
    def kind(self) -> str:
        """``create``, ``update``, ``delete`` or ``keep``."""
        if self.before == self.after:
            return "keep"
        if self.before is None:
            return "create"
        return "delete" if self.after is None else "update"


def replaced(wanted: Iterable[Change]) -> List[Change]:
    """The changes that lose a line of an earlier block: it may be one that somebody put there."""
    return [change for change in wanted if _block_lines(change.before) - _block_lines(change.after)]


def _block_lines(content: Optional[bytes]) -> Set[bytes]:
    return set((blocks.split(content or b"").block or b"").split(b"\n"))


def changed(wanted: Iterable[Change]) -> bool:
    """Whether anything is to be written."""
    return any(change.kind != "keep" for change in wanted)


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
    return "".join(map(_printable, [f"--- {old}\n", f"+++ {new}\n", *hunks]))


def _lines(content: Optional[bytes]) -> List[str]:
    """The lines with their newlines; str.splitlines would also split at CR and form feed."""
    lines = (content or b"").decode("utf-8", "surrogateescape").split("\n")
    return [line + "\n" for line in lines[:-1]] + [line for line in lines[-1:] if line]


def _printable(line: str) -> str:
    text = line[:-1] if line.endswith("\n") else line
    end = "\n" if line.endswith("\n") else "\n\\ No newline at end of file\n"
    return visible(text.translate(_STRAY_BYTES), kept="\t") + end
