"""The commands; the only module that picks exit codes."""

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, List, Optional

import click
import typer

from symroute_nm import __version__
from symroute_nm.errors import SymrouteError, SystemFailure
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
from symroute_nm.terminal import flush, open_streams, say, write, write_json, write_lines

if TYPE_CHECKING:
    from symroute_nm.choices import Manner, Settings
    from symroute_nm.model import Host
    from symroute_nm.settings import Options

_BUG, _INTERRUPTED, _FINDING = 70, 130, 1
_WIDE = 200  # columns
_ENDING = (signal.SIGTERM, signal.SIGHUP)

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Symmetric policy routing for hosts with two or more networks.",
)


def main() -> None:
    """Run the command line and exit as DESIGN 6 says; the entry point."""
    open_streams()
    sys.excepthook = _report_bug
    for number in _ENDING:
        if signal.getsignal(number) == signal.SIG_DFL:  # nohup(1) has it ignored
            signal.signal(number, _end)
    code = _run()
    try:
        flush()
    except SystemFailure as error:
        say("symroute-nm: %s" % error)
        code = error.exit_code
    sys.exit(code)


def _run() -> int:
    try:
        # Not app(): that puts typer's own excepthook, and exit code 1, in place of ours.
        code = typer.main.get_command(app)(standalone_mode=False)
    except SymrouteError as error:
        for line in str(error).splitlines():
            say("symroute-nm: %s" % line)
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        code = 2
    except (click.Abort, KeyboardInterrupt):
        say("symroute-nm: interrupted")
        code = _INTERRUPTED
    return code if isinstance(code, int) else 0


def _end(number: int, _: Any) -> None:
    """As an interrupt from the keyboard: a write that has begun puts everything back."""
    for each in (signal.SIGINT, *_ENDING):
        signal.signal(each, signal.SIG_IGN)  # a second one must not stop that
    sys.exit(128 + number)


def leave(code: int) -> None:
    """End the process; the kernel frees memory faster than Python does."""
    with contextlib.suppress(SystemFailure):
        flush()
    os._exit(code)


def _report_bug(kind: Any, error: Any, trace: Any) -> None:
    import traceback

    traceback.print_exception(kind, error, trace)
    say("symroute-nm: this is a bug; please report it with the lines above")
    leave(_BUG)


def _show_version(wanted: bool) -> None:
    if wanted:
        write("symroute-nm %s\n" % __version__)
        raise typer.Exit()


@app.callback()
def common(
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Show the version."),
) -> None:
    """Symmetric policy routing for hosts with two or more networks."""


@app.command()
def inspect(
    root: Path = ROOT, host: Optional[Path] = HOST, config: Optional[Path] = CONFIG,
    as_json: bool = JSON,
) -> None:
    """Show the host as it is understood: uplinks, internal networks, what is skipped and why."""
    from symroute_nm import report

    found = report.inspection(_read_host(root, host), _read_settings(root, config))
    if as_json:
        write_json(found)
        return
    from rich.console import Console

    # What is no terminal has no width: nothing is to be folded at 80 columns.
    console = Console(width=None if sys.stdout.isatty() else _WIDE)
    with console.capture() as capture:
        for each in report.inspection_tables(found):
            console.print(each)
    write(capture.get())


@app.command()
def diagnose(
    root: Path = ROOT, host: Optional[Path] = HOST, config: Optional[Path] = CONFIG,
    as_json: bool = JSON,
) -> int:
    """Is it happening to me, and why; exit 1 if some reply takes the wrong way."""
    from symroute_nm import checkup, diagnosis

    settings = _read_settings(root, config)
    found = diagnosis.diagnose(_read_host(root, host, probe=False, evidence=True), settings)
    if as_json:
        write_json(checkup.as_json(found))
    else:
        write_lines(checkup.lines(found))
    return 0 if found.symmetric else _FINDING


@app.command()
def snapshot(root: Path = ROOT) -> None:
    """Print this host as JSON, for --host on any other machine."""
    from symroute_nm.snapshot import dump_host

    write(dump_host(_read_host(root, None, evidence=True)))


@app.command()
def explain(
    source: str = typer.Argument(..., help="The packet's source address; any: not chosen yet."),
    destination: str = typer.Argument(..., help="Where it is to go."),
    iif: str = typer.Option("", "--iif", metavar="LINK", help="It came in by LINK."),
    mark: str = typer.Option("0", "--mark", metavar="N", help="Its firewall mark."),
    planned: bool = typer.Option(False, "--planned", help="As it would be after generate."),
    root: Path = ROOT, host: Optional[Path] = HOST, config: Optional[Path] = CONFIG,
    as_json: bool = JSON,
) -> int:
    """Walk through the rules and tables for one packet, step by step."""
    from symroute_nm import explanation

    settings = _read_settings(root, config)
    found = _read_host(root, host, probe=planned and settings.guard == "auto")
    packet = explanation.parse_packet(found, source, destination, iif, mark)
    explained = explanation.explain(found, settings, packet, planned)
    if as_json:
        write_json(explanation.as_json(explained))
    else:
        write_lines(explanation.lines(explained))
    return 0


@app.command()
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
    return _generate(root, host, _read_settings(root, config, options), options, as_json,
                     Manner(dry_run or check, check, prune, convert, force))


@app.command()
def remove(
    root: Path = ROOT, config: Optional[Path] = CONFIG, as_json: bool = JSON,
    dry_run: bool = typer.Option(False, "--dry-run", "-n", help="Show the diff, write nothing."),
) -> int:
    """Take every block and file of ours away; all else stays byte for byte."""
    from symroute_nm import generation, reading, report, reversal
    from symroute_nm.changes import changes, owned

    reading.require_root(root)
    # Before anything is gone: a broken configuration must not come to light after.
    commands = reversal.commands(root, _read_settings(root, config))
    if not dry_run:
        generation.recover(root, say)
    found = changes(root, {}, owned(root))
    if dry_run and not as_json:
        write(generation.diff(found))
    if not dry_run:
        generation.write(root, found, say)
    if as_json:
        write_json(reversal.removal(found, commands, dry_run))
    elif not dry_run:
        write_lines(report.change_lines(found))
        write_lines(reversal.command_lines(commands))
    return 0


@app.command()
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
    host = _read_host(root, host_file, probe=settings.guard == "auto")
    generation.check_names(host, options)
    made = generation.prepare(root, host, settings, manner)
    warnings = generation.preflight(root, host, host_file is not None, made, manner)
    commands = report.activation(host, settings, made, session_address())
    say(*warnings, *made.plan.notes, *made.notes, *generation.name_notes(host, settings),
        *generation.leftover_notes(made.leftovers), *generation.flaw_notes(made.changes))
    if manner.dry_run and not (manner.check or as_json):
        write(generation.diff(made.changes))
    say(*generation.check_proof(made, manner))
    if not manner.dry_run:
        generation.write(root, made.changes, say)
    if as_json:
        write_json(report.summary(made, commands, manner.dry_run))
    elif not manner.dry_run:
        write_lines(report.change_lines(made.changes))
        write_lines(report.skip_lines(made.plan.skips))
        write_lines(report.verdict_lines(made.proof))
        write_lines(report.activation_lines(commands))
    return _FINDING if manner.check and generation.changed(made.changes) else 0


def _read_host(
    root: Path, host_file: Optional[Path], probe: bool = True, evidence: bool = False
) -> "Host":
    from symroute_nm import reading

    return reading.read_host(root, host_file, probe, evidence)


def _read_settings(
    root: Path, config: Optional[Path], options: Optional["Options"] = None
) -> "Settings":
    from symroute_nm import settings

    path = config or root / settings.DEFAULT_PATH.lstrip("/")
    found = settings.read_settings(path, required=config is not None)
    return settings.apply_options(found, options or settings.Options())
