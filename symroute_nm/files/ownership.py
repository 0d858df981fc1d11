"""Whether a tree is root's alone, which a change of the running kernel asks of it.

What files say becomes rules and routes of this machine. In a folder to which others can write, any
of them may be exchanged at any moment, the sticky bit or not.
"""

import contextlib
import os
import stat
from pathlib import Path
from typing import Iterable

from symroute_nm.errors import InputError, Refusal, SystemFailure
from symroute_nm.files.access import STATE, Passed, Tree, is_own, may_be_others, os_errors


def require_owned(root: Path, used: Iterable[str]) -> None:
    """Raise `InputError` unless each folder on the way to what is used below `root` is root's
    alone to write to, from ``/`` on; `SystemFailure` where that cannot be told, or without root.

    `used` are the folders below `root` that files are read from or written to; those that are not
    there do not count, and our own state always does. This machine's own root is not looked at:
    whoever can write there is root already.
    """
    if is_own(root):
        return
    if os.geteuid() != 0:
        raise SystemFailure("only root may change the kernel", "run as root")
    with Tree(Path("/")) as whole:
        whole.name(f"{root.absolute()}/any")
        _require_all(whole, root)
    with os_errors("look up", root), Tree(root) as tree:
        tree.inside("/")
        for path in (*used, f"{STATE}/backups"):
            # What follows a link that leads nowhere, or out of the root, is not used either.
            with contextlib.suppress(Refusal):
                tree.name(f"{path}/any")
        _require_all(tree, root)


def _require_all(tree: Tree, root: Path) -> None:
    for folder in tree.passed():
        if may_be_others(folder.status):
            raise InputError(
                f"the kernel is changed only by a tree that is root's alone: {_reason(folder)}",
                f"copy {root} to where every folder is root's, or give it to root (chown -R root, "
                "chmod -R go-w)",
            )


def _reason(folder: Passed) -> str:
    if folder.status.st_uid != 0:
        return f"{folder.path} belongs to user {folder.status.st_uid}"
    mode = stat.S_IMODE(folder.status.st_mode)
    return f"others can write to {folder.path} (mode {mode:04o})"
