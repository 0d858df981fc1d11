"""The commands that look and change nothing: inspect, diagnose, snapshot, explain."""

import sys
from pathlib import Path
from typing import Optional

import typer

from symroute_nm.errors import FINDING
from symroute_nm.inputs import read_host, read_settings
from symroute_nm.options import CONFIG, FORWARDED, HOST, JSON, ROOT
from symroute_nm.terminal import write, write_json, write_lines

_WIDE = 200  # columns


def inspect(
    root: Path = ROOT, host: Optional[Path] = HOST, config: Optional[Path] = CONFIG,
    as_json: bool = JSON,
) -> None:
    """Show the host as it is understood: uplinks, internal networks, what is skipped and why."""
    from symroute_nm import report

    found = report.inspection(read_host(root, host), read_settings(root, config))
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


def diagnose(
    root: Path = ROOT, host: Optional[Path] = HOST, config: Optional[Path] = CONFIG,
    as_json: bool = JSON,
) -> int:
    """Is it happening to me, and why; exit 1 if some reply takes the wrong way."""
    from symroute_nm import checkup, diagnosis

    settings = read_settings(root, config)
    found = diagnosis.diagnose(read_host(root, host, probe=False, evidence=True), settings)
    if as_json:
        write_json(checkup.as_json(found))
    else:
        write_lines(checkup.lines(found))
    return 0 if found.symmetric else FINDING


def snapshot(root: Path = ROOT) -> None:
    """Print this host as JSON, for --host on any other machine."""
    from symroute_nm.snapshot import dump_parts

    for each in dump_parts(read_host(root, None, evidence=True)):
        write(each)


def explain(
    source: str = typer.Argument(..., help="The packet's source address; any: not chosen yet."),
    destination: str = typer.Argument(..., help="Where it is to go."),
    iif: str = typer.Option("", "--iif", metavar="LINK", help="It came in by LINK."),
    mark: str = typer.Option("0", "--mark", metavar="N", help="Its firewall mark."),
    planned: bool = typer.Option(False, "--planned", help="As it would be after generate."),
    forwarded: Optional[bool] = FORWARDED,
    root: Path = ROOT, host: Optional[Path] = HOST, config: Optional[Path] = CONFIG,
    as_json: bool = JSON,
) -> int:
    """Walk through the rules and tables for one packet, step by step."""
    from symroute_nm import explanation
    from symroute_nm.plan import make_plan
    from symroute_nm.settings import Options
    from symroute_nm.targets import choose_target

    settings = read_settings(root, config, Options(forwarded=forwarded))
    found = read_host(root, host, probe=planned and settings.guard == "auto")
    packet = explanation.parse_packet(found, source, destination, iif, mark)
    plan = make_plan(found, settings, choose_target().bind) if planned else None
    explained = explanation.explain(found, settings, packet, plan)
    if as_json:
        write_json(explanation.as_json(explained))
    else:
        write_lines(explanation.lines(explained))
    return 0
