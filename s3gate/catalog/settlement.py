"""What became of a commit whose connection broke inside it (law 6).

First the session's fence is raised, which waits out whatever may still commit. Only then is the database asked. A
write that may have committed is never sent again, and nothing of it is deleted before the answer is known. This
file refuses to know what was written: whoever was cut off brings its own question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from s3gate.catalog.batcher import give_up
from s3gate.catalog.errors import Unavailable
from s3gate.catalog.limits import Limits
from s3gate.catalog.sessions import Session

Answer = TypeVar("Answer")
Ask = Callable[[], Awaitable[Sequence[Answer | Exception]]]


class Settlement:
    """The settlings under way. They outlive their callers' patience and end only with the process."""

    def __init__(self, session: Session, limits: Limits) -> None:
        self._session = session
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    def settle(self, session_id: int, fence: int, count: int, ask: Ask[Answer]) -> list[asyncio.Future[Answer]]:
        """Begin to settle `count` writes that were sent under this fence; `ask` answers for each of them."""
        truths: list[asyncio.Future[Answer]] = [self._loop.create_future() for _ in range(count)]
        for truth in truths:
            truth.add_done_callback(_seen)
        task = self._loop.create_task(self._settle(session_id, fence, truths, ask))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return truths

    async def settle_one(self, session_id: int, fence: int, ask: Ask[Answer]) -> Answer:
        """Settle one write and wait for its answer, for so long as a caller waits."""
        [truth] = self.settle(session_id, fence, 1, ask)
        waiter: asyncio.Future[Answer] = self._loop.create_future()
        timer = self._loop.call_later(self._limits.settle_seconds, give_up, waiter)
        try:
            await asyncio.wait((truth, waiter), return_when=asyncio.FIRST_COMPLETED)
            return truth.result() if truth.done() else waiter.result()
        finally:
            timer.cancel()
            waiter.cancel()

    async def close(self, seconds: float) -> None:
        """Wait a little for what is under way; what is still open then is found by the sweep (law 4)."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in self._tasks:
            task.cancel()

    async def _settle(
        self, session_id: int, fence: int, truths: Sequence[asyncio.Future[Answer]], ask: Ask[Answer]
    ) -> None:
        await self._session.raise_fence(session_id, fence)
        while True:
            try:
                answers = await ask()
                break
            except Exception:
                await asyncio.sleep(self._limits.reconnect_most_seconds / 4)
        for truth, answer in zip(truths, answers, strict=True):
            if isinstance(answer, Exception):
                truth.set_exception(answer)
            else:
                truth.set_result(answer)


async def never_happened() -> list[Unavailable]:
    """The question of a write that has nothing to look for: whatever happened, its caller is told to come back."""
    return [Unavailable("a commit was cut off")]


def _seen(truth: asyncio.Future[Answer]) -> None:
    """A refusal whose caller has gone is nobody's unhandled error."""
    if not truth.cancelled():
        truth.exception()
