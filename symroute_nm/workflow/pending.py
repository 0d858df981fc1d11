"""What is not at its end: a change that waits to be confirmed, and what was cut off.

Every command says so first; `confirm` and `rollback` end it, from any login.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Callable, List, Optional

from symroute_nm.errors import Refusal, SymrouteError

if TYPE_CHECKING:
    from symroute_nm.kernel.recovery import Pending

_KEEPS, _BACK = "symroute-nm confirm", "symroute-nm rollback"


def pending_lines(root: Path) -> List[str]:
    """A line for what is pending in this kernel, and for a write below `root`; nothing is done."""
    kernel = _kernel_lines()
    return [*kernel, *_file_lines(root, bool(kernel))]


def _kernel_lines() -> List[str]:
    from symroute_nm.files import own_folders

    try:
        if os.geteuid() == 0:
            places = [own_folders.record_place(), own_folders.kept_record_place()]
        else:
            places = [own_folders.trial_place()]
        if not any(os.path.lexists(str(place)) for place in places):
            return []
    except (SymrouteError, OSError):  # then there is nothing of ours
        return []
    from symroute_nm.kernel import recovery

    pending = recovery.find_pending()
    if pending is None:
        return []
    return [f"pending: {_describe(pending)}"]


def _describe(pending: "Pending") -> str:
    from symroute_nm.kernel import recovery

    words = pending.words
    if pending.kind == recovery.WAITS:
        return f"{words} waits to be confirmed: {_KEEPS} keeps it, {_BACK} takes it back"
    if pending.kind == recovery.CUT_OFF:
        return f"{words} was cut off before it was confirmed: {_BACK} takes it back"
    if pending.kind == recovery.CUT_OFF_KEPT:
        return f"{words} was cut off after it was kept: {_KEEPS} brings it to its end"
    return (
        f"a change of the kernel, of which neither {_KEEPS} nor {_BACK} can read the record: "
        f"{words}"
    )


def _file_lines(root: Path, with_kernel: bool) -> List[str]:
    """Of a write below `root`; nothing where it is part of what has been said `with_kernel`."""
    from symroute_nm.files import journal

    try:
        begun, done = journal.find_journals(root)
    except (SymrouteError, OSError):  # whoever writes there is told
        return []
    if with_kernel and any(found.token for found in (begun, done) if found):
        return []
    if begun is None and done is None:
        return []
    from symroute_nm.files.lock import is_held

    held = is_held(root)
    if held:  # it is at work
        return []
    cut_off = "a run was cut off" if held is False else "a run is at work, or was cut off,"
    of = f" --root {root}" if str(root) != "/" else ""
    if begun is not None:
        return [
            f"pending: {cut_off} while it wrote files below {root}: {_BACK}{of} puts them "
            "back, and so does the next run that writes"
        ]
    return [
        f"pending: {cut_off} after it had written its files below {root}: {_BACK}{of} removes its "
        "hidden files, and so does the next run that writes"
    ]


def is_on_trial(host_file: Optional[Path]) -> bool:
    """Whether a change of this kernel is pending, so that no file lists what is in force.

    Whoever advises to delete that asks before. Never for a snapshot.
    """
    if host_file is not None:
        return False
    from symroute_nm.kernel import run_tables

    return run_tables.read_trial() is not None


def confirm() -> bool:
    """Keep what waits to be confirmed, or bring to its end what was kept and cut off.

    False: it is too late. Raises `SymrouteError`.
    """
    from symroute_nm.kernel import keeper, recovery, transaction
    from symroute_nm.readers.session import describe_session

    try:
        return keeper.confirm(transaction.socket_path(), describe_session()).kept
    except Refusal:  # nobody listens
        pending = recovery.find_pending()
        if pending is None:
            raise
        if pending.kind != recovery.CUT_OFF_KEPT:
            raise Refusal(
                f"{pending.words} waits no more: the process that watched over it has ended",
                f"{_BACK} takes it back",
            ) from None
    with transaction.hold():
        settled = recovery.recover(lambda _: None)
    return settled is not None and settled.kept


def rollback(root: Path, note: Callable[[str], None]) -> bool:
    """Take back what waits to be confirmed, whoever watches over it, or what was cut off.

    So with files below `root` whose writing was cut off. False: it had been kept already, and is
    complete now. Raises `Refusal` where nothing is pending, `SymrouteError`.
    """
    from symroute_nm.files import install
    from symroute_nm.files.journal import LargerChange
    from symroute_nm.kernel import recovery
    from symroute_nm.readers.session import describe_session

    kept = recovery.roll_back(describe_session(), note)
    written = install.recover(root, part_of=LargerChange("", recovery.note_commit))
    for line in written:
        note(line)
    if kept is None and not written:
        raise Refusal("nothing is pending", "symroute-nm undo takes back what was kept")
    return not kept
