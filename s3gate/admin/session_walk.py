"""What rows name and what nodes have of one writer's session, side by side, a stretch of ids at a time.

All segments of a row and all their shards carry one session's id, so both sides can be walked in the order of ids. What
is in memory is bounded whatever a session wrote: a page of every node's list, a page of rows, and the lowest of the
later segments of rows that have several. The nodes' lists of a stretch are read before its rows, as far as these have
one segment: a shard without a row had none even when the rows were asked. It refuses to know what a finding is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from chunkd.wire import ListedShard
from s3gate.catalog.audit import Audit, Reference
from s3gate.crypto.blocks import sealed_length
from s3gate.geometry.extents import unpack
from s3gate.geometry.ids import ID_BYTES, SLOTS, session_prefix, shard_id, turn_of
from s3gate.geometry.lowest import Lowest
from s3gate.geometry.stripe import Layout
from s3gate.store.errors import StoreError
from s3gate.store.store import Store

LISTED_SHARDS = 30_000
"""Shards that are held of the lists of all nodes together, some 10 MB; a node's page has its share of them."""
LEAST_LINES = 100
LATER_SEGMENTS = 50_000
"""Later segments of rows of several that are held, at most twice as many (some 30 MB): they are of 3 TB and more."""


class Place(NamedTuple):
    """A node and a shard."""

    node_id: bytes
    shard_id: bytes


class Wanted(NamedTuple):
    """A shard that a row names: how long it must be, and the row's id."""

    length: int
    first_id: bytes


class _Segment(NamedTuple):
    """What a row says of one of its segments."""

    group_id: int
    layout_id: int
    length: int
    first_id: bytes
    alive: bool


@dataclass(slots=True)
class Stretch:
    """Some ids that follow each other: the live shards with their lengths, and what rows say of them."""

    found: dict[Place, int] = field(default_factory=dict)
    wanted: dict[Place, Wanted] = field(default_factory=dict)
    waiting: set[bytes] = field(default_factory=set)
    """Segments of which only garbage is left."""
    segments: int = 0
    """That living rows name, once however many do."""


class SessionWalk:
    """One walk. A node that does not answer is told to `down` and has nothing from there on, a row that does not fit
    together is told to `broken`."""

    def __init__(
        self, audit: Audit, store: Store, down: Callable[[bytes], None], broken: Callable[[bytes, Exception], None]
    ) -> None:
        self._audit = audit
        self._store = store
        self._down = down
        self._broken = broken

    async def stretches(self, session_id: int, nodes: Iterable[bytes]) -> AsyncIterator[Stretch]:
        """Everything of a session, in order."""
        lines = max(LEAST_LINES, LISTED_SHARDS // max(1, len(self._store.fleet.nodes)))
        lists = [_List(self._store, node_id, session_id, lines) for node_id in nodes]
        first, stop = session_prefix(session_id), session_prefix(session_id + 1)
        later: Lowest[_Segment] = Lowest(first, first, LATER_SEGMENTS)
        while first < stop:
            if not later.covers(first):
                later = await self._later(session_id, first, stop)
            below = later.below
            for each in list(lists):
                try:
                    below = min(below, await each.known_below(first))
                except StoreError:
                    self._down(each.node_id)
                    lists.remove(each)
            rows, below = await self._audit.single(first, below)
            named = later.between(first, below)
            named += [segment for row in rows for segment in self._segments_of(row, self._broken)]
            stretch = self._compared(named)
            for each in lists:
                stretch.found.update((Place(each.node_id, one.shard_id), one.length) for one in each.take(below))
            yield stretch
            first = below

    async def _later(self, session_id: int, first: bytes, stop: bytes) -> Lowest[_Segment]:
        """The segments from here on of rows that have several, as many as are held."""
        lowest: Lowest[_Segment] = Lowest(first, stop, LATER_SEGMENTS)
        start = session_prefix(session_id)
        broken = self._broken if first == start else _told_before
        async for row in self._audit.several(start, stop):
            for segment_id, said in self._segments_of(row, broken):
                lowest.add(segment_id, said)
        return lowest

    def _segments_of(self, row: Reference, broken: Callable[[bytes, Exception], None]) -> list[tuple[bytes, _Segment]]:
        extents = unpack(row.extents)
        lengths = [0] * len(extents)
        if row.alive:
            size = sealed_length(row.size) if row.sealed else row.size
            try:
                layout = self._store.fleet.layouts[row.layout_id]
                lengths = layout.segment_lengths(size)
                if len(extents) != len(lengths):
                    raise ValueError(f"{len(extents)} segments for {row.size} bytes")
                for extent in extents:
                    self._store.fleet.groups[extent.group_id]
            except (KeyError, ValueError) as error:
                broken(row.first_id, error)
                return []
        return [
            (extent.segment_id, _Segment(extent.group_id, row.layout_id, length, row.first_id, row.alive))
            for extent, length in zip(extents, lengths, strict=True)
        ]

    def _compared(self, named: list[tuple[bytes, _Segment]]) -> Stretch:
        stretch, alive, fleet = Stretch(), set(), self._store.fleet
        for segment_id, said in named:
            if said.alive:
                alive.add(segment_id)
                nodes, layout = fleet.groups[said.group_id].nodes, fleet.layouts[said.layout_id]
                for slot, length in _shards_of(segment_id, layout, said.length):
                    stretch.wanted[Place(nodes[slot], shard_id(segment_id, slot))] = Wanted(length, said.first_id)
            else:
                stretch.waiting.add(segment_id)
        stretch.segments = len(alive)
        return stretch


class _List:
    """The live shards of a session on one node, as far as they were listed and not taken yet."""

    def __init__(self, store: Store, node_id: bytes, session_id: int, lines: int) -> None:
        self.node_id = node_id
        self._store = store
        self._prefix = session_prefix(session_id)
        self._stop = session_prefix(session_id + 1)
        self._lines = lines
        self._following: bytes | None = b""
        self._listed: deque[ListedShard] = deque()

    async def known_below(self, first: bytes) -> bytes:
        """Reads on, if it must, until it knows all shards of this segment; of which segments it knows all then."""
        while self._following is not None and self._following[:ID_BYTES] <= first:
            page, self._following = await self._store.list_shards(
                self.node_id, self._prefix, self._following, self._lines
            )
            self._listed += page
        return self._stop if self._following is None else self._following[:ID_BYTES]

    def take(self, below: bytes) -> Iterator[ListedShard]:
        """Those of segments below this one."""
        while self._listed and self._listed[0].shard_id < below:
            yield self._listed.popleft()


def _shards_of(segment_id: bytes, layout: Layout, length: int) -> Iterator[tuple[int, int]]:
    """The shards of a segment that have bytes: slot and length."""
    for position in range(SLOTS):
        if size := layout.shard_length(length, position):
            yield (position + turn_of(segment_id)) % SLOTS, size


def _told_before(first_id: bytes, error: Exception) -> None:
    """A row that is looked at again."""
