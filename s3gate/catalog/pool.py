"""A few connections that heal themselves: a free list, and a task per broken one that reconnects for ever.

It refuses to know statements. A waiting request is given up after a limit, at once when Postgres has been away
for longer than that, so that nobody queues behind an outage.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import psycopg

from s3gate.catalog.connection import (
    Connection,
    ConnectionLost,
    Row,
    ServerRefused,
    Statement,
    Step,
    is_retryable,
)
from s3gate.catalog.errors import Unavailable
from s3gate.catalog.limits import Limits

T = TypeVar("T")


# Nobody's fault: a lock or statement timeout, a server out of memory, room or connections, or shutting down.
_PASSING = ("55P03", "57", "53", "58")


async def retry(run: Callable[[], Awaitable[T]], tries: int) -> T:
    """Run whole statements again after a deadlock or a serialization failure, a bounded number of times."""
    for attempt in range(tries):
        try:
            return await run()
        except psycopg.Error as error:
            if (error.sqlstate or "").startswith(_PASSING):
                raise Unavailable(str(error)) from error
            if not is_retryable(error):
                raise
            # Two that met once should not meet again.
            await asyncio.sleep(random.random() * 0.002 * (attempt + 1))
    raise Unavailable("too many deadlocks")


class Pool:
    """`size` connections, all opened ahead. Use: `connection = await take()`, then always `give(connection)`."""

    def __init__(self, dsn: str, limits: Limits, size: int) -> None:
        self._dsn = dsn
        self._limits = limits
        self._size = size
        self._loop = asyncio.get_running_loop()
        self._free: list[Connection] = []
        self._all: set[Connection] = set()
        self._waiting: deque[asyncio.Future[Connection]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._down_since: float | None = None
        self._lost_at = -math.inf
        self._closed = False

    async def open(self) -> None:
        """Connect once, so that a wrong address or an unusable server is an error at the start; then the others."""
        connection = await Connection.open(self._dsn, self._limits, self._broken)
        self._all.add(connection)
        self.give(connection)
        for _ in range(self._size - 1):
            self._start_connecting()

    async def take(self) -> Connection:
        """A connection that nobody else has; Unavailable when there is none in time."""
        connection = self.take_free()
        if connection is not None:
            return connection
        now = self._loop.time()
        patience = self._limits.down_seconds
        if self._down_since is not None:
            patience = max(0.0, self._down_since + patience - now)
        if self._closed or patience == 0 or len(self._waiting) >= self._limits.waiting_requests:
            raise Unavailable("no connection to Postgres")
        waiter: asyncio.Future[Connection] = self._loop.create_future()
        self._waiting.append(waiter)
        timer = self._loop.call_later(patience, _give_up, waiter)
        try:
            return await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.give(waiter.result())
            raise
        finally:
            timer.cancel()

    def take_free(self) -> Connection | None:
        """A connection that nobody has just now, if there is one."""
        free = self._free
        while free:
            connection = free.pop()
            if not connection.broken:
                return connection
        return None

    def give(self, connection: Connection) -> None:
        """Hand a connection back; a broken one is already being replaced."""
        if connection.broken:
            return
        waiting = self._waiting
        while waiting:
            waiter = waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        self._free.append(connection)

    @property
    def is_connected(self) -> bool:
        """Whether a request would find a connection."""
        return bool(self._all)

    @property
    def steady_seconds(self) -> float:
        """For how long no connection has been lost."""
        return self._loop.time() - self._lost_at

    async def fetch(self, statement: Statement, *values: Any) -> list[Row]:
        """Run a statement once; ConnectionLost when nobody can say whether it ran."""
        connection = await self.take()
        try:
            return await self._retry(lambda: connection.fetch(statement, *values))
        finally:
            self.give(connection)

    async def once(self, statement: Statement, *values: Any) -> list[Row]:
        """Run a statement that must not run twice; Unavailable when nobody can say whether it ran."""
        try:
            return await self.fetch(statement, *values)
        except ConnectionLost as lost:
            raise Unavailable("the connection to Postgres was lost") from lost

    async def repeat(self, statement: Statement, *values: Any) -> list[Row]:
        """Run a statement that may run twice: again when the connection was lost, a bounded number of times."""
        for _ in range(self._limits.tries):
            try:
                return await self.fetch(statement, *values)
            except ConnectionLost:
                continue
        raise Unavailable("the connection to Postgres was lost")

    async def transact(self, *steps: Step) -> list[list[Row]]:
        """Run statements as one transaction; ConnectionLost when nobody can say whether it committed."""
        connection = await self.take()
        try:
            return await self._retry(lambda: connection.pipeline(*steps))
        finally:
            self.give(connection)

    async def using(self, run: Callable[[Connection], Awaitable[T]]) -> T:
        """Let `run` have a connection for several statements that may all run twice; Unavailable when it was lost."""
        connection = await self.take()
        try:
            return await self._retry(lambda: run(connection))
        except ConnectionLost as lost:
            raise Unavailable("the connection to Postgres was lost") from lost
        finally:
            self.give(connection)

    async def _retry(self, run: Callable[[], Awaitable[T]]) -> T:
        return await retry(run, self._limits.tries)

    async def close(self) -> None:
        """Stop reconnecting and drop every connection."""
        self._closed = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in list(self._all):
            connection.close()
        for waiter in self._waiting:
            _give_up(waiter)

    def _broken(self, connection: Connection) -> None:
        self._all.discard(connection)
        self._lost_at = self._loop.time()
        if connection in self._free:
            self._free.remove(connection)
        if not self._closed:
            self._start_connecting()

    def _start_connecting(self) -> None:
        task = self._loop.create_task(self._connect())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self) -> None:
        pause = self._limits.reconnect_first_seconds
        while True:
            try:
                connection = await Connection.open(self._dsn, self._limits, self._broken)
                break
            except ServerRefused:
                pause = self._limits.reconnect_most_seconds
            except Exception:
                # Whatever it was (refused, starting up, a name that does not resolve just now): it may pass.
                pause = min(pause * 2, self._limits.reconnect_most_seconds)
            if self._down_since is None and not self._all:
                self._down_since = self._loop.time()
            await asyncio.sleep(pause)
        self._down_since = None
        self._all.add(connection)
        self.give(connection)


def _give_up(waiter: asyncio.Future[Connection]) -> None:
    if not waiter.done():
        waiter.set_exception(Unavailable("no connection to Postgres"))
