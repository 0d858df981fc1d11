"""Parts of the destination space that one rule decides, and the decisions there (pure)."""

from typing import Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple

from symroute_nm.classes import Flat, Stage
from symroute_nm.decisions import Class, Decision, Tried, conclude, settle
from symroute_nm.fib import Query, Table
from symroute_nm.selectors import Asked, Packet, Selector

# Decisions of values that are to come again, while classes are told one by one
_MOST_KNOWN = 1000


class Inquiry(NamedTuple):
    """What a sweep is about: its stages, and the rule of each."""

    template: Packet
    asked: Asked
    query: Query
    by_way: bool
    stages: List[Stage]
    selectors: List[Selector]


class Part(NamedTuple):
    """Destinations that one rule decides; without a selector, none does.

    The values of `flat` are for `decide`; with a table they are of its `lookup`.
    """

    flat: Flat
    selector: Optional[Selector]
    table: Optional[Table]
    doubts: Tuple[str, ...]
    inquiry: Inquiry

    def decide(self, address: int, value: int) -> Decision:
        """The decision for an address of an interval with that value."""
        template, asked, query, by_way = self.inquiry[:4]
        tried = None
        if self.selector is not None:
            choice = None
            if self.table is not None:
                choice = (self.table.find(address, query) if by_way
                          else self.table.choice(value, query))
            tried = Tried(self.selector, "found", choice)
        return settle(conclude(tried, self.doubts), template, asked)

    def classes(self) -> Iterator[Class]:
        """The intervals."""
        return self._tell(range(len(self.flat.starts)))

    def firsts(self, alike: Optional[Callable[[int], int]] = None) -> Iterator[Class]:
        """The first interval for each value, or for each of what is `alike` about values."""
        if self.flat.values == self.flat.values[:1] * len(self.flat.values):  # most often
            return self._tell(range(len(self.flat.values))[:1])
        # Backwards, so that the first of each is kept
        values, positions = reversed(self.flat.values), range(len(self.flat.starts) - 1, -1, -1)
        return self._tell(dict(zip(map(alike, values) if alike else values, positions)).values())

    def _tell(self, positions: Iterable[int]) -> Iterator[Class]:
        flat = self.flat
        known: Dict[int, Decision] = {}
        for position in positions:
            first, value = flat.starts[position], flat.values[position]
            if value not in known:
                if len(known) >= _MOST_KNOWN:
                    known.clear()
                known[value] = self.decide(first, value)
            yield Class(self.inquiry.template.version, first, flat.ends[position], known[value])
