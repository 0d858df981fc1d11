"""The names of tables in the kernel that no file names, and what is on trial: kept below /run.

They stand outside every root, for everybody to read (`own_folders`), as short-lived as the kernel's
own tables.
"""

import json
import os
from pathlib import Path
from typing import Iterable, NamedTuple, Optional, Tuple

from symroute_nm.errors import SymrouteError
from symroute_nm.files import blocks, own_folders
from symroute_nm.kernel.kernel_id import kernel_id
from symroute_nm.model import codec
from symroute_nm.model.network import Rule
from symroute_nm.model.places import RUN_TABLES
from symroute_nm.model.plan import OwnTable

_MODE = 0o644


def write_tables(tables: Iterable[OwnTable]) -> None:
    """Remember whose tables these are, until the next boot; raises `SymrouteError`."""
    lines = "".join(f"{table.id} {table.name}\n" for table in sorted(tables))
    content = blocks.put(None, lines, RUN_TABLES) if lines else None
    _put(own_folders.tables_place(), content)


class Trial(NamedTuple):
    """What is on trial: the change in words, and its rules, without who added them."""

    words: str
    rules: Tuple[Rule, ...]


def begin_trial(tables: Iterable[OwnTable], trial: Trial) -> None:
    """Know these tables, and these rules, as ours, too, until `end_trial`.

    Before the kernel has anything of them; raises `SymrouteError`.
    """
    plain = "".join(letter if letter.isprintable() else "?" for letter in trial.words)
    content = {"kernel": kernel_id(), "words": plain, "rules": codec.encode(trial.rules)}
    own_folders.tables_folder()
    text = json.dumps(content).encode("ascii")
    own_folders.replace_own(own_folders.trial_place(), text, _MODE)
    place = own_folders.tables_place()
    before = (own_folders.read_own(place) or b"").decode("utf-8", "replace")
    known = {line for line in before.splitlines() if line[:1].isdigit()}
    lines = sorted(known | {f"{table.id} {table.name}" for table in tables})
    body = "".join(f"{line}\n" for line in lines)
    if body:
        _put(place, blocks.put(None, body, RUN_TABLES))


def end_trial() -> None:
    """Nothing is on trial any more; raises `SymrouteError`."""
    own_folders.remove_own(own_folders.trial_place())


def read_trial() -> Optional[Trial]:
    """What is on trial, which anybody may read; None: nothing, or it cannot be read."""
    place = own_folders.trial_place()
    try:
        content = own_folders.read_own(place) if os.path.lexists(str(place)) else None
        if content is None:
            return None
        found = json.loads(content.decode("ascii"))
        if found["kernel"] != kernel_id():
            return None
        rules = codec.decode(Tuple[Rule, ...], found["rules"], str(place))
        return Trial(str(found["words"]), rules)
    except (SymrouteError, ValueError, KeyError, TypeError, RecursionError):
        return None


def read_names() -> Optional[bytes]:
    """The file as it is, for `put_back`; raises `SymrouteError`."""
    return own_folders.read_own(own_folders.tables_place())


def put_back(content: Optional[bytes]) -> None:
    """Have the file as it was; raises `SymrouteError`."""
    _put(own_folders.tables_place(), content)


def _put(place: Path, content: Optional[bytes]) -> None:
    if content is None:
        own_folders.remove_own(place)
    else:
        own_folders.tables_folder()
        own_folders.replace_own(place, content, _MODE)
