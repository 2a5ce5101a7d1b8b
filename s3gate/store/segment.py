"""One segment of several rows, until it is durable: on the group that was chosen, or on another when a node fails.

It knows neither its neighbours nor who makes the rows. A failure costs a try with a fresh id on another group (law 3)
for as long as all rows that were sent are at hand: the first one while it is being sent, and all of a short segment,
if the budget can spare them, until the last answer.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from s3gate.geometry.extents import Extent, pack_one
from s3gate.geometry.placement import Place
from s3gate.geometry.stripe import Layout
from s3gate.store.budget import Kept
from s3gate.store.errors import NodeFailed
from s3gate.store.fleet import Fleet
from s3gate.store.stream import SegmentStream

Left = tuple[int, bytes]


class Segment:
    """`place` chooses a place and makes a fresh id, waiting until the time that it is given at most. Every attempt is
    added to `left`; the last one of them is the segment. After any error: `abort`."""

    def __init__(
        self,
        layout: Layout,
        fleet: Fleet,
        length: int,
        place: Callable[[float], Awaitable[tuple[Place, bytes]]],
        kept: Kept,
        left: list[Left],
    ) -> None:
        self._layout = layout
        self._fleet = fleet
        self._length = length
        self._place = place
        self._kept = kept
        self._left = left
        self._sent = 0
        self._stream: SegmentStream | None = None
        self._loop = asyncio.get_running_loop()
        self.extent = Extent(b"", 0)

    async def send(self, data: memoryview, until: float, meanwhile: Callable[[], None]) -> None:
        """Sends the next row, trying other places until then. `meanwhile` is called when the nodes take their time."""
        await self._try(partial(_send, data, meanwhile), until)
        self._sent += 1
        self._kept.add(data)

    async def finish(self, until: float) -> None:
        """Returns when all six shards are durable."""
        await self._try(SegmentStream.finish, until)
        self._kept.let_go()

    def abort(self) -> None:
        """Closes what is under way and gives back what was kept."""
        self._kept.let_go()
        if self._stream is not None:
            self._stream.abort()

    async def _try(self, step: Callable[[SegmentStream], Awaitable[None]], until: float) -> None:
        while True:
            try:
                await step(self._stream or await self._begin(until))
                return
            except NodeFailed:
                if self._stream is not None:
                    self._stream.abort()
                    self._stream = None
                if self._kept.count() < self._sent or self._loop.time() >= until:
                    raise

    async def _begin(self, until: float) -> SegmentStream:
        """An attempt, with what was sent to the one before."""
        place, segment_id = await self._place(until)
        self.extent = Extent(segment_id, place.group.group_id)
        self._left.append((self._layout.layout_id, pack_one(*self.extent)))
        self._stream = stream = SegmentStream(self._layout, place, segment_id, self._length)
        await stream.open(self._fleet)
        with self._kept.in_use() as rows:
            if len(rows) < self._sent:
                raise NodeFailed("the rows that would have to be sent again were let go")
            for row in rows:
                if not stream.send(row):
                    await stream.drained()
        return stream


async def _send(data: memoryview, meanwhile: Callable[[], None], stream: SegmentStream) -> None:
    if not stream.send(data):
        meanwhile()
        await stream.drained()
