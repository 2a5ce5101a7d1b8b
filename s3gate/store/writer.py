"""Writing: rows to shards to nodes, in parallel, in constant memory, until all of them are durable (law 2).

It takes what it is given and says where it went; making it visible is the catalog's (law 4). While all rows of a
segment are still at hand, a node that fails costs a try with fresh ids on another group (law 3); once rows have
been let go, the write fails. Whatever may lie on nodes without being part of the result is always reported.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

from awscrt.checksums import crc32c

from s3gate.geometry.extents import Extent, pack, pack_one
from s3gate.geometry.ids import shard_id, spread_of
from s3gate.geometry.placement import Group, Place, Strategy, Want, name_digest
from s3gate.geometry.stripe import SHARDS, Layout
from s3gate.store.budget import Block, Budget
from s3gate.store.connection import Answer, Connection
from s3gate.store.errors import NodeFailed, StoreError, WriteCancelled, WriteFailed
from s3gate.store.fleet import Fleet
from s3gate.store.limits import KEPT_ROWS, SLICE_BYTES, SLICE_SECONDS, StoreLimits
from s3gate.store.node import Node
from s3gate.store.rows import RowSource
from s3gate.store.segment import Left, Segment


class Ids(Protocol):
    """Where fresh ids come from."""

    def next(self, spread: int = 0) -> bytes:
        """An id that was never given out before."""


class Written(NamedTuple):
    """Where a body went. `abandoned` was left by attempts that failed, and is to be discarded."""

    layout_id: int
    extents: bytes
    content_id: bytes
    group_id: int
    abandoned: tuple[Left, ...] = ()


Placed = Callable[[Written], None]


class _Sent(NamedTuple):
    """One PUT of a row under way."""

    node: Node
    connection: Connection
    future: asyncio.Future[Answer]
    shard_id: bytes
    data: memoryview
    crc: int


class _Slice:
    """The place that one-piece segments share for a moment."""

    __slots__ = ("bytes_left", "ends_at", "place", "version")

    def __init__(self) -> None:
        self.place: Place | None = None
        self.ends_at = 0.0
        self.bytes_left = 0
        self.version = -1


class Chooser:
    """Picks places by the strategy of the setting, waiting for a writable group when there is none."""

    def __init__(self, fleet: Fleet, limits: StoreLimits, strategy: Strategy) -> None:
        self._fleet = fleet
        self._strategy = strategy
        self._by_name = limits.placement == "consistent-hash"
        self._slice = _Slice()
        self._loop = asyncio.get_running_loop()

    def want(self, bucket: str, key: bytes, length: int, pieces: int) -> Want:
        """What a strategy wants to know of a segment."""
        return Want(length, pieces, name_digest(bucket, key) if self._by_name else b"")

    async def choose(self, want: Want, until: float, group_id: int | None = None) -> Place:
        """A place now, in a given group if that can be written; raises when there is none until then."""
        groups = self._fleet.writable_groups() or await self._fleet.wait_for_group(until)
        if group_id is not None:
            groups = [group for group in groups if group.group_id == group_id] or groups
        elif want.pieces == 1 and not self._by_name:
            return self._sliced(groups, want)
        return self.pick(groups, want)

    def pick(self, groups: Sequence[Group], want: Want) -> Place:
        """A place in one of these groups."""
        return self._strategy.choose(groups, want, self._fleet)

    def _sliced(self, groups: Sequence[Group], want: Want) -> Place:
        current, now = self._slice, self._loop.time()
        place = current.place
        if place is None or now >= current.ends_at or current.bytes_left <= 0 or current.version != self._fleet.version:
            place = current.place = self.pick(groups, want)
            current.ends_at = now + SLICE_SECONDS
            current.bytes_left = SLICE_BYTES
            current.version = self._fleet.version
        current.bytes_left -= want.length
        return place


class Writer:
    """Writes bodies of new objects and parts, all in the one layout that new objects get."""

    def __init__(
        self, fleet: Fleet, limits: StoreLimits, ids: Ids, layout: Layout, strategy: Strategy, budget: Budget
    ) -> None:
        self.budget = budget
        self._fleet = fleet
        self._limits = limits
        self._ids = ids
        self.layout = layout
        self.chooser = Chooser(fleet, limits, strategy)
        self._loop = asyncio.get_running_loop()
        self._small = 0  # small bodies under way

    def until(self) -> float:
        """How long a write that begins now may wait for a group, by the loop's clock."""
        return self._loop.time() + self._limits.write_wait_seconds

    def fresh_id(self, turn: int = 0) -> bytes:
        """An id for a segment, or for the content of an empty object."""
        return self._ids.next(turn)

    async def write_small(
        self,
        bucket: str,
        key: bytes,
        data: bytes | memoryview,
        group_id: int | None = None,
        placed: Placed | None = None,
    ) -> Written:
        """Stores a body of at most one row that is at hand as a whole.

        `placed` is called with what this will return, if its bytes arrive, while they are on their way: as one shard,
        and while no other small body is.
        """
        layout_id = self.layout.layout_id
        if not data:
            return Written(layout_id, b"", self._ids.next(0), group_id or 0)
        left: list[Left] = []
        self._small += 1
        try:
            extent = await self.write_row(bucket, key, memoryview(data), group_id, left, placed)
        except asyncio.CancelledError as error:
            raise WriteCancelled(error, left) from error
        except StoreError as error:
            raise WriteFailed(error, left) from error
        finally:
            self._small -= 1
        return self._of_one(extent, left)

    def _of_one(self, extent: Extent, left: Sequence[Left] = ()) -> Written:
        return Written(self.layout.layout_id, pack_one(*extent), extent.segment_id, extent.group_id, tuple(left))

    def _tell(self, placed: Placed, extent: Extent) -> None:
        if self._small == 1:
            placed(self._of_one(extent))

    async def write_row(
        self,
        bucket: str,
        key: bytes,
        data: memoryview,
        group_id: int | None,
        left: list[Left],
        placed: Placed | None = None,
    ) -> Extent:
        """Stores a segment of one row; tries other places while the wait allows. What failed is added to `left`."""
        length = len(data)
        if length > self.layout.row_bytes:
            raise ValueError("more than a row")
        pieces = self.layout.row_pieces(length, 0)
        want = self.chooser.want(bucket, key, length, len(pieces))
        until = self.until()
        while True:
            place = await self.chooser.choose(want, until, group_id)
            segment_id = self._ids.next(spread_of(place.turn, len(pieces)))
            extent = Extent(segment_id, place.group.group_id)
            left.append((self.layout.layout_id, pack_one(*extent)))
            if placed is not None and len(pieces) == 1 and self._small == 1:
                # Those whose requests arrived together with this one are here by the next turn of the loop.
                self._loop.call_soon(self._tell, placed, extent)
            try:
                await self._send_row(place, segment_id, data, pieces)
            except NodeFailed:
                if self._loop.time() >= until:
                    raise
                continue
            left.pop()
            return extent

    async def _send_row(self, place: Place, segment_id: bytes, data: memoryview, pieces: list[int]) -> None:
        fleet, nodes, turn = self._fleet, place.group.nodes, place.turn
        if len(pieces) == 1:
            slot = turn % SHARDS
            node = fleet.node(nodes[slot])
            fleet.count(node.node_id, len(data))
            await node.put(shard_id(segment_id, slot), data, crc32c(data))
            return
        parts: list[tuple[bytes, int, memoryview]] = []
        start = 0
        for position, size in enumerate(pieces):
            slot = (position + turn) % SHARDS
            parts.append((nodes[slot], slot, data[start : start + size]))
            start += size
        parts.sort(key=_node_id)
        sent: list[_Sent] = []
        try:
            for node_id, slot, piece in parts:
                node = fleet.node(node_id)
                fleet.count(node_id, len(piece))
                crc = crc32c(piece)
                connection = node.take() or await node.connect()
                one = shard_id(segment_id, slot)
                future = node.start_put(connection, one, piece, crc)
                sent.append(_Sent(node, connection, future, one, piece, crc))
            for put in sent:
                await put.node.finish_put(put.connection, put.future, put.shard_id, put.data, put.crc)
        except BaseException:
            for put in sent:
                put.connection.give_up(put.future)
            raise

    async def write(
        self, bucket: str, key: bytes, length: int, blocks: AsyncIterator[Block], group_id: int | None
    ) -> Written:
        """Stores a body of any length, row by row, and pulls its source to the end (law 12)."""
        job = _Job(self, self._fleet, bucket, key, group_id, RowSource(blocks))
        try:
            await job.run(length)
        except asyncio.CancelledError as error:
            await job.abort()
            raise WriteCancelled(error, job.all_written()) from error
        except Exception as error:
            await job.abort()
            raise WriteFailed(error, job.all_written()) from error
        return job.written()


class _Job:
    """One body on its way."""

    def __init__(
        self,
        writer: Writer,
        fleet: Fleet,
        bucket: str,
        key: bytes,
        group_id: int | None,
        source: RowSource,
    ) -> None:
        self._writer = writer
        self._fleet = fleet
        self._layout = writer.layout
        self._bucket = bucket
        self._key = key
        self._group_id = group_id
        self._source = source
        self._extents: list[Extent] = []
        self._left: list[Left] = []
        self._segments: list[Segment] = []

    async def run(self, length: int) -> None:
        """Segment after segment. While one is being synced, the next is already on its way."""
        for segment_length in self._layout.segment_lengths(length):
            rows = self._layout.row_lengths(segment_length)
            if len(rows) == 1:
                await self._single(rows[0])
            else:
                await self._several(segment_length, rows)
            self._group_id = self._extents[-1].group_id
        self._source.prefetch()
        await self._finish(0)
        await self._source.end()

    async def _single(self, length: int) -> None:
        block = await self._source.next(length)
        self._source.prefetch()
        extent = await self._writer.write_row(self._bucket, self._key, block.data, self._group_id, self._left)
        self._source.done(block)
        self._extents.append(extent)

    async def _several(self, segment_length: int, rows: list[int]) -> None:
        """A short segment is durable before it ends here: until then, its rows are kept in case a node fails."""
        writer, source, is_short = self._writer, self._source, len(rows) <= KEPT_ROWS
        want = writer.chooser.want(self._bucket, self._key, segment_length, SHARDS)
        kept = writer.budget.kept()
        if not is_short:
            kept.let_go()
        place = partial(self._place, want)
        segment = Segment(self._layout, self._fleet, segment_length, place, kept, self._left)
        self._segments.append(segment)
        for row_length in rows:
            block = await source.next(row_length)
            await segment.send(block.data, writer.until(), source.prefetch)
            source.done(block)
        if is_short:
            source.prefetch()
            await segment.finish(writer.until())
            self._segments.pop()
        self._left.pop()
        self._extents.append(segment.extent)
        await self._finish(1)

    async def _place(self, want: Want, until: float) -> tuple[Place, bytes]:
        place = await self._writer.chooser.choose(want, until, self._group_id)
        return place, self._writer.fresh_id(place.turn)

    async def _finish(self, leave: int) -> None:
        while len(self._segments) > leave:
            await self._segments[0].finish(self._writer.until())
            del self._segments[0]

    async def abort(self) -> None:
        """Closes what is under way and gives every block back."""
        for segment in self._segments:
            segment.abort()
        await self._source.close()

    def all_written(self) -> list[Left]:
        """Everything that may lie on nodes."""
        mine = [(self._layout.layout_id, pack(self._extents))] if self._extents else []
        return self._left + mine

    def written(self) -> Written:
        """The result of a run that ended well."""
        extents = self._extents
        content_id = extents[0].segment_id if extents else self._writer.fresh_id()
        group_id = extents[0].group_id if extents else self._group_id or 0
        return Written(self._layout.layout_id, pack(extents), content_id, group_id, tuple(self._left))


def _node_id(part: tuple[bytes, int, memoryview]) -> bytes:
    return part[0]
