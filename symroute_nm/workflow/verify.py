"""`verify`: the plan, the files and the kernel, read and compared; nothing is proved."""

import os
import stat
from pathlib import Path
from typing import Dict, List, Set

from symroute_nm.errors import SymrouteError
from symroute_nm.files import access, backups
from symroute_nm.files.journal import digest
from symroute_nm.model.host import Host
from symroute_nm.model.listing import Listing
from symroute_nm.model.marking import SCRIPT
from symroute_nm.model.plan import Plan
from symroute_nm.model.settings import GenerateOptions, Settings
from symroute_nm.model.state import State
from symroute_nm.readers.ifcfg.route_files import read_route_files
from symroute_nm.readers.rt_tables import find_damage
from symroute_nm.targets.base import choose_target
from symroute_nm.workflow import kernel_changes
from symroute_nm.workflow.draft import make_draft
from symroute_nm.workflow.drift import (
    NOT_RUN,
    FileDrift,
    States,
    Verification,
    find_drift,
    find_file_drift,
)


def verify(root: Path, host: Host, settings: Settings) -> Verification:
    """The plan, the files below `root` and the kernel against each other.

    What blocks list that are kept for a link that may come back counts for neither: it is in the
    kernel or not, as the link is. Raises `SymrouteError`.
    """
    draft = make_draft(root, host, settings, GenerateOptions(dry_run=True))
    files = kernel_changes.read_listing(root, host)
    kept = files.ours.of(draft.earlier_blocks.kept)
    wanted = kernel_changes.for_plan(host, settings, draft.plan, files, draft.earlier_blocks.kept)
    scoped = wanted.scoped
    states = States(
        plan=_without(scoped.wanted, kept),
        files=_without(files.ours.state, kept),
        kernel=_without(scoped.present, kept),
    )
    target = choose_target()
    notes = (
        *draft.plan.notes,
        *target.notes_on_earlier(draft.earlier_blocks),
        *target.find_dead_lines(read_route_files(root), host),
        *find_damage(root),
    )
    differing = [
        *find_file_drift(draft.changes, _changed_by_hand(root)),
        *_script_drift(root, draft.plan),
    ]
    if draft.plan.marking and os.geteuid() != 0:
        notes = (*notes, "what sets marks was not looked at: run it as root")
    return Verification(find_drift(states), tuple(differing), notes, wanted.words)


def _script_drift(root: Path, plan: Plan) -> List[FileDrift]:
    """NetworkManager passes over a script that is not as nm-dispatcher.c wants it."""
    with access.Tree(root) as tree:
        status = tree.status(SCRIPT)
    if plan.marking is None or status is None:
        return []
    refused = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH | stat.S_ISUID)
    fit = status.st_mode & stat.S_IXUSR and not refused and status.st_uid == 0
    return [] if fit or os.geteuid() != 0 else [FileDrift(SCRIPT, NOT_RUN)]


def _without(state: State, kept: Listing) -> State:
    if not (kept.rules or kept.routes):
        return state
    rules = {rule.without_protocol for rule in kept.state.rules}
    routes = {route.line_key for route in kept.state.routes}
    return State(
        tuple(rule for rule in state.rules if rule.without_protocol not in rules),
        tuple(route for route in state.routes if route.line_key not in routes),
    )


def _changed_by_hand(root: Path) -> Set[str]:
    """The files that are no longer what our last write made of them."""
    written: Dict[str, str] = {}
    try:
        for backup in backups.backups(root):
            written.update((file.path, file.after) for file in backup.files)
        return {path for path, after in written.items() if after != digest(access.read(root, path))}
    except SymrouteError:  # without root, or damaged: then it is not known
        return set()
