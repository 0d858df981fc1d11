"""`undo`: the files as they were before the last `generate` or `remove`, and the kernel by them."""

from pathlib import Path
from typing import Callable, List, NamedTuple, Optional, Tuple

from symroute_nm.files.changes import Change
from symroute_nm.files.journal import LargerChange
from symroute_nm.kernel.transaction import KernelChange
from symroute_nm.model.settings import Settings
from symroute_nm.readers.host import read_host
from symroute_nm.targets.base import choose_target
from symroute_nm.workflow.commit import KernelPart, Maker, Say, Written, commit, recover_files
from symroute_nm.workflow.kernel_changes import for_files, with_purpose


class Undone(NamedTuple):
    """What `undo` did: the backup's name, the files, and the kernel's change where there is one."""

    name: str
    changes: Tuple[Change, ...]
    written: Written
    kernel_change: Optional[KernelChange] = None


def undo(
    root: Path, name: str, settings: Optional[Settings], say: Say, make: Optional[Maker] = None
) -> Undone:
    """Bring the files of that backup back, of the newest for ""; raises `SymrouteError`.

    With `make`, which needs `settings`, the kernel is brought to what they list first.
    """
    from symroute_nm.files import install

    # The folders that files come back to are swept on the way.
    recover_files(root, (), say)
    restoration = install.prepare_restoration(root, name)
    kernel = None
    if settings and make:
        host = read_host(root, None, probe=False)
        change = for_files(root, host, settings, restoration.changes)
        kernel = KernelPart(with_purpose(change, "undo --apply", root), make)

    def bring_back(note: Callable[[str], None], part_of: LargerChange) -> str:
        order = choose_target().writing_order
        install.bring_back(root, restoration, note, order=order, part_of=part_of)
        return ""

    written = commit(root, bring_back, kernel, say)
    return Undone(
        restoration.name, tuple(restoration.changes), written, kernel.change if kernel else None
    )


def list_backups(root: Path) -> List[str]:
    """The names of the backups below `root`, newest first; raises `SymrouteError`."""
    from symroute_nm.files import backups

    return [backup.name for backup in reversed(backups.backups(root))]
