"""Administrators' rules that the dispatcher script does not read now, and will with our files."""

from pathlib import Path
from typing import AbstractSet, Iterable, List, Set

from symroute_nm.files import access, blocks
from symroute_nm.files.changes import Change
from symroute_nm.model.host import Host
from symroute_nm.model.observations import ConfigFile, config_file
from symroute_nm.model.plan import Plan
from symroute_nm.targets.base import SleepingRules
from symroute_nm.targets.ifcfg.listing import list_rules, unread_rules
from symroute_nm.targets.ifcfg.names import RULE, paths_of, profile_of


def read_sleeping_rules(
    root: Path, host: Host, plan: Plan, changes: Iterable[Change]
) -> SleepingRules:
    """The administrator's own lines in rule files that the script will read beside ours.

    It reads the files of the device as well as those of the profile as soon as the profile has a
    rule file: what slept in them until now wakes up.
    """
    uplinks = [planned.uplink for planned in plan.uplinks]
    links = {uplink.link.name for uplink in uplinks}
    names: Set[str] = set()
    for uplink in uplinks:
        if uplink.profile is not None:
            names |= {uplink.profile.name, uplink.link.name}
    planned = {change.path: change.after or b"" for change in changes}
    files: List[ConfigFile] = []
    for path in paths_of(RULE, names):
        content = planned[path] if path in planned else access.read(root, path) or b""
        parts = blocks.split(content, path)
        files.append(config_file(path, parts.before + parts.after))
    return find_sleeping_rules(files, host, links)


def find_sleeping_rules(
    files: Iterable[ConfigFile], host: Host, links: AbstractSet[str]
) -> SleepingRules:
    """The rules in the files' foreign lines that the kernel of the host does not have yet."""
    files = [file for file in files if file.text.strip()]
    present = {rule.without_protocol for rule in host.rules}
    unnumbered = {rule._replace(priority=0) for rule in present}
    listed = [
        line
        for line in list_rules(files, host)
        if line.rule not in (present if line.rule.priority else unnumbered)
    ]
    notes: List[str] = []
    profiles = {profile.name for profile in host.profiles}
    for path in dict.fromkeys(line.path for line in listed):
        name = profile_of(path)
        if name in links and name not in profiles:
            notes.append(
                f"{path}: its own rules come alive with ours: the dispatcher script reads the "
                "files of the device, too"
            )
    notes += [
        f"warning: {path}: this line is not understood, so the proof does not know it: {line}"
        for path, line in unread_rules(files, host)
    ]
    return SleepingRules(tuple(dict.fromkeys(line.rule for line in listed)), tuple(notes))
