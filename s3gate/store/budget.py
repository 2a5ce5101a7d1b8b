"""The budget: how many bytes of bodies one process holds in memory (law 9), and the block that counts there.

It knows neither sockets nor shards. Waiting is first come, first served: a large request at the head of the
queue is not overtaken by smaller ones, so that nobody starves. Small ones have a budget beside it, so that they
do not stand behind the rows of clients that are slow. What is kept only in case it is needed again makes way for
everybody: nobody waits for it.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from s3gate.store.errors import BudgetExceeded
from s3gate.store.limits import SMALL_BYTES


class Budget:
    """A number of bytes that bodies share. One per process, used from one event loop.

    What takes at most SMALL_BYTES takes it from `small_total`, if that is given.
    """

    __slots__ = ("_rows", "_small", "total")

    def __init__(self, total: int, small_total: int = 0) -> None:
        self.total = total + small_total
        self._rows = _Share(total)
        self._small = _Share(small_total) if small_total else self._rows

    def _share(self, size: int) -> "_Share":
        return self._small if size <= SMALL_BYTES else self._rows

    def _shares(self) -> "set[_Share]":
        return {self._rows, self._small}

    @property
    def free(self) -> int:
        """Bytes that nobody holds."""
        return sum(share.free for share in self._shares())

    @property
    def waiting(self) -> int:
        """How many callers stand in the queues."""
        return sum(len(share.waiting) for share in self._shares())

    def longest_wait_seconds(self) -> float:
        """For how long the first in a queue has been waiting; 0 when nobody is."""
        since = [share.waiting[0][2] for share in self._shares() if share.waiting]
        return asyncio.get_running_loop().time() - min(since) if since else 0.0

    def try_acquire(self, size: int) -> bool:
        """Takes `size` bytes if they are free and nobody waits."""
        return self._share(size).try_acquire(size)

    def try_acquire_spare(self, size: int) -> bool:
        """Takes `size` bytes for what could do without, if half of the budget stays free: slow clients that were
        read ahead for do not keep others from their first bytes."""
        share = self._share(size)
        return share.free + share.kept_bytes - size >= share.total // 2 and share.try_acquire(size)

    def kept(self) -> "Kept":
        """A place for rows that have been sent and may have to be sent again."""
        return Kept(self._rows)

    async def acquire(self, size: int) -> None:
        """Takes `size` bytes, waiting in turn until they are free."""
        await self._share(size).acquire(size)

    def release(self, size: int) -> None:
        """Gives back what was taken at once: it is the size that tells where it came from."""
        self._share(size).release(size)


class _Share:
    """Bytes and those who wait for them, each with the time since when."""

    __slots__ = ("free", "kept", "total", "waiting")

    def __init__(self, total: int) -> None:
        self.total = total
        self.free = total
        self.kept: dict[Kept, None] = {}
        """Those who make way when others need their bytes, the oldest first."""
        self.waiting: deque[tuple[int, asyncio.Future[None], float]] = deque()

    @property
    def kept_bytes(self) -> int:
        return sum(kept.size for kept in self.kept)

    def try_acquire(self, size: int) -> bool:
        if self.waiting:
            return False
        while size > self.free and self.kept:
            next(iter(self.kept)).let_go()
        if size > self.free:
            return False
        self.free -= size
        return True

    async def acquire(self, size: int) -> None:
        if size > self.total:
            raise BudgetExceeded(f"{size} bytes are more than the whole budget of {self.total}")
        if self.try_acquire(size):
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self.waiting.append((size, future, loop.time()))
        try:
            await future
        except asyncio.CancelledError:
            if not future.cancelled():
                self.release(size)
            else:
                self._serve()
            raise

    def release(self, size: int) -> None:
        self.free += size
        if self.waiting:
            self._serve()

    def _serve(self) -> None:
        waiting = self.waiting
        while waiting:
            size, future, _ = waiting[0]
            if not future.done():
                if size > self.free:
                    return
                self.free -= size
                future.set_result(None)
            waiting.popleft()


class Kept:
    """Rows that have been sent and may have to be sent again: all of them, or none once others need their bytes.

    They are counted in the budget, beside what still counts there for whoever fetched them.
    """

    __slots__ = ("_rows", "_share", "size")

    def __init__(self, share: _Share) -> None:
        self.size = 0
        self._share = share
        self._rows: list[memoryview] | None = []

    def add(self, data: memoryview) -> None:
        """Keeps the next row, if half of the budget stays free; lets go of all of them otherwise."""
        share, size = self._share, len(data)
        if self._rows is None:
            return
        if share.free - size < share.total // 2 or share.waiting:
            self.let_go()
            return
        share.free -= size
        share.kept[self] = None
        self.size += size
        self._rows.append(data)

    def count(self) -> int:
        """How many rows there are; none after `let_go`."""
        return len(self._rows or ())

    @contextmanager
    def in_use(self) -> Iterator[list[memoryview]]:
        """The rows, which for so long make way for nobody. Not to be held while waiting for the budget."""
        share = self._share
        share.kept.pop(self, None)
        try:
            yield self._rows or []
        finally:
            if share.waiting:
                self.let_go()
            elif self._rows:
                share.kept[self] = None

    def let_go(self) -> None:
        """Gives everything back, for good; calling it again does nothing."""
        self._share.kept.pop(self, None)
        self._rows = None
        size, self.size = self.size, 0
        self._share.release(size)


_NOTHING = memoryview(b"")


class Block:
    """A row of a body, or its last short one. Whoever is done with `data` calls `release` once."""

    __slots__ = ("_release", "data")

    def __init__(self, data: memoryview, release: Callable[[], None] | None = None) -> None:
        self.data = data
        self._release = release

    def release(self) -> None:
        """Gives the block's bytes back to the budget and lets go of them; calling it again does nothing.

        Whoever still holds the block (a task that waits for the next one does) must not hold its bytes: the
        budget counts them as free.
        """
        release, self._release = self._release, None
        if release is not None:
            self.data = _NOTHING
            release()
