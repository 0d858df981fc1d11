"""What a diagnosis finds besides asymmetry, where it looks for it, and remedies (pure)."""

from typing import FrozenSet, Iterable, Iterator, List, NamedTuple, Sequence, Tuple

from symroute_nm.choices import Settings
from symroute_nm.finding import ERROR, SEVERITIES, WARNING, Finding
from symroute_nm.listing import ListedRule
from symroute_nm.model import Host, LeftOut, Route, Rule, Uplink
from symroute_nm.observation import ConfigFile, Evidence
from symroute_nm.recognition import our_rules
from symroute_nm.tables import our_tables
from symroute_nm.uplinks import Survey
from symroute_nm.verdicts import Verdict
from symroute_nm.wording import FAMILY_OPTION, delete_rule, describe_rule, some


class Ours(NamedTuple):
    """What of the kernel is ours."""

    rules: Tuple[Rule, ...]  # at whatever priority, without who added them
    tables: FrozenSet[int]  # ids


class Case(NamedTuple):
    """All that findings are looked for in."""

    host: Host
    settings: Settings
    survey: Survey  # before `pair_families`
    uplinks: Tuple[Uplink, ...]  # after it
    verdicts: Tuple[Verdict, ...]
    listed: Tuple[ListedRule, ...]
    left_out: Tuple[LeftOut, ...]
    ours: Ours
    asymmetric_links: FrozenSet[str]  # names of uplinks with an address whose replies go astray

    @property
    def evidence(self) -> Evidence:
        """What was read for the diagnosis; nothing where it was not."""
        return self.host.evidence or Evidence()

    @property
    def files(self) -> Tuple[ConfigFile, ...]:
        """The route and rule files."""
        return self.evidence.files

    def gravity(self, link: str) -> str:
        """How grave it is that a link's rules or routes are not in force."""
        return ERROR if link in self.asymmetric_links else WARNING


def find_ours(host: Host, settings: Settings) -> Ours:
    """Our rules and tables in the kernel of the host."""
    ours = our_rules(host, settings)
    choices = (each.table for each in settings.interface.values())
    return Ours(tuple(each._replace(protocol=0) for each in host.rules if each in ours),
                our_tables(host.tables, choices))


def delete_rules(rules: Iterable[Rule]) -> str:
    """The commands that delete rules from the kernel, a line each."""
    return "\n".join(delete_rule(each) for each in rules)


def delete_throw(route: Route) -> str:
    """The command that deletes a throw route from the kernel; it belongs to no device."""
    return "ip %sroute del throw %s table %d" % (
        FAMILY_OPTION[route.version], route.destination, route.table)


def some_rules(rules: Sequence[Rule]) -> str:
    """The first few rules with their priorities, as evidence."""
    return some(["%d: %s" % (each.priority, describe_rule(each)) for each in rules])


def plural(number: int, noun: str) -> str:
    """``1 rule``, ``3 rules``."""
    return "%d %s%s" % (number, noun, "" if number == 1 else "s")


def gather(findings: Iterable[Iterator[Finding]]) -> Tuple[Finding, ...]:
    """All findings, the gravest first, else in the order in which they were looked for."""
    found: List[Finding] = [each for some_of_them in findings for each in some_of_them]
    return tuple(sorted(found, key=lambda each: SEVERITIES.index(each.severity)))
