"""``symroute-nm rollback``: take back what waits to be confirmed, or was cut off."""

from pathlib import Path

from symroute_nm.cli.options import ROOT
from symroute_nm.cli.terminal import say, write_lines
from symroute_nm.errors import Refusal


def rollback(root: Path = ROOT) -> int:
    """Take back at once what waits to be confirmed, or was cut off; from any login."""
    from symroute_nm.workflow import pending

    if not pending.rollback(root, say):
        raise Refusal("too late: it was kept", "symroute-nm undo --apply takes it back")
    write_lines(["taken back: everything is as it was before"])
    return 0
