"""Which ports the host's firewall sends on to other addresses: listings -> `Published`.

A listing is somebody else's program's text: what is not understood in it is passed over.
"""

import re
import shlex
from ipaddress import ip_address
from typing import Dict, Iterator, List, Optional, Tuple

from symroute_nm.model.network import ANY, IPAddress, IPNetwork, parse_network
from symroute_nm.model.observations import Published

_TABLE = re.compile(r"\*(\S+)")
_TARGET = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::(\S+))?|([0-9.]+)(?::(\S+))?|([0-9A-Fa-f:]+)")
_NFT_DNAT = re.compile(r"\bdnat(?: ip6?)?(?: prefix| addr \. port)? to (.+)")
_NFT_ADDRESS = re.compile(r"\bip6? daddr (?!!=|map\b|\.)(?:\{([^}]*)\}|(\S+))")
_NFT_PORT = re.compile(r"\b(?:(tcp|udp|sctp|dccp)|th) dport (?!!=|map\b|\.)(?:\{([^}]*)\}|(\S+))")
_NFT_PROTOCOL = re.compile(r"\b(?:meta l4proto|ip protocol|ip6 nexthdr) (tcp|udp|sctp|dccp)\b")
# What an administrator wrote freely: nft's strings know no escapes, those of iptables-save do.
_NFT_FREE = re.compile(r'"[^"]*"?|#.*')
_IPTABLES_FREE = re.compile(r'"(?:[^"\\]|\\.)*"?')
_MASQUERADE = re.compile(r"\bmasquerade\b")
_BETWEEN, _BETWEEN_TARGETS = re.compile(r"[\s,]+"), re.compile(r"[\s,{}]+")
_FREE_OPTIONS = {"!", "--comment", "--log-prefix", "--nflog-prefix", "--string", "--hex-string"}
_MASQUERADED = re.compile(r"(?:^| )-s (\S+)|\bip6? saddr (?!!=|map\b|\.|@)(?:\{([^}]*)\}|(\S+))")
# iptables-save(8) and iptables-extensions(8): the options that matter, each with its value.
_IPTABLES = {
    "-p": "protocol",
    "--protocol": "protocol",
    "-d": "at",
    "--destination": "at",
    "--dport": "port",
    "--destination-port": "port",
    "--dports": "port",
    "--to-destination": "target",
    "-j": "jump",
    "--jump": "jump",
}


def parse_iptables(text: str) -> Iterator[Published]:
    """The DNATs in what ``iptables-save`` or ``ip6tables-save`` prints."""
    table = ""
    for line in text.splitlines():
        heading = _TABLE.match(line)
        table = heading.group(1) if heading else table
        if table == "nat" and line.startswith("-A ") and "DNAT" in line:
            yield from _iptables_rule(line)


def parse_nft(text: str) -> Iterator[Published]:
    """The DNATs in what ``nft list ruleset`` prints; of a map every address that it holds."""
    for whole in text.splitlines():
        line = _NFT_FREE.sub('""', whole)
        sent = _NFT_DNAT.search(line)
        if sent:
            yield from _nft_rule(line[: sent.start()], sent.group(1))


def parse_masqueraded(text: str) -> Iterator[IPNetwork]:
    """The sources that any listing masquerades; all of both families where it names none."""
    for whole in text.splitlines():
        line = (_IPTABLES_FREE if whole.startswith("-A ") else _NFT_FREE).sub('""', whole)
        if "MASQUERADE" in line or _MASQUERADE.search(line):
            named = _MASQUERADED.search(line)
            words = next((group for group in named.groups() if group), "") if named else ""
            yield from _networks(words) or tuple(ANY.values())


def _iptables_rule(line: str) -> Iterator[Published]:
    values: Dict[str, str] = {}
    words = _words(line)
    for before, word, value in zip(["", *words], words, words[1:]):
        if word in _IPTABLES and before not in _FREE_OPTIONS:
            values[_IPTABLES[word]] = value
    target = _TARGET.fullmatch(values.get("target", "").partition("-")[0])
    if values.get("jump") == "DNAT" and target:
        yield from _publish(
            target,
            values.get("protocol", ""),
            values.get("port", ""),
            _networks(values.get("at", "")),
        )


def _nft_rule(conditions: str, targets: str) -> Iterator[Published]:
    port, address = _NFT_PORT.search(conditions), _NFT_ADDRESS.search(conditions)
    protocol = _NFT_PROTOCOL.search(conditions)
    name = ""
    if port and port.group(1):
        name = port.group(1)
    elif protocol:
        name = protocol.group(1)
    # Either group may be empty: {} is a set without elements.
    at = _networks(address.group(1) or address.group(2) or "") if address else ()
    number = (port.group(2) or port.group(3) or "").replace(" ", "") if port else ""
    if " map " in " " + targets:
        # { 8080 : 172.17.0.2 . 80 }: which of it is key and which target, the caller need not know.
        targets, number = targets.partition("{")[2], ""
    for word in _BETWEEN_TARGETS.split(targets):
        target = _TARGET.fullmatch(word)
        if target:
            yield from _publish(target, name, number, at)


def _publish(
    target: "re.Match[str]", protocol: str, port: str, at: Tuple[IPNetwork, ...]
) -> Iterator[Published]:
    address = _address(target.group(1) or target.group(3) or target.group(5))
    if address is not None:
        yield Published(address, target.group(2) or target.group(4) or "", protocol, port, at)


def _words(line: str) -> List[str]:
    try:
        return shlex.split(line)
    except ValueError:  # a quotation that never ends
        return line.split()


def _networks(text: str) -> Tuple[IPNetwork, ...]:
    networks = []
    for word in _BETWEEN.split(text.strip()):
        try:
            networks.append(parse_network(word))
        except ValueError:  # a set's name, an interval
            continue
    return tuple(networks)


def _address(text: str) -> Optional[IPAddress]:
    try:
        return ip_address(text)
    except ValueError:
        return None
