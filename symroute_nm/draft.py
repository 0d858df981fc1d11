"""A plan and the changes to files that it asks for, before anything is proved; writes nothing."""

from pathlib import Path
from typing import Dict, Iterable, NamedTuple, Tuple

from symroute_nm import changes, rooted
from symroute_nm.alterations import Portrait, earlier_tables, read_portraits
from symroute_nm.choices import Manner, Settings
from symroute_nm.leftovers import Leftovers, profile_of, sort_leftovers
from symroute_nm.model import NETWORK_SCRIPTS, Change, Host, Plan
from symroute_nm.observation import config_file
from symroute_nm.ownership import read_files
from symroute_nm.plan import make_plan


class Draft(NamedTuple):
    """A plan, what it changes below the root, and what it leaves of earlier runs."""

    plan: Plan
    changes: Tuple[Change, ...]
    leftovers: Leftovers
    earlier: Tuple[Portrait, ...] = ()


def make_draft(root: Path, host: Host, settings: Settings, manner: Manner) -> Draft:
    """The plan for the host and the changes below `root` that it asks for; writes nothing."""
    owned = changes.owned(root)
    earlier = _read_earlier(root, host, owned)
    plan = make_plan(host, settings, earlier_tables(earlier))
    wanted = _render(plan, host, Leftovers())
    leftovers = sort_leftovers(host, plan, owned, wanted, manner.prune)
    if leftovers.tables:
        wanted = _render(plan, host, leftovers)
    devices = _devices(plan) if manner.convert else {}
    found = changes.changes(root, wanted, leftovers.gone, devices)
    return Draft(plan, found, leftovers, earlier)


def _read_earlier(root: Path, host: Host, owned: Iterable[str]) -> Tuple[Portrait, ...]:
    """The uplinks of earlier blocks."""
    files = [config_file(path, rooted.read(root, path) or b"")
             for path in owned if profile_of(path)]
    return read_portraits(read_files(files, host).ours) if files else ()


def _render(plan: Plan, host: Host, leftovers: Leftovers) -> Dict[str, str]:
    if not plan.uplinks:
        return {}
    from symroute_nm.render import render  # jinja2 is imported only when there is something to say

    return render(plan, host, leftovers.tables)


def _devices(plan: Plan) -> Dict[str, str]:
    """The link of each route file: {path: link}."""
    return {
        "%s/%s-%s" % (NETWORK_SCRIPTS, kind, each.uplink.profile.name): each.uplink.link.name
        for each in plan.uplinks if each.uplink.profile for kind in ("route", "route6")
    }
