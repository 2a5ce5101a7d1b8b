"""The budget: how many bytes of bodies one process holds in memory (law 9), and the block that counts there.

It knows neither sockets nor shards. Waiting is first come, first served: a large request at the head of the
queue is not overtaken by small ones, so that nobody starves.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from s3gate.store.errors import BudgetExceeded


class Budget:
    """A number of bytes that bodies share. One per process, used from one event loop."""

    __slots__ = ("_free", "_waiting", "total")

    def __init__(self, total: int) -> None:
        self.total = total
        self._free = total
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def free(self) -> int:
        """Bytes that nobody holds."""
        return self._free

    @property
    def waiting(self) -> int:
        """How many callers stand in the queue."""
        return len(self._waiting)

    def try_acquire(self, size: int) -> bool:
        """Takes `size` bytes if they are free and nobody waits."""
        if self._waiting or size > self._free:
            return False
        self._free -= size
        return True

    async def acquire(self, size: int) -> None:
        """Takes `size` bytes, waiting in turn until they are free."""
        if size > self.total:
            raise BudgetExceeded(f"{size} bytes are more than the whole budget of {self.total}")
        if self.try_acquire(size):
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, future))
        try:
            await future
        except asyncio.CancelledError:
            if not future.cancelled():
                self.release(size)
            else:
                self._serve()
            raise

    def release(self, size: int) -> None:
        """Gives bytes back."""
        self._free += size
        if self._waiting:
            self._serve()

    def _serve(self) -> None:
        waiting = self._waiting
        while waiting:
            size, future = waiting[0]
            if not future.done():
                if size > self._free:
                    return
                self._free -= size
                future.set_result(None)
            waiting.popleft()


class Block:
    """A row of a body, or its last short one. Whoever is done with `data` calls `release` once."""

    __slots__ = ("_release", "data")

    def __init__(self, data: memoryview, release: Callable[[], None] | None = None) -> None:
        self.data = data
        self._release = release

    def release(self) -> None:
        """Gives the block's bytes back to the budget; calling it again does nothing."""
        release, self._release = self._release, None
        if release is not None:
            release()
