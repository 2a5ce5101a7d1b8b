"""Group commit: while one batch is being written and synced, the next one gathers.

The event loop hands in orders, and a whole batch is settled at once. A lone order goes in the turn of the loop in
which it came, with what came beside it. A thread writes the batches, or the loop itself while the disk is quick: a sync
of a small batch then takes about as long as waking a thread and being woken by it. What arrives meanwhile would have to
wait for that sync anyway. Knows neither the index nor what the records mean.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chunkd.errors import StoreError, StoreFull, StoreReadOnly
from chunkd.packs import Draft, PackWriter, is_full

INLINE_BYTES = 128 * 1024
"""Larger batches are the thread's: copying them would keep the loop."""
INLINE_SECONDS = 0.001
"""A disk that was slower than this of late is the thread's to wait for: the loop has reads to answer."""
USUAL_BATCHES = 8
"""Over about so many batches the usual time is taken."""


Done = Callable[[StoreError | None], None]
"""Told what became of an order: an error, or nothing when it is durable."""


class Order:
    """Records that are acknowledged together."""

    __slots__ = ("done", "drafts", "size")

    def __init__(self, drafts: Sequence[Draft], size: int, done: Done) -> None:
        self.drafts = drafts
        self.size = size
        self.done = done


@dataclass(slots=True)
class Batch:
    """What one sync makes durable. Pack and offsets are known when it was written."""

    number: int
    orders: list[Order]
    drafts: list[Draft]
    size: int
    pack: int = 0
    offsets: Sequence[int] = ()
    seconds: float = 0.0


class Committer:
    """Owns the writer's thread. `applied` is called in the loop for each durable batch, before its orders are
    acknowledged; `failed` for each that is not."""

    def __init__(
        self,
        writer: PackWriter,
        *,
        batch: int,
        batch_bytes: int,
        queue_bytes: int,
        applied: Callable[[Batch], None],
        failed: Callable[[Batch, BaseException], None],
    ) -> None:
        self._writer = writer
        self._batch = batch
        self._batch_bytes = batch_bytes
        self._queue_bytes = queue_bytes
        self._applied = applied
        self._failed = failed
        self._orders: deque[Order] = deque()
        self._room: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._to_thread: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._idle: asyncio.Future[None] | None = None
        self._stopped: str | None = None
        self._usual_seconds = USUAL_BATCHES * INLINE_SECONDS  # of a batch, the latest ones weighing most
        self.busy = False
        self.queued_bytes = 0
        self.queued = 0

    def has_room(self, size: int) -> bool:
        """Whether the queue takes this much (law 9)."""
        return not self.queued_bytes or self.queued_bytes + size <= self._queue_bytes

    async def room(self, size: int) -> None:
        """Wait until the queue has room for this much."""
        while not self.has_room(size):
            waiter = asyncio.get_running_loop().create_future()
            self._room.append((size, waiter))
            await waiter

    def submit(self, drafts: Sequence[Draft], size: int, done: Done) -> None:
        """Queue records; `done` is called in the loop when they are durable and applied, or refused."""
        loop = self._loop
        if loop is None:
            loop = self._begin()
        self._orders.append(Order(drafts, size, done))
        self.queued_bytes += size
        self.queued += 1
        if not self.busy:
            # Later in this turn: else the first of those that came together would be synced alone, before the others.
            self.busy = True
            loop.call_soon(self._go_on)

    def _begin(self) -> asyncio.AbstractEventLoop:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="chunkd-commit", daemon=True)
        self._thread.start()
        return self._loop

    def _go_on(self) -> None:
        """Batch after batch, until there are no orders, or until the thread has one to write."""
        while True:
            if self._stopped is not None:
                self._refuse_rest(self._stopped)
            if not self._orders:
                break
            batch = self._gather()
            if self._is_for_the_thread(batch.size):
                self._to_thread.put(batch)
                self._let_in()
                return
            self._finish(batch, self._write(batch))
        self.busy = False
        self._let_in()
        if self._idle is not None:
            self._idle.set_result(None)
            self._idle = None

    def _gather(self) -> Batch:
        """The orders that wait, as many as a batch takes."""
        waiting = self._orders
        order = waiting.popleft()
        self._batch += 1
        batch = Batch(self._batch, [order], [*order.drafts], order.size)
        while waiting and batch.size + waiting[0].size <= self._batch_bytes:
            order = waiting.popleft()
            batch.orders.append(order)
            batch.drafts.extend(order.drafts)
            batch.size += order.size
        return batch

    def _is_for_the_thread(self, size: int) -> bool:
        return (
            size > INLINE_BYTES
            or self._usual_seconds > INLINE_SECONDS
            or bool(self._orders)
            or not self._writer.has_zeros(size)
        )

    def _run(self) -> None:
        """The thread."""
        assert self._loop is not None
        while (batch := self._to_thread.get()) is not None:
            error = self._write(batch)
            self._loop.call_soon_threadsafe(self._done, batch, error)
            del batch, error

    def _write(self, batch: Batch) -> BaseException | None:
        """An error belongs to its batch; what follows from it is decided in the loop."""
        error: BaseException | None = None
        begun = time.perf_counter()  # how long the disk took; not a time of day (law 13)
        try:
            batch.pack, batch.offsets = self._writer.append(batch.number, batch.drafts)
        except BaseException as caught:
            error = caught
        batch.seconds = time.perf_counter() - begun
        return error

    def _done(self, batch: Batch, error: BaseException | None) -> None:
        """The thread has written a batch."""
        self._finish(batch, error)
        self._go_on()

    def _finish(self, batch: Batch, error: BaseException | None) -> None:
        answer: StoreError | None = None
        self._usual_seconds += (batch.seconds - self._usual_seconds) / USUAL_BATCHES
        if error is None:
            try:
                self._applied(batch)
            except Exception as failure:
                # What is durable and not applied is acknowledged to nobody: the next start finds it in the log.
                error = failure
        elif is_full(error):
            answer = StoreFull("no space left on the device")
        if error is not None:
            if answer is None:
                answer = StoreReadOnly(f"write failed: {error}")
                self._stopped = str(answer)
            self._failed(batch, error)
        self._settle(batch.orders, answer)

    def _refuse_rest(self, reason: str) -> None:
        orders = list(self._orders)
        if orders:
            self._orders.clear()
            answer = StoreReadOnly(reason)
            drafts = [draft for order in orders for draft in order.drafts]
            self._failed(Batch(0, orders, drafts, 0), answer)
            self._settle(orders, answer)

    def _let_in(self) -> None:
        """Wake those who wait outside, first come first served, as far as there is room."""
        free = self._queue_bytes - self.queued_bytes
        while self._room and (self._room[0][0] <= free or not self.queued_bytes):
            size, waiter = self._room.popleft()
            if not waiter.done():
                free -= size
                waiter.set_result(None)
                if free <= 0 and self.queued_bytes:
                    # (With nothing queued all are let in: no batch that ends would wake who is left.)
                    break

    def _settle(self, orders: Sequence[Order], answer: StoreError | None) -> None:
        for order in orders:
            self.queued_bytes -= order.size
            self.queued -= 1
            try:
                order.done(answer)
            except Exception as error:
                # It is one order's own: the others of its batch are to be told, too.
                asyncio.get_running_loop().call_exception_handler({"message": "an order's end", "exception": error})

    def stop(self, reason: str) -> None:
        """Take no more orders (law 8)."""
        self._stopped = self._stopped or reason

    async def close(self) -> None:
        """Finish what is queued and end the thread."""
        if self.busy:
            self._idle = asyncio.get_running_loop().create_future()
            await self._idle
        if self._thread is not None:
            self._to_thread.put(None)
            await asyncio.get_running_loop().run_in_executor(None, self._thread.join)
            self._thread = None
