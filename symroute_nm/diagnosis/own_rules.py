"""Our rules and tables in the kernel against the files, as findings."""

from collections import Counter
from itertools import chain
from typing import AbstractSet, Dict, FrozenSet, Iterator, List, Mapping, Sequence, Set, Tuple

from symroute_nm.diagnosis.case import Case
from symroute_nm.model.finding import ERROR, WARNING, Finding
from symroute_nm.model.iproute2 import (
    delete_rules,
    delete_throw,
    format_rule,
    plural,
    shorten_list,
    some_rules,
)
from symroute_nm.model.listing import ListedRule
from symroute_nm.model.network import (
    TABLE_MAIN,
    IPNetwork,
    Link,
    Route,
    Rule,
    contains,
    host_network,
    is_global,
)
from symroute_nm.model.observations import RULE_FILES
from symroute_nm.model.ours import looks_like_ours, our_rules
from symroute_nm.model.profiles import profiles_for
from symroute_nm.targets.base import bring_up_link

LEAKED_RULES = "leaked-rules"


def find_duplicates(case: Case) -> Iterator[Finding]:
    """The same rule several times: of ours, or of a line without a priority."""
    again = [
        (rule, times)
        for rule, times in Counter(rule.without_protocol for rule in case.ours.rules).items()
        if times > 1
    ]
    if again:
        rules = [rule for rule, _ in again]
        extra = list(chain.from_iterable([rule] * (times - 1) for rule, times in again))
        verb = "stand" if again[1:] else "stands"
        yield Finding(
            "duplicate-rules",
            WARNING,
            f"{plural(len(again), 'rule')} of ours {verb} "
            f"in the kernel more than once: {some_rules(rules)}",
            delete_rules(extra),
        )
    for listed in dict.fromkeys(line for line in case.listed if not line.rule.priority):
        yield from _find_repeated(case, listed)


def _find_repeated(case: Case, listed: ListedRule) -> Iterator[Finding]:
    same = [
        rule for rule in case.host.rules if rule._replace(priority=0, protocol=0) == listed.rule
    ]
    if len(same) > 1:
        yield Finding(
            "duplicate-rules",
            WARNING,
            f"{listed.path} lists the rule {format_rule(listed.rule)} without a priority, "
            "so each restart of NetworkManager adds it again: it stands in the kernel "
            f"{len(same)} times",
            "\n".join(
                (delete_rules(same[:-1]), f"give its line in {listed.path} a priority of its own")
            ),
        )


def find_leaked(case: Case) -> Iterator[Finding]:
    """Rules of ours that no file lists any more, so that no ``down`` deletes them."""
    leaked = _leaked(case)
    if leaked:
        deciding = {
            failure.decision.rule.without_protocol
            for failure in case.failures
            if failure.decision.rule
        }
        them = "them" if leaked[1:] else "it"
        yield Finding(
            LEAKED_RULES,
            WARNING if deciding.isdisjoint(leaked) else ERROR,
            f"{plural(len(leaked), 'rule')} of ours in the kernel no rule file lists, so "
            f"nothing deletes {them}: {some_rules(leaked)}",
            delete_rules(leaked),
        )


def _leaked(case: Case) -> Tuple[Rule, ...]:
    if case.host.evidence is None or not case.evidence.has_read(RULE_FILES):
        return ()
    listed = {line.rule for line in case.listed}
    return tuple(dict.fromkeys(rule for rule in case.ours.rules if rule not in listed))


def find_missing(case: Case) -> Iterator[Finding]:
    """Rules of ours in files whose link is up, and which the kernel has not."""
    present = {rule.without_protocol for rule in case.host.rules}
    ours = our_rules(
        case.host._replace(rules=tuple(line.rule for line in case.listed)), case.settings
    )
    absent: Dict[str, List[ListedRule]] = {}
    for line in case.listed:
        known = line.rule in ours or looks_like_ours(line.rule, case.settings)
        if known and line.rule not in present:
            absent.setdefault(line.profile, []).append(line)
    addressed = {address.link for address in case.host.addresses if is_global(address)}
    if not absent:
        return
    for link in case.host.links:
        names = [profile.name for profile in profiles_for(link, case.host.profiles)]
        if len(names) == 1 and names[0] in absent and _is_active(link) and link.name in addressed:
            yield _missing(case, link, absent[names[0]])


def _missing(case: Case, link: Link, absent: Sequence[ListedRule]) -> Finding:
    paths = sorted({line.path for line in absent})
    verb = "are" if absent[1:] else "is"
    return Finding(
        "missing-rules",
        case.gravity(link.name),
        f"{plural(len(absent), 'rule')} of {' and '.join(paths)} {verb} not in the kernel: "
        f"{link.name} was not brought up since they were written, or the dispatcher did not run: "
        f"{some_rules([line.rule for line in absent])}",
        bring_up_link(case.host, link),
    )


def find_stale_sources(case: Case) -> Iterator[Finding]:
    """Rules of ours for a network in which the host has no address any more."""
    leaked = set(_leaked(case))
    sources: Dict[IPNetwork, Set[int]] = {}
    for rule in case.ours.rules:
        if rule.source is not None and rule not in leaked:
            sources.setdefault(rule.source, set()).add(rule.table)
    # Awaited ones (addresses = +…) are an uplink's without being there.
    addresses = list(case.host.addresses)
    for uplink in case.uplinks:
        addresses += uplink.addresses
    own = {host_network(address.ip) for address in addresses}
    known = own | {address.interface.network for address in addresses}
    stale = [
        source
        for source in sources
        if source not in known and not any(contains(source, address) for address in own)
    ]
    links = _table_links(case) if stale else {}
    for source in stale:
        leading: Set[str] = set()
        for table in sources[source] - {TABLE_MAIN}:
            leading |= links.get(table, set())
        yield _stale(case, source, leading)


def _table_links(case: Case) -> Mapping[int, Set[str]]:
    """The links that routes lead out of: {table: names}."""
    links: Dict[int, Set[str]] = {}
    for route in case.host.routes.templates():
        links.setdefault(route.table, set()).update(hop.link for hop in route.hops)
    return links


def _stale(case: Case, source: IPNetwork, links: AbstractSet[str]) -> Finding:
    now = [
        str(address.interface)
        for address in case.host.addresses
        if address.link in links and address.version == source.version
    ]
    why = "its lease moved to another network, or its link is down"
    if now:
        why = f"{' and '.join(sorted(links))} has {shorten_list(now)} now"
    remedy = "symroute-nm generate"
    if not any(
        uplink.link.name in links and uplink.gateway(source.version) for uplink in case.uplinks
    ):
        # The link is no uplink any more: its files stay unless they are asked to go.
        remedy += " --prune"
    return Finding(
        "stale-source",
        WARNING,
        f"our rules from {source} match no address of this host: {why}",
        remedy,
    )


def find_stale_routes(case: Case) -> Iterator[Finding]:
    """Throw routes for networks that are gone: no device takes them along, and no file either."""
    # Where main has no route for an address's own network (noprefixroute), the others leave it to.
    known = {address.network for address in case.host.addresses}
    present, tables = case.host.routes, case.ours.tables
    stale: Dict[int, List[Route]] = {}
    for route in present.select(lambda route: route.type == "throw" and route.table in tables):
        main = () if route.default else present.to(TABLE_MAIN, route.destination)
        if route.destination not in known and all(other.type == "throw" for other in main):
            stale.setdefault(route.table, []).append(route)
    links = _table_links(case) if stale else {}
    for table, routes in stale.items():
        yield _stale_routes(case, table, routes, links[table])


def _stale_routes(
    case: Case, table: int, routes: Sequence[Route], links: AbstractSet[str]
) -> Finding:
    networks = [str(route.destination) for route in routes]
    return Finding(
        "stale-routes",
        ERROR if links & case.asymmetric_links else WARNING,
        f"own table {table} leaves {plural(len(networks), 'network')} to main, which has "
        "no such network any more, and nothing deletes throw routes: "
        f"{shorten_list(networks)}",
        "\n".join(map(delete_throw, routes)),
    )


def find_empty_tables(case: Case) -> Iterator[Finding]:
    """Own tables without a default route while their link is up."""
    filled = {
        (route.version, route.table) for route in case.host.routes.templates() if route.default
    }
    seen: Dict[Tuple[int, int], List[Rule]] = {}
    leaked = set(_leaked(case))
    for rule in case.ours.rules:
        if rule.table == TABLE_MAIN or rule in leaked:
            continue
        if (rule.version, rule.table) not in filled:
            seen.setdefault((rule.version, rule.table), []).append(rule)
    active = {link.name: link for link in case.host.links if _is_active(link)}
    own: Dict[IPNetwork, List[str]] = {}
    if seen:
        for address in case.host.addresses:
            own.setdefault(host_network(address.ip), []).append(address.link)
    for (version, table), rules in seen.items():
        for name in sorted(_links_of(own, rules) & set(active)):
            link = active[name]
            yield Finding(
                "routes-missing",
                case.gravity(link.name),
                f"our rules for {link.name} look up table {table}, which has no "
                f"IPv{version} default route: routes go when a link is set down, and "
                "NetworkManager restores main's alone",
                bring_up_link(case.host, link),
            )


def _links_of(own: Mapping[IPNetwork, Sequence[str]], rules: Sequence[Rule]) -> FrozenSet[str]:
    """The links that rules are for; `own` are those of each address: {network of it alone: …}."""
    links = {rule.iif for rule in rules if rule.iif}
    for source in {rule.source for rule in rules if rule.source is not None}:
        within = [source]
        if source.prefixlen < source.max_prefixlen:
            within = [address for address in own if contains(source, address)]
        for address in within:
            links.update(own.get(address, ()))
    return frozenset(links)


def _is_active(link: Link) -> bool:
    return link.up and link.carrier
