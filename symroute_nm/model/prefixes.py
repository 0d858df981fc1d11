"""Networks as plain integers, their prefix keys: hundreds of thousands in the memory of a few.

A prefix key is a network's first address << 8 | its prefix length, among those of its family. In
ascending order of prefix keys a network stands before all that lie in it.
"""

from array import array
from bisect import bisect_left
from ipaddress import IPv4Network, IPv6Network
from typing import AbstractSet, Iterable, Iterator, List, MutableSequence, Sequence, TypeVar

from symroute_nm.model.network import IPV4, IPNetwork

_Member = TypeVar("_Member")

BITS = {4: 32, 6: 128}
_LENGTH_BITS = 8  # hold any prefix length
LENGTH_MASK = (1 << _LENGTH_BITS) - 1


def prefix_key(network: IPNetwork) -> int:
    """The prefix key of a network."""
    return int(network.network_address) << _LENGTH_BITS | network.prefixlen


def make_prefix_key(first: int, length: int) -> int:
    """The prefix key of the network that begins at `first`."""
    return first << _LENGTH_BITS | length


def network_of_key(version: int, key: int) -> IPNetwork:
    """The network of that prefix key."""
    kind = IPv4Network if version == IPV4 else IPv6Network
    return kind((key >> _LENGTH_BITS, key & LENGTH_MASK))


def first_address(key: int) -> int:
    """The first address of the network of that prefix key."""
    return key >> _LENGTH_BITS


def last_address(key: int, bits: int) -> int:
    """The last address of the network of that prefix key, in a family of so many bits."""
    return (key >> _LENGTH_BITS) + (1 << (bits - (key & LENGTH_MASK))) - 1


def make_addresses(version: int, addresses: Iterable[int] = ()) -> MutableSequence[int]:
    """A list for addresses of that family: IPv4's take 4 bytes each, IPv6's are Python's own."""
    return array("I", addresses) if version == IPV4 else list(addresses)


def make_prefix_keys(version: int, keys: Iterable[int] = ()) -> MutableSequence[int]:
    """A list for prefix keys of that family: IPv4's take 8 bytes each, IPv6's are Python's own."""
    return array("Q", keys) if version == IPV4 else list(keys)


def make_indexes(indexes: Iterable[int] = ()) -> "array[int]":
    """A list for positions in another list: 4 bytes each."""
    return array("I", indexes)


def collapse(keys: Iterable[int], bits: int) -> List[int]:
    """Of ascending prefix keys those whose networks lie in none before."""
    kept: List[int] = []
    until = -1
    for key in keys:
        if first_address(key) > until:
            kept.append(key)
            until = last_address(key, bits)
    return kept


class PrefixSet(AbstractSet[IPNetwork]):
    """A set of networks of one family, kept as its prefix keys, which come ascending, each once."""

    def __init__(self, version: int, keys: Iterable[int] = ()) -> None:
        self.version = version
        self.prefix_keys: Sequence[int] = make_prefix_keys(version, keys)

    @classmethod
    def _from_iterable(cls, it: Iterable[_Member]) -> AbstractSet[_Member]:
        """What set operations make: a frozenset, since members do not come as ascending keys."""
        return frozenset(it)

    def __contains__(self, network: object) -> bool:
        if not isinstance(network, (IPv4Network, IPv6Network)) or network.version != self.version:
            return False
        return self.has(prefix_key(network))

    def has(self, key: int) -> bool:
        """Whether the network of that prefix key is in it."""
        position = bisect_left(self.prefix_keys, key)
        return position < len(self.prefix_keys) and self.prefix_keys[position] == key

    def __iter__(self) -> Iterator[IPNetwork]:
        return (network_of_key(self.version, key) for key in self.prefix_keys)

    def __len__(self) -> int:
        return len(self.prefix_keys)
