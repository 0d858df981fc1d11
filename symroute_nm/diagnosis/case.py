"""What findings are looked for in: the host, its uplinks, how they fare, and what is ours."""

from itertools import chain
from typing import FrozenSet, Iterable, Iterator, NamedTuple, Tuple

from symroute_nm.model.finding import ERROR, SEVERITIES, WARNING, Finding
from symroute_nm.model.host import Host
from symroute_nm.model.listing import ListedRule
from symroute_nm.model.network import Rule
from symroute_nm.model.observations import ConfigFile, Observations
from symroute_nm.model.ours import our_rules, our_tables
from symroute_nm.model.plan import LeftOut, Uplink
from symroute_nm.model.settings import Settings
from symroute_nm.plan.uplinks import Survey
from symroute_nm.rpdb.symmetry import Failure, Verdict


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
    def evidence(self) -> Observations:
        """What was read for the diagnosis; nothing where it was not."""
        return self.host.evidence or Observations()

    @property
    def files(self) -> Tuple[ConfigFile, ...]:
        """The route and rule files."""
        return self.evidence.files

    @property
    def uplink_names(self) -> FrozenSet[str]:
        """The links that are uplinks in any family."""
        return frozenset(uplink.link.name for uplink in self.survey.uplinks)

    @property
    def failures(self) -> Tuple[Failure, ...]:
        """All replies that go wrong."""
        return tuple(chain.from_iterable(verdict.failures for verdict in self.verdicts))

    def gravity(self, link: str) -> str:
        """How grave it is that a link's rules or routes are not in force."""
        return ERROR if link in self.asymmetric_links else WARNING


def find_ours(host: Host, settings: Settings) -> Ours:
    """Our rules and tables in the kernel of the host."""
    ours = our_rules(host, settings)
    choices = (interface.table for interface in settings.interface.values())
    return Ours(
        tuple(rule.without_protocol for rule in host.rules if rule in ours),
        our_tables(host.tables, choices),
    )


def gather(findings: Iterable[Iterator[Finding]]) -> Tuple[Finding, ...]:
    """All findings, the gravest first, else in the order in which they were looked for."""
    ordered = sorted(
        chain.from_iterable(findings), key=lambda finding: SEVERITIES.index(finding.severity)
    )
    return tuple(ordered)
