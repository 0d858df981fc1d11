"""The commands that write files: generate, remove, undo."""

from pathlib import Path
from typing import TYPE_CHECKING, List, Optional

import typer

from symroute_nm.errors import FINDING
from symroute_nm.inputs import read_host, read_settings
from symroute_nm.options import (
    CONFIG,
    EXCLUDE,
    GATEWAY,
    GUARD,
    HOST,
    IIF,
    INTERFACE,
    JSON,
    ROOT,
    SOURCES,
    TABLE,
    TABLE_NAMES,
)
from symroute_nm.terminal import say, write, write_json, write_lines

if TYPE_CHECKING:
    from symroute_nm.choices import Manner, Settings
    from symroute_nm.settings import Options


def generate(
    root: Path = ROOT, host: Optional[Path] = HOST, config: Optional[Path] = CONFIG,
    as_json: bool = JSON, interface: List[str] = INTERFACE, exclude: List[str] = EXCLUDE,
    table: List[str] = TABLE, gateway: List[str] = GATEWAY, guard: Optional[str] = GUARD,
    sources: Optional[str] = SOURCES, iif: Optional[bool] = IIF,
    table_names: Optional[bool] = TABLE_NAMES,
    dry_run: bool = typer.Option(False, "--dry-run", "-n", help="Show the diff, write nothing."),
    check: bool = typer.Option(False, "--check", help="Exit 1 if it would change something."),
    prune: bool = typer.Option(
        False, "--prune", help="Remove the blocks of links that are no uplinks now."),
    convert: bool = typer.Option(
        False, "--convert", help="Rewrite ADDRESSn= route files in ip form."),
    force: bool = typer.Option(False, "--force", help="Write what would be refused."),
) -> int:
    """Plan, show the difference, and write the route, rule and rt_tables files."""
    from symroute_nm.choices import Manner
    from symroute_nm.settings import Options

    options = Options(
        guard=guard, sources=sources, iif=iif, table_names=table_names,
        interfaces=tuple(interface), exclude=tuple(exclude), tables=tuple(table),
        gateways=tuple(gateway))
    return _generate(root, host, read_settings(root, config, options), options, as_json,
                     Manner(dry_run or check, check, prune, convert, force))


def remove(
    root: Path = ROOT, config: Optional[Path] = CONFIG, as_json: bool = JSON,
    dry_run: bool = typer.Option(False, "--dry-run", "-n", help="Show the diff, write nothing."),
) -> int:
    """Take every block and file of ours away; all else stays byte for byte."""
    from symroute_nm import generation, reading, report, reversal
    from symroute_nm.changes import changes, owned

    reading.require_root(root)
    # Before anything is gone: a broken configuration must not come to light after.
    commands = reversal.commands(root, read_settings(root, config))
    if not dry_run:
        generation.recover(root, say)
    found = changes(root, {}, owned(root))
    if dry_run and not as_json:
        write(generation.diff(found))
    backup = "" if dry_run else generation.write(root, found, say)
    if as_json:
        write_json(reversal.removal(found, commands, dry_run))
    elif not dry_run:
        write_lines([*report.change_lines(found), *report.backup_lines(backup)])
        write_lines(reversal.command_lines(commands))
    return 0


def undo(
    name: str = typer.Argument("", help="A backup's name; the newest if none is given."),
    root: Path = ROOT, as_json: bool = JSON,
    list_only: bool = typer.Option(False, "--list", help="Show the backups, newest first."),
) -> int:
    """Bring the files back to what they were before the last generate or remove."""
    from symroute_nm import backups, generation, install, reading, reversal

    reading.require_root(root)
    if list_only:
        names = [each.name for each in reversed(backups.backups(root))]
        write_json(names) if as_json else write_lines(names)
        return 0
    generation.recover(root, say)
    restored, found = install.restore(root, name, say)
    notes = reversal.after_undo(found)
    if as_json:
        write_json(reversal.restoration(restored, found, notes))
    else:
        write_lines([*reversal.restored_lines(found), *notes])
    return 0


def _generate(
    root: Path, host_file: Optional[Path], settings: "Settings", options: "Options",
    as_json: bool, manner: "Manner",
) -> int:
    from symroute_nm import generation, report
    from symroute_nm.session import session_address

    if not manner.dry_run:
        generation.recover(root, say)
    host = read_host(root, host_file, probe=settings.guard == "auto")
    generation.check_names(host, options)
    made = generation.prepare(root, host, settings, manner)
    warnings = generation.preflight(root, host, host_file is not None, made, manner)
    warnings += generation.check_static_routes(root, made, manner)
    commands = report.activation(host, settings, made, session_address())
    say(*warnings, *made.plan.notes, *made.notes, *generation.name_notes(host, settings),
        *generation.leftover_notes(made.leftovers), *generation.flaw_notes(made.changes))
    if manner.dry_run and not (manner.check or as_json):
        write(generation.diff(made.changes))
    say(*generation.check_proof(made, manner))
    if not (manner.dry_run or as_json):
        write(generation.diff(generation.replaced(made.changes)))
    backup = "" if manner.dry_run else generation.write(root, made.changes, say)
    if as_json:
        write_json(report.summary(made, commands, manner.dry_run))
    elif not manner.dry_run:
        write_lines([*report.change_lines(made.changes), *report.backup_lines(backup)])
        write_lines(report.skip_lines(made.plan.skips))
        write_lines(report.verdict_lines(made))
        write_lines(report.activation_lines(commands))
    return FINDING if manner.check and generation.changed(made.changes) else 0
