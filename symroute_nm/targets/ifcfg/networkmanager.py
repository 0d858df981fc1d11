"""Route lines as NetworkManager reads them, where no rule file leaves them to the script.

It knows fewer words than `ip`, none of them abbreviated, passes over what follows ``dev``, and
leaves out each line that it does not understand. Source: NetworkManager 1.42, parse_route_line() of
src/core/settings/plugins/ifcfg-rh/nms-ifcfg-rh-reader.c.
"""

import re
from ipaddress import ip_address
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from symroute_nm.model.ip_lines import WITHOUT_HOPS, RouteLine
from symroute_nm.model.network import (
    ANY,
    TABLE_LOCAL,
    TABLE_MAIN,
    VERSIONS,
    Hop,
    IPAddress,
    parse_network,
)

# In its source a comma is missing between "broadcast" and "multicast": it knows neither.
_TYPES = ("local", "unicast", "throw", "unreachable", "prohibit", "blackhole", "nat")
_SCOPES = {"global": 0, "nowhere": 255, "host": 254, "link": 253, "site": 200}
_LARGEST = 0xFFFFFFFF


def read_line(line: str, version: int, link: str) -> Optional[RouteLine]:
    """The route that NetworkManager applies for a line of a route file of `link`; None: none.

    A gateway outside the link's networks it reaches all the same, and host bits it clears.
    """
    try:
        return _Reader(line, version).read(link)
    except ValueError:
        return None


def is_comment(line: str) -> bool:
    """Whether NetworkManager passes over a line, parse_route_line_is_comment()."""
    return re.match(r"[ \t\n\f\r]*(#|\Z)", line) is not None


class _Reader:
    """Reads one line; raises `ValueError` for one that NetworkManager leaves out."""

    def __init__(self, line: str, version: int) -> None:
        self.words: List[str] = [word for word in re.split(r"[ \t\n]", line) if word]
        self.version = version
        self.values: Dict[str, Any] = {}
        self.rest: List[str] = []

    def read(self, link: str) -> RouteLine:
        while self.words:
            self._word(self.words.pop(0))
        if "to" not in self.values:
            raise ValueError("no destination")
        kind = self.values.get("type", "unicast")
        gateway: Optional[IPAddress] = self.values.get("via")
        if gateway is not None and not int(gateway):
            gateway = None
        if kind in WITHOUT_HOPS and gateway is not None:
            raise ValueError("a gateway behind a route that leads nowhere")
        destination, host_bits = self.values["to"]
        hops = (Hop(link, gateway, "onlink" in self.values),)
        return RouteLine(
            destination,
            type=kind,
            hops=() if kind in WITHOUT_HOPS else hops,
            table=self.values.get("table") or (TABLE_LOCAL if kind == "local" else TABLE_MAIN),
            metric=self.values.get("metric", 0),
            source=self.values.get("src"),
            tos=self.values.get("tos", 0),
            scope=self.values.get("scope"),
            words=tuple(self.rest),
            given=tuple(self.values),
            host_bits=host_bits,
        )

    def _word(self, word: str) -> None:
        found = _WORDS.get(word)
        if found is not None and self.version in found[1]:
            if word in self.values:
                raise ValueError("a word twice")
            found[0](self, word)
        elif word in _TYPES and "type" not in self.values:
            self.values["type"] = word
        elif "to" not in self.values:
            self.values["to"] = self._prefix(word)
        else:
            raise ValueError("garbage")

    def _take(self) -> str:
        if not self.words:
            raise ValueError("nothing behind the word")
        return self.words.pop(0)

    def _prefix(self, word: str) -> Tuple[Any, bool]:
        if word == "default":
            return ANY[self.version], False
        text, slash, length = word.partition("/")
        address = self._parse_address(text)
        if slash and not re.fullmatch(r"[0-9]{1,3}", length):
            raise ValueError("a mask, where NetworkManager wants a length")
        network = parse_network(word)
        return network, address != network.network_address

    def _parse_address(self, text: str) -> IPAddress:
        address = ip_address(text)
        # Some versions of Python take an octal number for a decimal one.
        octal = self.version == VERSIONS[0] and str(address) != text
        if address.version != self.version or octal or "%" in text:
            raise ValueError("of another family, with a zone or in octal")
        return address

    def _to(self, word: str) -> None:
        self.values[word] = self._prefix(self._take())

    def _from(self, word: str) -> None:
        text = self._take()
        self._prefix(text)
        self.values[word] = text
        self.rest += [word, text]

    def _address(self, word: str) -> None:
        text = self._take()
        if word == "via" and text == "(null)":
            self.values[word] = ANY[self.version].network_address
            return
        self.values[word] = self._parse_address(text)

    def _number(self, word: str) -> None:
        self.values[word] = self._parse_number(self._take())

    def _aside(self, word: str) -> None:
        words = [word]
        text = self._take()
        if text == "lock":
            words.append(text)
            text = self._take()
        self.values[word] = self._parse_number(text)
        self.rest += [*words, text]

    def _plain(self, word: str) -> None:
        text = self._take()
        self.values[word] = self._parse_number(text)
        self.rest += [word, text]

    def _weight(self, word: str) -> None:
        # Of one hop it says nothing, and `ip` wants it behind nexthop alone.
        self.values[word] = self._parse_number(self._take())

    def _tos(self, word: str) -> None:
        self.values[word] = int(self._take(), 16)

    def _scope(self, word: str) -> None:
        text = self._take()
        self.values[word] = _SCOPES[text] if text in _SCOPES else self._parse_number(text)
        self.rest += [word, text]

    def _flag(self, word: str) -> None:
        self.values[word] = True

    def _pass(self, word: str) -> None:
        self.values[word] = self._take()

    def _parse_number(self, text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) > _LARGEST:
            raise ValueError("no number")
        return int(text)


_Read = Callable[[_Reader, str], None]
_WORDS: Mapping[str, Tuple[_Read, Tuple[int, ...]]] = {
    "table": (_Reader._number, VERSIONS),
    "src": (_Reader._address, VERSIONS),
    "from": (_Reader._from, VERSIONS[1:]),
    "tos": (_Reader._tos, VERSIONS),
    "weight": (_Reader._weight, VERSIONS[:1]),
    "scope": (_Reader._scope, VERSIONS),
    "onlink": (_Reader._flag, VERSIONS),
    "window": (_Reader._aside, VERSIONS),
    "cwnd": (_Reader._aside, VERSIONS),
    "advmss": (_Reader._aside, VERSIONS),
    "initcwnd": (_Reader._aside, VERSIONS),
    "initrwnd": (_Reader._aside, VERSIONS),
    "mtu": (_Reader._aside, VERSIONS),
    "quickack": (_Reader._plain, VERSIONS),
    "rto_min": (_Reader._plain, VERSIONS),
    "to": (_Reader._to, VERSIONS),
    "via": (_Reader._address, VERSIONS),
    "metric": (_Reader._number, VERSIONS),
    "dev": (_Reader._pass, VERSIONS),
}
