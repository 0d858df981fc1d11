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
from symroute_nm.workflow.inputs import hold_kernel, read_settings, require_root

if TYPE_CHECKING:
    from symroute_nm.workflow.undo import Removed


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
    from symroute_nm.workflow import undo

    require_root(root)
    # Before anything is gone: a broken configuration must not come to light after.
    settings = read_settings(root, config)

    def show(diff: str) -> None:
        """The difference that a dry run would make."""
        if not as_json:
            write(diff)

    if not apply:
        return _report(undo.remove(root, settings, dry_run, say, show), as_json, dry_run)
    from symroute_nm.cli import countdown

    with hold_kernel(root, say, dry_run=dry_run):
        make = countdown.prepare(confirmation)
        done = undo.remove(root, settings, dry_run, say, show, make)
        return _report(done, as_json, dry_run)


def _report(done: "Removed", as_json: bool, dry_run: bool) -> int:
    from symroute_nm.report import results, undo

    if as_json:
        write_json(
            {
                **undo.removal(done.changes, done.commands, dry_run),
                **results.kernel_json(done.change),
            }
        )
        return 0
    if not dry_run:
        write_lines([*results.change_lines(done.changes), *results.written_lines(done.written)])
    write_lines(results.kernel_lines(done.change, dry_run))
    write_lines([] if dry_run else undo.command_lines(done.commands))
    return 0
