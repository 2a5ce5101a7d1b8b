"""A lone write goes ahead of its bytes: Postgres runs its statement while they are synced, and commits it after that.

Whoever writes says what it is about to submit (`expect`), and submits it once its bytes are durable: only then is the
commit sent (laws 2 and 4). One write at a time, and only while no other is about: under load a batch is worth more.

A transaction that waits holds locks (on its session, its bucket and its key). So it waits for `ahead_seconds` at most
and is rolled back then, and nothing is sent ahead for `ahead_rest_seconds`: the nodes are slow. Whatever did not become
a commit (it was rolled back, lost with its connection, or refused) goes the ordinary way. If this process is stopped
meanwhile, the server's own timeout ends the transaction.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from contextlib import suppress
from typing import Generic, NamedTuple, TypeVar

import psycopg

from s3gate.catalog.batcher import AGAIN, Outcome, Waiting
from s3gate.catalog.connection import Connection, ConnectionLost, Step
from s3gate.catalog.writes import FencedWrites

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class _Begun(NamedTuple, Generic[Item, Answer]):
    """What was sent ahead, and under which fence."""

    waiting: Waiting[Item, Answer]
    connection: Connection
    session_id: int
    fence: int
    deadline: asyncio.TimerHandle


class WritesAhead(FencedWrites[Item, Answer]):
    """A batcher of writes, with one of them perhaps ahead of its bytes."""

    _begun: _Begun[Item, Answer] | None = None
    _rests_until = 0.0
    _rolling_back: asyncio.Task[None] | None = None

    @abstractmethod
    def step_ahead(self, item: Item) -> Step | None:
        """What may be run for it ahead of its bytes, as `step` gives it."""

    def expect(self, item: Item) -> None:
        """It will be submitted, under its own id, when its bytes are durable: they are just being sent."""
        # In the next turn of the loop, for in this one the bytes leave.
        asyncio.get_running_loop().call_soon(self._begin, item)

    async def submit(self, item: Item) -> Answer:
        """Its bytes are durable: commit it. In a batch, unless that was prepared."""
        begun = self._begun
        if begun is None or self.own_id(begun.waiting.item) != self.own_id(item):
            return await self.batcher.submit(item)
        self._begun = None
        begun.deadline.cancel()
        try:
            outcome = await self._commit(begun)
        except asyncio.CancelledError:
            begun.waiting.future.cancel()
            self.batcher.give(begun.waiting, self._settled(begun))
            raise
        self.batcher.give(begun.waiting, outcome)
        return await begun.waiting.future

    def _begin(self, item: Item) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() < self._rests_until or not self.batcher.is_quiet:
            return
        session_id, fence = self._session.session_id, self._session.fence
        step = self.step_ahead(item)
        if step is None or self._strangers([item], session_id):
            return
        connection = self._pool.take_free()
        if connection is None:
            return
        begun = False
        with suppress(ConnectionLost):
            begun = connection.begin(step[0], (session_id, fence, *step[1]))
        if not begun:
            self._pool.give(connection)
            return
        deadline = loop.call_later(self._limits.ahead_seconds, self._too_late)
        self._begun = _Begun(self.batcher.take(item), connection, session_id, fence, deadline)

    async def _commit(self, begun: _Begun[Item, Answer]) -> Outcome[Answer]:
        try:
            rows = await begun.connection.commit()
        except ConnectionLost as lost:
            return self._settled(begun) if lost.sent else AGAIN
        except psycopg.Error:
            return AGAIN  # it wrote nothing, and hears the ordinary way what is wrong with it
        finally:
            self._pool.give(begun.connection)
        if not rows:
            return AGAIN  # it wrote nothing, and hears the ordinary way why
        return (await self._judge([begun.waiting.item], rows))[0]

    def _settled(self, begun: _Begun[Item, Answer]) -> asyncio.Future[Answer]:
        """What became of a commit that was cut off (law 6)."""
        items = [begun.waiting.item]
        return self._settlement.settle(begun.session_id, begun.fence, 1, lambda: self.ask(items))[0]

    def _too_late(self) -> None:
        begun, self._begun = self._begun, None
        if begun is not None:
            loop = asyncio.get_running_loop()
            self._rests_until = loop.time() + self._limits.ahead_rest_seconds
            self._rolling_back = loop.create_task(self._roll_back(begun))

    async def _roll_back(self, begun: _Begun[Item, Answer]) -> None:
        try:
            # Lost or refused: either way nothing was committed.
            with suppress(ConnectionLost, psycopg.Error):
                await begun.connection.roll_back()
        finally:
            self._pool.give(begun.connection)
            self.batcher.drop(begun.waiting)
