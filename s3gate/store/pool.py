"""The connections to one node: idle ones are used again, new ones are opened up to a limit, waits are in turn.

It knows where the node is, and nothing of what is said over its connections.
"""

import asyncio
import contextlib
import os
import socket
from collections import deque
from collections.abc import Callable

from chunkd.wire import UNIX_BUFFER_BYTES
from s3gate.geometry.placement import NodeView
from s3gate.store.connection import Connection
from s3gate.store.errors import NodeFailed
from s3gate.store.limits import TICK_SECONDS, StoreLimits


class Pool:
    """`on_idle_lost` is called when the other side closes an idle connection: it may have been started again."""

    def __init__(self, view: NodeView, limits: StoreLimits, on_idle_lost: Callable[[], None]) -> None:
        self.view = view
        self.closed = False
        self._limits = limits
        self._on_idle_lost = on_idle_lost
        self._loop = asyncio.get_running_loop()
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._opening = 0
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._stall_ticks = max(1, round(limits.stall_seconds / TICK_SECONDS))

    @property
    def under_way(self) -> int:
        """Requests that are waited for, and those who wait to make one."""
        return len(self._all) - len(self._idle) + len(self._waiting)

    def move(self, view: NodeView) -> None:
        """The node's row, as it is now; idle connections to an older address are closed."""
        if (view.address, view.socket) != (self.view.address, self.view.socket):
            self.drop_idle()
        self.view = view

    def take(self) -> Connection | None:
        """An idle connection, if there is one."""
        return self._idle.pop() if self._idle else None

    async def join(self) -> Connection:
        """An idle or a new connection; waits for one when there are too many, for a limited time."""
        if self._idle:
            return self._idle.pop()
        if len(self._all) + self._opening < self._limits.connections_per_node:
            return await self._open()
        future: asyncio.Future[Connection | None] = self._loop.create_future()
        self._waiting.append(future)
        try:
            async with asyncio.timeout(self._limits.write_wait_seconds):
                connection = await future
        except TimeoutError as error:
            self._leave(future)
            raise NodeFailed(f"no free connection to {self.view.address}") from error
        except asyncio.CancelledError:
            self._leave(future)
            raise
        return connection or await self._open()

    def tick(self) -> None:
        """Once a second: breaks off what makes no progress."""
        for connection in list(self._all):
            connection.tick(self._stall_ticks)

    def drop_idle(self) -> None:
        """Closes the idle connections: where one had been closed by the other side, the others were."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    def close(self) -> None:
        """Closes all connections, for good."""
        self.closed = True
        for connection in list(self._all):
            connection.close()

    def _leave(self, future: asyncio.Future[Connection | None]) -> None:
        """Whoever stops waiting passes on what it was just given."""
        with contextlib.suppress(ValueError):
            self._waiting.remove(future)
        if future.done() and not future.cancelled():
            connection = future.result()
            if connection is not None:
                self._free(connection)
            else:
                self._pass_on(None)

    def _free(self, connection: Connection) -> None:
        if connection.transport is not None and not self._pass_on(connection):
            self._idle.append(connection)

    def _lost(self, connection: Connection) -> None:
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
            self._on_idle_lost()
        self._pass_on(None)

    def _pass_on(self, connection: Connection | None) -> bool:
        """Gives a connection, or the room for one, to who waits longest."""
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(connection)
                return True
        return False

    async def _open(self) -> Connection:
        self._opening += 1
        connection: Connection | None = None
        try:
            async with asyncio.timeout(self._limits.connect_seconds):
                connection = await self._dial()
        except (OSError, TimeoutError, ValueError, RuntimeError) as error:
            # (A RuntimeError says that the transport has been closed already, by a node that is about to end.)
            raise NodeFailed(f"{self.view.address} cannot be reached: {error!r}") from error
        finally:
            self._opening -= 1
            if connection is None:
                self._pass_on(None)
        if connection.transport is not None:
            self._all.add(connection)
        return connection

    async def _dial(self) -> Connection:
        if self.closed:
            raise OSError("closed")
        loop, view = self._loop, self.view
        if view.socket and os.path.exists(view.socket):  # noqa: ASYNC240  (a stat of a local path)
            with contextlib.suppress(OSError):
                transport, connection = await loop.create_unix_connection(self._new, view.socket)
                raw = transport.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNIX_BUFFER_BYTES)
                connection.is_local = True
                return connection
        host, _, port = view.address.rpartition(":")
        return (await loop.create_connection(self._new, host.strip("[]"), int(port)))[1]

    def _new(self) -> Connection:
        return Connection(self._loop, self._free, self._lost)
