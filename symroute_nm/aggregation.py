"""Entries of one routing table, by destination, made fewer (pure).

An entry is the rank of a prefix (`ranks`) and what holds for it, as far as no longer prefix says
otherwise; all of one family, ascending. `ipaddress.collapse_addresses` would take nested ones of
another kind for the same.
"""

from heapq import merge
from itertools import islice
from operator import itemgetter
from typing import Dict, Iterable, Iterator, List, Mapping, MutableSequence, Set, Tuple, TypeVar

from symroute_nm.model.prefixes import (
    BITS,
    LENGTH_MASK,
    collapse,
    first_of,
    last_of,
    make_addresses,
    make_rank,
)

Value = TypeVar("Value")
_Level = Tuple[MutableSequence[int], List[Value]]  # first addresses, ascending, and what holds

# As wide as a network is made that covers more than what was asked for: an eighth of a family's
# addresses and more would be a way to everything.
_WIDEST = {4: 8, 6: 32}


def needed(
    version: int, entries: Iterable[Tuple[int, Value]], fallback: Value
) -> Iterator[Tuple[int, Value]]:
    """The entries without those that decide as their nearest enclosing entry does.

    `fallback` is what decides where no entry but the default encloses.
    """
    bits = BITS[version]
    enclosing: List[Tuple[int, Value]] = []  # last address, and what decides up to there
    for number, value in entries:
        if not number & LENGTH_MASK:
            yield number, value
            continue
        first = first_of(number)
        while enclosing and enclosing[-1][0] < first:
            enclosing.pop()
        if value != (enclosing[-1][1] if enclosing else fallback):
            yield number, value
        enclosing.append((last_of(number, bits), value))


def join(version: int, entries: Iterable[Tuple[int, Value]]) -> Iterator[Tuple[int, Value]]:
    """The entries with each two halves that agree made one, whatever held for the whole.

    Never down to a default route, which a rule may suppress.
    """
    levels: Dict[int, _Level[Value]] = {}
    for number, value in entries:
        firsts, values = levels.setdefault(number & LENGTH_MASK, (make_addresses(version), []))
        firsts.append(first_of(number))
        values.append(value)
    made: Dict[int, Value] = {}
    for length in range(max(levels, default=0), 1, -1):
        level = _override(levels.get(length, (make_addresses(version), [])), made)
        made = {}
        levels[length] = _pair(version, length, level, made)
    if made:
        levels[1] = _override(levels.get(1, (make_addresses(version), [])), made)
    return merge(*(_number(length, level) for length, level in levels.items()), key=itemgetter(0))


def _override(level: "_Level[Value]", made: Mapping[int, Value]) -> "_Level[Value]":
    """The entries of one length, those that were made in the place of equal ones; ascending."""
    firsts, values = level
    if not made:
        return level
    found: _Level[Value] = (firsts[:0], [])
    kept = ((first, value) for first, value in zip(firsts, values) if first not in made)
    for first, value in merge(kept, sorted(made.items(), key=itemgetter(0)), key=itemgetter(0)):
        found[0].append(first)
        found[1].append(value)
    return found


def _pair(
    version: int, length: int, level: "_Level[Value]", made: Dict[int, Value]
) -> "_Level[Value]":
    """The entries of one length that stay; those of which two halves agree go to `made`."""
    other = 1 << (BITS[version] - length)
    firsts, values = level
    halves = {
        position for position, (first, following) in enumerate(zip(firsts, islice(firsts, 1, None)))
        if following == first | other and values[position] == values[position + 1]
        and not first & other}
    if not halves:
        return level
    made.update((firsts[each], values[each]) for each in halves)
    kept: _Level[Value] = (firsts[:0], [])
    for position, (first, value) in enumerate(zip(firsts, values)):
        if position not in halves and position - 1 not in halves:
            kept[0].append(first)
            kept[1].append(value)
    return kept


def _number(length: int, level: "_Level[Value]") -> Iterator[Tuple[int, Value]]:
    return ((make_rank(first, length), value) for first, value in zip(*level))


def widen(version: int, entries: Mapping[int, bool], most: int) -> Dict[int, bool]:
    """The entries, those that are true and lie in no other widened until `most` of them are true.

    They take in nothing but addresses of which no entry knows; where that, or how wide they would
    be, forbids it, more are left.
    """
    bits = BITS[version]
    free = {each for each in collapse(sorted(entries), bits) if entries[each]}
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
                found[make_rank(first, length)] = True
            else:
                count -= whole in wider
                wider.add(whole)
    found.update((make_rank(first, length), True)
                 for length, here in growing.items() for first in here)
    return found


def _by_length(ranks: Iterable[int]) -> Dict[int, Set[int]]:
    found: Dict[int, Set[int]] = {}
    for each in ranks:
        found.setdefault(each & LENGTH_MASK, set()).add(first_of(each))
    return found
