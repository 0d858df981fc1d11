"""A plan and the changes to files that it asks for, before anything is proved; writes nothing."""

from pathlib import Path
from typing import NamedTuple, Tuple

from symroute_nm.files.changes import Change
from symroute_nm.model.host import Host
from symroute_nm.model.plan import Plan
from symroute_nm.model.settings import GenerateOptions, Settings
from symroute_nm.plan.planner import make_plan
from symroute_nm.targets.base import DraftOptions, EarlierBlocks, choose_target
from symroute_nm.workflow.uplink_changes import (
    PreviousUplink,
    earlier_tables,
    read_previous_uplinks,
)


class Draft(NamedTuple):
    """A plan, what it changes below the root, and what it leaves of earlier runs."""

    plan: Plan
    changes: Tuple[Change, ...]
    earlier_blocks: EarlierBlocks
    previous_uplinks: Tuple[PreviousUplink, ...] = ()


def make_draft(
    root: Path, host: Host, settings: Settings, generate_options: GenerateOptions
) -> Draft:
    """The plan for the host and the changes below `root` that it asks for; writes nothing."""
    target = choose_target()
    owned = target.find_owned(root)
    previous = read_previous_uplinks(target.read_earlier(root, host, owned).ours)
    plan = make_plan(host, settings, target.bind, earlier_tables(previous))
    options = DraftOptions(generate_options.prune, generate_options.convert)
    drafted = target.draft(root, host, plan, owned, options)
    return Draft(plan, drafted.changes, drafted.earlier, previous)
