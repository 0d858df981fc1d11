"""What is kept below /run, as short-lived as the kernel's own tables: the record of a change that
nobody has confirmed yet, and the names of tables that no file names.
"""

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, NamedTuple, Optional

from symroute_nm import blocks
from symroute_nm.errors import InputError, Refusal
from symroute_nm.journal import hidden_name
from symroute_nm.live import Saved
from symroute_nm.model import Host, OwnTable, Route
from symroute_nm.ownership import Place, Territory, place
from symroute_nm.rooted import (
    RECORD,
    Attributes,
    locate,
    make_folders,
    missing_folders,
    read,
    system,
    write_new,
)
from symroute_nm.snapshot import dump_host, load_host
from symroute_nm.tables import RUN_TABLES

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE = Path("/proc/self/ns/net")
_SMALLEST_MESSAGE = 16 + 12  # bytes: struct nlmsghdr, then struct rtmsg or struct fib_rule_hdr


class Record(NamedTuple):
    """The way back of a change: what is ours, and how it was before."""

    territory: Territory
    before: Saved
    marks: str = ""  # the shell script that sets marks as before


def write_record(root: Path, record: Record) -> None:
    """Keep the way back until `remove_record`; raises `SystemFailure`."""
    rules = Host(rules=tuple(sorted(record.territory.rules, key=str)))
    content = {
        "format": 1,
        "kernel": _kernel(),
        "rules": [each.hex() for each in record.before.rules],
        "routes": [each.hex() for each in record.before.routes],
        "tables": sorted(record.territory.tables),
        "territory": json.loads(dump_host(rules)),
        "left": _dump_places(record.territory.left),
        "places": _dump_places(record.territory.places),
        "marks": record.marks,
    }
    _write(root, RECORD, json.dumps(content).encode("ascii"))


def _dump_places(places: Iterable[Place]) -> Any:
    return json.loads(dump_host(Host(routes=tuple(
        Route(network, table=table, metric=metric)
        for _, table, network, metric in sorted(places, key=str)))))


def read_record(root: Path) -> Optional[Record]:
    """The way back that a run did not come to take or to drop; None: there is none.

    Neither one from before the last boot nor one of another network namespace counts. Raises
    `Refusal` for a damaged one.
    """
    text = read(root, RECORD)
    if text is None:
        return None
    where = str(locate(root, RECORD))
    try:
        content = json.loads(text.decode("ascii"))
        if content["kernel"] != _kernel():
            return None
        saved = Saved(*(tuple(map(_message, content[each])) for each in ("rules", "routes")))
        return Record(_territory(content, where), saved, str(content["marks"]))
    except (ValueError, KeyError, TypeError, RecursionError, InputError) as error:
        raise Refusal(
            "%s is damaged (%s)" % (where, error),
            "see symroute-nm verify for what is in force, then remove that file") from error


def _territory(content: Dict[str, Any], where: str) -> Territory:
    rules, *places = (load_host(json.dumps(content[each]).encode("ascii"), where)
                      for each in ("territory", "left", "places"))
    return Territory(frozenset(rules.rules), frozenset(map(int, content["tables"])),
                     *(frozenset(map(place, each.routes)) for each in places))


def _message(text: str) -> bytes:
    """A netlink message, whole (its first four bytes are its length, netlink(7)); ValueError."""
    raw = bytes.fromhex(text)
    if len(raw) < _SMALLEST_MESSAGE or int.from_bytes(raw[:4], sys.byteorder) != len(raw):
        raise ValueError("a message is not whole")
    return raw


def remove_record(root: Path) -> None:
    """The change lasts, or is taken back; raises `SystemFailure`."""
    _remove(root, RECORD)


def write_tables(root: Path, tables: Iterable[OwnTable]) -> None:
    """Remember whose tables these are, until the next boot; raises `SystemFailure`."""
    lines = "".join("%d %s\n" % (each.id, each.name) for each in sorted(tables))
    _put(root, RUN_TABLES, blocks.put(None, lines, RUN_TABLES) if lines else None)


@contextlib.contextmanager
def tables_written(root: Path, tables: Iterable[OwnTable]) -> Iterator[None]:
    """As `write_tables`, unless the body raises.

    Before the body, since what it does is not to be taken back; raises `SystemFailure`.
    """
    before = read(root, RUN_TABLES)
    write_tables(root, tables)
    with contextlib.ExitStack() as stack:
        stack.callback(_put, root, RUN_TABLES, before)
        yield
        stack.pop_all()


def _put(root: Path, path: str, content: Optional[bytes]) -> None:
    if content is None:
        _remove(root, path)
    else:
        _write(root, path, content)


def _kernel() -> str:
    """Which boot, and which network namespace."""
    with system("read", _BOOT_ID):
        return "%s %s" % (_BOOT_ID.read_text().strip(), os.readlink(str(_NAMESPACE)))


def _write(root: Path, path: str, content: bytes) -> None:
    with system("write", path, "mend the cause and run it again"):
        target = locate(root, path)
        make_folders(missing_folders(target))
        new = target.parent / hidden_name(target.name)
        try:
            write_new(new, content, Attributes(), None)
            new.rename(target)
        finally:
            with contextlib.suppress(OSError):  # mostly: it has its own name now
                new.unlink()


def _remove(root: Path, path: str) -> None:
    with system("remove", path, "remove it by hand"), contextlib.suppress(FileNotFoundError):
        locate(root, path).unlink()
