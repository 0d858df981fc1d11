"""Rules, routes and networks as `ip` writes and reads them: ``format_…`` and ``parse_…``."""

import re
import shlex
from typing import Iterable, List, Mapping, Optional, Sequence, Union

from symroute_nm.model.ip_lines import (
    KERNEL_TABLES,
    WITHOUT_HOPS,
    LineError,
    RouteLine,
    read_route,
    read_rule,
)
from symroute_nm.model.network import IPV4, Hop, Route, Rule

FAMILY_OPTION = {4: "", 6: "-6 "}  # of the command `ip`, before its object
_KERNEL_TABLE_NAMES = {number: name for name, number in KERNEL_TABLES.items()}
MOST_SHOWN = 3


def format_rule(rule: Rule) -> str:
    """The rule as `ip rule` writes it, without its priority."""
    words = ["not"] if rule.invert else []
    words += ["from", str(rule.source) if rule.source else "all"]
    words += ["to", str(rule.destination)] if rule.destination else []
    words += ["tos", f"0x{rule.tos:02x}"] if rule.tos else []
    words += ["fwmark", f"0x{rule.mark:x}/0x{rule.mask:x}"] if rule.mask else []
    words += ["iif", rule.iif] if rule.iif else []
    words += ["oif", rule.oif] if rule.oif else []
    words += list(rule.opaque)
    words.append(_format_action(rule))
    if rule.suppress_prefixlength is not None:
        words.append(f"suppress_prefixlength {rule.suppress_prefixlength}")
    return " ".join(words)


def _format_action(rule: Rule) -> str:
    if rule.l3mdev:
        return "lookup [l3mdev-table]"
    if rule.action == "lookup":
        return f"lookup {_KERNEL_TABLE_NAMES.get(rule.table, rule.table)}"
    return f"goto {rule.target}" if rule.action == "goto" else rule.action


def format_route(route: Route) -> str:
    """The route as `ip route` writes it, with its table."""
    words = [] if route.type == "unicast" else [route.type]
    words.append("default" if route.default else str(route.destination))
    words += [format_hop(hop) for hop in route.hops]
    words += ["table", str(route.table)]
    words += ["metric", str(route.metric)] if route.metric else []
    return " ".join(words)


def format_hop(hop: Hop) -> str:
    """``via GATEWAY dev LINK``."""
    words = ["via", str(hop.gateway)] if hop.gateway else []
    words += ["dev", hop.link] if hop.link else []
    return " ".join(words + (["onlink"] if hop.onlink else []))


def format_item(item: Union[Rule, Route]) -> str:
    """``IPv4 rule 20000: from …``, ``route 10.0.5.0/24 …``."""
    if isinstance(item, Rule):
        return f"IPv{item.version} rule {item.priority}: {format_rule(item)}"
    return f"route {format_route(item)}"


def delete_rule(rule: Rule) -> str:
    """The command that deletes a rule from the kernel."""
    # A link's name may hold what a shell would act on, but no blank (dev_valid_name).
    words = map(shlex.quote, format_rule(rule).split())
    return f"ip {FAMILY_OPTION[rule.version]}rule del priority {rule.priority} {' '.join(words)}"


def delete_rules(rules: Iterable[Rule]) -> str:
    """The commands that delete rules from the kernel, a line each."""
    return "\n".join(delete_rule(rule) for rule in rules)


def delete_throw(route: Route) -> str:
    """The command that deletes a throw route from the kernel; it belongs to no device."""
    return (
        f"ip {FAMILY_OPTION[route.version]}route del throw {route.destination} table {route.table}"
    )


def some_rules(rules: Sequence[Rule]) -> str:
    """The first few rules with their priorities, as evidence."""
    return shorten_list([f"{rule.priority}: {format_rule(rule)}" for rule in rules])


def shorten_list(words: Sequence[str], number: int = 0) -> str:
    """The first few, and how many more; `number` is of all, where these are not all."""
    shown = list(words[:MOST_SHOWN])
    more = max(len(words), number) - len(shown)
    if more:
        shown.append(f"and {more} more")
    return ", ".join(shown)


def plural(number: int, noun: str) -> str:
    """``1 rule``, ``3 rules``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def read_lines(text: str) -> List[str]:
    """Without blank lines and comments, and joined where the shell's `read` joins them."""
    joined = re.sub(r"\\\n", "", text)
    return [line for line in joined.split("\n") if not re.match(r"\s*(#|\Z)", line)]


def parse_rule(line: str, version: int, tables: Mapping[str, int]) -> Optional[Rule]:
    """The rule that ``ip rule add LINE`` makes; None where the line is not wholly understood.

    `tables` are the names of tables: {name: number}.
    """
    try:
        return read_rule(line, version, tables)
    except LineError:
        return None


def parse_route(line: str, version: int, tables: Mapping[str, int]) -> Optional[Route]:
    """The route that ``ip route add LINE`` makes; None where the line is not wholly understood.

    `tables` are the names of tables: {name: number}. Routes with several hops are not understood.
    """
    try:
        read = read_route(line, version, tables)
    except LineError:
        return None
    plain = read.type == "unicast" or read.type in WITHOUT_HOPS
    if not plain or not read.known or len(read.hops) > 1 or _has_wrong_bits(read):
        return None
    return read.route


def parse_route_key(line: str, version: int, tables: Mapping[str, int]) -> Optional[Route]:
    """Destination, table and metric of the route that ``ip route add LINE`` makes, or None."""
    try:
        read = read_route(line, version, tables)
    except LineError:
        return None
    if _has_wrong_bits(read):
        return None
    return Route(read.destination, table=read.table, metric=read.metric)


def _has_wrong_bits(read: RouteLine) -> bool:
    """Whether it has host bits that the kernel refuses with EINVAL (fib_valid_key_len).

    It clears those of IPv6 (ip6_route_info_create).
    """
    return read.host_bits and read.version == IPV4
