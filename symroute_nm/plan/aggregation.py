"""Fewer networks that decide the same: implied ones dropped, halves joined, some made wider.

An entry is a network's prefix key with what holds for it (see `model.prefixes`); entries are of one
family and come in ascending order of their keys, so that a network stands before all within it.
"""

from heapq import merge
from itertools import islice
from operator import itemgetter
from typing import (
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    MutableSequence,
    Set,
    Tuple,
    TypeVar,
)

from symroute_nm.model.prefixes import (
    BITS,
    LENGTH_MASK,
    collapse,
    first_address,
    last_address,
    make_addresses,
    make_prefix_key,
)

Value = TypeVar("Value")

# Entries of one prefix length: their first addresses, ascending, and what holds for each
_Level = Tuple[MutableSequence[int], List[Value]]

# As wide as a network is made that covers more than what was asked for: an eighth of a family's
# addresses and more would be a way to everything.
_WIDEST = {4: 8, 6: 32}


def drop_implied(
    version: int, entries: Iterable[Tuple[int, Value]], fallback: Value
) -> Iterator[Tuple[int, Value]]:
    """The entries without those that decide as their nearest enclosing entry does.

    `fallback` is what decides where no entry but the default encloses.
    """
    bits = BITS[version]
    enclosing: List[Tuple[int, Value]] = []  # last address, and what decides up to there
    for key, value in entries:
        if not key & LENGTH_MASK:
            yield key, value
            continue
        first = first_address(key)
        while enclosing and enclosing[-1][0] < first:
            enclosing.pop()
        if value != (enclosing[-1][1] if enclosing else fallback):
            yield key, value
        enclosing.append((last_address(key, bits), value))


def join_halves(version: int, entries: Iterable[Tuple[int, Value]]) -> Iterator[Tuple[int, Value]]:
    """The entries with each two halves that agree made one, whatever held for the whole.

    Never down to a default route, which a rule may suppress.
    """
    levels: Dict[int, _Level[Value]] = {}
    for key, value in entries:
        firsts, values = levels.setdefault(key & LENGTH_MASK, (make_addresses(version), []))
        firsts.append(first_address(key))
        values.append(value)
    joined: Dict[int, Value] = {}
    for length in range(max(levels, default=0), 1, -1):
        level = _override(levels.get(length, (make_addresses(version), [])), joined)
        joined = {}
        levels[length] = _join_level(version, length, level, joined)
    if joined:
        levels[1] = _override(levels.get(1, (make_addresses(version), [])), joined)
    return merge(*(_make_entries(*level) for level in levels.items()), key=itemgetter(0))


def _override(level: "_Level[Value]", joined: Mapping[int, Value]) -> "_Level[Value]":
    """The entries of one length, those that were joined in the place of equal ones; ascending."""
    firsts, values = level
    if not joined:
        return level
    overridden: _Level[Value] = (firsts[:0], [])
    kept = ((first, value) for first, value in zip(firsts, values) if first not in joined)
    for first, value in merge(kept, sorted(joined.items(), key=itemgetter(0)), key=itemgetter(0)):
        overridden[0].append(first)
        overridden[1].append(value)
    return overridden


def _join_level(
    version: int, length: int, level: "_Level[Value]", joined: Dict[int, Value]
) -> "_Level[Value]":
    """The entries of one length that stay; those of which two halves agree go to `joined`."""
    other = 1 << (BITS[version] - length)
    firsts, values = level
    halves = {
        position
        for position, (first, following) in enumerate(zip(firsts, islice(firsts, 1, None)))
        if following == first | other
        and values[position] == values[position + 1]
        and not first & other
    }
    if not halves:
        return level
    joined.update((firsts[position], values[position]) for position in halves)
    kept: _Level[Value] = (firsts[:0], [])
    for position, (first, value) in enumerate(zip(firsts, values)):
        if position not in halves and position - 1 not in halves:
            kept[0].append(first)
            kept[1].append(value)
    return kept


def _make_entries(length: int, level: "_Level[Value]") -> Iterator[Tuple[int, Value]]:
    return ((make_prefix_key(first, length), value) for first, value in zip(*level))


def widen(version: int, entries: Mapping[int, bool], most: int) -> Dict[int, bool]:
    """The entries, those that are true and lie in no other widened until `most` of them are true.

    They take in nothing but addresses of which no entry knows; where that, or how wide they would
    be, forbids it, more are left.
    """
    bits = BITS[version]
    free = {key for key in collapse(sorted(entries), bits) if entries[key]}
    growing, rest = _by_length(free), _by_length(set(entries) - free)
    widened = {key: value for key, value in entries.items() if key not in free}
    count = count_true(entries)
    for length in range(bits, _WIDEST[version], -1):
        if count <= most:
            break
        half = 1 << (bits - length)
        wider = growing.setdefault(length - 1, set())
        # Whoever has something else beside it stays, and stands in the way of all around it.
        beside = {first & ~half for first in rest.get(length, ())}
        rest.setdefault(length - 1, set()).update(beside)
        for first in growing.pop(length, ()):
            whole = first & ~half
            if whole in rest[length - 1]:
                widened[make_prefix_key(first, length)] = True
            else:
                if whole in wider:
                    count -= 1
                wider.add(whole)
    for length, firsts in growing.items():
        widened.update((make_prefix_key(first, length), True) for first in firsts)
    return widened


def count_true(entries: Mapping[int, bool]) -> int:
    """How many of the entries are true."""
    return sum(1 for value in entries.values() if value)


def _by_length(keys: Iterable[int]) -> Dict[int, Set[int]]:
    """The first addresses of networks by their prefix lengths."""
    firsts: Dict[int, Set[int]] = {}
    for key in keys:
        firsts.setdefault(key & LENGTH_MASK, set()).add(first_address(key))
    return firsts
