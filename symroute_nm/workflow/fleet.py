"""`generate` for a folder of snapshots: a tree for each host, from several processes."""

import functools
import os
from pathlib import Path
from typing import Any, Callable, Dict, Generator, List, NamedTuple, Optional, Tuple

from symroute_nm.errors import FINDING, InputError, SymrouteError, SystemFailure, shown
from symroute_nm.files import access
from symroute_nm.model.settings import GenerateOptions, Options
from symroute_nm.workflow import workers
from symroute_nm.workflow.commit import install_changes
from symroute_nm.workflow.generate import Request, work_out
from symroute_nm.workflow.inputs import read_settings
from symroute_nm.workflow.proposal import Proposal

_SUFFIX = ".json"

# What is to be kept of a host that went well, of proposal, commands and whether it is a dry run.
Summarize = Callable[[Proposal, List[str], bool], Dict[str, Any]]


class Order(NamedTuple):
    """What is asked for all hosts of a fleet."""

    folder: Path  # of the snapshots
    out: Path  # the folder of the trees
    config: Optional[Path]  # None: each tree's own
    options: Options
    manner: GenerateOptions
    summarize: Summarize
    as_json: bool = False
    jobs: int = 0  # processes; 0: one a processor


class Outcome(NamedTuple):
    """How it went with one host: as the command for it alone would have ended."""

    host: str
    code: int  # the exit code
    error: str = ""
    notes: Tuple[str, ...] = ()
    diff: str = ""
    summary: Optional[Dict[str, Any]] = None  # None: it failed


def find_snapshots(order: Order) -> List[str]:
    """The snapshots' names without ``.json``, in order; `InputError` where there is none.

    Raises `InputError`, too, where the trees would go to this machine itself, and for a name that
    is no name of a host: nothing is planned then.
    """
    folder = order.folder
    if access.is_own(order.out):
        raise InputError(
            "--host names a folder of snapshots, whose trees cannot go to /",
            "give --root DIR: each host's tree goes to DIR/NAME",
        )
    try:
        names = [each.name for each in os.scandir(str(folder)) if each.name.endswith(_SUFFIX)]
    except OSError as error:
        raise SystemFailure(f"{folder}: {error.strerror}", "check --host") from error
    if not names:
        raise InputError(
            f"{folder}: no snapshot (*{_SUFFIX}) in this folder",
            f"make some: symroute-nm snapshot > NAME{_SUFFIX}",
        )
    for name in sorted(names):
        # Hidden, empty, "." or "..": "...json" would be planned into the folder above.
        if name.startswith("."):
            raise InputError(
                f"{folder}: {shown(name)} is no name of a host",
                f"name it NAME{_SUFFIX}, and no NAME begins with a dot",
            )
    return sorted(name[: -len(_SUFFIX)] for name in names)


def plan_fleet(names: List[str], order: Order) -> Generator[Outcome, None, None]:
    """An outcome for each of these snapshots, in order."""
    lost = functools.partial(
        Outcome,
        code=SystemFailure.exit_code,
        error="its process ended unexpectedly; plan this host alone to see why",
    )
    jobs = order.jobs or len(os.sched_getaffinity(0))
    yield from workers.run(names, functools.partial(plan_host, order), lost, jobs)
    if not order.manner.dry_run:
        access.sync_now()


def plan_host(order: Order, name: str) -> Outcome:
    """The outcome of one snapshot; its tree is written unless it is a dry run.

    It need not be on the disk yet: thousands of trees are not worth a wait with each file.
    """
    notes: List[str] = []
    shown: List[str] = []

    def note(*lines: str) -> None:
        notes.extend(lines)

    root, host_file = order.out / name, order.folder / (name + _SUFFIX)
    try:
        settings = read_settings(root, order.config, order.options)
        worked = work_out(
            Request(root, host_file, settings, order.options, order.manner, order.as_json),
            note,
            shown.append,
        )
        if not order.manner.dry_run:
            install_changes(
                root,
                worked.made.changes,
                note,
                everything=not worked.made.leftovers.kept,
                durable=False,
            )
    except SymrouteError as error:
        return Outcome(name, error.exit_code, str(error), tuple(notes), "".join(shown))
    found = order.manner.check and worked.made.changed
    summary = order.summarize(worked.made, worked.commands, order.manner.dry_run)
    return Outcome(name, FINDING if found else 0, "", tuple(notes), "".join(shown), summary)
