"""What is kept below /run, as short-lived as the kernel's own tables: the record of a change that
nobody has confirmed yet, and the names of tables that no file names.

The record holds data and no commands: netlink's messages, rules and routes, and marks as numbers
and names (`marksetup`). All of it is checked when it is read, and what comes back of it is made by
templates of our own. It stands outside every root, where root alone can write (`rundir`).
"""

import contextlib
from typing import Iterable, Iterator

from symroute_nm.files import blocks, own_folders
from symroute_nm.files.access import read_file
from symroute_nm.kernel.change_record import _put
from symroute_nm.model.places import RUN_TABLES
from symroute_nm.model.plan import OwnTable


def write_tables(tables: Iterable[OwnTable]) -> None:
    """Remember whose tables these are, until the next boot; raises `SymrouteError`."""
    lines = "".join(f"{table.id} {table.name}\n" for table in sorted(tables))
    _put(own_folders.tables_place(), blocks.put(None, lines, RUN_TABLES) if lines else None)


@contextlib.contextmanager
def tables_written(tables: Iterable[OwnTable]) -> Iterator[None]:
    """As `write_tables`, unless the body raises.

    Before the body, since what it does is not to be taken back; raises `SymrouteError`.
    """
    where = own_folders.tables_place()
    before = read_file(where, str(where))
    write_tables(tables)
    with contextlib.ExitStack() as stack:
        stack.callback(_put, where, before)
        yield
        stack.pop_all()
