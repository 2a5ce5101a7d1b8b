"""The listening side of a chunkd: sockets, the set of connections, what they share, and the end.

It knows nothing of requests; `connection.py` speaks HTTP and the application answers.
"""

from __future__ import annotations

import asyncio
import contextlib

from chunkd.answer import Application
from chunkd.bounds import BODY_BUDGET_BYTES, MAX_CONNECTIONS
from chunkd.budget import Budget
from chunkd.connection import Connection

TICK_SECONDS = 1.0


class Server:
    """All connections of one process, whatever socket they came by."""

    def __init__(self, application: Application, loop: asyncio.AbstractEventLoop) -> None:
        self.application = application
        self.loop = loop
        self.budget = Budget(BODY_BUDGET_BYTES)
        self.connections: set[Connection] = set()
        self.streams = 0
        self.stopping = False
        self._listeners: list[asyncio.AbstractServer] = []
        self._ticks: asyncio.Task[None] | None = None

    async def listen_tcp(self, host: str, port: int) -> int:
        """Listen; returns the port, which the system chooses when asked for 0."""
        server = await self.loop.create_server(self._accept, host, port, backlog=MAX_CONNECTIONS)
        self._started(server)
        return int(server.sockets[0].getsockname()[1])

    async def listen_unix(self, path: str) -> None:
        """Listen on a unix socket too; one left behind by a killed process is replaced."""
        self._started(await self.loop.create_unix_server(self._accept, path, backlog=MAX_CONNECTIONS))

    def _accept(self) -> Connection:
        return Connection(self)

    def _started(self, server: asyncio.AbstractServer) -> None:
        self._listeners.append(server)
        if self._ticks is None:
            self._ticks = self.loop.create_task(self._watch_deadlines())

    async def _watch_deadlines(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = self.loop.time()
            for connection in [one for one in self.connections if one.deadline < now]:
                connection.expire()

    async def stop(self, grace_seconds: float) -> None:
        """Accept no more, let what runs finish within the grace, then cut."""
        self.stopping = True
        for listener in self._listeners:
            listener.close()
        for connection in list(self.connections):
            connection.close_when_idle()
        deadline = self.loop.time() + grace_seconds
        while self.connections and self.loop.time() < deadline:  # noqa: ASYNC110 - a set, watched once
            await asyncio.sleep(0.02)
        for connection in list(self.connections):
            connection.abort()
        if self._ticks is not None:
            self._ticks.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticks
