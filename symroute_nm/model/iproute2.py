"""Rules, routes and networks as `ip` writes them (pure)."""

import re
import shlex
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

from symroute_nm.model.network import (
    ANY,
    IPV4,
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

# iproute2 knows these without any file.
FAMILY_OPTION = {4: "", 6: "-6 "}  # of the command `ip`, before its object
_KERNEL_TABLES = {TABLE_DEFAULT: "default", TABLE_MAIN: "main", TABLE_LOCAL: "local"}
MOST_SHOWN = 3


def shorten_list(words: Sequence[str], number: int = 0) -> str:
    """The first few, and how many more; `number` is of all, where these are not all."""
    shown = list(words[:MOST_SHOWN])
    more = max(len(words), number) - len(shown)
    if more:
        shown.append(f"and {more} more")
    return ", ".join(shown)


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
    table = _KERNEL_TABLES.get(rule.table, str(rule.table))
    action = {"lookup": f"lookup {table}", "goto": f"goto {rule.target}"}
    words.append("lookup [l3mdev-table]" if rule.l3mdev else action.get(rule.action, rule.action))
    if rule.suppress_prefixlength is not None:
        words.append(f"suppress_prefixlength {rule.suppress_prefixlength}")
    return " ".join(words)


def delete_rule(rule: Rule) -> str:
    """The command that deletes a rule from the kernel."""
    # A link's name may hold what a shell would act on, but no blank (dev_valid_name).
    words = map(shlex.quote, format_rule(rule).split())
    return f"ip {FAMILY_OPTION[rule.version]}rule del priority {rule.priority} {' '.join(words)}"


def format_route(route: Route) -> str:
    """The route as `ip route` writes it, with its table."""
    words = [] if route.type == "unicast" else [route.type]
    words.append("default" if route.default else str(route.destination))
    words += [format_hop(hop) for hop in route.hops]
    words += ["table", str(route.table)]
    words += ["metric", str(route.metric)] if route.metric else []
    return " ".join(words)


def format_item(item: Union[Rule, Route]) -> str:
    """``IPv4 rule 20000: from …``, ``route 10.0.5.0/24 …``."""
    if isinstance(item, Rule):
        return f"IPv{item.version} rule {item.priority}: {format_rule(item)}"
    return f"route {format_route(item)}"


def format_hop(hop: Hop) -> str:
    """``via GATEWAY dev LINK``."""
    words = ["via", str(hop.gateway)] if hop.gateway else []
    words += ["dev", hop.link] if hop.link else []
    return " ".join(words + (["onlink"] if hop.onlink else []))


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


def plural(number: int, noun: str) -> str:
    """``1 rule``, ``3 rules``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


# ip-route(8)
_WITHOUT_HOPS = {"throw", "blackhole", "unreachable", "prohibit"}
_TYPES = {"unicast", *_WITHOUT_HOPS}
_OTHER_TYPES = {"local", "broadcast", "multicast", "anycast", "nat"}
_METRIC = {"metric", "priority", "preference"}
# Words with a value that say neither where a packet goes nor which route it is.
_BESIDE = {"proto", "protocol", "scope", "mtu", "advmss", "rtt", "window", "initcwnd", "initrwnd"}
# Networks, gateways and hops that are kept once: own tables have many in common.
_MOST_WORDS = 1 << 14


def parse_place(line: str, version: int, tables: Mapping[str, int]) -> Optional[Route]:
    """Destination, table and metric of the route that ``ip route add LINE`` makes, or None."""
    words = line.split()
    if words and words[0] in _TYPES | _OTHER_TYPES:
        del words[0]
    try:
        fields = _route_fields(
            [
                each
                for pair in zip(words, words[1:])
                if pair[0] == "table" or pair[0] in _METRIC
                for each in pair
            ],
            tables,
        )
        return Route(_destination(words[0], version), **{"table": TABLE_MAIN, **fields})
    except (ValueError, IndexError):
        return None


def parse_route(line: str, version: int, tables: Mapping[str, int]) -> Optional[Route]:
    """The route that ``ip route add LINE`` makes; None where the line is not wholly understood.

    `tables` are the names of tables: {name: number}. Routes with several hops are not understood.
    """
    words = line.split()
    kind = words.pop(0) if words and words[0] in _TYPES else "unicast"
    if not words:
        return None
    try:
        destination = _destination(words.pop(0), version)
        fields = _route_fields(words, tables)
    except ValueError:
        return None
    hops = _hops(fields.get("link", ""), fields.get("gateway"), fields.get("onlink", False))
    return Route(
        destination,
        type=kind,
        table=fields.get("table", TABLE_MAIN),
        hops=() if kind in _WITHOUT_HOPS else hops,
        metric=fields.get("metric", 0),
        source=fields.get("source"),
    )


@lru_cache(maxsize=_MOST_WORDS)
def _hops(link: str, gateway: Optional[IPAddress], onlink: bool) -> Tuple[Hop, ...]:
    return (Hop(link, gateway, onlink),)


@lru_cache(maxsize=_MOST_WORDS)
def _destination(word: str, version: int) -> IPNetwork:
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


def _route_fields(words: List[str], tables: Mapping[str, int]) -> Dict[str, Any]:
    """The words behind the destination; raises `ValueError` for one that is not known."""
    fields: Dict[str, Any] = {}
    rest = iter(words)
    for word in rest:
        if word == "onlink":
            fields["onlink"] = True
            continue
        value = next(rest, "")
        if word == "via":
            fields["gateway"] = _gateway(value, rest)
        elif word == "dev":
            fields["link"] = value
        elif word in ("table", "src") or word in _METRIC:
            fields.update(_route_field(word, value, tables))
        elif word not in _BESIDE:
            raise ValueError("unknown word")
    return fields


def _gateway(value: str, rest: Iterator[str]) -> IPAddress:
    """The gateway behind ``via``, with or without its family."""
    return _address(next(rest, "") if value in ("inet", "inet6") else value)


@lru_cache(maxsize=_MOST_WORDS)
def _address(word: str) -> IPAddress:
    return ip_address(word)


def _route_field(word: str, value: str, tables: Mapping[str, int]) -> Dict[str, Any]:
    if word == "src":
        return {"source": _address(value)}
    if word == "table":
        return {"table": tables[value] if value in tables else parse_number(value)}
    return {"metric": parse_number(value)}


_TABLES = {"main": TABLE_MAIN, "local": TABLE_LOCAL, "default": TABLE_DEFAULT}
# ip-rule(8): the words that we write ourselves, and their other spellings; `ip` takes any beginning
# of most of them, but nobody writes those.
_WORDS = {
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
_FULL_MASK = 0xFFFFFFFF
# strtoul(3) with base 0: what Python's int() takes beyond, `ip` refuses.
_NUMBER = re.compile(
    r"\+?(?:0[xX](?P<hex>[0-9A-Fa-f]{1,8})|(?P<octal>0[0-7]{0,11})|(?P<plain>[1-9][0-9]{0,9}))"
)
_BASES = {"hex": 16, "octal": 8, "plain": 10}


def parse_rule(line: str, version: int, tables: Mapping[str, int]) -> Optional[Rule]:
    """The rule that ``ip rule add LINE`` makes; None where the line is not wholly understood.

    `tables` are the names of tables: {name: number}.
    """
    words = line.split()
    if not words or len(words) % 2:  # all that we understand comes in pairs
        return None
    fields: Dict[str, object] = {"version": version, "priority": 0, "table": TABLE_MAIN}
    for word, value in zip(words[::2], words[1::2]):
        if word not in _WORDS:
            return None
        try:
            fields.update(_rule_field(_WORDS[word], value, version, tables))
        except ValueError:
            return None
    return Rule(**fields)  # type: ignore[arg-type]  # each by its own name


def read_lines(text: str) -> List[str]:
    """Without blank lines and comments, and joined where the shell's `read` joins them."""
    joined = re.sub(r"\\\n", "", text)
    return [line for line in joined.split("\n") if not re.match(r"\s*(#|\Z)", line)]


def _rule_field(
    name: str, value: str, version: int, tables: Mapping[str, int]
) -> Mapping[str, object]:
    if name in ("source", "destination"):
        return {name: _rule_network(value, version)}
    if name == "table":
        return {name: tables[value] if value in tables else parse_number(value)}
    if name == "mark":
        mark, slash, mask = value.partition("/")
        return {"mark": parse_number(mark), "mask": parse_number(mask) if slash else _FULL_MASK}
    return {name: value if name in ("iif", "oif") else parse_number(value)}


def _rule_network(value: str, version: int) -> Optional[IPNetwork]:
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


def parse_number(text: str) -> int:
    """A number as `ip` takes it, 32 bits; raises `ValueError`."""
    found = _NUMBER.fullmatch(text)
    kind = found.lastgroup if found else None
    if found is None or kind is None:
        raise ValueError("not a number")
    number = int(found.group(kind), _BASES[kind])
    if number > _FULL_MASK:
        raise ValueError("out of range")
    return number
