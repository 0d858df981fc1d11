"""``symroute-nm remove``: every block and file of ours goes."""

from pathlib import Path
from typing import TYPE_CHECKING, Optional

from symroute_nm.cli.options import (
    APPLY,
    CONFIG,
    JSON,
    ROOT,
    SHOW_DIFF,
    Confirmation,
    expand_groups,
)
from symroute_nm.cli.terminal import say, write, write_json, write_lines

if TYPE_CHECKING:
    from symroute_nm.workflow.remove import Removed


@expand_groups
def remove(
    *,
    root: Path = ROOT,
    config: Optional[Path] = CONFIG,
    as_json: bool = JSON,
    dry_run: bool = SHOW_DIFF,
    apply: bool = APPLY,
    confirmation: Confirmation,
) -> int:
    """Take every block and file of ours away; all else stays byte for byte."""
    from symroute_nm.workflow import remove
    from symroute_nm.workflow.inputs import hold_kernel, read_settings, require_root

    require_root(root)
    # Before anything is gone: a broken configuration must not come to light after.
    settings = read_settings(root, config)

    def show(diff: str) -> None:
        """The difference that a dry run would make."""
        if not as_json:
            write(diff)

    if not apply:
        removed = remove.remove(root, settings, say, show, dry_run=dry_run)
        return _report(removed, as_json=as_json, dry_run=dry_run)
    from symroute_nm.cli import countdown

    with hold_kernel(root, say, dry_run=dry_run):
        make = countdown.prepare(confirmation)
        removed = remove.remove(root, settings, say, show, make, dry_run=dry_run)
        return _report(removed, as_json=as_json, dry_run=dry_run)


def _report(removed: "Removed", *, as_json: bool, dry_run: bool) -> int:
    from symroute_nm.report import changes, removal

    if as_json:
        write_json(removal.as_json(removed, dry_run=dry_run))
        return 0
    if not dry_run:
        write_lines(changes.change_lines(removed.changes))
        write_lines(changes.written_lines(removed.written))
    write_lines(changes.kernel_lines(removed.kernel_change, dry_run=dry_run))
    if not dry_run:
        write_lines(removal.command_lines(removed.commands))
    return 0
