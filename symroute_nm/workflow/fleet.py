"""`generate` for a folder of snapshots: a tree for each host, from several processes."""

import functools
import os
from pathlib import Path
from typing import Any, Callable, Dict, Generator, List, NamedTuple, Optional, Sequence, Tuple

from symroute_nm.errors import FINDING, InputError, SymrouteError, SystemFailure, shown
from symroute_nm.files import access
from symroute_nm.model.settings import GenerateOptions, Options
from symroute_nm.workflow import workers
from symroute_nm.workflow.activation import Command
from symroute_nm.workflow.commit import install_changes
from symroute_nm.workflow.generate import Request, plan_host
from symroute_nm.workflow.inputs import read_settings
from symroute_nm.workflow.proposal import Proposal

_SUFFIX = ".json"

# What is to be kept of a host that went well, of proposal, commands and options.
Summarize = Callable[[Proposal, Sequence[Command], GenerateOptions], Dict[str, Any]]


class Order(NamedTuple):
    """What is asked for all hosts of a fleet."""

    folder: Path  # of the snapshots
    out: Path  # the folder of the trees
    config: Optional[Path]  # None: each tree's own
    options: Options
    generate_options: GenerateOptions
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
        names = [entry.name for entry in os.scandir(str(folder)) if entry.name.endswith(_SUFFIX)]
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
    yield from workers.run(names, functools.partial(plan_snapshot, order), lost, jobs)
    if not order.generate_options.dry_run:
        access.sync_now()


def plan_snapshot(order: Order, name: str) -> Outcome:
    """The outcome of one snapshot; its tree is written unless it is a dry run.

    It need not be on the disk yet: thousands of trees are not worth a wait with each file.
    """
    notes: List[str] = []
    diffs: List[str] = []

    def note(*lines: str) -> None:
        notes.extend(lines)

    root, host_file = order.out / name, order.folder / (name + _SUFFIX)
    generate_options = order.generate_options
    try:
        settings = read_settings(root, order.config, order.options)
        request = Request(root, host_file, settings, order.options, generate_options, order.as_json)
        _, proposal, commands = plan_host(request, note, diffs.append)
        if not generate_options.dry_run:
            everything = not proposal.earlier_blocks.kept
            install_changes(root, proposal.changes, note, everything=everything, durable=False)
    except SymrouteError as error:
        return Outcome(name, error.exit_code, str(error), tuple(notes), "".join(diffs))
    code = FINDING if generate_options.check and proposal.changed else 0
    summary = order.summarize(proposal, commands, generate_options)
    return Outcome(name, code, "", tuple(notes), "".join(diffs), summary)
