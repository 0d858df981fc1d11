"""The commands; the only module that picks exit codes."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, List, Optional

import click
import typer

from symroute_nm import __version__
from symroute_nm.errors import InputError, SymrouteError, SystemFailure
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
from symroute_nm.terminal import flush, say, write, write_json, write_lines

if TYPE_CHECKING:
    from symroute_nm.choices import Manner, Settings
    from symroute_nm.model import Host
    from symroute_nm.settings import Options

_BUG, _INTERRUPTED, _FINDING = 70, 130, 1

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
    sys.excepthook = _report_bug
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
    except BrokenPipeError:
        # Nobody reads us any more (… | head); Python would complain again at exit.
        sys.stdout = sys.stderr
        code = 0
    sys.exit(code if isinstance(code, int) else 0)


def leave(code: int) -> None:
    """End the process, all output written; the kernel frees memory faster than Python does."""
    import os

    try:
        sys.stdout.flush()
    except BrokenPipeError:
        pass
    except OSError as error:
        say("symroute-nm: standard output: %s" % error.strerror)
        code = SystemFailure.exit_code
    sys.stderr.flush()
    os._exit(code)


def _report_bug(kind: Any, error: Any, trace: Any) -> None:
    import os
    import traceback

    traceback.print_exception(kind, error, trace)
    say("symroute-nm: this is a bug; please report it with the lines above")
    flush()
    os._exit(_BUG)


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

    console = Console()
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
    found = diagnosis.diagnose(
        _read_host(root, host, probe=False, evidence=True), settings)
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
    from symroute_nm import generation, report
    from symroute_nm.changes import changes, owned

    _require_root(root)
    if not dry_run:
        generation.recover(root, say)
    found = changes(root, {}, owned(root))
    if dry_run and not as_json:
        write(generation.diff(found))
    if not dry_run:
        generation.write(root, found, say)
    if as_json:
        write_json({"dry_run": dry_run, "files": [
            {"path": each.path, "change": each.kind} for each in found]})
    elif not dry_run:
        write_lines(report.change_lines(found))
        write_lines(_still_in_force(root, config))
    return 0


@app.command()
def undo(
    name: str = typer.Argument("", help="A backup's name; the newest if none is given."),
    root: Path = ROOT, as_json: bool = JSON,
    list_only: bool = typer.Option(False, "--list", help="Show the backups, newest first."),
) -> int:
    """Bring the files back to what they were before the last generate or remove."""
    from symroute_nm import backups, generation, install

    _require_root(root)
    if list_only:
        names = [each.name for each in reversed(backups.backups(root))]
        write_json(names) if as_json else write_lines(names)
        return 0
    generation.recover(root, say)
    saved = backups.find(root, name)
    install.restore(root, saved.name, note=say)
    paths = [each.path for each in saved.files]
    if as_json:
        write_json({"restored": saved.name, "files": paths})
    else:
        write_lines("restored  %s" % each for each in paths)
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
    say(*[*warnings, *made.plan.notes, *generation.name_notes(host, settings),
              *generation.leftover_notes(made.leftovers),
              *generation.flaw_notes(made.changes)])
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

    if host_file is None:
        _require_root(root)
    return reading.read_host(root, host_file, probe, evidence)


def _require_root(root: Path) -> None:
    """Only the output of a snapshot's plan may go to a folder that is not there yet."""
    if not root.is_dir():
        raise InputError("%s: no such folder" % root, "correct --root")


def _still_in_force(root: Path, config: Optional[Path]) -> List[str]:
    """How to delete our rules from this kernel: with no file left, nothing else will."""
    from symroute_nm import report
    from symroute_nm.plan import is_ours

    if root.resolve() != Path("/"):
        return []
    settings = _read_settings(root, config)
    rules = [each for each in _read_host(root, None, probe=False).rules if is_ours(each, settings)]
    if not rules:
        return []
    return ["still in force until the next boot; to end them now:",
            *("  %s" % each for each in report.deletions(rules))]


def _read_settings(
    root: Path, config: Optional[Path], options: Optional["Options"] = None
) -> "Settings":
    from symroute_nm import settings

    path = config or root / settings.DEFAULT_PATH.lstrip("/")
    found = settings.read_settings(path, required=config is not None)
    return settings.apply_options(found, options or settings.Options())
