"""The rows of a body on their way into segments: one at a time, the next one fetched while one is being sent.

It knows neither shards nor nodes. It owns every block that it has given out, until `done` or `close`.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

from s3gate.store.budget import Block


class RowSource:
    """Blocks from an asynchronous iterator, each given back to the budget exactly once."""

    def __init__(self, blocks: AsyncIterator[Block]) -> None:
        self._blocks = blocks
        self._task: asyncio.Task[Block | None] | None = None
        self._held: list[Block] = []

    def prefetch(self) -> None:
        """Begins to fetch the next row, or to look whether the body ends."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._pull())

    async def next(self, length: int) -> Block:
        """The next row, which must be that long."""
        block = await self._next()
        if block is None or len(block.data) != length:
            raise ValueError("a body must come in rows of its layout, as long as it was said to be")
        return block

    async def end(self) -> None:
        """Returns when the body has ended; its source may still raise here what is wrong with it (law 12)."""
        if await self._next() is not None:
            raise ValueError("a body must not be longer than it was said to be")

    def done(self, block: Block) -> None:
        """A row has been sent and is not needed again."""
        self._held.remove(block)
        block.release()

    async def close(self) -> None:
        """Gives back everything after a failure."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
        for block in self._held:
            block.release()
        self._held.clear()
        if isinstance(self._blocks, AsyncGenerator):
            # A copy's rows hold what is read for them: not until somebody has let go of the error that ended it.
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self._blocks.aclose()

    async def _next(self) -> Block | None:
        if self._task is None:
            return await self._pull()
        block = await self._task
        self._task = None
        return block

    async def _pull(self) -> Block | None:
        try:
            block = await anext(self._blocks)
        except StopAsyncIteration:
            return None
        self._held.append(block)
        return block
