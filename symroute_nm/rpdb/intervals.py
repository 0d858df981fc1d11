"""Intervals of destinations: the arithmetic by which a whole family's addresses are decided.

Addresses are plain integers here, intervals inclusive. All work on long lists is slicing at C
speed: of two lists of intervals the shorter one is walked. What is made of lists is of their type
(`model.prefixes.make_addresses`).
"""

from array import array
from bisect import bisect_left, bisect_right
from typing import (
    Dict,
    Iterable,
    List,
    MutableSequence,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Union,
)

from symroute_nm.model.prefixes import make_addresses, make_indexes

Numbers = MutableSequence[int]

# Shorter lists are not worth remembering what they gave
_LONG = 32


class Intervals(NamedTuple):
    """Disjoint intervals in ascending order: `starts[i]` to `ends[i]`, both inclusive."""

    starts: Numbers
    ends: Numbers


class LabelledIntervals(NamedTuple):
    """Disjoint intervals in ascending order, with what holds in each as a number."""

    starts: Numbers
    ends: Numbers
    values: "array[int]"


class Overlap(NamedTuple):
    """Intervals of which the same holds: how many, where they begin, and the widest of them."""

    number: int
    begin: int
    first: int
    last: int


class Lookup:
    """A table as one rule sees it: what it decides and what it leaves to the next rule.

    What it gave for a long list of intervals is remembered: sweep after sweep asks for the same.
    """

    def __init__(self, found: LabelledIntervals, missing: Intervals) -> None:
        self.found = found
        self.missing = missing
        self._remembered: List[Tuple[Intervals, LabelledIntervals, Intervals]] = []

    def within(self, intervals: Intervals) -> Tuple[LabelledIntervals, Intervals]:
        """What is found in these intervals, and what of them is left."""
        return restrict(self.found, intervals), intersect(intervals, self.missing)

    def remember(self, intervals: Intervals) -> Tuple[LabelledIntervals, Intervals]:
        """As `within`, for intervals that will be asked for again: the very same object."""
        if min(len(intervals.starts), len(self.found.starts)) < _LONG:
            return self.within(intervals)
        for known, found, missing in self._remembered:
            if known is intervals:
                return found, missing
        found, missing = self.within(intervals)
        self._remembered.append((intervals, found, missing))
        return found, missing


class Doubt(NamedTuple):
    """What cannot be known of a rule, and what it is therefore taken for."""

    priority: int
    reason: str

    def __str__(self) -> str:
        return f"rule {self.priority}: {self.reason}"


class Stage(NamedTuple):
    """A rule reduced to what a sweep needs.

    `where` it matches and `elsewhere` make up the whole space. `lookup` None and `target` None:
    decides all that matches; `target`: the stage to go on from.
    """

    where: Intervals
    elsewhere: Intervals
    lookup: Optional[Lookup] = None
    target: Optional[int] = None
    doubt: Optional[Doubt] = None


class Piece(NamedTuple):
    """What one stage decides (-1: no stage does), and the doubts met on the way there."""

    stage: int
    doubts: Tuple[Doubt, ...]
    intervals: LabelledIntervals


def make_intervals(version: int, *intervals: Tuple[int, int]) -> Intervals:
    """Ascending intervals of addresses of that family."""
    return Intervals(
        make_addresses(version, [first for first, _ in intervals]),
        make_addresses(version, [last for _, last in intervals]),
    )


def make_labelled(version: int) -> LabelledIntervals:
    """No intervals of that family, to be filled by whoever asked."""
    return LabelledIntervals(make_addresses(version), make_addresses(version), make_indexes())


def flatten(version: int, entries: Iterable[Tuple[int, int, int]]) -> LabelledIntervals:
    """Nested intervals ``(first, last, value)`` cut so that the innermost one holds.

    They come in ascending order, of those that begin together the widest first.
    """
    flat = make_labelled(version)
    stack: List[Tuple[int, int]] = []  # last address and value of what is open, innermost last
    cursor = 0
    for first, last, value in entries:
        cursor = _close(flat, stack, cursor, first)
        if stack:
            _append(flat, cursor, first - 1, stack[-1][1])
        cursor = first
        stack.append((last, value))
    _close(flat, stack, cursor, None)
    return flat


def _close(
    flat: LabelledIntervals, stack: List[Tuple[int, int]], cursor: int, until: Optional[int]
) -> int:
    """End what is open before `until` (None: all); the address to go on from."""
    while stack and (until is None or stack[-1][0] < until):
        last, value = stack.pop()
        _append(flat, cursor, last, value)
        cursor = max(cursor, last + 1)
    return cursor


def _append(flat: LabelledIntervals, first: int, last: int, value: int) -> None:
    if first > last:
        return
    flat.starts.append(first)
    flat.ends.append(last)
    flat.values.append(value)


def merge_neighbours(version: int, parts: Iterable[Tuple[int, int, int]]) -> LabelledIntervals:
    """Disjoint ascending intervals ``(first, last, value)``, neighbours of one value made one."""
    merged = starts, ends, values = make_labelled(version)
    before, until = -1, -1
    for first, last, value in parts:
        if value == before and until == first - 1:
            ends[-1] = last
        else:
            starts.append(first)
            ends.append(last)
            values.append(value)
        before, until = value, last
    return merged


def complement(starts: Sequence[int], ends: Sequence[int], space: Intervals) -> Intervals:
    """What the intervals leave of `space`, which is one interval that holds them all."""
    left = Intervals(space.starts[:0], space.ends[:0])
    cursor = space.starts[0]
    for start, end in zip(starts, ends):
        if cursor < start:
            left.starts.append(cursor)
            left.ends.append(start - 1)
        cursor = end + 1
    if cursor <= space.ends[0]:
        left.starts.append(cursor)
        left.ends.append(space.ends[0])
    return left


def find_overlaps(
    inner: LabelledIntervals, outer: LabelledIntervals
) -> Dict[Tuple[int, int], Overlap]:
    """What holds together: {the values of both: where}; all of `inner` lies in `outer`."""
    overlaps: Dict[Tuple[int, int], Overlap] = {}
    starts, ends, values = outer
    position = 0
    for first, last, value in zip(*inner):
        position = bisect_left(ends, first, position)
        for index in range(position, bisect_right(starts, last, position)):
            left, right = max(first, starts[index]), min(last, ends[index])
            pair = (value, values[index])
            number, begin, widest, until = overlaps.get(pair, (0, left, left, right))
            if right - left > until - widest:
                widest, until = left, right
            overlaps[pair] = Overlap(number + 1, begin, widest, until)
    return overlaps


def restrict(labelled: LabelledIntervals, space: Intervals) -> LabelledIntervals:
    """What holds inside `space`; the very same where that is all and nothing else."""
    if space == labelled[:2]:
        return labelled
    inside = LabelledIntervals(labelled.starts[:0], labelled.ends[:0], labelled.values[:0])
    if len(labelled.starts) < len(space.starts):
        for first, last, value in zip(*labelled):
            low, high = _clip(space, first, last, inside)
            inside.values.extend(make_indexes([value]) * (high - low))
    else:
        for first, last in zip(*space):
            low, high = _clip(labelled, first, last, inside)
            inside.values.extend(labelled.values[low:high])
    return inside


def intersect(one: Intervals, other: Intervals) -> Intervals:
    """The intervals in both; the longer list itself where it lies wholly in the other."""
    if one == other:
        return one
    short, long = (one, other) if len(one.starts) <= len(other.starts) else (other, one)
    common = Intervals(long.starts[:0], long.ends[:0])
    for first, last in zip(*short):
        _clip(long, first, last, common)
    return long if common == long else common


def _clip(
    source: Union[Intervals, LabelledIntervals],
    first: int,
    last: int,
    clipped: Union[Intervals, LabelledIntervals],
) -> Tuple[int, int]:
    """Append to `clipped` what of `source` lies in first … last; the range of positions there."""
    low, high = bisect_left(source.ends, first), bisect_right(source.starts, last)
    if low >= high:
        return low, low
    clipped.starts.extend(source.starts[low:high])
    clipped.ends.extend(source.ends[low:high])
    head = low - high
    clipped.starts[head] = max(clipped.starts[head], first)
    clipped.ends[-1] = min(clipped.ends[-1], last)
    return low, high


# Doubts met on the way → where they were
Arrivals = Dict[Tuple[Doubt, ...], Intervals]


def sweep(stages: Sequence[Stage], space: Intervals) -> List[Piece]:
    """Send `space` through the stages; the pieces cover it, each address once."""
    arriving: List[Arrivals] = [{} for _ in range(len(stages) + 1)]
    arriving[0][()] = space
    pieces: List[Piece] = []
    for index, stage in enumerate(stages):
        for doubts, intervals in arriving[index].items():
            _send(arriving[index + 1], doubts, intersect(intervals, stage.elsewhere))
            inside = intersect(intervals, stage.where)
            after = (*doubts, stage.doubt) if stage.doubt else doubts
            if stage.target is not None:
                _send(arriving[stage.target], after, inside)
            elif stage.lookup is None:
                pieces.append(Piece(index, after, _label(inside)))
            else:
                look = stage.lookup.remember if inside is space else stage.lookup.within
                found, missing = look(inside)
                pieces.append(Piece(index, after, found))
                _send(arriving[index + 1], after, missing)
        arriving[index] = {}  # long lists; not needed any more
    pieces.extend(Piece(-1, doubts, _label(left)) for doubts, left in arriving[-1].items())
    return pieces


def _label(intervals: Intervals) -> LabelledIntervals:
    """The intervals with one value, 0, for all."""
    values = make_indexes([0]) * len(intervals.starts)
    return LabelledIntervals(intervals.starts, intervals.ends, values)


def _send(arrivals: Arrivals, doubts: Tuple[Doubt, ...], intervals: Intervals) -> None:
    if not intervals.starts:
        return
    before = arrivals.get(doubts)
    if before is not None:
        pairs = sorted([*zip(*before), *zip(*intervals)])
        intervals = Intervals(intervals.starts[:0], intervals.ends[:0])
        for start, end in pairs:
            intervals.starts.append(start)
            intervals.ends.append(end)
    arrivals[doubts] = intervals
