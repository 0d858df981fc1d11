"""Administrators' rules in files that come alive beside ours (pure)."""

from typing import AbstractSet, Iterable

from symroute_nm.model.host import Host
from symroute_nm.model.observations import ConfigFile
from symroute_nm.targets.base import SleepingRules
from symroute_nm.targets.ifcfg.listing import list_rules, profile_of, unread_lines


def find_sleeping_rules(
    files: Iterable[ConfigFile], host: Host, links: AbstractSet[str]
) -> SleepingRules:
    """The rules in the files' foreign lines that the kernel of the host does not have yet."""
    files = [file for file in files if file.text.strip()]
    present = {rule.without_protocol for rule in host.rules}
    unnumbered = {each._replace(priority=0) for each in present}
    listed = [
        rule
        for rule in list_rules(files, host)
        if rule.rule not in (present if rule.rule.priority else unnumbered)
    ]
    notes = [
        (
            f"{path}: its own rules come alive with ours: the dispatcher script reads the "
            "files of the device, too"
        )
        for path in dict.fromkeys(line.path for line in listed)
        if profile_of(path) in links and not _has_profile(host, profile_of(path))
    ]
    notes += [
        f"warning: {path}: this line is not understood, so the proof does not know it: {line}"
        for path, line in unread_lines(files, host)
    ]
    return SleepingRules(tuple(dict.fromkeys(line.rule for line in listed)), tuple(notes))


def _has_profile(host: Host, name: str) -> bool:
    return any(profile.name == name for profile in host.profiles)
