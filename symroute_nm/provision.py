"""The commands that write files: generate, remove, undo; with --apply, after the kernel."""

from pathlib import Path
from typing import (
    TYPE_CHECKING,
    AbstractSet,
    Any,
    Callable,
    Dict,
    List,
    Optional,
    Sequence,
    Tuple,
)

import typer

from symroute_nm.errors import FINDING, InputError, SymrouteError
from symroute_nm.inputs import hold_kernel, read_host, read_settings
from symroute_nm.options import (
    APPLY,
    CONFIG,
    EXCLUDE,
    FORCE,
    FORWARDED,
    GATEWAY,
    GUARD,
    IIF,
    INTERFACE,
    JOBS,
    JSON,
    ROOT,
    SNAPSHOTS,
    SOURCES,
    TABLE,
    TABLE_NAMES,
    TIMEOUT,
    YES,
)
from symroute_nm.terminal import say, write, write_json, write_lines

if TYPE_CHECKING:
    from symroute_nm.choices import Confirmation, Manner, Settings
    from symroute_nm.enactment import Enactment
    from symroute_nm.generation import Generation
    from symroute_nm.model import Change, Host, OwnTable
    from symroute_nm.settings import Options

    KernelChange = Tuple[Enactment, Confirmation]


def generate(
    root: Path = ROOT, host: Optional[Path] = SNAPSHOTS, jobs: int = JOBS,
    config: Optional[Path] = CONFIG, as_json: bool = JSON,
    interface: List[str] = INTERFACE, exclude: List[str] = EXCLUDE,
    table: List[str] = TABLE, gateway: List[str] = GATEWAY, guard: Optional[str] = GUARD,
    sources: Optional[str] = SOURCES, iif: Optional[bool] = IIF,
    table_names: Optional[bool] = TABLE_NAMES, forwarded: Optional[bool] = FORWARDED,
    dry_run: bool = typer.Option(False, "--dry-run", "-n", help="Show the diff, write nothing."),
    check: bool = typer.Option(False, "--check", help="Exit 1 if it would change something."),
    prune: bool = typer.Option(
        False, "--prune", help="Remove the blocks of links that are no uplinks now."),
    convert: bool = typer.Option(
        False, "--convert", help="Rewrite ADDRESSn= route files in ip form."),
    force: bool = FORCE, apply: bool = APPLY, yes: bool = YES, timeout: float = TIMEOUT,
) -> int:
    """Plan, show the difference, and write the route, rule and rt_tables files."""
    from symroute_nm.choices import Manner
    from symroute_nm.settings import Options

    options = Options(
        guard=guard, sources=sources, iif=iif, table_names=table_names, forwarded=forwarded,
        interfaces=tuple(interface), exclude=tuple(exclude), tables=tuple(table),
        gateways=tuple(gateway))
    manner = Manner(dry_run or check, check, prune, convert, force)
    if apply and host is not None:
        raise InputError("--apply changes this machine, --host plans for another",
                         "give one of them")
    if host is not None and host.is_dir():
        from symroute_nm.fleet import Order, generate_fleet

        return generate_fleet(Order(host, root, config, options, manner, as_json, jobs))
    settings = read_settings(root, config, options)
    if not apply:
        return _generate(root, host, settings, options, as_json, manner)
    with hold_kernel(root, manner.dry_run):
        return _generate(root, host, settings, options, as_json, manner,
                         _confirmation(timeout, yes))


def remove(
    root: Path = ROOT, config: Optional[Path] = CONFIG, as_json: bool = JSON,
    dry_run: bool = typer.Option(False, "--dry-run", "-n", help="Show the diff, write nothing."),
    apply: bool = APPLY, yes: bool = YES, timeout: float = TIMEOUT,
) -> int:
    """Take every block and file of ours away; all else stays byte for byte."""
    from symroute_nm import reading

    reading.require_root(root)
    # Before anything is gone: a broken configuration must not come to light after.
    settings = read_settings(root, config)
    if not apply:
        return _remove(root, settings, as_json, dry_run)
    with hold_kernel(root, dry_run):
        return _remove(root, settings, as_json, dry_run, _confirmation(timeout, yes))


def _remove(
    root: Path, settings: "Settings", as_json: bool, dry_run: bool,
    confirmation: "Optional[Confirmation]" = None,
) -> int:
    from symroute_nm import generation, report, reversal
    from symroute_nm.changes import changes, owned

    if not dry_run:
        generation.recover(root, say)
    change = None
    if confirmation:
        from symroute_nm import enactment

        host = read_host(root, None, probe=False)
        change = (enactment.for_removal(root, host, settings), confirmation)
    commands = [] if change else reversal.commands(root, settings)
    found = changes(root, {}, owned(root))
    if dry_run and not as_json:
        write(generation.diff(found))
    lines = [] if dry_run else _write(root, found, change, everything=True)
    if as_json:
        write_json({**reversal.removal(found, commands, dry_run), **_kernel_json(change)})
    else:
        write_lines([] if dry_run else [*report.change_lines(found), *lines])
        write_lines(_kernel_lines(change, dry_run))
        write_lines([] if dry_run else reversal.command_lines(commands))
    return 0


def undo(
    name: str = typer.Argument("", help="A backup's name; the newest if none is given."),
    root: Path = ROOT, config: Optional[Path] = CONFIG, as_json: bool = JSON,
    list_only: bool = typer.Option(False, "--list", help="Show the backups, newest first."),
    apply: bool = APPLY, yes: bool = YES, timeout: float = TIMEOUT,
) -> int:
    """Bring the files back to what they were before the last generate or remove."""
    from symroute_nm import backups, reading

    reading.require_root(root)
    if list_only:
        names = [each.name for each in reversed(backups.backups(root))]
        write_json(names) if as_json else write_lines(names)
        return 0
    if not apply:
        return _undo(root, name, as_json)
    settings = read_settings(root, config)
    with hold_kernel(root, False):
        return _undo(root, name, as_json, settings, _confirmation(timeout, yes))


def _undo(
    root: Path, name: str, as_json: bool, settings: Optional["Settings"] = None,
    confirmation: "Optional[Confirmation]" = None,
) -> int:
    from symroute_nm import generation, install, reversal

    generation.recover(root, say)
    restoration = install.prepare_restoration(root, name)
    change = None
    if settings and confirmation:
        from symroute_nm import enactment

        host = read_host(root, None, probe=False)
        change = (enactment.for_files(root, host, settings, restoration.changes), confirmation)

    def bring_back(note: Callable[[str], None]) -> List[str]:
        install.bring_back(root, restoration, note)
        return []

    lines = _commit(root, bring_back, change)
    notes = [] if change else reversal.after_undo(restoration.changes)
    if as_json:
        write_json({**reversal.restoration(restoration.name, restoration.changes, notes),
                    **_kernel_json(change)})
    else:
        write_lines([*reversal.restored_lines(restoration.changes), *lines,
                     *_kernel_lines(change, False), *notes])
    return 0


def _confirmation(timeout: float, yes: bool) -> "Confirmation":
    from symroute_nm.choices import Confirmation  # --help and --version do without

    return Confirmation(timeout, yes)


def _write(
    root: Path, found: Sequence["Change"], change: "Optional[KernelChange]",
    everything: bool = False,
) -> List[str]:
    """Install the files, after the kernel's change where there is one; names the backup."""
    from symroute_nm import generation, report

    return _commit(
        root,
        lambda note: report.backup_lines(generation.write(root, found, note, everything)), change)


def _commit(
    root: Path, write_files: Callable[[Callable[[str], None]], List[str]],
    change: "Optional[KernelChange]",
) -> List[str]:
    """Write the files: at once, or as the last thing of a change that was confirmed.

    Tables that no file names any more may be in the kernel still: they stay known as ours.
    """
    from symroute_nm import files

    if change is None:
        before = files.own_tables(root)
        lines = write_files(say)
        _remember(root, before)
        return lines
    from symroute_nm import countdown

    def keep() -> List[str]:
        notes: List[str] = []
        return [*write_files(notes.append), *notes]

    return list(countdown.make(*change, keep=keep))


def _remember(root: Path, before: "AbstractSet[OwnTable]") -> None:
    """Know tables of ours that files have ceased to name, as long as this kernel has them."""
    from symroute_nm import files

    named = {each.id for each in files.own_tables(root, lasting=True)}
    lost = [each for each in before if each.id not in named]
    from symroute_nm.rooted import is_own

    if not lost or not is_own(root):  # below another the kernel is not asked
        return
    from symroute_nm import runtime
    from symroute_nm.plan import used_tables

    try:
        used = used_tables(read_host(root, None, probe=False))
        runtime.write_tables(each for each in lost if each.id in used)
    except SymrouteError as error:  # all that was asked for is done
        say("warning: %s" % error)


def _kernel_json(change: "Optional[KernelChange]") -> Dict[str, Any]:
    from symroute_nm import report

    return {"kernel": report.kernel_changes(change[0].steps, change[0].words)} if change else {}


def _kernel_lines(change: "Optional[KernelChange]", dry_run: bool) -> List[str]:
    from symroute_nm import report

    return report.step_lines(change[0].steps, change[0].words, dry_run) if change else []


def _generate(
    root: Path, host_file: Optional[Path], settings: "Settings", options: "Options",
    as_json: bool, manner: "Manner", confirmation: "Optional[Confirmation]" = None,
) -> int:
    from symroute_nm import activation, generation, report
    from symroute_nm.planning import Request, work_out

    host, made, commands = work_out(
        Request(root, host_file, settings, options, manner, as_json), say, write)
    change = _kernel_change(root, host, settings, made, confirmation)
    lines = [] if manner.dry_run else _write(
        root, made.changes, change, everything=not made.leftovers.kept)
    if as_json:
        write_json({**report.summary(made, commands, manner.dry_run), **_kernel_json(change)})
        return FINDING if manner.check and generation.changed(made.changes) else 0
    if not manner.dry_run:
        write_lines([*report.change_lines(made.changes), *lines])
        write_lines([each.text for each in made.alterations])
        write_lines(report.skip_lines(made.plan.skips))
        write_lines(report.verdict_lines(made))
        write_lines(activation.command_lines([] if change else commands))
    write_lines(_kernel_lines(change, manner.dry_run))
    return FINDING if manner.check and generation.changed(made.changes) else 0


def _kernel_change(
    root: Path, host: "Host", settings: "Settings", made: "Generation",
    confirmation: "Optional[Confirmation]",
) -> "Optional[KernelChange]":
    if confirmation is None:
        return None
    from symroute_nm import enactment

    wanted = enactment.for_generation(root, host, settings, made)
    # The fragment, which is written as well, names the tables.
    return wanted._replace(tables=()), confirmation
