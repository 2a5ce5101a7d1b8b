"""Digests of a body while it arrives, in threads beside the receiving.

MD5 is the ceiling of a large PUT, so every kind of digest is a chain of its own: its updates run in order,
and the chains of a body run side by side. This file does not know what digests are compared with.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

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


class Chain:
    """Updates of one digest, in order, in the pool's threads. Used from the event loop."""

    __slots__ = ("_failure", "_idle", "_loop", "_queue", "_update")

    def __init__(self, update: Update) -> None:
        self._update = update
        self._loop = asyncio.get_running_loop()
        self._queue: deque[tuple[Piece, Row | None]] = deque()
        self._idle: asyncio.Future[None] | None = None
        self._failure: BaseException | None = None

    def add(self, piece: Piece, row: Row | None = None) -> None:
        """Queues a piece; `row` is told when its last piece has been taken in."""
        self._queue.append((piece, row))
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
        batch = list(self._queue)
        self._queue.clear()
        job = self._loop.run_in_executor(POOL, _take_in, self._update, [piece for piece, _ in batch])
        job.add_done_callback(partial(self._after, batch))

    def _after(self, batch: list[tuple[Piece, Row | None]], job: asyncio.Future[None]) -> None:
        if not job.cancelled():
            self._failure = job.exception() or self._failure
        for _, row in batch:
            if row is not None:
                row.done()
        if self._queue:
            self._start()
            return
        idle, self._idle = self._idle, None
        if idle is not None:
            idle.set_result(None)


def _take_in(update: Update, pieces: list[Piece]) -> None:
    for piece in pieces:
        update(piece)
