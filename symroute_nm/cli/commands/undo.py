"""``symroute-nm undo``: the files as they were before the last generate or remove."""

from pathlib import Path
from typing import TYPE_CHECKING, Optional

import typer

from symroute_nm.cli.options import APPLY, CONFIG, JSON, ROOT, Confirmation, expand_groups
from symroute_nm.cli.terminal import say, write_json, write_lines

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
    from symroute_nm.workflow.inputs import hold_kernel, read_settings, require_root

    require_root(root)
    if list_only:
        names = undo.list_backups(root)
        if as_json:
            write_json(names)
        else:
            write_lines(names)
        return 0
    if not apply:
        return _report(undo.undo(root, name, None, say), as_json=as_json)
    from symroute_nm.cli import countdown

    settings = read_settings(root, config)
    with hold_kernel(root, say):
        make = countdown.prepare(confirmation)
        return _report(undo.undo(root, name, settings, say, make), as_json=as_json)


def _report(undone: "Undone", *, as_json: bool) -> int:
    from symroute_nm.report import undo

    if as_json:
        write_json(undo.as_json(undone))
    else:
        write_lines(undo.lines(undone))
    return 0
