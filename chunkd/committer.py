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


class Order:
    """Records that are acknowledged together."""

    __slots__ = ("drafts", "future", "size")

    def __init__(self, drafts: Sequence[Draft], size: int, future: asyncio.Future[None]) -> None:
        self.drafts = drafts
        self.size = size
        self.future = future


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

    async def room(self, size: int) -> None:
        """Wait until the queue has room for this much (law 9)."""
        while self.queued_bytes and self.queued_bytes + size > self._queue_bytes:
            waiter = asyncio.get_running_loop().create_future()
            self._room.append((size, waiter))
            await waiter

    def submit(self, drafts: Sequence[Draft], size: int) -> asyncio.Future[None]:
        """Queue records; the future is done when they are durable and applied."""
        loop = self._loop
        if loop is None:
            loop = self._begin()
        future: asyncio.Future[None] = loop.create_future()
        if self._stopped is not None:
            future.set_exception(StoreReadOnly(self._stopped))
            return future
        self._orders.append(Order(drafts, size, future))
        self.queued_bytes += size
        self.queued += 1
        if not self.busy:
            # Later in this turn: else the first of those that came together would be synced alone, before the others.
            self.busy = True
            loop.call_soon(self._go_on)
        return future

    def _begin(self) -> asyncio.AbstractEventLoop:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="chunkd-commit", daemon=True)
        self._thread.start()
        return self._loop

    def _send(self) -> None:
        """Write the gathered orders, as many as a batch takes, or have the thread do it."""
        orders: list[Order] = []
        drafts: list[Draft] = []
        size = 0
        waiting = self._orders
        while waiting and (not orders or size + waiting[0].size <= self._batch_bytes):
            order = waiting.popleft()
            orders.append(order)
            drafts.extend(order.drafts)
            size += order.size
        self._batch += 1
        batch = Batch(self._batch, orders, drafts, size)
        if waiting or size > INLINE_BYTES or self._usual_seconds > INLINE_SECONDS or not self._writer.has_zeros(size):
            self._to_thread.put(batch)
        else:
            self._done(batch, self._write(batch))

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
        answer: StoreError | None = None
        self._usual_seconds += (batch.seconds - self._usual_seconds) / USUAL_BATCHES
        if error is None:
            error = self._apply(batch)
        elif is_full(error):
            answer = StoreFull("no space left on the device")
        if error is not None:
            if answer is None:
                answer = StoreReadOnly(f"write failed: {error}")
                self._stopped = str(answer)
            self._failed(batch, error)
        self._settle(batch.orders, answer)
        self._go_on()

    def _apply(self, batch: Batch) -> Exception | None:
        """What is durable and not applied is acknowledged to nobody: the next start finds it in the log."""
        try:
            self._applied(batch)
        except Exception as error:
            return error
        return None

    def _go_on(self) -> None:
        """The next batch, if there is anything for it."""
        if self._stopped is not None:
            self._refuse_rest(self._stopped)
        self.busy = bool(self._orders)
        if self.busy:
            self._send()
        self._let_in()
        if not self.busy and self._idle is not None:
            self._idle.set_result(None)
            self._idle = None

    def _refuse_rest(self, reason: str) -> None:
        orders = list(self._orders)
        self._orders.clear()
        answer = StoreReadOnly(reason)
        if orders:
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

    def _settle(self, orders: Sequence[Order] | deque[Order], answer: StoreError | None) -> None:
        for order in orders:
            self.queued_bytes -= order.size
            self.queued -= 1
            future = order.future
            if future.done():
                continue
            if answer is None:
                future.set_result(None)
            else:
                future.set_exception(answer)

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
