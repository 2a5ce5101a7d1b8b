"""The lowest of many segments by their ids, a bounded number of them, gathered in any order.

Rows can be paged in the order of their first segments, but where their other segments lie in it, nothing tells. Whoever
walks all segments in order gathers those of such rows first: the lowest from where it is, and again when it comes to
the end of what could be kept. It refuses to know rows, and what is said of a segment.
"""

from bisect import bisect_left
from collections.abc import Hashable
from operator import itemgetter
from typing import Generic, TypeVar

Said = TypeVar("Said", bound=Hashable)

_id = itemgetter(0)


class Lowest(Generic[Said]):
    """Of the segments from `first` on the `most` lowest: all of them below `below`. What is added twice is one."""

    def __init__(self, first: bytes, below: bytes, most: int) -> None:
        self.first = first
        self.below = below
        self._most = most
        self._kept: set[tuple[bytes, Said]] = set()
        self._sorted: list[tuple[bytes, Said]] | None = None

    def add(self, segment_id: bytes, said: Said) -> None:
        """Keep it if it is one of the lowest so far."""
        if self.first <= segment_id < self.below:
            self._kept.add((segment_id, said))
            self._sorted = None
            if len(self._kept) == 2 * self._most:
                self._cut()

    def between(self, first: bytes, below: bytes) -> list[tuple[bytes, Said]]:
        """What was gathered from `first` on and below `below`, in order; both must lie in what is complete."""
        if not self.covers(first) or below > self.below:
            raise ValueError("not all of it was kept")
        if self._sorted is None:
            self._sorted = sorted(self._kept, key=_id)
        return self._sorted[bisect_left(self._sorted, first, key=_id) : bisect_left(self._sorted, below, key=_id)]

    def covers(self, segment_id: bytes) -> bool:
        """Whether this one would be here."""
        return self.first <= segment_id < self.below

    def _cut(self) -> None:
        """Everything that is said of one segment stays or goes together."""
        in_order = sorted(self._kept, key=_id)
        self.below = in_order[self._most][0]
        self._kept = set(in_order[: bisect_left(in_order, self.below, key=_id)])
