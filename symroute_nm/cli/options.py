"""The options that several commands share, one by one and in groups."""

import inspect
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, List, NamedTuple, Optional

import typer

from symroute_nm.errors import InputError, shown

if TYPE_CHECKING:
    from symroute_nm.model.settings import Options


def _number(value: float) -> float:
    """nan is neither below a minimum nor above a maximum."""
    if math.isnan(value):
        raise typer.BadParameter("nan is not a number.")
    return value


def _real(root: Path) -> Path:
    """The folder that is meant: a link that is named is followed once, here, and never later.

    Raises `InputError` for a link whose text is not where it leads, as proc(5) has them: the text
    of ``/proc/PID/root`` names a folder as that process sees it, often ``/``.
    """
    real = Path(os.path.realpath(str(root)))  # resolve() raises for one that leads in circles
    try:
        named = root.stat()
    except (OSError, ValueError):  # it is not there, or cannot be looked at: that is told later
        return real
    if not _is_at(named, real):
        raise InputError(
            f"{shown(str(root))} is a link of /proc that names no folder of this system",
            "name the folder itself, or run it inside (nsenter --mount)",
        )
    return real


def _is_at(found: os.stat_result, place: Path) -> bool:
    try:
        return os.path.samestat(found, place.stat())
    except OSError:
        return False


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
FORWARDED = typer.Option(
    None,
    "--forwarded/--no-forwarded",
    help="Mark connections, so that containers answer by the uplink that was asked.",
)
TABLE_NAMES = typer.Option(
    None, "--table-names/--table-numbers", help="Name tables by name in rules and routes."
)
FORCE = typer.Option(False, "--force", help="Do what would be refused.")
FILES = typer.Option(False, "--files", help="To what the files list now, not to the plan.")
APPLY = typer.Option(False, "--apply", help="The running kernel, too, with a timed way back.")
DRY_RUN = typer.Option(False, "--dry-run", "-n", help="Show what would change, change nothing.")
SHOW_DIFF = typer.Option(False, "--dry-run", "-n", help="Show the diff, write nothing.")


class PlanOptions(NamedTuple):
    """Which links are uplinks, and what their tables and rules are to be."""

    interface: List[str] = typer.Option(
        [], "--interface", "-i", metavar="NAME", help="Only these links can be uplinks (patterns)."
    )
    exclude: List[str] = typer.Option(
        [], "--exclude", "-x", metavar="NAME", help="No uplinks (patterns)."
    )
    table: List[str] = typer.Option([], "--table", metavar="LINK=NAME:ID", help="eth0=users:2")
    gateway: List[str] = typer.Option([], "--gateway", metavar="LINK=ADDRESS", help="eth1=10.0.5.1")
    guard: Optional[str] = typer.Option(
        None, "--guard", metavar="auto|rules|throw|none", help="How internal networks are kept."
    )
    sources: Optional[str] = typer.Option(
        None, "--sources", metavar="auto|address|network", help="What rules select replies by."
    )
    iif: Optional[bool] = typer.Option(
        None, "--iif/--no-iif", help="Rules for transit, too, or not."
    )

    def with_marks(
        self, forwarded: Optional[bool], table_names: Optional[bool] = None
    ) -> "Options":
        """All that the command line says of the plan."""
        from symroute_nm.model.settings import Options

        return Options(
            guard=self.guard,
            sources=self.sources,
            iif=self.iif,
            table_names=table_names,
            forwarded=forwarded,
            interfaces=tuple(self.interface),
            exclude=tuple(self.exclude),
            tables=tuple(self.table),
            gateways=tuple(self.gateway),
        )


class Confirmation(NamedTuple):
    """Whether, and how long, a change of the running kernel waits to be confirmed."""

    yes: bool = typer.Option(
        False, "--yes", "-y", help="Keep it at once: no confirmation, no way back."
    )
    timeout: float = typer.Option(
        60.0,
        "--timeout",
        metavar="SECONDS",
        min=1,
        max=86400,
        callback=_number,
        help="All is as before unless it is confirmed within.",
    )


def expand_groups(command: Callable[..., int]) -> Callable[..., int]:
    """The command as Typer reads it: in place of a group of options, as above, its options.

    Typer knows no groups, and before Python 3.9 no Annotated.
    """
    groups = {}
    parameters = []
    for parameter in inspect.signature(command).parameters.values():
        fields = getattr(parameter.annotation, "_field_defaults", None)
        if fields is None:
            parameters.append(parameter)
            continue
        groups[parameter.name] = parameter.annotation
        for name, option in fields.items():
            kind = parameter.annotation.__annotations__[name]
            parameters.append(parameter.replace(name=name, default=option, annotation=kind))

    def call(**values: Any) -> int:
        for name, group in groups.items():
            values[name] = group(*(values.pop(field) for field in group._fields))
        return command(**values)

    call.__name__, call.__doc__ = command.__name__, command.__doc__
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # PEP 362
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return call
