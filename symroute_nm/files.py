"""What the files below a root say of the host: table names, and who applies rule files."""

import os
import stat
from pathlib import Path
from typing import FrozenSet, Iterator, List, Tuple

from symroute_nm import blocks, bounded
from symroute_nm.errors import SymrouteError
from symroute_nm.model import OwnTable, TableName
from symroute_nm.rundir import tables_place
from symroute_nm.tables import RUN_TABLES, parse_tables

SCRIPT = "10-ifcfg-rh-routes.sh"

# iproute2 lib/rt_names.c: the vendor's file, then the administrator's, then the drop-ins.
_VENDOR_TABLES = ("usr/lib/iproute2/rt_tables", "usr/share/iproute2/rt_tables")
_TABLES = "etc/iproute2/rt_tables"
_DROP_INS = "etc/iproute2/rt_tables.d"
# pre-up.d first: NetworkManager runs only what stands there in that state (NetworkManager(8)).
_SCRIPT_FOLDERS = tuple(
    "%s/NetworkManager/dispatcher.d/%s" % (base, folder)
    for folder in ("pre-up.d", "", "no-wait.d") for base in ("etc", "usr/lib")
)
_PROGRAM_FOLDERS = ("usr/sbin", "sbin", "usr/bin", "bin")
_FIREWALLD = "etc/systemd/system/multi-user.target.wants/firewalld.service"
_NETWORK_SERVICE = (
    "etc/systemd/system/multi-user.target.wants/network.service",
    "etc/rc.d/rc3.d/S10network",
    "etc/rc3.d/S10network",
)


def read_tables(root: Path) -> Tuple[TableName, ...]:
    """All table names that iproute2 would read below `root`.

    Unreadable files count as empty.
    """
    return tuple(
        TableName(each.id, each.name, "/" + path, owned)
        for path in _table_files(root)
        for text, owned in _texts(root / path)
        for each in parse_tables(text)
    )


def read_kernel_tables() -> Tuple[TableName, ...]:
    """The names of our tables in this kernel that no file names, of this boot."""
    return tuple(
        TableName(named.id, named.name, RUN_TABLES, owned)
        for text, owned in _texts(tables_place())
        for named in parse_tables(text))


def own_tables(root: Path, lasting: bool = False) -> FrozenSet[OwnTable]:
    """Our own tables below `root` and in this kernel; `lasting`: those that outlast this boot."""
    named = read_tables(root)
    if not lasting:
        named += read_kernel_tables()
    return frozenset(OwnTable(table.id, table.name) for table in named if table.owned)


def reads_drop_ins(root: Path) -> bool:
    """Whether iproute2 reads rt_tables.d: older ones have the file and no such folder."""
    return stat.S_ISDIR(_mode(root / _DROP_INS)) or not _mode(root / _TABLES)


def find_dispatcher(root: Path) -> str:
    """The absolute path of the dispatcher script, the one for pre-up first; "" if there is none."""
    for folder in _SCRIPT_FOLDERS:
        path = root / folder / SCRIPT
        if stat.S_ISREG(_mode(path)) and os.access(str(path), os.X_OK):
            return "/%s/%s" % (folder.rstrip("/"), SCRIPT)
    return ""


def has_network_service(root: Path) -> bool:
    """Whether initscripts' network.service is enabled, which applies the same files."""
    return any(os.path.lexists(str(root / path)) for path in _NETWORK_SERVICE)


def find_firewalls(root: Path) -> Tuple[str, ...]:
    """What marks can be set by: nft and iptables where installed, firewalld where enabled."""
    found = [name for name in ("nft", "iptables")
             if any(stat.S_ISREG(_mode(root / folder / name)) for folder in _PROGRAM_FOLDERS)]
    if os.path.lexists(str(root / _FIREWALLD)):
        found.append("firewalld")
    return tuple(found)


def _mode(path: Path) -> int:
    """Its type and permissions, stat(2); 0 for what is not there, or cannot be looked at."""
    try:
        return path.stat().st_mode
    except OSError:  # Path.is_file() and its like raise some of these
        return 0


def _table_files(root: Path) -> Iterator[str]:
    yield from (path for path in (*_VENDOR_TABLES, _TABLES) if stat.S_ISREG(_mode(root / path)))
    try:
        names = sorted(each.name for each in (root / _DROP_INS).iterdir())
    except OSError:
        return
    yield from ("%s/%s" % (_DROP_INS, name) for name in names if name.endswith(".conf"))


def _texts(path: Path) -> List[Tuple[str, bool]]:
    """The file's text in pieces, each with whether it is our block."""
    try:
        content = bounded.read(path)
        parts = blocks.split(content, str(path))
    except SymrouteError:
        # iproute2 skips such a file as well; a damaged block is refused when it is to be written.
        return []
    pieces = ((parts.before, False), (parts.block or b"", True), (parts.after, False))
    return [(piece.decode("utf-8", "replace"), owned) for piece, owned in pieces]
