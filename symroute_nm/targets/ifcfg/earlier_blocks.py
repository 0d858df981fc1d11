"""What becomes of blocks of earlier runs that a plan does not write: they stay, or go."""

from typing import Collection, List, Set

from symroute_nm.model.host import Host
from symroute_nm.model.marking import SCRIPT
from symroute_nm.model.places import FRAGMENT, RT_TABLES, RUN_TABLES
from symroute_nm.model.plan import EXCLUDED, OwnTable, Plan
from symroute_nm.model.profiles import profiles_for
from symroute_nm.model.settings import is_usable_name
from symroute_nm.targets.base import EarlierBlocks
from symroute_nm.targets.ifcfg.names import profile_of


def sort_earlier_blocks(
    host: Host, plan: Plan, owned: Collection[str], wanted: Collection[str], *, prune: bool
) -> EarlierBlocks:
    """What becomes of our blocks in `owned` that the plan's paths in `wanted` do not replace.

    A link that is down or without address now may come back: its block stays unless `prune`. A
    profile that is gone, or a link that the user excludes, does not: its block goes. Without any
    uplink planned nothing goes but by `prune`.
    """
    rest = sorted(set(owned) - set(wanted))
    fragments = [path for path in rest if path in (FRAGMENT, RT_TABLES)]
    files = [path for path in rest if path not in fragments]
    coming = set() if prune or not files else _find_coming(host, plan)
    kept = [
        path for path in files if not prune and (not plan.uplinks or profile_of(path) in coming)
    ]
    gone = sorted(set(files).difference(kept))
    if wanted or not kept:
        gone += fragments
    else:
        kept += fragments
    tables = tuple(
        OwnTable(table.id, table.name)
        for table in host.tables
        if table.owned and table.path != RUN_TABLES and is_usable_name(table.name)
    )
    return EarlierBlocks(tuple(gone), tuple(kept), tables if kept else ())


def notes_on_earlier_blocks(earlier: EarlierBlocks) -> List[str]:
    """What is said about blocks of earlier runs that stay."""
    notes = [
        f"kept {path}: not planned now, but may be again (--prune removes it)"
        for path in earlier.kept
    ]
    if any(profile_of(path) for path in earlier.kept):
        notes.append(
            "generate again once its link is back: until then the other tables do not know its "
            "networks"
        )
    if SCRIPT in earlier.gone:
        notes.append(
            "connections are not marked any more: neither --forwarded nor forwarded = yes in "
            "the configuration asks for it"
        )
    return notes


def _find_coming(host: Host, plan: Plan) -> Set[str]:
    """The names of the profiles that are there, but for those of links that the user excludes."""
    excluded = {skip.link for skip in plan.skips if skip.kind == EXCLUDED}
    coming = {profile.name for profile in host.profiles}
    for link in host.links:
        if link.name in excluded:
            coming -= {profile.name for profile in profiles_for(link, host.profiles)}
    return coming
