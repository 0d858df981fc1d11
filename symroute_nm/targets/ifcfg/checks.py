"""What becomes of the administrator's own lines in route and rule files beside ours."""

import re
from pathlib import Path
from typing import Dict, Iterable, Iterator, List, Mapping, Sequence, Tuple

from symroute_nm.files import access, blocks
from symroute_nm.files.changes import Change
from symroute_nm.model.host import Host
from symroute_nm.model.observations import config_file
from symroute_nm.model.places import NETWORK_SCRIPTS
from symroute_nm.model.plan import Plan
from symroute_nm.targets.base import Check, SleepingRules
from symroute_nm.targets.ifcfg.conversion import is_variables_form
from symroute_nm.targets.ifcfg.listing import profile_of
from symroute_nm.targets.ifcfg.sleeping_rules import find_sleeping_rules
from symroute_nm.targets.ifcfg.static_routes import altered_routes, has_routes, unmetered_routes

_SECOND = (
    "%s line %d leads to %s without a metric, as a line of %s does, and ip refuses the "
    "second: write metric and a number behind it"
)
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


def _check_static_routes(
    root: Path, plan: Plan, changes: Sequence[Change]
) -> Tuple[List[str], List[str]]:
    """The administrator's routes that our first rule file changes, and those that it wakes.

    That file takes them from NetworkManager to the dispatcher script. Where a rule file is there
    already, nothing changes for them.
    """
    contents = {change.path: change.after or b"" for change in changes}
    altered, awake = [], []
    places: Dict[str, str] = {}
    for profile, link in _first_rules(root, plan):
        for path in _paths(("route", "route6"), {profile, link}):
            content = _content(root, path, contents)
            altered += [f"{path} {fault}" for fault in altered_routes(content, link, path)]
            for number, to in unmetered_routes(content, path):
                if places.setdefault(to, link) != link:
                    altered.append(_SECOND % (path, number, to, places[to]))
            if profile_of(path) != profile and has_routes(content):
                awake.append(
                    f"{path}: its routes come alive with ours: the dispatcher script reads "
                    "the files of the device, too"
                )
    return altered, awake


def _first_rules(root: Path, plan: Plan) -> List[Tuple[str, str]]:
    """Profile and link of each uplink that has no rule file until now."""
    named = [
        (planned.uplink.profile.name, planned.uplink.link.name)
        for planned in plan.uplinks
        if planned.uplink.profile
    ]
    return [
        each
        for each in named
        if all(access.read(root, path) is None for path in _paths(("rule", "rule6"), each[:1]))
    ]


def _content(root: Path, path: str, contents: Mapping[str, bytes]) -> bytes:
    return contents[path] if path in contents else access.read(root, path) or b""


def read_sleeping_rules(
    root: Path, host: Host, plan: Plan, found: Iterable[Change]
) -> SleepingRules:
    """The administrator's own lines in rule files that the script will read beside ours.

    It reads the files of the device as well as those of the profile as soon as the profile has a
    rule file: what slept in them until now wakes up.
    """
    contents = {each.path: each.after or b"" for each in found}
    files_read = []
    for path in _rule_paths(plan):
        parts = blocks.split(_content(root, path, contents), path)
        files_read.append(config_file(path, parts.before + parts.after))
    return find_sleeping_rules(
        files_read, host, {planned.uplink.link.name for planned in plan.uplinks}
    )


def _rule_paths(plan: Plan) -> List[str]:
    names = {
        name
        for planned in plan.uplinks
        if planned.uplink.profile
        for name in (planned.uplink.profile.name, planned.uplink.link.name)
    }
    return _paths(("rule", "rule6"), names)


def _paths(kinds: Iterable[str], names: Iterable[str]) -> List[str]:
    return sorted(f"{NETWORK_SCRIPTS}/{kind}-{name}" for kind in kinds for name in names)


def _find_flaws(changes: Iterable[Change]) -> Iterator[str]:
    """Lines of the administrator's own that the dispatcher script cannot take, with why."""
    for change in changes:
        if change.after is not None and profile_of(change.path):
            yield from (f"{change.path} {flaw}" for flaw in find_flaws(change.after))


_BOM = b"\xef\xbb\xbf"
# What each flaw but that one has in it.
_FLAW_MARKS = (b"\r", b" #", b"\t#", b"\\")
_BLANK_OR_COMMENT = re.compile(rb"[ \t\r\f\v]*(#.*)?\Z", re.DOTALL)


def find_flaws(content: bytes) -> Tuple[str, ...]:
    """What in a route or rule file breaks when the dispatcher script reads it, by line number."""
    if not content.startswith(_BOM) and not any(mark in content for mark in _FLAW_MARKS):
        return ()  # as nearly always
    shell = is_variables_form(content)
    lines = content.split(b"\n")
    following = [*lines[1:], b""]
    return tuple(
        f"line {number} {flaw}"
        for number, (line, after) in enumerate(zip(lines, following), 1)
        for flaw in _line_flaws(line, after, number == 1, shell)
    )


def _line_flaws(line: bytes, after: bytes, first: bool, shell: bool) -> List[str]:
    found = []
    if first and line.startswith(_BOM):
        found.append("begins with a byte order mark, which breaks it: save without BOM")
        line = line[len(_BOM) :]
    comment = _BLANK_OR_COMMENT.match(line) is not None
    if line.endswith(b"\r") and not comment:
        found.append("ends in CR LF, and the CR breaks it: use LF alone (dos2unix)")
    if not comment and not shell and re.search(rb"[ \t]#", line):
        found.append("has a comment behind a route or rule, which breaks it: '#' must come first")
    if _joins_comment(line, after, comment):
        found.append("ends in a backslash, which joins it with the next line: one is a comment")
    return found


def _joins_comment(line: bytes, after: bytes, comment: bool) -> bool:
    """Whether the shell's `read` (no -r) makes one line of a comment and something that is none."""
    slashes = len(line) - len(line.rstrip(b"\\"))
    return (
        slashes % 2 == 1
        and after.strip() != b""
        and (comment != (_BLANK_OR_COMMENT.match(after) is not None))
    )
