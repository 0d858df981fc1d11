"""The options that several commands share."""

import math
import os
from pathlib import Path

import typer


def _number(value: float) -> float:
    """nan is neither below a minimum nor above a maximum."""
    if math.isnan(value):
        raise typer.BadParameter("nan is not a number.")
    return value


def _real(root: Path) -> Path:
    """The folder that is meant: a link that is named is followed once, here, and never later."""
    return Path(os.path.realpath(str(root)))  # resolve() raises for one that leads in circles


ROOT = typer.Option("/", "--root", metavar="DIR", callback=_real, help="All files below DIR.")
HOST = typer.Option(None, "--host", metavar="FILE", help="A snapshot instead of this machine.")
SNAPSHOTS = typer.Option(
    None,
    "--host",
    metavar="FILE|DIR",
    help="A snapshot instead of this machine; of a folder of them each, to DIR/NAME of --root.",
)
JOBS = typer.Option(
    0,
    "--jobs",
    "-j",
    min=0,
    metavar="N",
    show_default=False,
    help="Processes for a folder of snapshots; else one a processor.",
)
CONFIG = typer.Option(
    None, "--config", metavar="FILE", help="Instead of /etc/symroute-nm.conf below the root."
)
JSON = typer.Option(False, "--json", help="For programs.")
INTERFACE = typer.Option(
    [], "--interface", "-i", metavar="NAME", help="Only these links can be uplinks (patterns)."
)
EXCLUDE = typer.Option([], "--exclude", "-x", metavar="NAME", help="No uplinks (patterns).")
TABLE = typer.Option([], "--table", metavar="LINK=NAME:ID", help="eth0=users:2")
GATEWAY = typer.Option([], "--gateway", metavar="LINK=ADDRESS", help="eth1=10.0.5.1")
GUARD = typer.Option(
    None, "--guard", metavar="auto|rules|throw|none", help="How internal networks are kept."
)
SOURCES = typer.Option(
    None, "--sources", metavar="auto|address|network", help="What rules select replies by."
)
IIF = typer.Option(None, "--iif/--no-iif", help="Rules for transit, too, or not.")
FORWARDED = typer.Option(
    None,
    "--forwarded/--no-forwarded",
    help="Mark connections, so that containers answer by the uplink that was asked.",
)
TABLE_NAMES = typer.Option(
    None, "--table-names/--table-numbers", help="Name tables by name in rules and routes."
)
FORCE = typer.Option(False, "--force", help="Do what would be refused.")
APPLY = typer.Option(False, "--apply", help="The running kernel, too, with a timed way back.")
YES = typer.Option(False, "--yes", "-y", help="Keep it at once: no confirmation, no way back.")
TIMEOUT = typer.Option(
    60.0,
    "--timeout",
    metavar="SECONDS",
    min=1,
    max=86400,
    callback=_number,
    help="All is as before unless it is confirmed within.",
)
DRY_RUN = typer.Option(False, "--dry-run", "-n", help="Show what would change, change nothing.")
