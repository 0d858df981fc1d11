"""The rules that rule files list, as the dispatcher script hands them to `ip` (pure)."""

import re
from ipaddress import ip_address
from typing import Dict, Iterable, Iterator, List, Mapping, Optional, Tuple

from symroute_nm.listing import ListedRule
from symroute_nm.model import (
    TABLE_DEFAULT,
    TABLE_LOCAL,
    TABLE_MAIN,
    Host,
    IPNetwork,
    Rule,
    parse_network,
)
from symroute_nm.observation import ConfigFile

_PREFIXES = ("route-", "route6-", "rule-", "rule6-")
_RULE_FILE = re.compile(r".*/rule(6?)-[^/]+")
_TABLES = {"main": TABLE_MAIN, "local": TABLE_LOCAL, "default": TABLE_DEFAULT}
# ip-rule(8): the words that we write ourselves, and their other spellings; `ip` takes any beginning
# of most of them, but nobody writes those.
_WORDS = {
    "priority": "priority", "preference": "priority", "pref": "priority", "order": "priority",
    "from": "source", "to": "destination", "iif": "iif", "dev": "iif", "oif": "oif",
    "lookup": "table", "table": "table", "suppress_prefixlength": "suppress_prefixlength",
    "fwmark": "mark",
}
_IPV4 = 4
_FULL_MASK = 0xFFFFFFFF
# strtoul(3) with base 0: what Python's int() takes beyond, `ip` refuses.
_NUMBER = re.compile(
    r"\+?(?:0[xX](?P<hex>[0-9A-Fa-f]{1,8})|(?P<octal>0[0-7]{0,11})|(?P<plain>[1-9][0-9]{0,9}))")
_BASES = {"hex": 16, "octal": 8, "plain": 10}


def list_rules(files: Iterable[ConfigFile], host: Host) -> Tuple[ListedRule, ...]:
    """The rules in all of the rule files, in order; lines that are not understood are left out."""
    tables = table_numbers(host)
    return tuple(
        ListedRule(rule, file.path, profile_of(file.path))
        for file in files for _, rule in _rules(file, tables) if rule is not None
    )


def unread_lines(files: Iterable[ConfigFile], host: Host) -> Iterator[Tuple[str, str]]:
    """The lines of rule files that `list_rules` leaves out, each behind its file's path."""
    tables = table_numbers(host)
    for file in files:
        yield from ((file.path, line) for line, rule in _rules(file, tables) if rule is None)


def is_rule_file(path: str) -> bool:
    """Whether it is a ``rule-`` or ``rule6-`` file by its name."""
    return _RULE_FILE.fullmatch(path) is not None


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
            fields.update(_field(_WORDS[word], value, version, tables))
        except ValueError:
            return None
    return Rule(**fields)  # type: ignore[arg-type]  # each by its own name


def _rules(
    file: ConfigFile, tables: Mapping[str, int]
) -> Iterator[Tuple[str, Optional[Rule]]]:
    """Each line with its rule, None where it is not understood; nothing of other files."""
    name = _RULE_FILE.fullmatch(file.path)
    version = 6 if name and name.group(1) else 4
    for line in read_lines(file.text) if name else ():
        yield line, parse_rule(line, version, tables)


def table_numbers(host: Host) -> Dict[str, int]:
    """What iproute2 takes a table's name for: {name: number}."""
    return {**{each.name: each.id for each in host.tables}, **_TABLES}


def read_lines(text: str) -> List[str]:
    """Without blank lines and comments, and joined where the shell's `read` joins them."""
    joined = re.sub(r"\\\n", "", text)
    return [line for line in joined.split("\n") if not re.match(r"\s*(#|\Z)", line)]


def _field(
    name: str, value: str, version: int, tables: Mapping[str, int]
) -> Mapping[str, object]:
    if name in ("source", "destination"):
        return {name: _network(value, version)}
    if name == "table":
        return {name: tables[value] if value in tables else parse_number(value)}
    if name == "mark":
        mark, slash, mask = value.partition("/")
        return {"mark": parse_number(mark), "mask": parse_number(mask) if slash else _FULL_MASK}
    return {name: value if name in ("iif", "oif") else parse_number(value)}


def _network(value: str, version: int) -> Optional[IPNetwork]:
    if value in ("all", "any", "default"):
        return None
    network = parse_network(value)
    address, _, mask = value.partition("/")
    if network.version != version or "%" in value:
        raise ValueError("of another family, or with a zone")
    # Some versions of Python take an octal number for a decimal one; all take an inverted mask.
    odd = "." in mask and mask != str(network.netmask)
    if odd or (version == _IPV4 and str(ip_address(address)) != address):
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


def profile_of(path: str) -> str:
    """The profile that a route or rule file is named after; "" for other files."""
    name = path.rpartition("/")[2]
    prefix = next((each for each in _PREFIXES if name.startswith(each)), "")
    return name[len(prefix):] if prefix else ""
