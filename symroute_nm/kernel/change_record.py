"""The record of a change of the kernel that is not at its end yet, below /run: its way back.

Its name tells whether the change counts: ``record`` until then, ``record.kept`` from then on; where
files are part of it, it counts as soon as they do (`recovery`).

It holds data and no commands: netlink's messages, rules and routes, and marks as numbers and names
(`mark_setup`). All of it is checked when it is read, and what comes back of it is made by templates
of our own. It stands outside every root, where root alone can write (`own_folders`).
"""

import json
import sys
from typing import Any, Dict, Iterable, NamedTuple, Optional, Tuple

from symroute_nm.errors import InputError, Refusal
from symroute_nm.files import own_folders
from symroute_nm.kernel import mark_setup
from symroute_nm.kernel.kernel_id import kernel_id
from symroute_nm.kernel.mark_setup import Reversal
from symroute_nm.kernel.processes import Process
from symroute_nm.kernel.scope import Scope
from symroute_nm.kernel.state import Saved
from symroute_nm.model import codec
from symroute_nm.model.network import LineKey, Route, Rule
from symroute_nm.model.plan import OwnTable
from symroute_nm.model.settings import is_usable_name

_FORMAT = 3
_SMALLEST_MESSAGE = 16 + 12  # bytes: struct nlmsghdr, then struct rtmsg or struct fib_rule_hdr
_MODE = 0o600


class Names(NamedTuple):
    """Whose tables are known below /run: the file as it was, and those once the change counts."""

    before: Optional[bytes] = None  # None: there was none
    after: Tuple[OwnTable, ...] = ()


class Record(NamedTuple):
    """The way back of a change: what is ours, and how it was before; and whose change it is."""

    scope: Scope
    before: Saved
    marks: Optional[Reversal] = None  # None: the change leaves marks alone
    token: str = ""  # also in the journal of the files that are part of it
    root: str = "/"  # below which those are
    names: Names = Names()
    keeper: Process = Process(0, 0)
    command: Process = Process(0, 0)
    what: str = ""  # the command
    origin: str = ""  # who gave it, and from where
    kept: bool = False  # it counts

    @property
    def words(self) -> str:
        """The change, for people."""
        what = self.what or "a change of the kernel"
        return f"{what} ({self.origin})" if self.origin else what


def write_record(record: Record) -> None:
    """Keep the way back until `remove_record`; raises `SymrouteError`."""
    before = record.names.before
    content = {
        "token": record.token,
        "root": record.root,
        "names": None if before is None else before.decode("utf-8", "surrogateescape"),
        "tables_after": [[table.id, table.name] for table in record.names.after],
        "keeper": list(record.keeper),
        "command": list(record.command),
        "what": record.what,
        "origin": record.origin,
        "format": _FORMAT,
        "kernel": kernel_id(),
        "rules": [raw.hex() for raw in record.before.rules],
        "routes": [raw.hex() for raw in record.before.routes],
        "tables": sorted(record.scope.tables),
        "territory": codec.encode(sorted(record.scope.rules, key=str)),
        "left": _dump_keys(record.scope.left),
        "places": _dump_keys(record.scope.places),
        "marks": mark_setup.dump(record.marks),
    }
    text = json.dumps(content).encode("ascii")
    place = own_folders.kernel_folder() / own_folders.record_place().name
    own_folders.replace_own(place, text, _MODE)


def _dump_keys(keys: Iterable[LineKey]) -> Any:
    return [
        codec.encode(Route(network, table=table, metric=metric))
        for _, table, network, metric in sorted(keys, key=str)
    ]


def read_record() -> Optional[Record]:
    """The way back that a run did not come to take or to drop; None: there is none.

    Neither one from before the last boot nor one of another network namespace counts. Raises
    `Refusal` for a damaged one.
    """
    place = own_folders.record_place()
    text = own_folders.read_own(place)
    kept = text is None
    if text is None:
        place = own_folders.kept_record_place()
        text = own_folders.read_own(place)
    if text is None:
        return None
    try:
        content = json.loads(text.decode("ascii"))
        if content["format"] != _FORMAT:
            raise ValueError("it is of another version")
        if content["kernel"] != kernel_id():
            return None
        rules, routes = (tuple(map(_message, content[name])) for name in ("rules", "routes"))
        scope = _scope(content, str(place))
        record = Record(scope, Saved(rules, routes), mark_setup.load(content["marks"]), kept=kept)
        return record._replace(**_context(content))
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
        InputError,
    ) as error:
        raise Refusal(
            f"{place} is damaged ({error})",
            "see symroute-nm verify for what is in force, then remove that file",
        ) from error


def _context(content: Dict[str, Any]) -> Dict[str, Any]:
    """Whose change it is, and what belongs to it: fields of `Record`; ValueError, TypeError."""
    texts = {name: content[name] for name in ("token", "root", "what", "origin")}
    before, after = content["names"], content["tables_after"]
    if not all(type(text) is str for text in (*texts.values(), before or "")):
        raise TypeError("a text is none")
    if not texts["root"].startswith("/"):
        raise ValueError("a root is none")
    tables = tuple(OwnTable(number, name) for number, name in after)
    for table in tables:
        if type(table.id) is not int or not is_usable_name(table.name):
            raise ValueError("a table has no name")
    names = None if before is None else before.encode("utf-8", "surrogateescape")
    return {
        **texts,
        "names": Names(names, tables),
        "keeper": _process(content["keeper"]),
        "command": _process(content["command"]),
    }


def _process(numbers: Any) -> Process:
    pid, start = numbers
    if type(pid) is not int or type(start) is not int or pid < 0:
        raise TypeError("a process is no two numbers")
    return Process(pid, start)


def _scope(content: Dict[str, Any], where: str) -> Scope:
    rules = codec.decode(Tuple[Rule, ...], content["territory"], where)
    left, places = (
        codec.decode(Tuple[Route, ...], content[name], where) for name in ("left", "places")
    )
    tables = content["tables"]
    if not all(type(number) is int and 0 < number < 1 << 32 for number in tables):
        raise ValueError("a table is no number of one")
    return Scope(
        frozenset(rules),
        frozenset(tables),
        frozenset(route.line_key for route in left),
        frozenset(route.line_key for route in places),
    )


def _message(text: str) -> bytes:
    """A netlink message, whole (its first four bytes are its length, netlink(7)); ValueError."""
    raw = bytes.fromhex(text)
    if len(raw) < _SMALLEST_MESSAGE or int.from_bytes(raw[:4], sys.byteorder) != len(raw):
        raise ValueError("a message is not whole")
    return raw


def keep_record() -> None:
    """The change counts from now on; nothing where it does already. Raises `SystemFailure`."""
    # No space is needed for it, and there is nothing between the two.
    own_folders.rename_own(own_folders.record_place(), own_folders.kept_record_place())


def remove_record() -> None:
    """The change is at its end; raises `SystemFailure`."""
    own_folders.remove_own(own_folders.record_place())
    own_folders.remove_own(own_folders.kept_record_place())
