"""The names of routing tables: rt_tables files as iproute2 reads them, and which are ours."""

import re
import stat
from pathlib import Path
from typing import FrozenSet, Iterator, List, NamedTuple, Tuple

from symroute_nm.errors import SymrouteError, shown
from symroute_nm.files import access, blocks
from symroute_nm.files.access import Tree
from symroute_nm.files.own_folders import tables_place
from symroute_nm.model.host import TableName
from symroute_nm.model.places import RUN_TABLES
from symroute_nm.model.plan import OwnTable
from symroute_nm.model.settings import LARGEST_ID

# iproute2 lib/rt_names.c: the vendor's file, then the administrator's, then the drop-ins.
_VENDOR_TABLES = ("usr/lib/iproute2/rt_tables", "usr/share/iproute2/rt_tables")
_TABLES = "etc/iproute2/rt_tables"
_DROP_INS = "etc/iproute2/rt_tables.d"
# iproute2 lib/rt_names.c, fread_id_name(): sscanf "0x%x %s" or "%d %s", so that the blank between
# may be missing and all behind the name is passed over. It reads pieces of lines as long as its
# buffer, and ends at the first that is neither empty, nor a comment, nor of that form.
_LINE = re.compile(r"\s*(0x[0-9A-Fa-f]+(?![0-9A-Fa-f])|[+-]?[0-9]+(?![0-9]))\s*(\S+)", re.ASCII)
_PASSED_OVER = re.compile(r"[ \t]*(#|\Z)")
_BUFFER = 512 - 1  # NAME_MAX_LEN, and the NUL at its end
_MOST_DIGITS = 10


def read_tables(root: Path) -> Tuple[TableName, ...]:
    """All table names that iproute2 reads below `root`, and those of our own blocks.

    Unreadable files count as empty. Of a file iproute2 reads what stands before the first line that
    is malformed; what our block names is ours all the same.
    """
    named: List[TableName] = []
    with Tree(root) as tree:
        for path in _table_files(tree):
            whole = True
            for piece in _pieces_of(tree, path):
                if whole or piece.owned:
                    named += parse_tables(piece.text, "/" + path, owned=piece.owned)
                whole = whole and not find_malformed(piece.text)
    return tuple(named)


def find_damage(root: Path) -> Tuple[str, ...]:
    """A sentence for each file of names below `root` that iproute2 does not read to its end."""
    sentences: List[str] = []
    with Tree(root) as tree:
        for path in _table_files(tree):
            text = "".join(piece.text for piece in _pieces_of(tree, path))
            number = find_malformed(text)
            if number:
                line = text.split("\n")[number - 1]
                sentences.append(
                    f"/{path} line {number} is {shown(line)}, not a number and a name: iproute2 "
                    "reads this file up to there, and knows no name behind it; correct or delete "
                    "that line"
                )
    return tuple(sentences)


def read_kernel_tables() -> Tuple[TableName, ...]:
    """The names of our tables in this kernel that no file names, of this boot."""
    named: List[TableName] = []
    for piece in _split(_read_own(tables_place())):
        named += parse_tables(piece.text, RUN_TABLES, owned=piece.owned)
    return tuple(named)


def own_tables(root: Path, *, lasting: bool = False) -> FrozenSet[OwnTable]:
    """Our own tables below `root` and in this kernel; `lasting`: those that outlast this boot."""
    named = read_tables(root)
    if not lasting:
        named += read_kernel_tables()
    return frozenset(OwnTable(table.id, table.name) for table in named if table.owned)


def reads_drop_ins(root: Path) -> bool:
    """Whether iproute2 reads rt_tables.d: older ones have the file and no such folder."""
    with Tree(root) as tree:
        return stat.S_ISDIR(tree.mode(_DROP_INS)) or not tree.mode(_TABLES)


def parse_tables(text: str, path: str = "", *, owned: bool = False) -> Tuple[TableName, ...]:
    """The names in an rt_tables file's text, up to the first malformed line as iproute2 does."""
    named: List[TableName] = []
    for _, line in _read_lines(text):
        entry = _LINE.match(line)
        if entry is None:
            if _PASSED_OVER.match(line):
                continue
            break
        number = _number(entry.group(1))
        if 0 <= number <= LARGEST_ID:
            named.append(TableName(number, _legible(entry.group(2)), path, owned))
    return tuple(named)


class _Piece(NamedTuple):
    """A part of a file's text, and whether it is our block."""

    text: str
    owned: bool


def _table_files(tree: Tree) -> Iterator[str]:
    for path in (*_VENDOR_TABLES, _TABLES):
        if stat.S_ISREG(tree.mode(path)):
            yield path
    try:
        names = tree.names(_DROP_INS)
    except (OSError, SymrouteError):
        return
    yield from (f"{_DROP_INS}/{name}" for name in names if name.endswith(".conf"))


def _pieces_of(tree: Tree, path: str) -> List[_Piece]:
    try:
        content = access.read_below(tree, path)
    except SymrouteError:
        return []  # iproute2 skips such a file as well
    return _split(content)


def _read_own(place: Path) -> bytes:
    """What stands in a file of our own; nothing where it cannot be read."""
    try:
        return access.read_small(place)
    except SymrouteError:
        return b""


def _split(content: bytes) -> List[_Piece]:
    try:
        parts = blocks.split(content)
    except SymrouteError:
        # A damaged block is refused when it is to be written.
        return []
    return [
        _Piece(parts.before.decode("utf-8", "replace"), owned=False),
        _Piece((parts.block or b"").decode("utf-8", "replace"), owned=True),
        _Piece(parts.after.decode("utf-8", "replace"), owned=False),
    ]


def find_malformed(text: str) -> int:
    """The number, from 1, of the first line at which iproute2 ends; 0: it reads all of it."""
    for number, line in _read_lines(text):
        if not _LINE.match(line) and not _PASSED_OVER.match(line):
            return number
    return 0


def _read_lines(text: str) -> Iterator[Tuple[int, str]]:
    """What fgets() reads, with the numbers of the lines that it is of; a NUL ends it for C."""
    for number, line in enumerate(text.split("\n"), 1):
        raw = line.encode("utf-8", "surrogatepass")
        for start in range(0, max(1, len(raw)), _BUFFER):
            content = raw[start : start + _BUFFER].partition(b"\0")[0]
            yield number, content.decode("utf-8", "replace")


def _legible(name: str) -> str:
    # What no terminal shows is no name to choose, but its id is in use.
    return "".join(char if char.isprintable() else "\ufffd" for char in name)


def _number(text: str) -> int:
    if text.startswith("-"):
        return -1
    digits, base = (text[2:], 16) if text.startswith("0x") else (text, 10)
    # Thousands of digits Python refuses, or takes long for; so many are out of range anyway.
    return int(digits, base) if len(digits) <= _MOST_DIGITS else LARGEST_ID + 1
