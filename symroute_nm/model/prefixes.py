"""Networks as plain integers: hundreds of thousands in the memory of a few (pure).

A *rank* is a network's first address << 8 | its prefix length. In ascending order of rank a network
stands before all that lie in it.
"""

from array import array
from bisect import bisect_left
from ipaddress import IPv4Network, IPv6Network
from typing import AbstractSet, Iterable, Iterator, List, MutableSequence, Sequence, TypeVar, Union

_Network = Union[IPv4Network, IPv6Network]
_Member = TypeVar("_Member")

BITS = {4: 32, 6: 128}
_LENGTH_BITS = 8  # hold any prefix length
LENGTH_MASK = (1 << _LENGTH_BITS) - 1


def prefix_key(network: _Network) -> int:
    """The network's rank among those of its family."""
    return int(network.network_address) << _LENGTH_BITS | network.prefixlen


def make_rank(first: int, length: int) -> int:
    """The rank of the network that begins at `first`."""
    return first << _LENGTH_BITS | length


def network_at(version: int, number: int) -> _Network:
    """The network of that rank."""
    kind = IPv4Network if version == 4 else IPv6Network  # noqa: PLR2004  # IP version
    return kind((number >> _LENGTH_BITS, number & LENGTH_MASK))


def first_of(number: int) -> int:
    """The first address of the network of that rank."""
    return number >> _LENGTH_BITS


def last_of(number: int, bits: int) -> int:
    """The last address of the network of that rank, in a family of so many bits."""
    return (number >> _LENGTH_BITS) + (1 << (bits - (number & LENGTH_MASK))) - 1


def make_addresses(version: int, addresses: Iterable[int] = ()) -> MutableSequence[int]:
    """A list for addresses of that family: IPv4's take 4 bytes each, IPv6's are Python's own."""
    return array("I", addresses) if version == 4 else list(addresses)  # noqa: PLR2004  # IP version


def make_ranks(version: int, ranks: Iterable[int] = ()) -> MutableSequence[int]:
    """A list for ranks of that family: IPv4's take 8 bytes each, IPv6's are Python's own."""
    return array("Q", ranks) if version == 4 else list(ranks)  # noqa: PLR2004  # IP version


def make_indexes(indexes: Iterable[int] = ()) -> "array[int]":
    """A list for positions in another list: 4 bytes each."""
    return array("I", indexes)


def collapse(ranks: Iterable[int], bits: int) -> List[int]:
    """Of ascending ranks those whose networks lie in none before."""
    kept: List[int] = []
    until = -1
    for key in ranks:
        if first_of(key) > until:
            kept.append(key)
            until = last_of(key, bits)
    return kept


class PrefixSet(AbstractSet[_Network]):
    """A set of networks of one family, kept as their ranks, which come ascending, each once."""

    def __init__(self, version: int, ranks: Iterable[int] = ()) -> None:
        self.version = version
        self.ranks: Sequence[int] = make_ranks(version, ranks)

    @classmethod
    def _from_iterable(cls, it: Iterable[_Member]) -> AbstractSet[_Member]:
        """What set operations make: a set with a constructor like theirs."""
        return frozenset(it)

    def __contains__(self, network: object) -> bool:
        if not isinstance(network, (IPv4Network, IPv6Network)) or network.version != self.version:
            return False
        return self.has(prefix_key(network))

    def has(self, number: int) -> bool:
        """Whether the network of that rank is in it."""
        position = bisect_left(self.ranks, number)
        return position < len(self.ranks) and self.ranks[position] == number

    def __iter__(self) -> Iterator[_Network]:
        return (network_at(self.version, key) for key in self.ranks)

    def __len__(self) -> int:
        return len(self.ranks)
