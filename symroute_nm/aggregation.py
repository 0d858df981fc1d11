"""Entries of one routing table, by destination, made fewer (pure).

An entry is a prefix and what holds for it, as far as no longer prefix says otherwise; all of one
family. `ipaddress.collapse_addresses` would take nested ones of another kind for the same.
"""

from ipaddress import IPv4Network, IPv6Network
from typing import Dict, Iterable, List, Mapping, Set, TypeVar

from symroute_nm.model import ANY, VERSIONS, IPNetwork, contains, network_key

Value = TypeVar("Value")

# As wide as a network is made that covers more than what was asked for: an eighth of a family's
# addresses and more would be a way to everything.
_WIDEST = {4: 8, 6: 32}


def needed(entries: Mapping[IPNetwork, Value], fallback: Value) -> Dict[IPNetwork, Value]:
    """The entries without those that decide as their nearest enclosing entry does; ascending.

    `fallback` is what decides where no entry but the default encloses.
    """
    kept: Dict[IPNetwork, Value] = {}
    enclosing: List[IPNetwork] = []
    for network in sorted(entries, key=network_key):
        while enclosing and not contains(enclosing[-1], network):
            enclosing.pop()
        outer = enclosing[-1] if enclosing else None
        decided = fallback if outer is None or outer.prefixlen == 0 else entries[outer]
        if network.prefixlen == 0 or entries[network] != decided:
            kept[network] = entries[network]
        enclosing.append(network)
    return kept


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
    return {
        _network(first, length, bits): value
        for length, here in by_length.items() for first, value in here.items()
    }


def collapse(networks: Iterable[IPNetwork]) -> List[IPNetwork]:
    """The networks without those that lie in another."""
    kept: List[IPNetwork] = []
    for network in sorted(networks, key=network_key):
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
