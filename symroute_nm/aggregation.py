"""Entries of one routing table, by destination, made fewer (pure).

An entry is a prefix and what holds for it, as far as no longer prefix says otherwise; all of one
family. `ipaddress.collapse_addresses` would take nested ones of another kind for the same.
"""

from ipaddress import IPv4Network, IPv6Network
from typing import Dict, Iterable, List, Mapping, Set, Tuple, TypeVar

from symroute_nm.model import ANY, VERSIONS, IPNetwork, contains

Value = TypeVar("Value")

# As wide as a network is made that covers more than what was asked for: an eighth of a family's
# addresses and more would be a way to everything.
_WIDEST = {4: 8, 6: 32}

_LENGTH_BITS = 8  # hold any prefix length


def needed(entries: Mapping[IPNetwork, Value], fallback: Value) -> Dict[IPNetwork, Value]:
    """The entries without those that decide as their nearest enclosing entry does; ascending.

    `fallback` is what decides where no entry but the default encloses.
    """
    kept: Dict[IPNetwork, Value] = {}
    enclosing: List[Tuple[int, Value]] = []  # last address, and what decides up to there
    for network, value in _ascending(entries):
        first, length = int(network.network_address), network.prefixlen
        while enclosing and enclosing[-1][0] < first:
            enclosing.pop()
        if length == 0:
            kept[network] = value
            continue
        if value != (enclosing[-1][1] if enclosing else fallback):
            kept[network] = value
        enclosing.append((first + (1 << (network.max_prefixlen - length)) - 1, value))
    return kept


def _ascending(entries: Mapping[IPNetwork, Value]) -> Iterable[Tuple[IPNetwork, Value]]:
    """The entries in order; as they are where they have it, as long ones mostly do."""
    before = -1
    for network in entries:
        place = rank(network)
        if place < before:
            return sorted(entries.items(), key=lambda item: rank(item[0]))
        before = place
    return entries.items()


def rank(network: IPNetwork) -> int:
    """What networks of one family are in order by, as `network_key`, in a third of its memory."""
    return int(network.network_address) << _LENGTH_BITS | network.prefixlen


def join(entries: Mapping[IPNetwork, Value]) -> Dict[IPNetwork, Value]:
    """The entries with each two halves that agree made one, whatever held for the whole.

    Never down to a default route, which a rule may suppress.
    """
    by_length: Dict[int, Dict[int, Value]] = {}
    for network, value in entries.items():
        by_length.setdefault(network.prefixlen, {})[int(network.network_address)] = value
    bits = max((each.max_prefixlen for each in entries), default=0)
    for length in range(bits, 1, -1):
        here, other = by_length.get(length, {}), 1 << (bits - length)
        for first in [each for each in here if not each & other and each | other in here]:
            if here[first] == here[first | other]:
                by_length.setdefault(length - 1, {})[first] = here.pop(first)
                del here[first | other]
    # Most are as they were, and keep their objects.
    joined = {
        network: by_length[network.prefixlen].pop(int(network.network_address))
        for network in entries
        if int(network.network_address) in by_length[network.prefixlen]
    }
    joined.update((_network(first, length, bits), value)
                  for length, here in by_length.items() for first, value in here.items())
    return joined


def collapse(networks: Iterable[IPNetwork]) -> List[IPNetwork]:
    """The networks without those that lie in another."""
    kept: List[IPNetwork] = []
    for network in sorted(networks, key=rank):
        if not kept or not contains(kept[-1], network):
            kept.append(network)
    return kept


def widen(entries: Mapping[IPNetwork, bool], most: int) -> Dict[IPNetwork, bool]:
    """The entries, those that are true and lie in no other widened until `most` of them are true.

    They take in nothing but addresses of which no entry knows; where that, or how wide they would
    be, forbids it, more are left.
    """
    version = next((each.version for each in entries), VERSIONS[0])
    bits = ANY[version].max_prefixlen
    free = {each for each in collapse(entries) if entries[each]}
    growing, rest = _by_length(free), _by_length(set(entries) - free)
    found = {each: value for each, value in entries.items() if each not in free}
    count = sum(entries.values())
    for length in range(bits, _WIDEST[version], -1):
        if count <= most:
            break
        half = 1 << (bits - length)
        wider = growing.setdefault(length - 1, set())
        # Whoever has something else beside it stays, and stands in the way of all around it.
        beside = {each & ~half for each in rest.get(length, ())}
        rest.setdefault(length - 1, set()).update(beside)
        for first in growing.pop(length, ()):
            whole = first & ~half
            if whole in rest[length - 1]:
                found[_network(first, length, bits)] = True
            else:
                count -= whole in wider
                wider.add(whole)
    found.update((_network(first, length, bits), True)
                 for length, here in growing.items() for first in here)
    return found


def _by_length(networks: Iterable[IPNetwork]) -> Dict[int, Set[int]]:
    found: Dict[int, Set[int]] = {}
    for network in networks:
        found.setdefault(network.prefixlen, set()).add(int(network.network_address))
    return found


def _network(first: int, length: int, bits: int) -> IPNetwork:
    kind = IPv4Network if bits == ANY[VERSIONS[0]].max_prefixlen else IPv6Network
    return kind((first, length))
