"""``symroute-nm confirm``: keep what waits to be confirmed."""

from pathlib import Path

from symroute_nm.cli.options import ROOT
from symroute_nm.cli.terminal import write_lines
from symroute_nm.errors import Refusal


def confirm(root: Path = ROOT) -> int:  # noqa: ARG001  # one kernel, whatever the root
    """Keep what apply, or --apply, has changed and is about to take back."""
    from symroute_nm.workflow import pending

    if not pending.confirm():
        raise Refusal("too late: it is being taken back", "run it again")
    write_lines(["kept"])
    return 0
