"""``symroute-nm undo``: the files as they were before the last generate or remove."""

from pathlib import Path
from typing import TYPE_CHECKING, Optional

import typer

from symroute_nm.cli.options import APPLY, CONFIG, JSON, ROOT, Confirmation, expand_groups
from symroute_nm.cli.terminal import say, write_json, write_lines
from symroute_nm.workflow.inputs import hold_kernel, read_settings, require_root

if TYPE_CHECKING:
    from symroute_nm.workflow.undo import Undone


@expand_groups
def undo(
    *,
    name: str = typer.Argument("", help="A backup's name; the newest if none is given."),
    root: Path = ROOT,
    config: Optional[Path] = CONFIG,
    as_json: bool = JSON,
    list_only: bool = typer.Option(False, "--list", help="Show the backups, newest first."),
    apply: bool = APPLY,
    confirmation: Confirmation,
) -> int:
    """Bring the files back to what they were before the last generate or remove."""
    from symroute_nm.workflow import undo

    require_root(root)
    if list_only:
        names = undo.list_backups(root)
        write_json(names) if as_json else write_lines(names)
        return 0
    if not apply:
        return _report(undo.undo(root, name, None, say), as_json)
    from symroute_nm.cli import countdown

    settings = read_settings(root, config)
    with hold_kernel(root, say):
        make = countdown.prepare(confirmation)
        return _report(undo.undo(root, name, settings, say, make), as_json)


def _report(done: "Undone", as_json: bool) -> int:
    from symroute_nm.report import results, undo

    notes = [] if done.change else undo.after_undo(done.changes)
    if as_json:
        write_json(
            {**undo.restoration(done.name, done.changes, notes), **results.kernel_json(done.change)}
        )
    else:
        write_lines(
            [
                *undo.restored_lines(done.changes),
                *results.written_lines(done.written),
                *results.kernel_lines(done.change, False),
                *notes,
            ]
        )
    return 0
