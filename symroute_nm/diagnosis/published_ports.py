"""Published container ports whose answers source rules cannot catch, as findings.

The answer is the container's until the packet has been routed: connection tracking puts the host's
address in only on its way out (netfilter's hook postrouting), so no ``from`` rule of ours sees it.
"""

from itertools import chain, product
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
from symroute_nm.model.observations import PUBLISHED_PORTS, Published
from symroute_nm.model.plan import Uplink
from symroute_nm.rpdb.decision import Decision
from symroute_nm.rpdb.expectations import find_catch_all_links
from symroute_nm.rpdb.lookup import Rpdb
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
    for port in case.evidence.published:
        way = routes.judge(port)
        if way is not None:
            groups.setdefault(way, []).append(_describe(port))
    for way, services in groups.items():
        yield _finding(case, way, services)


def find_routed(case: Case) -> Iterator[Finding]:
    """Networks behind the host that others see as they are, and that answer by some uplinks."""
    if not (_knows_firewall(case) and case.uplinks):
        return
    routes = _Routes(case)
    groups: Dict[_Way, List[str]] = {}
    uplinks = case.uplink_names
    inward = case.host.routes.select(
        lambda route: (
            route.table == TABLE_MAIN
            and not route.default
            and route.version in case.host.forwarding
            and any(hop.link not in uplinks for hop in route.hops)
        )
    )
    for route in inward:
        network = route.destination
        inside = any(contains(source, network) for source in case.evidence.masqueraded)
        if (
            inside
            or network.prefixlen == network.max_prefixlen
            or contains(LINK_LOCAL[route.version], network)
        ):
            continue
        way = routes.judge(Published(network[1]))
        if way is not None:
            groups.setdefault(way, []).append(str(network))
    for way, networks in groups.items():
        yield Finding(
            "routed-services",
            NOTICE,
            f"{shorten_list(networks)} behind {way.behind} is not masqueraded: where "
            "others know it by several uplinks, its answers leave by "
            f"{' or '.join(way.exits)} all the same, and not by "
            f"{' or '.join(way.unanswered)}",
            _FORWARDED,
        )


def find_unmarked(case: Case) -> Iterator[Finding]:
    """Our rules by mark while nothing sets the marks."""
    by_mark = any(rule.mask for rule in case.ours.rules)
    if by_mark and _knows_firewall(case) and not case.evidence.marked:
        yield Finding(
            "marks-missing",
            WARNING,
            "our rules go by marks, but nothing sets them: the firewall was flushed, or "
            f"{SCRIPT} did not run; ports published to containers answer by main's default",
            f"symroute-nm apply --forwarded\n{SCRIPT}",
        )


def _knows_firewall(case: Case) -> bool:
    return case.host.evidence is not None and case.evidence.has_read(PUBLISHED_PORTS)


class _Routes:
    """The host's whole RPDB beside main alone, each asked for many services."""

    def __init__(self, case: Case) -> None:
        host = case.host
        self._uplinks = case.uplinks
        self._names = case.uplink_names
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
        if inward.type != "unicast" or inward.links & self._names or self._is_default(inward):
            return None
        behind = min(inward.links)
        exits = self._exits(published.target, behind)
        unanswered = tuple(
            sorted(
                uplink.link.name
                for uplink in self._uplinks
                if uplink.gateway(version)
                and uplink.link.name not in exits | self._marked
                and _is_asked(published, uplink)
            )
        )
        if not exits or not unanswered:
            return None
        return _Way(version, behind, tuple(sorted(exits)), unanswered)

    def _exits(self, target: IPAddress, behind: str) -> FrozenSet[str]:
        links: Set[str] = set()
        for destination in self._afar[target.version]:
            answer = Packet(destination, source=target, iif=behind)
            links |= self._all.decide(answer).links
        return frozenset(links)

    def _find_afar(self, version: int) -> List[IPAddress]:
        """One destination for each way out by which main reaches what it has no network for."""
        destinations: Dict[Tuple[Hop, ...], IPAddress] = {}
        for route in self._main.kinds(Packet(ANY[version].network_address)):
            if self._is_default(route.decision):
                destinations.setdefault(route.decision.hops, route.representative)
        return list(destinations.values())

    def _is_default(self, decision: Decision) -> bool:
        """Whether it is the way to everything, at once or in pieces."""
        route = decision.route
        return (
            route is not None
            and decision.type == "unicast"
            and (route.default or bool(decision.links & self._wide))
        )


def _is_asked(published: Published, uplink: Uplink) -> bool:
    own = [
        host_network(address.ip)
        for address in uplink.addresses
        if address.version == published.target.version
    ]
    if not published.at:
        return bool(own)
    return any(contains(network, address) for network, address in product(published.at, own))


def _marked_links(case: Case) -> FrozenSet[str]:
    """The links to which rules by mark send packets: whoever made those restores marks."""
    ours = set(case.ours.rules) if not case.evidence.marked else set()
    tables = {
        (rule.version, rule.table)
        for rule in case.host.rules
        if rule.mask and rule.without_protocol not in ours
    }
    links: Set[str] = set()
    for route in case.host.routes.templates():
        if route.default and (route.version, route.table) in tables:
            links |= {hop.link for hop in route.hops}
    return frozenset(links)


def _describe(published: Published) -> str:
    target = f"[{published.target}]" if ":" in str(published.target) else str(published.target)
    target += f":{published.target_port}" if published.target_port else ""
    words = [published.protocol, published.port or published.target_port]
    return f"{' '.join(filter(None, words)) or 'all ports'} to {target}"


def _finding(case: Case, way: _Way, services: List[str]) -> Finding:
    exits = " or ".join(way.exits)
    place = f"an address of {exits} only"
    addresses = chain.from_iterable(
        uplink.addresses for uplink in case.uplinks if uplink.link.name in way.exits
    )
    address = next((address for address in addresses if address.version == way.version), None)
    if address is not None:
        place = f"{address.ip} only (docker run -p {address.ip}:PORT:PORT)"
    return Finding(
        "published-ports",
        WARNING,
        f"ports published to {way.behind} ({shorten_list(services)}) answer by {exits} "
        "whatever address is asked, for rules by source do not see the host's address in "
        f"a container's answer: who asks them by {' or '.join(way.unanswered)} gets none",
        f"{_FORWARDED}\nor publish them at {place}",
    )
