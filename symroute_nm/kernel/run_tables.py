"""The names of tables in the kernel that no file names, of this boot: kept below /run.

They stand outside every root, for everybody to read (`own_folders`), as short-lived as the kernel's
own tables.
"""

from pathlib import Path
from typing import Iterable, Optional

from symroute_nm.errors import SymrouteError
from symroute_nm.files import blocks, own_folders
from symroute_nm.model.places import RUN_TABLES
from symroute_nm.model.plan import OwnTable

_MODE = 0o644
_TRIAL = "# on trial: "


def write_tables(tables: Iterable[OwnTable]) -> None:
    """Remember whose tables these are, until the next boot; raises `SymrouteError`."""
    lines = "".join(f"{table.id} {table.name}\n" for table in sorted(tables))
    content = blocks.put(None, lines, RUN_TABLES) if lines else None
    _put(own_folders.tables_place(), content)


def write_trial(tables: Iterable[OwnTable], words: str) -> None:
    """Know these tables as ours, too, while the change is on trial that the words tell of.

    Before the kernel has anything in them; raises `SymrouteError`.
    """
    place = own_folders.tables_place()
    before = own_folders.read_own(place) or b""
    known = {line for line in before.decode("utf-8", "replace").splitlines() if line[:1].isdigit()}
    lines = sorted(known | {f"{table.id} {table.name}" for table in tables})
    plain = "".join(letter if letter.isprintable() else "?" for letter in words)
    body = "".join(f"{line}\n" for line in [_TRIAL + plain, *lines])
    _put(place, blocks.put(None, body, RUN_TABLES))


def read_names() -> Optional[bytes]:
    """The file as it is, for `put_back`; raises `SymrouteError`."""
    return own_folders.read_own(own_folders.tables_place())


def put_back(content: Optional[bytes]) -> None:
    """Have the file as it was; raises `SymrouteError`."""
    _put(own_folders.tables_place(), content)


def read_trial() -> str:
    """The words on what is on trial, which anybody may read; "": nothing is."""
    try:
        content = own_folders.read_own(own_folders.tables_place()) or b""
    except SymrouteError:
        return ""
    for line in content.decode("utf-8", "replace").splitlines():
        if line.startswith(_TRIAL):
            return line[len(_TRIAL) :]
    return ""


def _put(place: Path, content: Optional[bytes]) -> None:
    if content is None:
        own_folders.remove_own(place)
    else:
        own_folders.tables_folder()
        own_folders.replace_own(place, content, _MODE)
