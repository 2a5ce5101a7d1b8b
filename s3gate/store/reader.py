"""Reading: extents to bytes, six shards in parallel, every answer verified (law 7), in order.

It knows no rows of the catalog. A download holds bytes of the budget a row of pieces at a time; it waits for
them only while it holds none, so that slow ones cannot block each other, and reads ahead with what is free.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import NamedTuple

from chunkd.wire import MAX_READ_BYTES
from s3gate.geometry.extents import EXTENT_BYTES, Extent, unpack
from s3gate.geometry.ids import shard_id as make_shard_id
from s3gate.geometry.ids import turn_of
from s3gate.geometry.stripe import SHARDS, Layout
from s3gate.store.budget import Budget
from s3gate.store.cache import ShardCache
from s3gate.store.connection import Answer, Connection
from s3gate.store.errors import NodeFailed, StoreError, StoreUnavailable
from s3gate.store.fleet import Fleet
from s3gate.store.limits import CACHED_SHARD_BYTES, READ_AHEAD_ROWS, StoreLimits
from s3gate.store.node import Node, range_line

Data = bytes | bytearray | memoryview
Extents = bytes | Sequence[Extent]


class Ask(NamedTuple):
    """One GET: the bytes [start, stop) of a shard that is `length` long, and the node that has it."""

    node_id: bytes
    shard_id: bytes
    start: int
    stop: int
    length: int


class _Asked(NamedTuple):
    """A GET that may be under way: without a connection it is still to be made."""

    ask: Ask
    node: Node | None
    connection: Connection | None
    future: asyncio.Future[Answer] | None
    window: str


class Reader:
    """Reads what the extents of an object or a part name."""

    def __init__(self, fleet: Fleet, limits: StoreLimits, budget: Budget) -> None:
        self._fleet = fleet
        self._limits = limits
        self._budget = budget
        self.cache = ShardCache(limits.cache_bytes)

    # --- small reads ----------------------------------------------------------------------------------

    async def read_small(self, layout_id: int, extents: Extents, length: int, start: int, stop: int) -> bytes:
        """The bytes [start, stop) of a part of `length` bytes, at most a row of them, as one."""
        layout = self._layout(layout_id)
        if 0 < length <= layout.floor_bytes and isinstance(extents, bytes):
            # One piece: the id of its shard is known without any geometry.
            data = self.cache.get(extents[:16] + bytes((extents[15] % SHARDS,)))
            if data is not None:
                return data[start:stop]
        asks = [ask for row in self._rows(layout, extents, length, start, stop) for ask in row]
        if len(asks) == 1 and stop - start <= CACHED_SHARD_BYTES:
            return bytes(await self._finish_cached(await self._start_cached(asks[0])))
        size = stop - start
        await self._budget.acquire(size)
        try:
            return b"".join(await self._all_cached(asks))
        finally:
            self._budget.release(size)

    async def _all_cached(self, asks: list[Ask]) -> list[Data]:
        asked: list[_Asked] = []
        try:
            for ask in asks:
                asked.append(await self._start_cached(ask))
            return [await self._finish_cached(one) for one in asked]
        finally:
            _give_up(asked)

    async def _start_cached(self, ask: Ask) -> _Asked:
        if not self._is_cacheable(ask):
            return await self._start(ask)
        if self.cache.get(ask.shard_id) is not None:
            return _Asked(ask, None, None, None, "")
        return await self._start(ask._replace(start=0, stop=ask.length), wanted=ask)

    async def _finish_cached(self, asked: _Asked) -> Data:
        ask = asked.ask
        if not self._is_cacheable(ask):
            return await self._finish(asked)
        data = self.cache.get(ask.shard_id)
        if data is None:
            whole = asked._replace(ask=ask._replace(start=0, stop=ask.length))
            data = bytes(await self._finish(whole))
            self.cache.put(ask.shard_id, data)
        return data[ask.start : ask.stop]

    def _is_cacheable(self, ask: Ask) -> bool:
        return ask.length <= CACHED_SHARD_BYTES and self.cache.limit_bytes > 0

    # --- long reads -----------------------------------------------------------------------------------

    async def read(
        self, layout_id: int, extents: Extents, length: int, start: int, stop: int
    ) -> AsyncGenerator[Data, None]:
        """The bytes [start, stop) of a part of `length` bytes, in pieces, in order."""
        rows = self._rows(self._layout(layout_id), extents, length, start, stop)
        ahead: deque[tuple[int, list[_Asked]]] = deque()
        following = next(rows, None)
        try:
            while following is not None or ahead:
                while following is not None and len(ahead) <= READ_AHEAD_ROWS:
                    size = sum(ask.stop - ask.start for ask in following)
                    if not self._budget.try_acquire(size):
                        if ahead:
                            break
                        await self._budget.acquire(size)
                    ahead.append((size, []))
                    for ask in following:
                        ahead[-1][1].append(await self._start(ask))
                    following = next(rows, None)
                for asked in ahead[0][1]:
                    yield await self._finish(asked)
                self._budget.release(ahead.popleft()[0])
        finally:
            for size, row in ahead:
                _give_up(row)
                self._budget.release(size)

    async def _start(self, ask: Ask, wanted: Ask | None = None) -> _Asked:
        """Sends a GET if its node can be reached at once; what cannot be sent is dealt with by `_finish`."""
        window = "" if ask.stop - ask.start == ask.length else range_line(ask.start, ask.stop)
        node = self._fleet.nodes.get(ask.node_id)
        if node is not None and not node.failed:
            try:
                connection = node.take() or await node.connect()
                future = node.start_get(connection, ask.shard_id, window)
                return _Asked(wanted or ask, node, connection, future, window)
            except NodeFailed:
                pass
        return _Asked(wanted or ask, None, None, None, window)

    async def _finish(self, asked: _Asked) -> Data:
        """The bytes; asks again for as long as the limit allows when the node cannot be reached or breaks off."""
        ask, node, connection, future, window = asked
        length = ask.stop - ask.start
        if node is not None and connection is not None and future is not None:
            try:
                return await node.finish_get(connection, future, ask.shard_id, window, length)
            except NodeFailed:
                pass
        return await self._ask_again(ask, window, length)

    async def _ask_again(self, ask: Ask, window: str, length: int) -> Data:
        until = asyncio.get_running_loop().time() + self._limits.read_wait_seconds
        error: StoreError = StoreUnavailable(f"node {ask.node_id.hex()} cannot be reached")
        while True:
            node = self._fleet.nodes.get(ask.node_id)
            if node is not None and not node.failed:
                try:
                    return await node.get(ask.shard_id, window, length)
                except NodeFailed as failure:
                    error = failure
            if not await self._fleet.wait_for_news(until):
                raise error

    # --- where the bytes are --------------------------------------------------------------------------

    def _layout(self, layout_id: int) -> Layout:
        layout = self._fleet.layouts.get(layout_id)
        if layout is None:
            raise StoreUnavailable(f"layout {layout_id} is not known here")
        return layout

    def _rows(self, layout: Layout, extents: Extents, length: int, start: int, stop: int) -> Iterator[list[Ask]]:
        """The GETs for a range, row by row; none is longer than one answer may be."""
        if not 0 <= start <= stop <= length:
            raise ValueError("a range lies within its part")
        row_bytes, segment_bytes = layout.row_bytes, layout.segment_bytes
        while start < stop:
            index, within = divmod(start, segment_bytes)
            segment_length = min(segment_bytes, length - index * segment_bytes)
            end = min(stop - index * segment_bytes, segment_length, (within // row_bytes + 1) * row_bytes)
            yield list(self._asks(layout, _extent(extents, index), segment_length, within, end))
            start += end - within

    def _asks(self, layout: Layout, extent: Extent, segment_length: int, start: int, stop: int) -> Iterator[Ask]:
        segment_id, group_id = extent
        group = self._fleet.groups.get(group_id)
        if group is None:
            raise StoreUnavailable(f"group {group_id} is not known here")
        turn = turn_of(segment_id)
        for position, offset, size in layout.locate(segment_length, start, stop):
            slot = (position + turn) % SHARDS
            shard_id = make_shard_id(segment_id, slot)
            shard_length = layout.shard_length(segment_length, position)
            for first in range(offset, offset + size, MAX_READ_BYTES):
                last = min(first + MAX_READ_BYTES, offset + size)
                yield Ask(group.nodes[slot], shard_id, first, last, shard_length)


def _extent(extents: Extents, index: int) -> Extent:
    if isinstance(extents, bytes):
        return unpack(extents[index * EXTENT_BYTES : (index + 1) * EXTENT_BYTES])[0]
    return extents[index]


def _give_up(row: list[_Asked]) -> None:
    for asked in row:
        if asked.connection is not None and asked.future is not None:
            asked.connection.give_up(asked.future)
