"""The running kernel brought to a plan, to nothing, or to what files list, with a way back."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Iterable, Iterator, Optional, Sequence, Set, Tuple

from symroute_nm.files import blocks
from symroute_nm.files.access import read
from symroute_nm.files.changes import Change
from symroute_nm.kernel import netfilter
from symroute_nm.kernel.loaded_marks import (
    LoadedMarks,
    end_repeated_jumps,
    find_differences,
    unload_script,
)
from symroute_nm.kernel.mark_setup import read_script
from symroute_nm.kernel.scope import add_kept, find_change, find_tables, planned_state
from symroute_nm.kernel.transaction import KernelChange, Marks, Purpose
from symroute_nm.model.host import Host, TableName
from symroute_nm.model.listing import Files
from symroute_nm.model.marking import SCRIPT
from symroute_nm.model.observations import config_file
from symroute_nm.model.places import FRAGMENT, RT_TABLES, RUN_TABLES
from symroute_nm.model.plan import Plan
from symroute_nm.model.settings import Settings
from symroute_nm.model.state import State
from symroute_nm.readers.ifcfg.route_files import read_route_files
from symroute_nm.readers.rt_tables import parse_tables
from symroute_nm.targets.base import choose_target

if TYPE_CHECKING:
    from symroute_nm.workflow.proposal import Proposal


def for_plan(
    host: Host, settings: Settings, plan: Plan, files: Files, kept: Sequence[str]
) -> KernelChange:
    """The kernel as planned; blocks that stay, at the paths `kept`, keep what they have there."""
    wanted = add_kept(planned_state(plan), host, files.ours.of(kept))
    tables = find_tables(host, settings, plan)
    named = {(table.id, table.name) for table in host.tables if table.path != RUN_TABLES}
    return KernelChange(
        find_change(host, settings, wanted, tables, files),
        tuple(
            uplink_plan.table
            for uplink_plan in plan.uplinks
            if (uplink_plan.table.id, uplink_plan.table.name) not in named
        ),
        _planned_marks(plan),
        tuple(uplink_plan.table for uplink_plan in plan.uplinks),
    )


def with_purpose(change: KernelChange, what: str, root: Path) -> KernelChange:
    """The change with what is on record of it: which command makes it, who gave that, and where."""
    from symroute_nm.readers.session import describe_session

    return change._replace(purpose=Purpose(what, describe_session(), root))


def for_proposal(root: Path, host: Host, settings: Settings, proposal: "Proposal") -> KernelChange:
    """The kernel as planned, beside the files that are there. Raises `SymrouteError`."""
    files = read_listing(root, host)
    return for_plan(host, settings, proposal.plan, files, proposal.earlier_blocks.kept)


def for_removal(root: Path, host: Host, settings: Settings) -> KernelChange:
    """The kernel without anything of ours. Raises `SymrouteError`."""
    files = read_listing(root, host)
    tables = find_tables(host, settings, Plan())
    return KernelChange(find_change(host, settings, State(), tables, files), (), _no_marks())


def for_files(
    root: Path, host: Host, settings: Settings, changes: Sequence[Change]
) -> KernelChange:
    """The kernel as our blocks will list it after these changes, as far as their links are up."""
    host = host._replace(tables=(*host.tables, *_names_in(changes)))
    files = read_listing(root, host, changes)
    up = {link.name for link in host.links if link.up}
    wanted = State(
        files.ours.state.rules,
        tuple(route for route in files.ours.state.routes if {hop.link for hop in route.hops} <= up),
    )
    tables = find_tables(host, settings, Plan())
    return KernelChange(
        find_change(host, settings, wanted, tables, files), (), _listed_marks(root, changes)
    )


def _planned_marks(plan: Plan) -> Optional[Marks]:
    """What is to be done for the marks of a plan; only root can tell. Raises `SystemFailure`."""
    if plan.marking is None or os.geteuid() != 0:
        return _no_marks()
    loaded = netfilter.read_loaded()
    versions: Set[int] = set()
    for uplink_plan in plan.uplinks:
        versions.update(rule.version for rule in uplink_plan.rules)
    differences = find_differences(plan.marking, loaded, frozenset(versions))
    if not differences:
        return None
    from symroute_nm.targets.marks import render_script  # jinja2, where there are marks

    script = render_script(plan.marking)
    return _change_marks(loaded, plan.marking.program, script, differences)


def _no_marks() -> Optional[Marks]:
    loaded = netfilter.read_loaded() if os.geteuid() == 0 else LoadedMarks()
    if not loaded.backends:
        return None
    return _change_marks(loaded, "", "", find_differences(None, loaded))


def _listed_marks(root: Path, changes: Sequence[Change]) -> Optional[Marks]:
    """What is to be done for the script as it will be after these changes."""
    contents = {change.path: change.after for change in changes}
    content = contents[SCRIPT] if SCRIPT in contents else read(root, SCRIPT)
    if content is None or not blocks.has_marker(content):
        return _no_marks()
    from symroute_nm.targets.marks import render_script  # jinja2, where there are marks

    # A file's text is never run: what it says is, in our own words.
    marking = read_script(content)
    return _change_marks(
        netfilter.read_loaded(),
        marking.program,
        render_script(marking),
        (f"marks are set by {SCRIPT}",),
    )


def _change_marks(loaded: LoadedMarks, backend: str, script: str, words: Tuple[str, ...]) -> Marks:
    """From what is loaded to what the script sets up by that backend."""
    unload = unload_script(*(name for name in loaded.backends if name != backend))
    if backend == "iptables":
        unload += end_repeated_jumps(loaded)
    return Marks(unload + script, backend, loaded, words)


def _names_in(changes: Iterable[Change]) -> Iterator[TableName]:
    """The table names that our block will hold."""
    for change in changes:
        if change.path in (FRAGMENT, RT_TABLES) and change.after is not None:
            block = blocks.split(change.after, change.path).block or b""
            yield from parse_tables(block.decode("utf-8", "replace"), change.path, owned=True)


def read_listing(root: Path, host: Host, changes: Iterable[Change] = ()) -> Files:
    """What the route and rule files list, as they will be after these changes."""
    contents = {change.path: change.after for change in changes}
    stored = [file for file in read_route_files(root) if file.path not in contents]
    for path, content in contents.items():
        if content is not None:
            stored.append(config_file(path, content))
    return choose_target().list_entries(stored, host)
