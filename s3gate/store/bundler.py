"""Small shards on their way to one node: what arrives while requests to it are under way goes together in the next.

A lone shard goes alone and at once, as a PUT of its own. Under load head, signature, system calls and answer are shared
by all shards of a bundle, on both sides. Each is acknowledged for itself (law 2): one that the node refuses fails
alone, and when the request fails each of them does, and its writer tries elsewhere (law 3). The byte budget bounds the
queue (law 9): whoever waits in it has taken his shard's bytes there. It knows neither groups nor objects.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeAlias

from awscrt.checksums import crc32c

from chunkd import bundle, wire
from s3gate.store.connection import Answer, Buffer, Connection
from s3gate.store.limits import BUNDLES_UNDER_WAY

if TYPE_CHECKING:
    from s3gate.store.node import Node


class _Waiting:
    """A shard and who waits for it."""

    __slots__ = ("future", "packed")

    def __init__(self, packed: bundle.Packed, future: asyncio.Future[None]) -> None:
        self.packed = packed
        self.future = future


_Sent: TypeAlias = "tuple[Connection, asyncio.Future[Answer]]"


class Bundler:
    """What is to go to one node, and what is under way to it."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._loop = asyncio.get_running_loop()
        self._queue: deque[_Waiting] = deque()
        self._under_way = 0
        self._starting = False
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def waiting(self) -> int:
        """Shards that have not been sent yet."""
        return len(self._queue)

    async def put(self, shard_id: bytes, body: Buffer, crc: int) -> None:
        """Returns when the shard is durable. Whoever stops waiting takes back what has not been sent."""
        waiting = _Waiting(bundle.Packed(shard_id, body, crc), self._loop.create_future())
        self._queue.append(waiting)
        if not self._starting and self._under_way < BUNDLES_UNDER_WAY:
            # Later in this turn of the loop: what arrived together goes together.
            self._starting = True
            self._loop.call_soon(self._start)
        try:
            await waiting.future
        except asyncio.CancelledError:
            with contextlib.suppress(ValueError):
                self._queue.remove(waiting)
            raise

    def _start(self) -> None:
        self._starting = False
        while self._queue and self._under_way < BUNDLES_UNDER_WAY:
            shards = self._next()
            if shards:
                self._under_way += 1
                # One that is alone leaves in this turn of the loop, not in its task's first.
                sent = self._begin_put(*shards[0].packed) if len(shards) == 1 else None
                task = self._loop.create_task(self._send(shards, sent))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _next(self) -> list[_Waiting]:
        """As many as one request may hold, in the order in which they came."""
        queue = self._queue
        shards: list[_Waiting] = []
        room = bundle.MAX_BYTES
        while queue and len(shards) < bundle.MAX_SHARDS:
            size = len(queue[0].packed.body)
            if shards and size > room:
                break
            waiting = queue.popleft()
            if not waiting.future.done():
                shards.append(waiting)
                room -= size
        return shards

    def _begin_put(self, shard_id: bytes, body: Buffer, crc: int) -> _Sent | None:
        connection = self._node.take()
        return None if connection is None else (connection, self._node.start_put(connection, shard_id, body, crc))

    async def _send(self, shards: list[_Waiting], sent: _Sent | None) -> None:
        try:
            if len(shards) == 1:
                await self._put(shards[0], sent)
            else:
                await self._put_all(shards)
        except Exception as error:
            self._fail(shards, error)
            if self._node.failed:
                # Nobody waits for a node that does not answer: there are others.
                self._fail(self._queue, error)
                self._queue.clear()
        finally:
            self._under_way -= 1
            self._start()

    async def _put(self, waiting: _Waiting, sent: _Sent | None) -> None:
        shard_id, body, crc = waiting.packed
        node = self._node
        if sent is None:
            node.check_put(await node.request("PUT", wire.shard_path(shard_id), body, crc), crc)
        else:
            await node.finish_put(*sent, shard_id, body, crc)
        if not waiting.future.done():
            waiting.future.set_result(None)

    async def _put_all(self, shards: list[_Waiting]) -> None:
        table = bundle.encode_table([waiting.packed for waiting in shards])
        node = self._node
        bodies = [waiting.packed.body for waiting in shards]
        answer = await node.request("POST", wire.SHARDS_PATH, table, crc32c(table), more=bodies)
        if answer.status != 200:
            raise node.not_stored(answer.status)
        try:
            all_said = bundle.decode_answer(answer.body, len(shards))
        except wire.WireError as error:
            raise node.not_stored(answer.status) from error
        for waiting, said in zip(shards, all_said, strict=True):
            if said.status not in (200, 201) or said.crc != waiting.packed.crc:
                self._fail([waiting], node.not_stored(said.status))
            elif not waiting.future.done():
                waiting.future.set_result(None)

    def _fail(self, shards: Iterable[_Waiting], error: Exception) -> None:
        for waiting in shards:
            if not waiting.future.done():
                waiting.future.set_exception(error)
