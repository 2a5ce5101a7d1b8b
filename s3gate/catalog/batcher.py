"""Natural batching: while batches are under way, requests that arrive are gathered and go as one.

A lone request goes alone and at once; under load the cost of a statement is shared by all that wait for it. This
file knows queues, keys and futures. It refuses to know SQL, and what a request means: `run` is given a list of
items and answers each of them: with a value, with an exception to raise, with AGAIN, or with a future when the
answer is known only later (law 6); then its key and its place are free at once.

Its rules: at most `lanes` batches are under way, on disjoint keys; a key occurs once in a batch.
Beside one that is under way another begins when it is full, or when that one has lasted for `gather_seconds`.
Requests for one key keep their order. When `run` raises Poisoned its items run again one by one, so that one bad
item never fails its neighbours.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from enum import Enum
from typing import Any, Final, Generic, TypeAlias, TypeVar

from s3gate.catalog.errors import Unavailable

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Again(Enum):
    """The item lost a race: it joins the next batch."""

    AGAIN = 1


AGAIN: Final = Again.AGAIN


class Poisoned(Exception):
    """Nothing of the batch happened; the cause may lie in a single item."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Waiting(Generic[Item, Answer]):
    """An item and who waits for its answer."""

    __slots__ = ("future", "item", "key", "losses")

    def __init__(self, item: Item, key: Hashable, future: asyncio.Future[Answer]) -> None:
        self.item = item
        self.key = key
        self.future = future
        self.losses = 0


Outcome: TypeAlias = Answer | Exception | Again | asyncio.Future[Answer]
Run = Callable[[list[Item]], Awaitable[Sequence[Outcome[Answer]]]]


class Batcher(Generic[Item, Answer]):
    """One queue and what is under way from it."""

    def __init__(
        self,
        run: Run[Item, Answer],
        *,
        lanes: int,
        rows: int,
        waiting: int,
        gather_seconds: float = 0.0,
        lost_races: int = 0,
        settle_seconds: float = 0.0,
        key: Callable[[Item], Hashable] | None = None,
        refused: Callable[[Item, Exception], None] | None = None,
    ) -> None:
        self._run = run
        self._lanes = lanes
        self._under_way = 0
        self._rows = rows
        self._most_waiting = waiting
        self._gather_seconds = gather_seconds
        self._lost_races = lost_races
        self._settle_seconds = settle_seconds
        self._key = key
        self._refused = refused
        self._loop = asyncio.get_running_loop()
        self._ready: deque[Waiting[Item, Answer]] = deque()
        # Keys that are ready or under way, with the requests that wait for their turn behind them.
        self._busy: dict[Hashable, deque[Waiting[Item, Answer]]] = {}
        self._count = 0
        self._starting = False
        self._latest = 0
        self._begun_at = 0.0
        self._gathering: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Future[Any]] = set()
        self.batches = 0
        """How many were begun."""
        self.batched = 0
        """How many items they had together; one that lost a race counts again."""

    async def submit(self, item: Item) -> Answer:
        """Wait for the item's answer. Whoever stops waiting does not stop the item once it is under way."""
        if self._count >= self._most_waiting:
            refusal = Unavailable("too many requests wait for Postgres")
            self._refuse(item, refusal)
            raise refusal
        self._count += 1
        waiting: Waiting[Item, Answer] = Waiting(item, None, self._loop.create_future())
        if self._key is None:
            self._ready.append(waiting)
        else:
            self._queue_by_key(waiting, self._key(item))
        if not self._starting and self._has_turn():
            # Later in this turn of the loop: what arrived together goes together.
            self._starting = True
            self._loop.call_soon(self._start)
        return await waiting.future

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        return not (self._under_way or self._ready or self._starting)

    @property
    def is_quiet(self) -> bool:
        """Whether it is idle and nothing points to company: the latest batch was of one."""
        return self._latest == 1 and self.is_idle

    def take(self, item: Item) -> Waiting[Item, Answer]:
        """Makes an item a batch that the caller runs, and then gives back or drops. Only while this is idle."""
        waiting: Waiting[Item, Answer] = Waiting(item, None, self._loop.create_future())
        if self._key is not None:
            waiting.key = self._key(item)
            self._busy[waiting.key] = deque()
        self._count += 1
        self._begin([waiting], waiting.future)
        return waiting

    def give(self, waiting: Waiting[Item, Answer], outcome: Outcome[Answer]) -> None:
        """What came of an item that was taken."""
        self._conclude([waiting], [outcome])

    def drop(self, waiting: Waiting[Item, Answer]) -> None:
        """Lets go of an item that was taken: nobody has asked for its answer."""
        waiting.future.cancel()
        self._leave(waiting)
        self._end()

    async def drain(self) -> None:
        """Wait until nothing waits and nothing is under way."""
        while self._tasks or self._ready:
            self._start()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _queue_by_key(self, waiting: Waiting[Item, Answer], key: Hashable) -> None:
        waiting.key = key
        behind = self._busy.get(key)
        if behind is None:
            self._busy[key] = deque()
            self._ready.append(waiting)
        else:
            behind.append(waiting)

    def _start(self) -> None:
        """Send off what is ready, as long as a lane is free."""
        self._starting = False
        ready = self._ready
        while ready and self._under_way < self._lanes and not self._gathers():
            batch: list[Waiting[Item, Answer]] = []
            while ready and len(batch) < self._rows:
                waiting = ready.popleft()
                if waiting.future.done():
                    self._finish(waiting, Unavailable("cancelled before it began"))
                else:
                    batch.append(waiting)
            if batch:
                self._begin(batch, self._loop.create_task(self._lane(batch)))

    def _begin(self, batch: list[Waiting[Item, Answer]], end: asyncio.Future[Any]) -> None:
        """Counts a batch that is under way until `end`."""
        self._under_way += 1
        self.batches += 1
        self.batched += len(batch)
        self._latest = len(batch)
        self._begun_at = self._loop.time()
        self._tasks.add(end)
        end.add_done_callback(self._tasks.discard)

    def _has_turn(self) -> bool:
        """Whether `_start` may find something to do, now that something is ready."""
        if not self._under_way:
            return True
        return self._under_way < self._lanes and (self._gathering is None or len(self._ready) >= self._rows)

    def _gathers(self) -> bool:
        """Whether what is ready had better wait for more behind the batch that was begun last."""
        if not self._gather_seconds or not self._under_way or len(self._ready) >= self._rows:
            return False
        left = self._begun_at + self._gather_seconds - self._loop.time()
        if left > 0 and self._gathering is None:
            self._gathering = self._loop.call_later(left, self._gathered)
        return left > 0

    def _gathered(self) -> None:
        self._gathering = None
        self._start()

    async def _lane(self, batch: list[Waiting[Item, Answer]]) -> None:
        try:
            outcomes = await self._outcomes(batch)
        except Exception as error:
            outcomes = [error] * len(batch)
        self._conclude(batch, outcomes)

    def _conclude(self, batch: list[Waiting[Item, Answer]], outcomes: Sequence[Outcome[Answer]]) -> None:
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if outcome is AGAIN:
                waiting.losses += 1
                if waiting.losses <= self._lost_races:
                    self._ready.append(waiting)
                    continue
                outcome = Unavailable("lost too many races")
            self._finish(waiting, outcome)
        self._end()

    def _end(self) -> None:
        self._under_way -= 1
        self._start()

    async def _outcomes(self, batch: list[Waiting[Item, Answer]]) -> Sequence[Outcome[Answer]]:
        try:
            return await self._run([waiting.item for waiting in batch])
        except Poisoned as poisoned:
            if len(batch) == 1:
                return [poisoned.cause]
        outcomes: list[Outcome[Answer]] = []
        for waiting in batch:
            try:
                outcomes.extend(await self._run([waiting.item]))
            except Poisoned as poisoned:
                outcomes.append(poisoned.cause)
            except Exception as error:
                outcomes.append(error)
        return outcomes

    def _leave(self, waiting: Waiting[Item, Answer]) -> None:
        """Makes way for who waits behind it."""
        self._count -= 1
        if waiting.key is not None:
            behind = self._busy[waiting.key]
            if behind:
                self._ready.append(behind.popleft())
            else:
                del self._busy[waiting.key]

    def _finish(self, waiting: Waiting[Item, Answer], outcome: Answer | Exception | asyncio.Future[Answer]) -> None:
        self._leave(waiting)
        if isinstance(outcome, asyncio.Future):
            self._answer_later(waiting, outcome)
        elif isinstance(outcome, Exception):
            # A refusal that nobody hears of gives nothing back.
            self._refuse(waiting.item, Unavailable("nobody waits") if waiting.future.done() else outcome)
            if not waiting.future.done():
                waiting.future.set_exception(outcome)
        elif not waiting.future.done():
            waiting.future.set_result(outcome)

    def _answer_later(self, waiting: Waiting[Item, Answer], truth: asyncio.Future[Answer]) -> None:
        """The caller waits for so long; the item is refused only when the truth is known."""
        timer = self._loop.call_later(self._settle_seconds, give_up, waiting.future)

        def settle(truth: asyncio.Future[Answer]) -> None:
            timer.cancel()
            if truth.cancelled():
                give_up(waiting.future)
                return
            error = truth.exception()
            if isinstance(error, Exception):
                self._refuse(waiting.item, error)
            if waiting.future.done():
                return
            if error is not None:
                waiting.future.set_exception(error)
            else:
                waiting.future.set_result(truth.result())

        truth.add_done_callback(settle)

    def _refuse(self, item: Item, error: Exception) -> None:
        if self._refused is not None:
            self._refused(item, error)


def give_up(future: asyncio.Future[Answer]) -> None:
    """Nobody can say in time what became of it."""
    if not future.done():
        future.set_exception(Unavailable("not settled in time"))
