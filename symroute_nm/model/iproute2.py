"""Rules, routes and networks as `ip` writes and reads them: ``format_…`` and ``parse_…``."""

import re
import shlex
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

from symroute_nm.model.network import (
    ANY,
    IPV4,
    LARGEST_UINT32,
    TABLE_DEFAULT,
    TABLE_LOCAL,
    TABLE_MAIN,
    Hop,
    IPAddress,
    IPNetwork,
    Route,
    Rule,
    parse_network,
)

FAMILY_OPTION = {4: "", 6: "-6 "}  # of the command `ip`, before its object
# iproute2 knows these without any file.
KERNEL_TABLES = {"main": TABLE_MAIN, "local": TABLE_LOCAL, "default": TABLE_DEFAULT}
_KERNEL_TABLE_NAMES = {number: name for name, number in KERNEL_TABLES.items()}
MOST_SHOWN = 3

# ip-rule(8): the words that we write ourselves, and their other spellings; `ip` takes any beginning
# of most of them, but nobody writes those.
_RULE_WORDS = {
    "priority": "priority",
    "preference": "priority",
    "pref": "priority",
    "order": "priority",
    "from": "source",
    "to": "destination",
    "iif": "iif",
    "dev": "iif",
    "oif": "oif",
    "lookup": "table",
    "table": "table",
    "suppress_prefixlength": "suppress_prefixlength",
    "fwmark": "mark",
}
# ip-route(8): the same for routes.
_ROUTE_WORDS = {
    "via": "gateway",
    "dev": "link",
    "src": "source",
    "table": "table",
    "metric": "metric",
    "priority": "metric",
    "preference": "metric",
}
# Words with a value that say neither where a packet goes nor which route it is.
_ROUTE_WORDS_BESIDE = {
    "proto",
    "protocol",
    "scope",
    "mtu",
    "advmss",
    "rtt",
    "window",
    "initcwnd",
    "initrwnd",
}
_KEY_FIELDS = ("table", "metric")  # which route of a destination it is
_HOPLESS_TYPES = {"throw", "blackhole", "unreachable", "prohibit"}
_TYPES = {"unicast", *_HOPLESS_TYPES}
_OTHER_TYPES = {"local", "broadcast", "multicast", "anycast", "nat"}
# strtoul(3) with base 0: what Python's int() takes beyond, `ip` refuses.
_NUMBER = re.compile(
    r"\+?(?:0[xX](?P<hex>[0-9A-Fa-f]{1,8})|(?P<octal>0[0-7]{0,11})|(?P<plain>[1-9][0-9]{0,9}))"
)
_BASES = {"hex": 16, "octal": 8, "plain": 10}
# Networks, gateways and hops that are kept once: own tables have many in common.
_MOST_WORDS = 1 << 14


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
    words = line.split()
    if not words or len(words) % 2:  # all that we understand comes in pairs
        return None
    fields: Dict[str, Any] = {"version": version, "priority": 0, "table": TABLE_MAIN}
    for word, value in zip(words[::2], words[1::2]):
        if word not in _RULE_WORDS:
            return None
        try:
            fields.update(_parse_rule_field(_RULE_WORDS[word], value, version, tables))
        except ValueError:
            return None
    return Rule(**fields)


def parse_route(line: str, version: int, tables: Mapping[str, int]) -> Optional[Route]:
    """The route that ``ip route add LINE`` makes; None where the line is not wholly understood.

    `tables` are the names of tables: {name: number}. Routes with several hops are not understood.
    """
    words = line.split()
    kind = words.pop(0) if words and words[0] in _TYPES else "unicast"
    if not words:
        return None
    try:
        destination = _parse_destination(words.pop(0), version)
        fields = _parse_route_fields(words, tables)
    except ValueError:
        return None
    hops = _make_hops(fields.get("link", ""), fields.get("gateway"), fields.get("onlink", False))
    return Route(
        destination,
        type=kind,
        table=fields.get("table", TABLE_MAIN),
        hops=() if kind in _HOPLESS_TYPES else hops,
        metric=fields.get("metric", 0),
        source=fields.get("source"),
    )


def parse_route_key(line: str, version: int, tables: Mapping[str, int]) -> Optional[Route]:
    """Destination, table and metric of the route that ``ip route add LINE`` makes, or None."""
    words = line.split()
    if words and words[0] in _TYPES | _OTHER_TYPES:
        del words[0]
    fields: Dict[str, Any] = {"table": TABLE_MAIN}
    try:
        for word, value in zip(words, words[1:]):
            if _ROUTE_WORDS.get(word) in _KEY_FIELDS:
                fields.update(_parse_route_field(_ROUTE_WORDS[word], value, tables))
        return Route(_parse_destination(words[0], version), **fields)
    except (ValueError, IndexError):
        return None


def parse_number(text: str) -> int:
    """A number as `ip` takes it, 32 bits; raises `ValueError`."""
    match = _NUMBER.fullmatch(text)
    kind = match.lastgroup if match else None
    if match is None or kind is None:
        raise ValueError("not a number")
    number = int(match.group(kind), _BASES[kind])
    if number > LARGEST_UINT32:
        raise ValueError("out of range")
    return number


def _parse_rule_field(
    name: str, value: str, version: int, tables: Mapping[str, int]
) -> Mapping[str, Any]:
    """The fields of a rule that a word and its value give; raises `ValueError`."""
    if name in ("source", "destination"):
        return {name: _parse_selector(value, version)}
    if name in ("iif", "oif"):
        return {name: value}
    if name == "table":
        return {name: _parse_table(value, tables)}
    if name == "mark":
        mark, slash, mask = value.partition("/")
        return {"mark": parse_number(mark), "mask": parse_number(mask) if slash else LARGEST_UINT32}
    return {name: parse_number(value)}


def _parse_selector(value: str, version: int) -> Optional[IPNetwork]:
    """The network of a rule's ``from`` or ``to``; None: any."""
    if value in ("all", "any", "default"):
        return None
    network = parse_network(value)
    address, _, mask = value.partition("/")
    if network.version != version or "%" in value:
        raise ValueError("of another family, or with a zone")
    # Some versions of Python take an octal number for a decimal one; all take an inverted mask.
    odd = "." in mask and mask != str(network.netmask)
    if odd or (version == IPV4 and str(ip_address(address)) != address):
        raise ValueError("not as `ip` reads it")
    return network if network.prefixlen else None


def _parse_route_fields(words: Sequence[str], tables: Mapping[str, int]) -> Dict[str, Any]:
    """What the words behind the destination give; raises `ValueError` for an unknown one."""
    fields: Dict[str, Any] = {}
    rest = iter(words)
    for word in rest:
        if word == "onlink":
            fields["onlink"] = True
            continue
        value = next(rest, "")
        if word == "via" and value in ("inet", "inet6"):  # the gateway's family may be said
            value = next(rest, "")
        if word in _ROUTE_WORDS:
            fields.update(_parse_route_field(_ROUTE_WORDS[word], value, tables))
        elif word not in _ROUTE_WORDS_BESIDE:
            raise ValueError("unknown word")
    return fields


def _parse_route_field(name: str, value: str, tables: Mapping[str, int]) -> Mapping[str, Any]:
    """The field of a route that a word and its value give; raises `ValueError`."""
    if name in ("gateway", "source"):
        return {name: _parse_address(value)}
    if name == "link":
        return {name: value}
    if name == "table":
        return {name: _parse_table(value, tables)}
    return {name: parse_number(value)}


@lru_cache(maxsize=_MOST_WORDS)
def _parse_destination(word: str, version: int) -> IPNetwork:
    """The network of a route; raises `ValueError`."""
    if word in ("default", "all", "any"):
        return ANY[version]
    network = parse_network(word)
    if network.version != version:
        raise ValueError("of another family")
    # The kernel clears host bits of IPv6 (ip6_route_info_create), and refuses those of IPv4 with
    # EINVAL (fib_valid_key_len).
    if version == IPV4 and ip_address(word.partition("/")[0]) != network.network_address:
        raise ValueError("has host bits set")
    return network


@lru_cache(maxsize=_MOST_WORDS)
def _parse_address(word: str) -> IPAddress:
    return ip_address(word)


@lru_cache(maxsize=_MOST_WORDS)
def _make_hops(link: str, gateway: Optional[IPAddress], onlink: bool) -> Tuple[Hop, ...]:
    return (Hop(link, gateway, onlink),)


def _parse_table(value: str, tables: Mapping[str, int]) -> int:
    return tables[value] if value in tables else parse_number(value)
