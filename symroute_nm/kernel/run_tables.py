"""The names of tables in the kernel that no file names, of this boot: kept below /run.

They stand outside every root, for everybody to read (`own_folders`), as short-lived as the kernel's
own tables.
"""

import contextlib
from pathlib import Path
from typing import Iterable, Iterator, Optional

from symroute_nm.files import blocks, own_folders
from symroute_nm.model.places import RUN_TABLES
from symroute_nm.model.plan import OwnTable

_MODE = 0o644


def write_tables(tables: Iterable[OwnTable]) -> None:
    """Remember whose tables these are, until the next boot; raises `SymrouteError`."""
    lines = "".join(f"{table.id} {table.name}\n" for table in sorted(tables))
    content = blocks.put(None, lines, RUN_TABLES) if lines else None
    _put(own_folders.tables_place(), content)


@contextlib.contextmanager
def tables_written(tables: Iterable[OwnTable]) -> Iterator[None]:
    """As `write_tables`, unless the body raises.

    Before the body, since what it does is not to be taken back; raises `SymrouteError`.
    """
    place = own_folders.tables_place()
    before = own_folders.read_own(place)
    write_tables(tables)
    with contextlib.ExitStack() as stack:
        stack.callback(_put, place, before)
        yield
        stack.pop_all()


def _put(place: Path, content: Optional[bytes]) -> None:
    if content is None:
        own_folders.remove_own(place)
    else:
        own_folders.tables_folder()
        own_folders.replace_own(place, content, _MODE)
