"""The destination space cut into its classes: intervals of addresses that are all decided alike.

Addresses are plain integers here, intervals inclusive, and so are the values that hold in them;
this is the exhaustive half of `rpdb`. All work on long lists is slicing at C speed: of two lists of
intervals the shorter one is walked. What is made of lists is of their type (`keys`).
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


class Intervals(NamedTuple):
    """Disjoint intervals in ascending order: `starts[i]` to `ends[i]`, both inclusive."""

    starts: Numbers
    ends: Numbers


class LabelledIntervals(NamedTuple):
    """Disjoint intervals in ascending order, with what holds in each as a number."""

    starts: Numbers
    ends: Numbers
    values: "array[int]"


class Lookup(NamedTuple):
    """A table as one rule sees it: what it decides and what it leaves to the next rule."""

    found: LabelledIntervals
    missing: Intervals


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
    flat: LabelledIntervals


def make_intervals(version: int, *intervals: Tuple[int, int]) -> Intervals:
    """Ascending intervals of addresses of that family."""
    return Intervals(
        make_addresses(version, [first for first, _ in intervals]),
        make_addresses(version, [last for _, last in intervals]),
    )


def make_labelled(version: int) -> LabelledIntervals:
    """No intervals of that family."""
    return LabelledIntervals(make_addresses(version), make_addresses(version), make_indexes())


def flatten(version: int, entries: Iterable[Tuple[int, int, int]]) -> LabelledIntervals:
    """Nested intervals ``(first, last, value)`` cut so that the innermost one holds.

    They come in ascending order, of those that begin together the widest first.
    """
    flat = make_labelled(version)
    stack: List[Tuple[int, int]] = []
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


def merge(version: int, parts: Iterable[Tuple[int, int, int]]) -> LabelledIntervals:
    """Disjoint ascending intervals, neighbours of the same value made one."""
    flat = starts, ends, values = make_labelled(version)
    before, until = -1, -1
    for first, last, value in parts:
        if value == before and until == first - 1:
            ends[-1] = last
        else:
            starts.append(first)
            ends.append(last)
            values.append(value)
        before, until = value, last
    return flat


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


class Overlap(NamedTuple):
    """Intervals of which the same holds: how many, where they begin, and the widest of them."""

    number: int
    begin: int
    first: int
    last: int


def find_overlap(
    one: LabelledIntervals, other: LabelledIntervals
) -> Dict[Tuple[int, int], Overlap]:
    """What holds together: {the values of both: where}; all of `one` lies in `other`."""
    found: Dict[Tuple[int, int], Overlap] = {}
    starts, ends, values = other
    position = 0
    for first, last, value in zip(*one):
        position = bisect_left(ends, first, position)
        for index in range(position, bisect_right(starts, last, position)):
            left, right = max(first, starts[index]), min(last, ends[index])
            key = (value, values[index])
            number, begin, widest, until = found.get(key, (0, left, left, right))
            if right - left > until - widest:
                widest, until = left, right
            found[key] = Overlap(number + 1, begin, widest, until)
    return found


def overlay(flat: LabelledIntervals, spans: Intervals) -> LabelledIntervals:
    """What `flat` says inside `spans`; the very same where that is all and nothing else."""
    if spans == flat[:2]:
        return flat
    out = LabelledIntervals(flat.starts[:0], flat.ends[:0], flat.values[:0])
    if len(flat.starts) < len(spans.starts):
        for first, last, value in zip(*flat):
            low, high = _clip(spans, first, last, out)
            out.values.extend(make_indexes([value]) * (high - low))
    else:
        for first, last in zip(*spans):
            low, high = _clip(flat, first, last, out)
            out.values.extend(flat.values[low:high])
    return out


def intersect(one: Intervals, other: Intervals) -> Intervals:
    """The intervals in both; the longer list itself where it lies wholly in the other."""
    if one == other:
        return one
    short, long = (one, other) if len(one.starts) <= len(other.starts) else (other, one)
    out = Intervals(long.starts[:0], long.ends[:0])
    for first, last in zip(*short):
        _clip(long, first, last, out)
    return long if out == long else out


def _clip(
    source: Union[Intervals, LabelledIntervals],
    first: int,
    last: int,
    out: Union[Intervals, LabelledIntervals],
) -> Tuple[int, int]:
    """Append to `out` what of `source` lies in first … last; the range of positions there."""
    low, high = bisect_left(source.ends, first), bisect_right(source.starts, last)
    if low >= high:
        return low, low
    out.starts.extend(source.starts[low:high])
    out.ends.extend(source.ends[low:high])
    head = low - high
    out.starts[head] = max(out.starts[head], first)
    out.ends[-1] = min(out.ends[-1], last)
    return low, high


# Doubts met on the way → where they were
Arrivals = Dict[Tuple[Doubt, ...], Intervals]

# What long lists gave, by the ids of the space and of what was looked up; both are kept, too.
Known = Dict[Tuple[int, int], Tuple[Intervals, Lookup, LabelledIntervals, Intervals]]
_LONG = 32


def sweep(stages: Sequence[Stage], space: Intervals, known: Known) -> List[Piece]:
    """Send `space` through the stages; the pieces cover it, each address once.

    `known` serves further sweeps of the very same `space` (the same object) and tables.
    """
    arriving: List[Arrivals] = [{} for _ in range(len(stages) + 1)]
    arriving[0][()] = space
    pieces: List[Piece] = []
    for index, stage in enumerate(stages):
        for doubts, spans in arriving[index].items():
            _send(arriving[index + 1], doubts, intersect(spans, stage.elsewhere))
            inside = intersect(spans, stage.where)
            after = (*doubts, stage.doubt) if stage.doubt else doubts
            if stage.target is not None:
                _send(arriving[stage.target], after, inside)
            elif stage.lookup is None:
                pieces.append(Piece(index, after, _same(inside)))
            else:
                found, missing = _look(stage.lookup, inside, known if inside is space else None)
                pieces.append(Piece(index, after, found))
                _send(arriving[index + 1], after, missing)
        arriving[index] = {}  # long lists; not needed any more
    pieces.extend(Piece(-1, doubts, _same(spans)) for doubts, spans in arriving[-1].items())
    return pieces


def _look(
    lookup: Lookup, spans: Intervals, known: Optional[Known]
) -> Tuple[LabelledIntervals, Intervals]:
    """What is found, and what is left; kept where that took long and may be asked for again."""
    short = min(len(spans.starts), len(lookup.found.starts)) < _LONG
    if known is None or short:
        return overlay(lookup.found, spans), intersect(spans, lookup.missing)
    key = (id(spans), id(lookup))
    if key not in known:
        known[key] = (spans, lookup, overlay(lookup.found, spans), intersect(spans, lookup.missing))
    return known[key][2:]


def _same(spans: Intervals) -> LabelledIntervals:
    return LabelledIntervals(spans.starts, spans.ends, make_indexes([0]) * len(spans.starts))


def _send(there: Arrivals, doubts: Tuple[Doubt, ...], spans: Intervals) -> None:
    if not spans.starts:
        return
    before = there.get(doubts)
    if before is not None:
        pairs = sorted([*zip(*before), *zip(*spans)])
        spans = Intervals(spans.starts[:0], spans.ends[:0])
        for start, end in pairs:
            spans.starts.append(start)
            spans.ends.append(end)
    there[doubts] = spans
