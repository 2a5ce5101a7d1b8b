"""Digests of a body while it arrives, in threads beside the receiving.

MD5 is the ceiling of a large PUT, so every kind of digest is a chain of its own: its updates run in order,
and the chains of a body run side by side. This file does not know what digests are compared with.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

Piece = bytes | memoryview
Update = Callable[[Piece], object]

INLINE_BYTES = 64 * 1024
"""Up to here hashing costs less than handing it to a thread, and a small request keeps its latency."""
HASHING_THREADS = 4

POOL = ThreadPoolExecutor(max_workers=HASHING_THREADS, thread_name_prefix="digest")


class Row:
    """Counts who still uses a row's bytes; the last one gives them back."""

    __slots__ = ("_release", "_users")

    def __init__(self, release: Callable[[], None], users: int) -> None:
        self._release = release
        self._users = users

    def done(self) -> None:
        """One of the users is done."""
        self._users -= 1
        if self._users == 0:
            self._release()


Task = tuple[Sequence[Piece], Row | None]


class Chain:
    """Updates of one digest, in order, in the pool's threads. Used from the event loop."""

    __slots__ = ("_failure", "_idle", "_loop", "_queue", "_update")

    def __init__(self, update: Update) -> None:
        self._update = update
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Task] = deque()
        self._idle: asyncio.Future[None] | None = None
        self._failure: BaseException | None = None

    def add(self, pieces: Sequence[Piece], row: Row | None = None) -> None:
        """Queues pieces; `row` is told when they have been taken in."""
        self._queue.append((pieces, row))
        if self._idle is None:
            self._idle = self._loop.create_future()
            self._start()

    async def drain(self) -> None:
        """Waits until everything queued has been taken in."""
        if self._idle is not None:
            await asyncio.shield(self._idle)
        if self._failure is not None:
            raise self._failure

    def _start(self) -> None:
        tasks = list(self._queue)
        self._queue.clear()
        POOL.submit(self._take_in, tasks)

    def _take_in(self, tasks: list[Task]) -> None:
        """In a thread, which tells the loop itself: futures that know one another cost as much as hashing 100 KiB."""
        failure: BaseException | None = None
        try:
            for pieces, _ in tasks:
                for piece in pieces:
                    self._update(piece)
        except BaseException as error:
            failure = error
        self._loop.call_soon_threadsafe(self._after, tasks, failure)

    def _after(self, tasks: list[Task], failure: BaseException | None) -> None:
        self._failure = failure or self._failure
        for _, row in tasks:
            if row is not None:
                row.done()
        if self._queue:
            self._start()
            return
        idle, self._idle = self._idle, None
        if idle is not None:
            idle.set_result(None)
