"""What the files below a root say of the host: table names, and who applies rule files."""

import re
import stat
from pathlib import Path
from typing import FrozenSet, Iterator, List, Tuple

from symroute_nm.errors import SymrouteError
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


def read_tables(root: Path) -> Tuple[TableName, ...]:
    """All table names that iproute2 would read below `root`.

    Unreadable files count as empty.
    """
    with Tree(root) as tree:
        return tuple(
            TableName(each.id, each.name, "/" + path, owned)
            for path in _table_files(tree)
            for text, owned in _texts(tree, path)
            for each in parse_tables(text)
        )


def read_kernel_tables() -> Tuple[TableName, ...]:
    """The names of our tables in this kernel that no file names, of this boot."""
    return tuple(
        TableName(named.id, named.name, RUN_TABLES, owned)
        for text, owned in _split(_read_own(tables_place()))
        for named in parse_tables(text)
    )


def own_tables(root: Path, lasting: bool = False) -> FrozenSet[OwnTable]:
    """Our own tables below `root` and in this kernel; `lasting`: those that outlast this boot."""
    named = read_tables(root)
    if not lasting:
        named += read_kernel_tables()
    return frozenset(OwnTable(table.id, table.name) for table in named if table.owned)


def reads_drop_ins(root: Path) -> bool:
    """Whether iproute2 reads rt_tables.d: older ones have the file and no such folder."""
    with Tree(root) as tree:
        return stat.S_ISDIR(tree.mode(_DROP_INS)) or not tree.mode(_TABLES)


def _table_files(tree: Tree) -> Iterator[str]:
    for path in (*_VENDOR_TABLES, _TABLES):
        if stat.S_ISREG(tree.mode(path)):
            yield path
    try:
        names = tree.names(_DROP_INS)
    except (OSError, SymrouteError):
        return
    yield from (f"{_DROP_INS}/{name}" for name in names if name.endswith(".conf"))


def _texts(tree: Tree, path: str) -> List[Tuple[str, bool]]:
    """The file's text in pieces, each with whether it is our block."""
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


def _split(content: bytes) -> List[Tuple[str, bool]]:
    try:
        parts = blocks.split(content)
    except SymrouteError:
        # A damaged block is refused when it is to be written.
        return []
    pieces = ((parts.before, False), (parts.block or b"", True), (parts.after, False))
    return [(piece.decode("utf-8", "replace"), owned) for piece, owned in pieces]


# iproute2 lib/rt_names.c, fread_id_name(): sscanf "0x%x %s" or "%d %s", so that the blank between
# may be missing and all behind the name is passed over.
_LINE = re.compile(r"[ \t]*(0x[0-9A-Fa-f]+(?![0-9A-Fa-f])|\+?[0-9]+(?![0-9]))\s*(\S+)", re.ASCII)
_MOST_DIGITS = 10


def parse_tables(text: str, path: str = "", owned: bool = False) -> Tuple[TableName, ...]:
    """The names in an rt_tables file's text; lines that iproute2 would not read are passed over."""
    # C takes a NUL for the end; what no terminal shows is no name to choose, but its id is in use.
    matches = (_LINE.match(line.partition("\0")[0]) for line in text.split("\n"))
    found = ((_number(match.group(1)), _legible(match.group(2))) for match in matches if match)
    return tuple(
        TableName(id=number, name=name, path=path, owned=owned)
        for number, name in found
        if number <= LARGEST_ID
    )


def _legible(name: str) -> str:
    return "".join(each if each.isprintable() else "\ufffd" for each in name)


def _number(text: str) -> int:
    digits, base = (text[2:], 16) if text.startswith("0x") else (text, 10)
    # Thousands of digits Python refuses, or takes long for; so many are out of range anyway.
    return int(digits, base) if len(digits) <= _MOST_DIGITS else LARGEST_ID + 1
