"""Reading: extents to bytes, six shards in parallel, every answer verified (law 7), in order.

It knows no rows of the catalog. A download holds bytes of the budget a window of rows at a time; it waits for
them only while it holds none, so that slow ones cannot block each other, and reads ahead with what is to spare.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Sequence
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
from s3gate.store.limits import (
    CACHED_SHARD_BYTES,
    LENT_PIECE_BYTES,
    READ_AHEAD_WINDOWS,
    WINDOW_ROWS,
    StoreLimits,
)
from s3gate.store.loans import Loan
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


class _Take(NamedTuple):
    """The next bytes of a range: [start, stop) of a shard, which one of the window's asks brings."""

    ask: int
    start: int
    stop: int


class _Window(NamedTuple):
    """Neighbouring rows, or parts of them, within one segment: what to ask for, and how it makes `size` bytes."""

    asks: list[Ask]
    takes: list[_Take]
    size: int


class _Asked(NamedTuple):
    """A GET that may be under way: without a connection it is still to be made, unless there is a loan."""

    ask: Ask
    node: Node | None
    connection: Connection | None
    future: asyncio.Future[Answer] | None
    window: str
    loan: Loan | None = None
    data: Data | None = None

    @property
    def is_returned(self) -> bool:
        """Whether there was a loan that did not have the bytes."""
        return self.node is not None and self.future is None and self.loan is None


class Reader:
    """Reads what the extents of an object or a part name."""

    def __init__(self, fleet: Fleet, limits: StoreLimits, budget: Budget) -> None:
        self._fleet = fleet
        self._limits = limits
        self._budget = budget
        self.cache = ShardCache(limits.cache_bytes)
        self.lent_bytes = 0
        """Read where nodes lent them, which no node has sent or counts."""

    # --- small reads ----------------------------------------------------------------------------------

    async def read_small(self, layout_id: int, extents: Extents, length: int, start: int, stop: int) -> bytes:
        """The bytes [start, stop) of a part of `length` bytes, at most a row of them, as one."""
        layout = self._layout(layout_id)
        if 0 < length <= layout.floor_bytes and isinstance(extents, bytes):
            # One piece: the id of its shard is known without any geometry.
            data = self.cache.get(extents[:16] + bytes((extents[15] % SHARDS,)))
            if data is not None:
                return data[start:stop]
        size = stop - start
        asks: list[Ask] = []
        while start < stop:
            window = self._window(layout, extents, length, start, stop, 1)
            asks += window.asks
            start += window.size
        if len(asks) == 1 and size <= CACHED_SHARD_BYTES:
            return bytes(await self._finish_cached(await self._start_cached(asks[0])))
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
            asked = await self._start(ask)
            if asked.loan is None:
                return asked
            # They are few. Read at once, so that all that is not in memory is asked for before any of it is waited for.
            data = asked.loan.read(ask.start, ask.stop)
            if data is None:
                return await self._start(_return(asked).ask, borrow=False)
            self.lent_bytes += len(data)
            return asked._replace(data=data)
        if self.cache.get(ask.shard_id) is not None:
            return _Asked(ask, None, None, None, "")
        return await self._start(ask._replace(start=0, stop=ask.length), wanted=ask)

    async def _finish_cached(self, asked: _Asked) -> Data:
        ask = asked.ask
        if not self._is_cacheable(ask):
            return await self._whole(asked)
        data = self.cache.get(ask.shard_id)
        if data is None:
            whole = asked._replace(ask=ask._replace(start=0, stop=ask.length))
            data = bytes(await self._whole(whole))
            self.cache.put(ask.shard_id, data)
        return data[ask.start : ask.stop]

    def _is_cacheable(self, ask: Ask) -> bool:
        return ask.length <= CACHED_SHARD_BYTES and self.cache.limit_bytes > 0

    # --- long reads -----------------------------------------------------------------------------------

    async def read(
        self, layout_id: int, extents: Extents, length: int, start: int, stop: int
    ) -> AsyncGenerator[Data, None]:
        """The bytes [start, stop) of a part of `length` bytes, in pieces, in order."""
        layout = self._layout(layout_id)
        ahead: deque[tuple[_Window, list[_Asked]]] = deque()
        trusting = True
        try:
            while start < stop or ahead:
                while start < stop and len(ahead) <= READ_AHEAD_WINDOWS:
                    # What is waited for is one row, what is read ahead is several: fewer and larger answers.
                    window = self._window(layout, extents, length, start, stop, WINDOW_ROWS if ahead else 1)
                    if not ahead:
                        await self._budget.acquire(window.size)
                    elif not self._budget.try_acquire_spare(window.size):
                        break
                    start += window.size
                    ahead.append((window, []))
                    for ask in window.asks:
                        ahead[-1][1].append(await self._start(ask, borrow=trusting))
                window, asked = ahead[0]
                answers: dict[int, Data] = {}
                at = 0
                while at < len(window.takes):
                    lent, taken = _lent(window.takes, at, asked)
                    if lent is not None:
                        at += taken
                        self.lent_bytes += len(lent)
                        yield lent
                        continue
                    number, first, last = window.takes[at]
                    ask = window.asks[number]
                    data = answers.get(number)
                    if data is None:
                        if trusting and asked[number].is_returned:
                            trusting = False
                            await self._doubt(ahead)
                        found = await self._finish(asked[number])
                        if isinstance(found, Loan):
                            asked[number] = asked[number]._replace(loan=found)
                            continue
                        data = answers[number] = found
                    at += 1
                    yield data if last - first == len(data) else memoryview(data)[first - ask.start : last - ask.start]
                self._budget.release(ahead.popleft()[0].size)
                if ahead and not answers:
                    # Nothing had to be waited for: others have their turn.
                    await asyncio.sleep(0)
        finally:
            for window, asked in ahead:
                _give_up(asked)
                self._budget.release(window.size)

    async def _doubt(self, ahead: Iterable[tuple[_Window, list[_Asked]]]) -> None:
        """A loan was not good for its bytes, so others may not be either: asks for all at once."""
        for _, row in ahead:
            for number, asked in enumerate(row):
                if asked.loan is not None or asked.is_returned:
                    row[number] = await self._start(asked.ask, borrow=False)

    async def _start(self, ask: Ask, wanted: Ask | None = None, *, borrow: bool = True) -> _Asked:
        """Sends a GET if its node can be reached at once and has not lent the shard; what cannot be sent is dealt with
        by `_finish`. Without `borrow` it is the bytes that are asked for in any case."""
        window = "" if ask.stop - ask.start == ask.length else range_line(ask.start, ask.stop)
        node = self._fleet.nodes.get(ask.node_id)
        if node is not None and not node.failed:
            loan = node.loans.get(ask.shard_id) if borrow else None
            if loan is not None:
                return _Asked(wanted or ask, node, None, None, window, loan)
            try:
                connection = node.take() or await node.connect()
                borrow = borrow and ask.length > CACHED_SHARD_BYTES
                future = node.start_get(connection, ask.shard_id, window, borrow)
                return _Asked(wanted or ask, node, connection, future, window)
            except NodeFailed:
                pass
        return _Asked(wanted or ask, None, None, None, window)

    async def _whole(self, asked: _Asked) -> Data:
        """The bytes, wherever they lie."""
        found = await self._finish(asked) if asked.data is None else asked.data
        if not isinstance(found, Loan):
            return found
        ask = asked.ask
        data = found.read(ask.start, ask.stop)
        if data is not None:
            self.lent_bytes += len(data)
            return data
        _return(asked)
        return await self._ask_again(ask, asked.window, ask.stop - ask.start)

    async def _finish(self, asked: _Asked) -> Data | Loan:
        """The bytes or a loan; asks again for as long as the limit allows when the node cannot be reached or breaks
        off."""
        ask, node, connection, future, window = asked[:5]
        length = ask.stop - ask.start
        if node is not None and connection is not None and future is not None:
            try:
                return await node.finish_get(connection, future, ask.shard_id, window, length, ask.length)
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

    def _window(self, layout: Layout, extents: Extents, length: int, start: int, stop: int, rows: int) -> _Window:
        """The GETs for the beginning of a range, for so many rows at most; none is longer than one answer may be."""
        if not 0 <= start <= stop <= length:
            raise ValueError("a range lies within its part")
        row_bytes, segment_bytes = layout.row_bytes, layout.segment_bytes
        index, within = divmod(start, segment_bytes)
        segment_length = min(segment_bytes, length - index * segment_bytes)
        end = min(stop - index * segment_bytes, segment_length, (within // row_bytes + rows) * row_bytes)
        segment_id, group_id = _extent(extents, index)
        group = self._fleet.groups.get(group_id)
        if group is None:
            raise StoreUnavailable(f"group {group_id} is not known here")
        turn = turn_of(segment_id)
        asks: list[Ask] = []
        takes: list[_Take] = []
        latest: dict[int, int] = {}
        for position, offset, size in layout.locate(segment_length, within, end):
            for first in range(offset, offset + size, MAX_READ_BYTES):
                last = min(first + MAX_READ_BYTES, offset + size)
                known = latest.get(position)
                if known is not None and last - asks[known].start <= MAX_READ_BYTES:
                    # A shard's pieces of neighbouring rows lie one behind the other.
                    asks[known] = asks[known]._replace(stop=last)
                else:
                    latest[position] = known = len(asks)
                    slot = (position + turn) % SHARDS
                    shard_length = layout.shard_length(segment_length, position)
                    asks.append(Ask(group.nodes[slot], make_shard_id(segment_id, slot), first, last, shard_length))
                takes.append(_Take(known, first, last))
        return _Window(asks, takes, end - within)


def _extent(extents: Extents, index: int) -> Extent:
    if isinstance(extents, bytes):
        return unpack(extents[index * EXTENT_BYTES : (index + 1) * EXTENT_BYTES])[0]
    return extents[index]


def _lent(takes: list[_Take], at: int, asked: list[_Asked]) -> tuple[memoryview | None, int]:
    """What the takes from `at` on bring as far as their shards are lent, as one piece, and how many these are."""
    size, end = 0, at
    for number, first, last in takes[at:]:
        loan = asked[number].loan
        if loan is None or not loan.is_whole_blocks(first, last) or (size and size + last - first > LENT_PIECE_BYTES):
            break
        size += last - first
        end += 1
    if end == at:
        number, first, last = takes[at]
        loan = asked[number].loan
        data = None if loan is None else loan.read(first, last)
        if data is None and loan is not None:
            asked[number] = _return(asked[number])
        return data, 1
    view, done = memoryview(bytearray(size)), 0
    for taken, (number, first, last) in enumerate(takes[at:end]):
        loan = asked[number].loan
        if loan is None or not loan.fill(view[done : done + last - first], first):
            asked[number] = _return(asked[number])
            return view[:done] or None, taken
        done += last - first
    return view, end - at


def _return(asked: _Asked) -> _Asked:
    """Without the loan, which does not have the bytes: what is left is to ask for them."""
    if asked.node is not None:
        asked.node.loans.drop(asked.ask.shard_id)
    return asked._replace(connection=None, future=None, loan=None)


def _give_up(row: list[_Asked]) -> None:
    for asked in row:
        if asked.connection is not None and asked.future is not None:
            asked.connection.give_up(asked.future)
