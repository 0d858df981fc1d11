"""What of others stands in the way: their rules and tables, ARP, firewalld; as findings."""

import shlex
from typing import Dict, Iterable, Iterator, List, Optional, Sequence, Set, Tuple

from symroute_nm.diagnosis.case import Case
from symroute_nm.model.finding import ERROR, NOTICE, WARNING, Finding
from symroute_nm.model.iproute2 import delete_rule, format_rule, shorten_list
from symroute_nm.model.network import (
    ANY,
    TABLE_LOCAL,
    TABLE_MAIN,
    VERSIONS,
    Address,
    IPNetwork,
    Link,
    Rule,
    contains,
    network_key,
)
from symroute_nm.model.observations import PUBLISHED_PORTS, Arp
from symroute_nm.model.ours import STAGES, looks_like_ours, our_rules, priorities
from symroute_nm.model.plan import NO_WAY_OUT, Skip
from symroute_nm.rpdb.fib import ERRORS
from symroute_nm.rpdb.lookup import Rpdb
from symroute_nm.rpdb.rules import Packet
from symroute_nm.rpdb.symmetry import Failure, is_by_destination

STRICT_IPV6 = ("yes", "strict", "strict-forward")  # firewalld.conf(5); loose lets them in
_IGNORE, _ANNOUNCE = (1, 2), 2  # ip-sysctl.rst: answer for own addresses, ask from own addresses
_IPV4, _IPV6 = VERSIONS
_LAST_PRIORITY = 32765
_WIRED = ("", "bond", "team", "vlan", "veth")


def find_shared_networks(case: Case) -> Iterator[Finding]:
    """Uplinks on one network, of which any may answer ARP for the other's address."""
    known = {sysctls.link: sysctls for sysctls in case.evidence.arp}
    for network, links in _shared(case):
        wrong = [link for link in links if not _is_strict(known.get(link, Arp(link)))]
        if wrong:
            state = "; ".join(_describe_arp(known[link]) for link in wrong if link in known)
            yield Finding(
                "shared-network",
                WARNING if case.host.evidence else NOTICE,
                f"{' and '.join(links)} are on one network ({network}): each may answer "
                "ARP for the others' addresses, so requests come in by the wrong link "
                f"({state or 'the arp_* sysctls are not known'})",
                "\n".join(map(_set_arp, wrong)) + "\nkeep it in /etc/sysctl.d/, too",
            )


def _shared(case: Case) -> Iterator[Tuple[IPNetwork, List[str]]]:
    """The widest IPv4 networks that hold several uplinks; IPv6 has no such trouble."""
    addresses: List[Address] = []
    for uplink in case.survey.uplinks:
        addresses += [address for address in uplink.addresses if address.version == _IPV4]
    groups: List[Tuple[IPNetwork, Set[str]]] = []
    for address in sorted(addresses, key=lambda address: network_key(address.interface.network)):
        network = address.interface.network
        if not groups or not contains(groups[-1][0], network):
            groups.append((network, set()))
        groups[-1][1].add(address.link)
    for network, links in groups:
        if len(links) > 1:
            yield network, sorted(links)


def _is_strict(arp: Arp) -> bool:
    # arp_filter answers by routing: right where source rules are in force.
    return (arp.ignore in _IGNORE or arp.filter > 0) and arp.announce == _ANNOUNCE


def _describe_arp(arp: Arp) -> str:
    return (
        f"{arp.link}: arp_ignore {arp.ignore}, arp_announce {arp.announce}, arp_filter {arp.filter}"
    )


def _set_arp(link: str) -> str:
    # sysctl(8): with slashes, since a VLAN's name has a dot in it.
    settings = [f"net/ipv4/conf/{link}/{word}" for word in ("arp_ignore=1", "arp_announce=2")]
    return f"sysctl -w {' '.join(map(shlex.quote, settings))}"


def find_rpfilter(case: Case) -> Iterator[Finding]:
    """firewalld's own reverse path filter, beside which IPv6 has none."""
    hit = [
        str(verdict.address.ip)
        for verdict in case.verdicts
        if not verdict.symmetric and verdict.address.version == _IPV6
    ]
    value = case.evidence.ipv6_rpfilter
    if hit and value in STRICT_IPV6:
        yield Finding(
            "firewalld-rpfilter",
            WARNING,
            "firewalld drops IPv6 requests whose answer would leave by another link "
            f"(IPv6_rpfilter={value} in /etc/firewalld/firewalld.conf): here those to "
            f"{shorten_list(hit)}",
            "symroute-nm generate\n"
            "or set IPv6_rpfilter=no there, and then: systemctl restart firewalld",
        )


def find_foreign_rules(case: Case) -> Iterator[Finding]:
    """Rules of others that come before ours and decide on replies of uplink addresses."""
    first, ours = priorities(case.settings)[0], our_rules(case.host, case.settings)
    before = [
        rule
        for rule in case.host.rules
        if rule.priority < first
        and not rule.l3mdev
        and rule not in ours
        and not (rule.action == "lookup" and rule.table == TABLE_LOCAL)
    ]
    if not before:
        return
    caught = _caught(case, before)
    failures = case.failures
    for rule in before:
        failure = next((failure for failure in failures if _is_fault(failure, rule)), None)
        if failure is not None or rule in caught:
            yield _foreign(case, rule, caught.get(rule, ()), failure)


def _caught(case: Case, before: Sequence[Rule]) -> Dict[Rule, List[str]]:
    """{rule: the uplink addresses some of whose replies it decides on}, for these rules."""
    last = max(rule.priority for rule in before)
    onward = any(rule.action == "goto" for rule in before)
    # What comes after the last of them need not be worked out, unless one leads there.
    rules = [rule for rule in case.host.rules if rule.priority <= last or onward]
    database = Rpdb(rules, case.host.routes, case.host.links)
    caught: Dict[Rule, List[str]] = {}
    for uplink in case.uplinks:
        for address in uplink.addresses:
            template = Packet(ANY[address.version].network_address, source=address.ip)
            deciding = {way.decision.rule for way in database.ways(template)}
            for rule in deciding:
                if rule is not None:
                    caught.setdefault(rule, []).append(str(address.ip))
    return caught


def _is_fault(failure: Failure, rule: Rule) -> bool:
    return failure.decision.rule == rule or (
        failure.address.version == rule.version
        and any(doubt.priority == rule.priority for doubt in failure.decision.doubts)
    )


def _foreign(case: Case, rule: Rule, caught: Sequence[str], failure: Optional[Failure]) -> Finding:
    what = f"rule {rule.priority} ({format_rule(rule)}) comes before ours"
    if failure is None:
        return Finding(
            "foreign-rules",
            NOTICE,
            f"{what} and decides on replies of {shorten_list(caught)}: rightly now, but "
            "whoever made it can change that",
        )
    if is_by_destination(failure):
        return Finding(
            "foreign-rules",
            WARNING,
            f"{what} and sends replies of {failure.address.ip} its own way, for example "
            f"to {failure.destination}",
            f"symroute-nm explain {failure.address.ip} {failure.destination}\nright where "
            "a VPN made the rule for its peers; else remove it where it is made",
        )
    return Finding(
        "foreign-rules",
        ERROR,
        f"{what} and takes replies of {failure.address.ip} away, for example to "
        f"{failure.destination}",
        f"symroute-nm explain {failure.address.ip} "
        f"{failure.destination}\n{_settle_with(case, rule)}",
    )


def _settle_with(case: Case, rule: Rule) -> str:
    """What to do about a rule before ours; never how to come before a prohibition."""
    if rule.action in ERRORS:
        return "the rule is somebody's decision to forbid these packets: settle it where it is made"
    lower = _find_free(case, range(rule.priority - STAGES, 0, -1))
    move = f", or {_set_base(lower)}" if lower else ""
    return f"then remove the rule where it is made{move}"


def find_taken(case: Case) -> Iterator[Finding]:
    """Rules of others at our priorities, and such as look up our tables."""
    ours, tables = our_rules(case.host, case.settings), case.ours.tables
    for rule in case.host.rules:
        if rule in ours:
            continue
        if rule.priority in priorities(case.settings):
            yield Finding(
                "priority-taken",
                WARNING,
                f"rule {rule.priority} ({format_rule(rule)}) is not ours, but has one of "
                "our priorities: generate refuses",
                _make_room(case, rule),
            )
        if rule.action == "lookup" and rule.table in tables:
            yield Finding(
                "foreign-tables",
                WARNING,
                f"rule {rule.priority} ({format_rule(rule)}) is not ours, but looks up "
                f"our table {rule.table}: generate refuses",
                "give that rule a table of its own, or the uplink another: "
                "symroute-nm generate --table LINK=NAME:ID",
            )


def _make_room(case: Case, rule: Rule) -> str:
    first = case.settings.priority_base
    last = _LAST_PRIORITY - STAGES
    base = _find_free(case, [*range(first, last), *range(first, 0, -1)])
    ways = [_set_base(base)] if base else []
    if looks_like_ours(rule, case.settings):
        ways.append(f"if an earlier run left the rule: {delete_rule(rule)}")
    return "\n".join(ways)


def _set_base(base: int) -> str:
    return f"set priority-base = {base} in /etc/symroute-nm.conf"


def _find_free(case: Case, candidates: Iterable[int]) -> int:
    """The priority-base among the candidates that gives us free priorities; 0: none does."""
    taken = {rule.priority for rule in case.host.rules}
    for base in candidates:
        block = priorities(case.settings._replace(priority_base=base))
        if block[0] > 0 and not taken & set(block):
            return base
    return 0


def find_left_out(case: Case) -> Iterator[Finding]:
    """Replies to networks that are too many for own tables, which go as main says."""
    for left_out in case.left_out:
        networks = left_out.networks
        yield Finding(
            "left-to-main",
            NOTICE,
            f"replies of {shorten_list(left_out.links)} to {len(networks)} "
            f"IPv{networks.version} networks behind routers, such as "
            f"{next(iter(networks))}, leave by the link that main reaches them by: "
            "so many do not go into own tables (most-networks = "
            f"{case.settings.most_networks})",
            "set most-networks in /etc/symroute-nm.conf, then: symroute-nm generate",
        )


def find_without_gateway(case: Case) -> Iterator[Finding]:
    """Links that look like uplinks, but no gateway of theirs is known."""
    known: Set[int] = set()  # families
    for uplink in case.survey.uplinks:
        known |= {gateway.version for gateway in uplink.gateways}
    skips = {skip.link: skip for skip in case.survey.skips}
    addresses: Dict[str, List[Address]] = {}
    for address in case.host.addresses:
        if (
            address.scope == 0
            and not address.ip.is_link_local
            and address.peer is None
            and address.version in known
        ):
            addresses.setdefault(address.link, []).append(address)
    for link in case.host.links:
        if _looks_like_uplink(link, skips.get(link.name)) and link.name in addresses:
            yield _without_gateway(link, addresses[link.name][0], sorted(case.uplink_names))


def _looks_like_uplink(link: Link, skip: Optional[Skip]) -> bool:
    wired = link.kind in _WIRED and not link.master
    led_nowhere = skip is not None and skip.kind == NO_WAY_OUT
    return wired and link.up and link.carrier and led_nowhere


def _without_gateway(link: Link, address: Address, uplinks: Sequence[str]) -> Finding:
    return Finding(
        "no-gateway",
        NOTICE,
        f"no gateway of {link.name} is known: who asks {address.ip} from beyond "
        f"{address.network} is answered by {' or '.join(uplinks)}",
        "where such requests come: symroute-nm generate --gateway "
        f"{shlex.quote(link.name)}=ADDRESS",
    )


def find_unread(case: Case) -> Iterator[Finding]:
    """What could not be looked at."""
    if case.host.evidence is None:
        yield Finding(
            "not-read",
            NOTICE,
            "rule files, ARP sysctls and published ports were not looked at: the snapshot was made "
            "without them",
            "make it again, as root: symroute-nm snapshot",
        )
    uplinks = case.uplink_names
    internal = any(
        route.table == TABLE_MAIN
        and not route.default
        and any(hop.link not in uplinks for hop in route.hops)
        for route in case.host.routes.templates()
    )
    for omission in case.evidence.unread:
        if internal or omission.subject != PUBLISHED_PORTS:
            yield Finding(
                "not-read",
                NOTICE,
                f"{omission.subject} were not looked at: {omission.reason}",
                "run it again as root",
            )
