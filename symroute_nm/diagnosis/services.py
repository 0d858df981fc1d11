"""Published container ports whose answers source rules cannot catch, as findings (pure).

The answer is the container's until the packet has been routed: connection tracking puts the host's
address in only on its way out (netfilter's hook postrouting), so no ``from`` rule of ours sees it.
"""

from typing import Dict, FrozenSet, Iterator, List, NamedTuple, Optional, Set, Tuple

from symroute_nm.diagnosis.case import Case
from symroute_nm.model.finding import NOTICE, WARNING, Finding
from symroute_nm.model.iproute2 import shorten_list
from symroute_nm.model.marking import SCRIPT
from symroute_nm.model.network import (
    ANY,
    LINK_LOCAL,
    TABLE_MAIN,
    Hop,
    IPAddress,
    Rule,
    contains,
    host_network,
)
from symroute_nm.model.observations import Published
from symroute_nm.model.plan import Uplink
from symroute_nm.model.route_set import pack
from symroute_nm.rpdb.database import Rpdb
from symroute_nm.rpdb.decision import Decision
from symroute_nm.rpdb.expectations import find_catch_all_links
from symroute_nm.rpdb.rules import Packet

_FORWARDED = "symroute-nm generate --forwarded"


class _Way(NamedTuple):
    """Where answers leave, and the uplinks whose askers they therefore do not reach."""

    version: int
    behind: str  # the internal link
    exits: Tuple[str, ...]
    unanswered: Tuple[str, ...]


def find_published(case: Case) -> Iterator[Finding]:
    """Ports that are asked by all uplinks and answer by some."""
    if not case.evidence.published or not case.uplinks:
        return
    routes = _Routes(case)
    groups: Dict[_Way, List[str]] = {}
    for each in case.evidence.published:
        way = routes.judge(each)
        if way is not None:
            groups.setdefault(way, []).append(_describe(each))
    for way, services in groups.items():
        yield _finding(case, way, services)


def find_routed(case: Case) -> Iterator[Finding]:
    """Networks behind the host that others see as they are, and that answer by some uplinks."""
    unlisted = case.host.evidence is None or any(
        each.subject == "published ports" for each in case.evidence.unread)
    if unlisted or not case.uplinks:
        return
    routes = _Routes(case)
    groups: Dict[_Way, List[str]] = {}
    uplinks = {each.link.name for each in case.survey.uplinks}
    inward = pack(case.host.routes).where(
        lambda route: route.table == TABLE_MAIN and not route.default
        and route.version in case.host.forwarding
        and any(hop.link not in uplinks for hop in route.hops))
    for route in inward:
        network = route.destination
        inside = any(contains(each, network) for each in case.evidence.masqueraded)
        if inside or network.prefixlen == network.max_prefixlen \
                or contains(LINK_LOCAL[route.version], network):
            continue
        way = routes.judge(Published(network[1]))
        if way is not None:
            groups.setdefault(way, []).append(str(network))
    for way, networks in groups.items():
        yield Finding(
            "routed-services", NOTICE,
            "%s behind %s is not masqueraded: where others know it by several uplinks, its answers "
            "leave by %s all the same, and not by %s" % (
                shorten_list(networks), way.behind, " or ".join(way.exits), " or ".join(way.unanswered)),
            _FORWARDED)


def find_unmarked(case: Case) -> Iterator[Finding]:
    """Our rules by mark while nothing sets the marks."""
    known = case.host.evidence is not None and not any(
        each.subject == "published ports" for each in case.evidence.unread)
    if known and any(each.mask for each in case.ours.rules) and not case.evidence.marked:
        yield Finding(
            "marks-missing", WARNING,
            "our rules go by marks, but nothing sets them: the firewall was flushed, or %s did not "
            "run; ports published to containers answer by main's default" % SCRIPT,
            "symroute-nm apply --forwarded\n%s" % SCRIPT)


class _Routes:
    """The host's whole RPDB beside main alone, each asked for many services."""

    def __init__(self, case: Case) -> None:
        host = case.host
        self._uplinks = case.uplinks
        self._names = {each.link.name for each in case.survey.uplinks}
        self._wide = find_catch_all_links(host, self._names)
        self._all = Rpdb(host.rules, host.routes, host.links)
        rules = [Rule(version, 0, table=TABLE_MAIN) for version in ANY]
        self._main = Rpdb(rules, host.routes, host.links)
        self._afar = {version: self._find_afar(version) for version in ANY}
        self._marked = _marked_links(case)

    def judge(self, published: Published) -> Optional[_Way]:
        """None where the target is not internal, or every uplink's askers get answers."""
        version = published.target.version
        inward = self._main.decide(Packet(published.target))
        if inward.type != "unicast" or inward.links & self._names \
                or self._is_default(inward):
            return None
        behind = min(inward.links)
        exits = self._exits(published.target, behind)
        unanswered = tuple(sorted(
            each.link.name for each in self._uplinks
            if each.gateway(version) and each.link.name not in exits | self._marked
            and _is_asked(published, each)))
        if not exits or not unanswered:
            return None
        return _Way(version, behind, tuple(sorted(exits)), unanswered)

    def _exits(self, target: IPAddress, behind: str) -> FrozenSet[str]:
        found: Set[str] = set()
        for destination in self._afar[target.version]:
            answer = Packet(destination, source=target, iif=behind)
            found |= self._all.decide(answer).links
        return frozenset(found)

    def _find_afar(self, version: int) -> List[IPAddress]:
        """One destination for each way out by which main reaches what it has no network for."""
        found: Dict[Tuple[Hop, ...], IPAddress] = {}
        for each in self._main.kinds(Packet(ANY[version].network_address)):
            if self._is_default(each.decision):
                found.setdefault(each.decision.hops, each.representative)
        return list(found.values())

    def _is_default(self, decision: Decision) -> bool:
        """Whether it is the way to everything, at once or in pieces."""
        route = decision.route
        return route is not None and decision.type == "unicast" and (
            route.default or bool(decision.links & self._wide))


def _is_asked(published: Published, uplink: Uplink) -> bool:
    own = [host_network(each.ip) for each in uplink.addresses
           if each.version == published.target.version]
    if not published.at:
        return bool(own)
    return any(contains(network, each) for network in published.at for each in own)


def _marked_links(case: Case) -> FrozenSet[str]:
    """The links to which rules by mark send packets: whoever made those restores marks."""
    ours = set(case.ours.rules) if not case.evidence.marked else set()
    tables = {(each.version, each.table) for each in case.host.rules
              if each.mask and each._replace(protocol=0) not in ours}
    return frozenset(
        hop.link for route in pack(case.host.routes).kinds()
        if route.default and (route.version, route.table) in tables for hop in route.hops)


def _describe(published: Published) -> str:
    target = "[%s]" % published.target if ":" in str(published.target) else str(published.target)
    target += ":%s" % published.target_port if published.target_port else ""
    words = [published.protocol, published.port or published.target_port]
    return "%s to %s" % (" ".join(each for each in words if each) or "all ports", target)


def _finding(case: Case, way: _Way, services: List[str]) -> Finding:
    exits = " or ".join(way.exits)
    at = [str(address.ip) for uplink in case.uplinks if uplink.link.name in way.exits
          for address in uplink.addresses if address.version == way.version]
    place = ("%s only (docker run -p %s:PORT:PORT)" % (at[0], at[0]) if at
             else "an address of %s only" % exits)
    return Finding(
        "published-ports", WARNING,
        "ports published to %s (%s) answer by %s whatever address is asked, for rules by source do "
        "not see the host's address in a container's answer: who asks them by %s gets none" % (
            way.behind, shorten_list(services), exits, " or ".join(way.unanswered)),
        "%s\nor publish them at %s" % (_FORWARDED, place))
