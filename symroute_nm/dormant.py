"""Administrators' rules in files that come alive beside ours (pure)."""

from typing import AbstractSet, Iterable, List, NamedTuple, Tuple

from symroute_nm.leftovers import profile_of
from symroute_nm.model import Host, Plan, Rule
from symroute_nm.observation import ConfigFile
from symroute_nm.rulefiles import list_rules, unread_lines


class Dormant(NamedTuple):
    """Rules that files list and the kernel has not, and what a person should know of them."""

    rules: Tuple[Rule, ...] = ()
    notes: Tuple[str, ...] = ()


def find_dormant(
    files: Iterable[ConfigFile], host: Host, links: AbstractSet[str]
) -> Dormant:
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
    return Dormant(tuple(dict.fromkeys(each.rule for each in listed)), tuple(notes))


def wake(host: Host, plan: Plan, rules: Iterable[Rule]) -> Host:
    """The host with these rules in force; those without a priority come first, at worst.

    fib_default_rule_pref() in net/core/fib_rules.c: one less than the lowest there is.
    """
    taken = [each.priority for each in host.rules if each.priority]
    taken += [rule.priority for each in plan.uplinks for rule in each.rules]
    lowest = min(taken, default=1)
    added: List[Rule] = []
    for rule in rules:
        lowest = lowest if rule.priority else max(1, lowest - 1)
        added.append(rule if rule.priority else rule._replace(priority=lowest))
    ordered = sorted((*host.rules, *added), key=lambda each: (each.version, each.priority))
    return host._replace(rules=tuple(ordered))


def _has_profile(host: Host, name: str) -> bool:
    return any(each.name == name for each in host.profiles)
