"""`remove`: every block and file of ours goes, and what stays in force all the same."""

import os
from pathlib import Path
from typing import Callable, List, NamedTuple, Optional, Tuple

from symroute_nm.files.access import is_own
from symroute_nm.files.changes import Change, unified_diff
from symroute_nm.kernel.transaction import KernelChange
from symroute_nm.model.settings import Settings
from symroute_nm.readers.host import read_host
from symroute_nm.targets.base import choose_target
from symroute_nm.workflow.commit import (
    KernelPart,
    Maker,
    Say,
    Written,
    recover_files,
    write_changes,
)
from symroute_nm.workflow.kernel_changes import for_removal, with_purpose


class Removed(NamedTuple):
    """What `remove` did or would do, to the files and, where it was asked to, to the kernel.

    `commands` delete what stays in force, where the kernel is left alone.
    """

    changes: Tuple[Change, ...]
    commands: Tuple[str, ...]
    written: Written
    kernel_change: Optional[KernelChange] = None


def remove(  # noqa: PLR0913  # no two of them belong together
    root: Path,
    settings: Settings,
    say: Say,
    show: Callable[[str], None],
    make: Optional[Maker] = None,
    *,
    dry_run: bool = False,
) -> Removed:
    """Take every block of ours away; with `make` from the kernel first. Raises `SymrouteError`.

    The differences that a dry run would make go to `show`.
    """
    if not dry_run:
        recover_files(root, choose_target().folders, say)
    kernel = None
    commands: List[str] = []
    if make is None:
        commands = find_commands(root, settings)
    else:
        change = for_removal(root, read_host(root, None, probe=False), settings)
        kernel = KernelPart(with_purpose(change, "remove --apply", root), make)
    changes = choose_target().draft_removal(root)
    if dry_run:
        show(unified_diff(changes))
    written = Written()
    if not dry_run:
        written = write_changes(root, changes, kernel, say, everything=True)
    return Removed(changes, tuple(commands), written, kernel.change if kernel else None)


def find_commands(root: Path, settings: Settings) -> List[str]:
    """How to delete our rules from this kernel: with no file left, nothing else will.

    None where `root` is not this machine's own. To be asked for before the files are gone, which
    tell whose tables these are. Raises `SymrouteError`.
    """
    if not is_own(root):
        return []
    from symroute_nm.kernel import netfilter  # below another root nobody is asked
    from symroute_nm.kernel.loaded_marks import unload_commands
    from symroute_nm.model.iproute2 import delete_rule
    from symroute_nm.model.ours import looks_like_ours, our_rules

    host = read_host(root, probe=False)
    ours = our_rules(host, settings)
    marks = unload_commands(netfilter.read_loaded()) if os.geteuid() == 0 else []
    return marks + [
        delete_rule(rule) for rule in host.rules if rule in ours or looks_like_ours(rule, settings)
    ]
