"""What becomes of the administrator's own lines in route and rule files beside ours."""

from pathlib import Path
from typing import Dict, Iterable, Iterator, List, NamedTuple, Sequence, Tuple

from symroute_nm.files import access
from symroute_nm.files.changes import Change
from symroute_nm.model.host import Host
from symroute_nm.model.plan import Plan
from symroute_nm.targets.base import Check
from symroute_nm.targets.ifcfg.broken_lines import find_flaws
from symroute_nm.targets.ifcfg.names import ROUTE, RULE, paths_of, profile_of
from symroute_nm.targets.ifcfg.sleeping_rules import read_sleeping_rules
from symroute_nm.targets.ifcfg.static_routes import altered_routes, has_routes, unmetered_routes

_REMEDY = (
    "with a rule file beside it the dispatcher script applies it, no longer NetworkManager: mend "
    "the line first, or write the files all the same with --force"
)


def check(root: Path, host: Host, plan: Plan, changes: Sequence[Change]) -> Check:
    """What the changes do to the administrator's own lines; raises `SymrouteError`."""
    problems, warnings = _check_static_routes(root, plan, changes)
    return Check(
        tuple(problems),
        _REMEDY,
        tuple(warnings),
        tuple(_find_flaws(changes)),
        read_sleeping_rules(root, host, plan, changes),
    )


class _Pair(NamedTuple):
    """The names of an uplink's profile and link: the script reads the files of both."""

    profile: str
    link: str


def _check_static_routes(
    root: Path, plan: Plan, changes: Sequence[Change]
) -> Tuple[List[str], List[str]]:
    """The administrator's routes that our first rule file changes, and those that it wakes.

    That file takes them from NetworkManager to the dispatcher script. Where a rule file is there
    already, nothing changes for them.
    """
    planned = {change.path: change.after or b"" for change in changes}
    altered, awake = [], []
    links: Dict[str, str] = {}  # {destination without a metric: the first link with one}
    for profile, link in _without_rule_file(root, plan):
        for path in paths_of(ROUTE, {profile, link}):
            content = planned[path] if path in planned else access.read(root, path) or b""
            altered += [f"{path} {fault}" for fault in altered_routes(content, link, path)]
            for number, to in unmetered_routes(content, path):
                if links.setdefault(to, link) != link:
                    altered.append(
                        f"{path} line {number} leads to {to} without a metric, as a line of "
                        f"{links[to]} does, and ip refuses the second: write metric and a number "
                        "behind it"
                    )
            if profile_of(path) != profile and has_routes(content):
                awake.append(
                    f"{path}: its routes come alive with ours: the dispatcher script reads "
                    "the files of the device, too"
                )
    return altered, awake


def _without_rule_file(root: Path, plan: Plan) -> List[_Pair]:
    """The uplinks that have no rule file until now."""
    pairs = []
    for uplink in (planned.uplink for planned in plan.uplinks):
        if uplink.profile is not None:
            name = uplink.profile.name
            if all(access.read(root, path) is None for path in paths_of(RULE, [name])):
                pairs.append(_Pair(name, uplink.link.name))
    return pairs


def _find_flaws(changes: Iterable[Change]) -> Iterator[str]:
    """Lines of the administrator's own that the dispatcher script cannot take, with why."""
    for change in changes:
        if change.after is not None and profile_of(change.path):
            yield from (f"{change.path} {flaw}" for flaw in find_flaws(change.after))
