"""What the files below a root say of the host: table names, and who applies rule files."""

import os
from pathlib import Path
from typing import Iterator, List, Tuple

from symroute_nm import blocks, bounded
from symroute_nm.errors import SymrouteError
from symroute_nm.model import TableName
from symroute_nm.tables import parse_tables

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
_NETWORK_SERVICE = (
    "etc/systemd/system/multi-user.target.wants/network.service",
    "etc/rc.d/rc3.d/S10network",
    "etc/rc3.d/S10network",
)


def read_tables(root: Path) -> Tuple[TableName, ...]:
    """All table names that iproute2 would read below `root`; unreadable files count as empty."""
    return tuple(
        TableName(each.id, each.name, "/" + path, owned)
        for path in _table_files(root)
        for text, owned in _texts(root / path)
        for each in parse_tables(text)
    )


def reads_drop_ins(root: Path) -> bool:
    """Whether iproute2 reads rt_tables.d: older ones have the file and no such folder."""
    return (root / _DROP_INS).is_dir() or not (root / _TABLES).exists()


def find_dispatcher(root: Path) -> str:
    """The absolute path of the dispatcher script, the one for pre-up first; "" if there is none."""
    for folder in _SCRIPT_FOLDERS:
        path = root / folder / SCRIPT
        if path.is_file() and os.access(str(path), os.X_OK):
            return "/%s/%s" % (folder.rstrip("/"), SCRIPT)
    return ""


def has_network_service(root: Path) -> bool:
    """Whether initscripts' network.service is enabled, which applies the same files."""
    return any((root / path).is_symlink() or (root / path).exists() for path in _NETWORK_SERVICE)


def _table_files(root: Path) -> Iterator[str]:
    yield from (path for path in _VENDOR_TABLES if (root / path).is_file())
    if (root / _TABLES).is_file():
        yield _TABLES
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
