"""Sending one segment of several rows: six PUTs side by side, a row of pieces at a time, in constant memory.

It knows neither which group is best nor what to do after a failure. A shard's checksum is not known when its
PUT begins, so it is worked out on the way and compared with what the node says it stored (law 2).
"""

import asyncio

from awscrt.checksums import crc32c

from s3gate.geometry.ids import shard_id
from s3gate.geometry.placement import Place
from s3gate.geometry.stripe import SHARDS, Layout
from s3gate.store.connection import Answer, Connection, ConnectionBroken
from s3gate.store.errors import NodeFailed
from s3gate.store.fleet import Fleet
from s3gate.store.node import Node


class _Shard:
    """One PUT under way."""

    __slots__ = ("connection", "crc", "future", "left", "node")

    def __init__(self, node: Node, connection: Connection, future: asyncio.Future[Answer], length: int) -> None:
        self.node = node
        self.connection = connection
        self.future = future
        self.left = length
        self.crc = 0


class SegmentStream:
    """The six shards of a segment on their way. After any error: `abort`."""

    def __init__(self, layout: Layout, place: Place, segment_id: bytes, segment_length: int) -> None:
        self._layout = layout
        self._place = place
        self.segment_id = segment_id
        self._length = segment_length
        self._row = 0
        self._shards: dict[int, _Shard] = {}

    async def open(self, fleet: Fleet) -> None:
        """Sends the six heads. In the order of node ids, so that writers that wait for connections never
        wait for each other in a circle."""
        nodes, turn = self._place.group.nodes, self._place.turn
        positions = sorted(range(SHARDS), key=lambda position: nodes[(position + turn) % SHARDS])
        for position in positions:
            slot = (position + turn) % SHARDS
            node = fleet.node(nodes[slot])
            length = self._layout.shard_length(self._length, position)
            connection = node.take() or await node.connect()
            future = node.start_stream(connection, shard_id(self.segment_id, slot), length)
            self._shards[position] = _Shard(node, connection, future, length)
            fleet.count(node.node_id, length)

    def send(self, data: memoryview) -> bool:
        """Hands the next row to the six connections; False if `drained` must be awaited before the next."""
        start, idle = 0, True
        for position, size in enumerate(self._layout.row_pieces(self._length, self._row)):
            piece = data[start : start + size]
            start += size
            shard = self._shards[position]
            if shard.future.done():
                self._check_early(shard)
            shard.crc = crc32c(piece, shard.crc)
            shard.left -= size
            shard.connection.send(piece, last=not shard.left)
            idle = idle and not shard.connection.is_full()
        self._row += 1
        return idle

    async def drained(self) -> None:
        """Waits until the row has left this process."""
        for shard in self._shards.values():
            # A connection whose shard has been answered may be somebody else's by now, and has one place to wait at.
            if not shard.future.done():
                await shard.connection.drained()
            if shard.left and shard.future.done():
                self._check_early(shard)

    async def finish(self) -> None:
        """Returns when all six are durable, with the checksums of what was sent."""
        for shard in self._shards.values():
            try:
                answer = await shard.future
            except ConnectionBroken as error:
                raise shard.node.broken(error) from error
            shard.node.check_put(answer, shard.crc)

    def abort(self) -> None:
        """Closes the connections of what is not finished."""
        for shard in self._shards.values():
            shard.connection.give_up(shard.future)

    def _check_early(self, shard: _Shard) -> None:
        """An answer before the end of its body is a refusal or a broken connection."""
        error = shard.future.exception()
        if isinstance(error, ConnectionBroken):
            raise shard.node.broken(error)
        answer = shard.future.result()
        if not shard.node.learn(answer):
            shard.node.check_put(answer, shard.crc)
        raise NodeFailed("a node answered before it had the whole shard")
