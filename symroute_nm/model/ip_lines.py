"""Lines of route and rule files as iproute2 reads them: ``ip route|rule add LINE``.

Words may be abbreviated, most to any beginning, and `ip` takes the first that fits. Source:
iproute2 6.1, iproute_modify() and parse_nexthops() of ip/iproute.c, iprule_modify() of ip/iprule.c,
get_prefix_1() and get_addr_1() of lib/utils.c.
"""

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

from symroute_nm.errors import shown
from symroute_nm.model.network import (
    ANY,
    IPV4,
    IPV6,
    LARGEST_UINT32,
    ROUTE_TYPES,
    TABLE_DEFAULT,
    TABLE_LOCAL,
    TABLE_MAIN,
    Hop,
    IPAddress,
    IPNetwork,
    Route,
    Rule,
)


class LineError(ValueError):
    """Why `ip` refuses a line."""


class RouteLine(NamedTuple):
    """A line of a route file; `words` are those that say neither where it leads nor which it is."""

    destination: IPNetwork
    type: str = "unicast"
    hops: Tuple[Hop, ...] = ()  # without links where the line names none
    table: int = TABLE_MAIN
    metric: int = 0
    source: Optional[IPAddress] = None
    tos: int = 0
    scope: Optional[int] = None
    words: Tuple[str, ...] = ()
    given: Tuple[str, ...] = ()  # the names of the words that it has, in full
    host_bits: bool = False  # which the kernel refuses in IPv4 and clears in IPv6
    known: bool = True  # whether the route says all of it

    @property
    def hop(self) -> Hop:
        """The first way out; an empty `Hop` where there is none."""
        return self.hops[0] if self.hops else Hop()

    @property
    def version(self) -> int:
        """4 or 6."""
        return self.destination.version

    @property
    def route(self) -> Route:
        """The route that the kernel makes of it."""
        return Route(
            self.destination,
            table=self.table,
            type=self.type,
            hops=self.hops,
            metric=self.metric,
            tos=self.tos,
            source=self.source,
        )


# ip-route(8): types that lead to no link.
WITHOUT_HOPS = ("throw", "blackhole", "unreachable", "prohibit")
_LARGEST_OCTET = 255
_OCTETS = 4
_MOST_WEIGHT = 256
_LONGEST_LINK = 15  # bytes, IFNAMSIZ without the NUL
# Networks, gateways and hops that are kept once: own tables have many in common.
_MOST_WORDS = 1 << 14

# iproute2 knows these without any file.
KERNEL_TABLES = {"main": TABLE_MAIN, "local": TABLE_LOCAL, "default": TABLE_DEFAULT}
_SCOPES = {"global": 0, "site": 200, "link": 253, "host": 254, "nowhere": 255}
# rtnl_rtntype_a2n() of ip/rtm_map.c; what is in the first is not abbreviated.
_WHOLE_TYPES = ("local", "nat", "throw")
_TYPES = (
    "broadcast",
    "anycast",
    "multicast",
    "prohibit",
    "unreachable",
    "blackhole",
    "xresolve",
    "unicast",
)
_TYPE_NUMBERS = {**ROUTE_TYPES, 11: "xresolve"}
# The words of ip-route(8) in the order in which they are tried, and whether a beginning will do.
_ROUTE_WORDS: Tuple[Tuple[str, bool, str], ...] = (
    ("src", False, "src"),
    ("as", False, "as"),
    ("via", False, "via"),
    ("from", False, "from"),
    ("tos", False, "tos"),
    ("dsfield", True, "tos"),
    ("expires", False, "number"),
    ("metric", True, "metric"),
    ("priority", True, "metric"),
    ("preference", False, "metric"),
    ("scope", False, "scope"),
    ("mtu", False, "lockable"),
    ("hoplimit", False, "lockable"),
    ("advmss", False, "lockable"),
    ("reordering", True, "lockable"),
    ("rtt", False, "time"),
    ("rto_min", False, "time"),
    ("window", True, "lockable"),
    ("cwnd", True, "lockable"),
    ("initcwnd", True, "lockable"),
    ("initrwnd", True, "lockable"),
    ("features", True, "features"),
    ("quickack", True, "flag"),
    ("congctl", True, "name"),
    ("rttvar", False, "time"),
    ("ssthresh", False, "lockable"),
    ("realms", True, "any"),
    ("onlink", False, "onlink"),
    ("nexthop", False, "nexthop"),
    ("nhid", False, "nhid"),
    ("protocol", True, "any"),
    ("table", True, "table"),
    ("vrf", True, "vrf"),
    ("dev", False, "dev"),
    ("oif", False, "dev"),
    ("pref", True, "any"),
    ("encap", False, "encap"),
    ("ttl-propagate", False, "any"),
    ("fastopen_no_cookie", True, "flag"),
)
_RULE_WORDS: Tuple[Tuple[str, bool, str], ...] = (
    ("not", False, "not"),
    ("from", False, "from"),
    ("to", False, "to"),
    ("preference", True, "priority"),
    ("order", True, "priority"),
    ("priority", True, "priority"),
    ("tos", False, "tos"),
    ("dsfield", True, "tos"),
    ("fwmark", False, "fwmark"),
    ("realms", True, "realms"),
    ("protocol", True, "protocol"),
    ("tun_id", True, "tun_id"),
    ("table", True, "table"),
    ("lookup", False, "table"),
    ("suppress_prefixlength", True, "suppress_prefixlength"),
    ("sup_pl", False, "suppress_prefixlength"),
    ("suppress_ifgroup", True, "suppress_ifgroup"),
    ("sup_group", False, "suppress_ifgroup"),
    ("dev", False, "iif"),
    ("iif", False, "iif"),
    ("oif", False, "oif"),
    ("l3mdev", False, "l3mdev"),
    ("uidrange", False, "uidrange"),
    ("nat", False, "nat"),
    ("map-to", True, "nat"),
    ("ipproto", False, "ipproto"),
    ("sport", False, "sport"),
    ("dport", False, "dport"),
)
# protocols(5), as far as rules are made of them; for others `ip` asks the system.
_PROTOCOLS = {
    "icmp": 1,
    "igmp": 2,
    "ipip": 4,
    "tcp": 6,
    "udp": 17,
    "dccp": 33,
    "ipv6": 41,
    "gre": 47,
    "esp": 50,
    "ah": 51,
    "ipv6-icmp": 58,
    "ospf": 89,
    "vrrp": 112,
    "sctp": 132,
    "udplite": 136,
}


@lru_cache(maxsize=_MOST_WORDS)
def _find_word(word: str, words: Tuple[Tuple[str, bool, str], ...]) -> Optional[Tuple[str, str]]:
    """The word in full that `ip` takes it for, and its kind."""
    for full, shortened, kind in words:
        if word == full or (shortened and full.startswith(word)):
            return full, kind
    return None


class _Words:
    """The words of a line, one after the other."""

    def __init__(self, line: str) -> None:
        # As the shell splits it: a CR stays.
        self.words = [word for word in re.split(r"[ \t\n]", line) if word]
        self.at = 0

    def __bool__(self) -> bool:
        return self.at < len(self.words)

    def take(self, behind: str = "") -> str:
        """The next one; `behind` is the word that wants it."""
        if self.at == len(self.words):
            raise LineError(f"nothing stands behind {shown(behind)}")
        self.at += 1
        return self.words[self.at - 1]

    def peek(self) -> str:
        """The next one, "" at the end."""
        return self.words[self.at] if self else ""


# -- routes ---------------------------------------------------------------------------------------


def read_route(line: str, version: int, tables: Mapping[str, int]) -> RouteLine:
    """What ``ip -4|-6 route add LINE`` asks of the kernel; raises `LineError`.

    `tables` are the names of tables: {name: number}.
    """
    return _RouteReader(line, version, tables).read()


class _RouteReader:
    """Reads one line of a route file."""

    def __init__(self, line: str, version: int, tables: Mapping[str, int]) -> None:
        self.words = _Words(line)
        self.version = version
        self.tables = tables
        self.fields: Dict[str, Any] = {}
        self.given: List[str] = []
        self.rest: List[str] = []
        self.gateway: Optional[IPAddress] = None
        self.link = ""
        self.onlink = False
        self.hops: List[Hop] = []

    def read(self) -> RouteLine:
        while self.words:
            word = self.words.take()
            found = _find_word(word, _ROUTE_WORDS)
            if found is None:
                self._destination(word)
                continue
            full, kind = found
            self.given.append(full)
            self._word(full, kind)
        if "destination" not in self.fields:
            raise LineError("names no destination")
        table, known = self.fields.pop("table", None), self.fields.pop("known", True)
        if table is None:
            # iproute_modify(): these belong to the table local.
            local = self.fields.get("type") in ("local", "broadcast", "nat", "anycast")
            table = TABLE_LOCAL if local else TABLE_MAIN
        return RouteLine(
            **self.fields,
            table=table,
            hops=self._all_hops(),
            words=tuple(self.rest),
            given=tuple(self.given),
            known=known,
        )

    def _all_hops(self) -> Tuple[Hop, ...]:
        if self.fields.get("type") in WITHOUT_HOPS:
            return ()
        return tuple(self.hops) or _single_hop(self.link, self.gateway, self.onlink)

    def _word(self, full: str, kind: str) -> None:
        if kind == "onlink":
            self.onlink = True
        elif kind == "nexthop":
            self._nexthops()
        elif kind in _LEADING:
            self._leading(full, kind)
        else:
            self._aside(full, kind)

    def _leading(self, full: str, kind: str) -> None:
        """A word that says where the route leads, or which it is."""
        value = self.words.take(full)
        if kind == "via":
            if self.gateway is not None:
                raise LineError("has a second via")
            self.gateway = self._gateway(value)
        elif kind == "dev":
            self.link = value
        elif kind == "table":
            self.fields["table"] = read_table(value, self.tables)
        elif kind == "src":
            self.fields["source"] = read_address(value, self.version)
        elif kind == "tos":
            self.fields.update(_read_tos(value))
        elif kind == "scope":
            self.fields["scope"] = _SCOPES.get(value, _number_or_none(value))
            self.rest += ["scope", value]
        else:
            self.fields["metric"] = read_number(value, full)

    def _aside(self, full: str, kind: str) -> None:
        value = self.words.take(full)
        words = [full, value]
        if kind == "lockable":
            if value == "lock":
                value = self.words.take(full)
                words.append(value)
            read_number(value, full)
        elif kind in ("number", "flag"):
            read_number(value, full)
        elif kind in ("from", "as", "nhid", "vrf", "encap"):
            # Neither modelled, nor do dispatcher files have them.
            self.fields["known"] = False
            if kind == "encap":
                while self.words:
                    words.append(self.words.take())
        elif kind == "features" and value != "ecn":
            raise LineError(f"features {shown(value)} is none that ip knows")
        self.rest += words

    def _gateway(self, value: str) -> IPAddress:
        """The gateway behind ``via``, with or without its family."""
        if value in ("inet", "inet6"):
            return read_address(self.words.take("via"), IPV4 if value == "inet" else IPV6)
        return read_address(value, self.version)

    def _nexthops(self) -> None:
        while True:
            gateway, link, onlink, weight = None, "", False, 1
            while self.words and self.words.peek() != "nexthop":
                word = self.words.take()
                if word == "via":
                    gateway = self._gateway(self.words.take("via"))
                elif word == "dev":
                    link = self.words.take("dev")
                elif word == "weight":
                    weight = read_number(self.words.take("weight"), "weight")
                    if not 0 < weight <= _MOST_WEIGHT:
                        raise LineError(f"weight {weight} is not between 1 and 256")
                elif word == "onlink":
                    onlink = True
                elif "realms".startswith(word):
                    self.words.take("realms")
                elif word in ("encap", "as"):
                    self.fields["known"] = False
                    while self.words and self.words.peek() != "nexthop":
                        self.words.take()
                else:
                    raise LineError(f"{shown(word)} is not understood behind nexthop")
            self.hops.append(Hop(link, gateway, onlink, weight))
            if not self.words:
                return
            self.words.take()

    def _destination(self, word: str) -> None:
        if word == "to":
            word = self.words.take("to")
        kind = _route_type(word)
        if kind:
            self.fields["type"] = kind
            word = self.words.take(word)
        if word and "help".startswith(word):
            raise LineError(f"{shown(word)} asks ip for help")
        if "destination" in self.fields:
            raise LineError(f"has {shown(word)}, which is no word that ip knows")
        network, host_bits = read_prefix(word, self.version)
        self.fields["destination"] = network
        self.fields["host_bits"] = host_bits


_LEADING = ("via", "dev", "table", "src", "tos", "scope", "metric")


@lru_cache(maxsize=_MOST_WORDS)
def _single_hop(link: str, gateway: Optional[IPAddress], onlink: bool) -> Tuple[Hop, ...]:
    return (Hop(link, gateway, onlink),)


def _route_type(word: str) -> str:
    """The type of route that a word stands for; "" where it is none."""
    if word[:1].isdigit():
        return ""  # a number would be one, but to `ip` it is a destination
    return _read_type(word)


def _read_type(word: str) -> str:
    if word in _WHOLE_TYPES:
        return word
    if word == "brd":
        return "broadcast"
    for kind in _TYPES:
        if kind.startswith(word):
            return kind
    return ""


# -- rules ----------------------------------------------------------------------------------------


def read_rule(line: str, version: int, tables: Mapping[str, int]) -> Optional[Rule]:
    """The rule that ``ip -4|-6 rule add LINE`` makes, priority 0 where it names none.

    None for what is not modelled; raises `LineError` for what `ip` refuses.
    """
    return _RuleReader(line, version, tables).read()


class _RuleReader:
    """Reads one line of a rule file."""

    def __init__(self, line: str, version: int, tables: Mapping[str, int]) -> None:
        self.words = _Words(line)
        self.version = version
        self.tables = tables
        self.fields: Dict[str, Any] = {"version": version, "priority": 0}
        self.opaque: Dict[str, str] = {}
        self.known = True

    def read(self) -> Optional[Rule]:
        if not self.words:
            raise LineError("is empty")
        acts = False
        while self.words:
            word = self.words.take()
            found = _find_word(word, _RULE_WORDS)
            if found is None:
                self._action(word)
                acts = True
                continue
            full, kind = found
            acts = acts or kind in ("table", "l3mdev")
            if kind == "not":
                self.fields["invert"] = True
            elif kind == "l3mdev":
                self.fields["l3mdev"] = True
            else:
                self._selector(kind, self.words.take(full))
        if self.fields.get("l3mdev") and self.fields.get("table"):
            raise LineError("has l3mdev and a table")
        if not acts:
            self.fields["table"] = TABLE_MAIN
        # In the order in which the kernel lists them (fib_nl_fill_rule).
        opaque = tuple(f"{name} {self.opaque[name]}" for name in _OPAQUE if name in self.opaque)
        return Rule(**self.fields, opaque=opaque) if self.known else None

    def _selector(self, kind: str, value: str) -> None:
        read: Callable[[str, str], Mapping[str, Any]] = getattr(self, "_" + kind)
        self.fields.update(read(kind, value))

    def _from(self, _: str, value: str) -> Mapping[str, Any]:
        return {"source": self._network(value)}

    def _to(self, _: str, value: str) -> Mapping[str, Any]:
        return {"destination": self._network(value)}

    def _network(self, value: str) -> Optional[IPNetwork]:
        network, _ = read_prefix(value, self.version)
        return network if network.prefixlen else None

    def _priority(self, kind: str, value: str) -> Mapping[str, Any]:
        return {"priority": read_number(value, kind)}

    def _tos(self, _: str, value: str) -> Mapping[str, Any]:
        found = _read_tos(value)
        self.known = self.known and found.pop("known", True)
        return found

    def _fwmark(self, kind: str, value: str) -> Mapping[str, Any]:
        mark, slash, mask = value.partition("/")
        number = read_number(mark, kind)
        if slash:
            return {"mark": number, "mask": read_number(mask, kind)}
        return {"mark": number, "mask": LARGEST_UINT32 if number else 0}

    def _realms(self, _: str, __: str) -> Mapping[str, Any]:
        self.known = False
        return {}

    def _protocol(self, _: str, __: str) -> Mapping[str, Any]:
        return {}  # who added it; no selector

    def _tun_id(self, kind: str, value: str) -> Mapping[str, Any]:
        self.opaque["tun_id"] = str(read_number(value, kind))
        return {}

    def _table(self, _: str, value: str) -> Mapping[str, Any]:
        return {"table": read_table(value, self.tables)}

    def _suppress_prefixlength(self, kind: str, value: str) -> Mapping[str, Any]:
        return {"suppress_prefixlength": read_number(value, kind)}

    def _suppress_ifgroup(self, kind: str, value: str) -> Mapping[str, Any]:
        if not value[:1].isdigit():
            self.known = value == "default" and self.known
            return {"suppress_ifgroup": 0}
        return {"suppress_ifgroup": read_number(value, kind)}

    def _iif(self, kind: str, value: str) -> Mapping[str, Any]:
        return {kind: _read_link(value)}

    _oif = _iif

    def _uidrange(self, _: str, value: str) -> Mapping[str, Any]:
        found = re.match(r"([0-9]+)-([0-9]+)", value)
        if not found:
            raise LineError(f"uidrange {shown(value)} is no range of numbers")
        self.opaque["uid_range"] = f"{int(found.group(1))}:{int(found.group(2))}"
        return {}

    _nat = _realms

    def _ipproto(self, _: str, value: str) -> Mapping[str, Any]:
        if value.isdigit() and int(value) <= _LARGEST_OCTET:
            self.opaque["ip_proto"] = str(int(value))
        elif value in _PROTOCOLS:
            self.opaque["ip_proto"] = str(_PROTOCOLS[value])
        else:
            self.known = False
        return {}

    def _sport(self, kind: str, value: str) -> Mapping[str, Any]:
        found = re.match(r"([0-9]+)(?:-([0-9]+))?", value)
        if not found:
            raise LineError(f"{kind} {shown(value)} is no range of ports")
        first = int(found.group(1))
        last = int(found.group(2)) if found.group(2) else first
        self.opaque[f"{kind}_range"] = f"{first}:{last}"
        return {}

    _dport = _sport

    def _action(self, word: str) -> None:
        if word == "type":
            word = self.words.take(word)
        if word and "help".startswith(word):
            raise LineError(f"{shown(word)} asks ip for help")
        if "goto".startswith(word):
            self.fields["action"] = "goto"
            self.fields["target"] = read_number(self.words.take("goto"), "goto")
            return
        if "nop".startswith(word):
            self.fields["action"] = "nop"
            return
        kind = _read_type(word)
        if not kind:
            kind = _TYPE_NUMBERS.get(_number_or_none(word) or 0, "")
        if not kind:
            raise LineError(f"has {shown(word)}, which is no word that ip knows")
        if kind in ("blackhole", "unreachable", "prohibit"):
            self.fields["action"] = kind
        else:
            self.known = False


_OPAQUE = ("tun_id", "uid_range", "sport_range", "dport_range", "ip_proto")


# -- words ----------------------------------------------------------------------------------------


@lru_cache(maxsize=_MOST_WORDS)
def read_prefix(word: str, version: int) -> Tuple[IPNetwork, bool]:
    """The network, and whether the address has bits outside it; raises `LineError`."""
    address, slash, mask = word.partition("/")
    if address in ("default", "all", "any"):
        if slash:
            raise LineError(f"{shown(word)} is no network")
        return ANY[version], False
    parsed = read_address(address, version)
    length = _read_length(mask, parsed.max_prefixlen) if slash else parsed.max_prefixlen
    network: IPNetwork
    if isinstance(parsed, IPv4Address):
        network = IPv4Network((int(parsed), length), strict=False)
    else:
        network = IPv6Network((int(parsed), length), strict=False)
    return network, network.network_address != parsed


def _read_length(mask: str, longest: int) -> int:
    """A prefix length, or an IPv4 mask; get_netmask() takes that for IPv6, too."""
    try:
        length = read_number(mask, "/")
    except LineError:
        bits = f"{int(_read_address4(mask)):032b}"
        if "01" in bits:
            raise LineError(f"{shown(mask)} is no mask of a network") from None
        length = bits.count("1")
    if length > longest:
        raise LineError(f"/{length} is longer than /{longest}")
    return length


@lru_cache(maxsize=_MOST_WORDS)
def read_address(word: str, version: int) -> IPAddress:
    """The address as get_addr_1() reads it; raises `LineError`."""
    if word in ("default", "all", "any"):
        return ANY[version].network_address
    try:
        if ":" in word and version == IPV6:
            if "%" in word:
                raise ValueError("a zone")
            return IPv6Address(word)
        if ":" not in word and version == IPV4:
            return _read_address4(word)
    except ValueError:
        pass
    raise LineError(f"has {shown(word)} where ip wants an IPv{version} address")


_OCTET = re.compile(r"0[xX][0-9A-Fa-f]+|0[0-7]*|[1-9][0-9]*")


def _read_address4(word: str) -> IPv4Address:
    """get_addr_ipv4(): octal and hexadecimal numbers, and zeros for those that are missing."""
    octets = word.split(".")
    if len(octets) > _OCTETS or not all(map(_OCTET.fullmatch, octets)):
        raise LineError(f"{shown(word)} is no address")
    numbers = [int(octet, _base(octet)) for octet in octets]
    if max(numbers) > _LARGEST_OCTET:
        raise LineError(f"{shown(word)} is no address")
    numbers += [0] * (_OCTETS - len(numbers))
    return IPv4Address(bytes(numbers))


def _base(octet: str) -> int:
    if octet[:2].lower() == "0x":
        return 16
    return 8 if octet.startswith("0") else 10


# strtoul(3) with base 0: what Python's int() takes beyond, `ip` refuses.
_NUMBER = re.compile(
    r"\+?(?:0[xX](?P<hex>[0-9A-Fa-f]{1,8})|(?P<octal>0[0-7]{0,11})|(?P<plain>[1-9][0-9]{0,9}))"
)
_BASES = {"hex": 16, "octal": 8, "plain": 10}


def read_number(text: str, behind: str = "") -> int:
    """A number as `ip` takes it, 32 bits; raises `LineError`."""
    found = _NUMBER.fullmatch(text)
    kind = found.lastgroup if found else None
    if found is None or kind is None:
        raise LineError(
            f"has {shown(text)} where ip wants a number{behind and ' behind ' + behind}"
        )
    number = int(found.group(kind), _BASES[kind])
    if number > LARGEST_UINT32:
        raise LineError(f"has {shown(text)}, which is out of range")
    return number


def _number_or_none(text: str) -> Optional[int]:
    try:
        return read_number(text)
    except LineError:
        return None


def read_table(value: str, tables: Mapping[str, int]) -> int:
    """The number of a table, by number or by name; raises `LineError`."""
    if value in tables:
        return tables[value]
    number = _number_or_none(value)
    if number is None:
        raise LineError(f"names the table {shown(value)}, which is in no rt_tables file")
    return number


def _read_tos(value: str) -> Dict[str, Any]:
    """rtnl_dsfield_a2n(): hexadecimal with or without 0x, or a name of rt_dsfield."""
    if re.fullmatch(r"(0[xX])?[0-9A-Fa-f]{1,2}", value):
        return {"tos": int(value, 16)}
    return {"known": False}


def _read_link(value: str) -> str:
    if len(value.encode("utf-8", "surrogateescape")) > _LONGEST_LINK or "/" in value:
        raise LineError(f"{shown(value)} is no name of a link")
    return value
