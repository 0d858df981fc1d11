"""Is the host symmetric, and if not, why: how each address fares, and all findings."""

from typing import NamedTuple, Optional, Tuple

from symroute_nm.diagnosis import foreign, own_rules, published_ports
from symroute_nm.diagnosis.case import Case, find_ours, gather
from symroute_nm.diagnosis.foreign import STRICT_IPV6
from symroute_nm.model.finding import Finding
from symroute_nm.model.host import Host
from symroute_nm.model.network import TABLE_MAIN, VERSIONS, Address, Rule
from symroute_nm.model.settings import Settings
from symroute_nm.plan.planner import left_to_main
from symroute_nm.plan.uplinks import find_uplinks, pair_families
from symroute_nm.rpdb.fib import ERRORS
from symroute_nm.rpdb.lookup import Rpdb
from symroute_nm.rpdb.rules import Packet
from symroute_nm.rpdb.symmetry import Failure, judge
from symroute_nm.targets.base import Inspected, choose_target

_IPV4 = 4
_STRICT = 1  # ip-sysctl.rst: rp_filter 1 is RFC 3704's strict mode, 2 the loose one
_FINDERS = (
    own_rules.find_missing,
    own_rules.find_empty_tables,
    own_rules.find_stale_sources,
    own_rules.find_stale_routes,
    own_rules.find_leaked,
    own_rules.find_duplicates,
    foreign.find_foreign_rules,
    foreign.find_taken,
    foreign.find_shared_networks,
    foreign.find_rpfilter,
    published_ports.find_published,
    published_ports.find_unmarked,
    published_ports.find_routed,
    foreign.find_left_out,
    foreign.find_without_gateway,
    foreign.find_unread,
)


class Astray(NamedTuple):
    """Replies that go wrong, and whether their requests are dropped on arrival already."""

    failure: Failure
    dropped: bool


class Outcome(NamedTuple):
    """How one uplink address fares; `rp_filter` is the effective one, None for IPv6."""

    address: Address
    rp_filter: Optional[int]
    astray: Tuple[Astray, ...]

    @property
    def symmetric(self) -> bool:
        """Whether every reply goes where it should."""
        return not self.astray


class Diagnosis(NamedTuple):
    """An outcome for each address of two or more uplinks, and all other findings."""

    outcomes: Tuple[Outcome, ...]
    findings: Tuple[Finding, ...]

    @property
    def symmetric(self) -> bool:
        """Whether every address is."""
        return all(outcome.symmetric for outcome in self.outcomes)


def diagnose(host: Host, settings: Settings) -> Diagnosis:
    """The host judged as it is now; `host.evidence` should have been read."""
    survey = find_uplinks(host, settings)
    uplinks = pair_families(survey).uplinks
    left_out = left_to_main(host, settings, uplinks)
    verdicts = judge(host, uplinks, left_out)
    files = host.evidence.files if host.evidence else ()
    astray = frozenset(verdict.address.link for verdict in verdicts if not verdict.symmetric)
    target = choose_target()
    listed = target.list_rules(files, host)
    case = Case(
        host,
        settings,
        survey,
        uplinks,
        verdicts,
        listed,
        left_out,
        find_ours(host, settings),
        astray,
    )
    of_target = target.find_findings(Inspected(host, settings, uplinks, listed, astray))
    arrival = _Arrival(host)
    return Diagnosis(
        outcomes=tuple(
            Outcome(
                verdict.address,
                arrival.rp_filter(verdict.address),
                tuple(Astray(failure, arrival.is_dropped(failure)) for failure in verdict.failures),
            )
            for verdict in verdicts
        ),
        findings=gather([*of_target, *(find(case) for find in _FINDERS)]),
    )


class _Arrival:
    """What happens to requests before anybody can answer (fib_validate_source)."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._own = {link.name: link.rp_filter for link in host.links}
        rules = [Rule(version, 0, table=TABLE_MAIN) for version in VERSIONS]
        self._main = Rpdb(rules, host.routes, host.links)

    def rp_filter(self, address: Address) -> Optional[int]:
        """The one in effect for requests to an address; None: IPv6 has none."""
        return self._level(address.link) if address.version == _IPV4 else None

    def _level(self, link: str) -> int:
        # ip-sysctl.rst: the higher of all's and the link's own.
        return max(self._host.rp_filter, self._own.get(link, 0))

    def is_dropped(self, failure: Failure) -> bool:
        """Whether a reverse path filter keeps requests out to which this would be the reply."""
        links = {failure.address.link}
        if failure.internal:
            links = set(self._main.decide(Packet(failure.destination)).links)
        decision = failure.decision
        if links & decision.links:
            return False
        if self.rp_filter(failure.address) is None:
            evidence = self._host.evidence
            return evidence is not None and evidence.ipv6_rpfilter in STRICT_IPV6
        level = max((self._level(link) for link in links), default=0)
        return level == _STRICT or (level > 0 and decision.type in ERRORS)
