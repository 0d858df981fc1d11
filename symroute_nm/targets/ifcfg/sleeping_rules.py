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
    files = [each for each in files if each.text.strip()]
    present = {each._replace(protocol=0) for each in host.rules}
    unnumbered = {each._replace(priority=0) for each in present}
    listed = [
        each for each in list_rules(files, host)
        if each.rule not in (present if each.rule.priority else unnumbered)
    ]
    notes = [
        "%s: its own rules come alive with ours: the dispatcher script reads the files of the "
        "device, too" % path
        for path in dict.fromkeys(each.path for each in listed)
        if profile_of(path) in links and not _has_profile(host, profile_of(path))
    ]
    notes += ["warning: %s: this line is not understood, so the proof does not know it: %s" % (
        path, line) for path, line in unread_lines(files, host)]
    return SleepingRules(tuple(dict.fromkeys(each.rule for each in listed)), tuple(notes))


def _has_profile(host: Host, name: str) -> bool:
    return any(each.name == name for each in host.profiles)
