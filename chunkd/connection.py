"""HTTP/1.1 on one socket, as little of it as a shard store needs: one request at a time.

A `Connection` receives a head, asks the application what it wants of the request (`Answer`, `Work` or a
sink), brings it the body and writes one answer, head and body together. Every wait has a deadline, and what
is held in memory has a budget (law 9). It knows nothing of shards, signatures or disks.
"""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Awaitable
from typing import TYPE_CHECKING, cast

from chunkd.answer import Answer, Body, Refused, Sink, Work
from chunkd.bounds import (
    BUDGET_SECONDS,
    CROWDED_CHUNK_BYTES,
    FEW_STREAMS,
    HEAD_SECONDS,
    IDLE_SECONDS,
    JOIN_BYTES,
    LINGER_BYTES,
    LINGER_SECONDS,
    MAX_CONNECTIONS,
    NEVER,
    RECEIVE_BYTES,
    SEND_SECONDS,
    SMALL_BODY_SECONDS,
    STREAM_CHUNK_BYTES,
    STREAM_CHUNK_SECONDS,
    WRITE_HIGH_BYTES,
)
from chunkd.head import Head, HeadRefused, parse_head
from chunkd.process import tune_socket
from chunkd.wire import MAX_HEAD_BYTES

if TYPE_CHECKING:
    from chunkd.server import Server

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_HEAD, _BODY, _BUSY, _LINGER, _GONE = range(5)


class ClientGone(Exception):
    """The connection ended, or ran out of time, inside a body."""


class Connection(asyncio.BufferedProtocol):
    """One client. States: a head arrives, a body into a chosen place, busy, lingering after the end, gone."""

    _transport: asyncio.Transport

    def __init__(self, server: Server) -> None:
        self._server = server
        self._state = _HEAD
        self._receiver = bytearray(RECEIVE_BYTES)
        self._view = memoryview(self._receiver)
        self._filled = 0  # bytes in the receiver
        self._rest = 0  # where in it the head, and what was used of the body, ends
        self._target = self._view  # where a body goes
        self._got = self._received = self._weight = 0
        self._last = False
        self._stalled = False
        self._head: Head | None = None
        self._work: Work | None = None
        self._whole: bytearray | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._coming = False  # an answer
        self._task: asyncio.Task[None] | None = None
        self.deadline = NEVER

    # --- what the loop calls --------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or refuse it when there are too many."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_HIGH_BYTES, low=0)
        tune_socket(transport.get_extra_info("socket"))
        server = self._server
        server.connections.add(self)
        self.deadline = server.loop.time() + IDLE_SECONDS
        if len(server.connections) > MAX_CONNECTIONS or server.stopping:
            self._refuse(503, "too many connections")

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go: a body straight to its place."""
        state = self._state
        if state == _HEAD:
            return self._view[self._filled :]
        if state == _BODY:
            return self._target[self._got :]
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes have arrived."""
        state = self._state
        if state == _HEAD:
            self._filled += nbytes
            self._look_for_head(nbytes)
        elif state == _BODY:
            self._got += nbytes
            if self._got == len(self._target):
                self._chunk_complete()
        elif state == _LINGER:
            self._received += nbytes
            if self._received > LINGER_BYTES:
                self.abort()
        else:
            # More than the request announced, or the next one before the answer: answer, then close.
            self._last = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """Nobody half-closes and waits for an answer: whoever ends the stream has gone."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Work that runs goes on, since a put may already be durable; a stream is told and aborts."""
        self._state = _GONE
        self.deadline = NEVER
        self._server.connections.discard(self)
        self._whole = None
        self._target = self._view
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        if not self._coming:
            self._give_back()
            if self._work is not None:
                self._server.budget.withdraw(self._work.weight, self._granted)

    def pause_writing(self) -> None:
        """The answer is larger than what the socket takes: it is done when it has gone."""
        self._stalled = True
        self.deadline = self._server.loop.time() + SEND_SECONDS

    def resume_writing(self) -> None:
        """All of it has gone."""
        self._stalled = False
        if self._state == _BUSY and not self._coming:
            self._done()

    # --- deadlines and the end ------------------------------------------------------------------------

    def expire(self) -> None:
        """The deadline of whatever is waited for has passed."""
        if self._state == _HEAD and self._filled:
            self._refuse(408, "the head took too long")
        else:
            self.abort()

    def abort(self) -> None:
        """Cut without a word."""
        self._transport.abort()

    def close_when_idle(self) -> None:
        """Close now if nothing is under way, else after the answer."""
        self._last = True
        if self._state == _LINGER or (self._state == _HEAD and not self._filled):
            self._transport.close()

    # --- head -----------------------------------------------------------------------------------------

    def _look_for_head(self, fresh: int) -> None:
        end = self._receiver.find(b"\r\n\r\n", max(0, self._filled - fresh - 3), self._filled)
        if end < 0 or end > MAX_HEAD_BYTES:
            if self._filled > MAX_HEAD_BYTES:
                self._refuse(431, "the head is too long")
            elif self._filled == fresh:
                self.deadline = self._server.loop.time() + HEAD_SECONDS
            return
        self._rest = end + 4
        try:
            head = parse_head(bytes(self._view[:end]))
        except HeadRefused as refusal:
            self._refuse(refusal.status, refusal.reason)
            return
        self._head = head
        self._received = 0
        self._last = self._last or not head.keep_alive
        self._begin(head)

    def _begin(self, head: Head) -> None:
        step: Answer | Work | Sink
        try:
            step = self._server.application.begin(head)
        except Exception as error:
            step = self._fault(error)
        self._state = _BUSY
        self.deadline = NEVER
        unread = self._filled - self._rest - (head.length or 0)
        if unread > 0 or (unread < 0 and type(step) is Answer):
            # Bytes of another request, or a body that will not be read.
            self._last = True
        if type(step) is Work:
            self._begin_work(step)
        elif type(step) is Answer:
            self._send(step)
        else:
            # Nothing may arrive before the stream has said where it wants it; it resumes reading itself.
            self._transport.pause_reading()
            self._coming = True
            self._task = self._server.loop.create_task(self._stream(cast(Sink, step), head.length or 0))

    # --- a request whose body, if any, is taken whole --------------------------------------------------

    def _begin_work(self, work: Work) -> None:
        self._work = work
        if work.weight > RECEIVE_BYTES:  # less is bounded by the number of connections
            if not self._server.budget.take(work.weight, self._granted):
                self.deadline = self._server.loop.time() + BUDGET_SECONDS
                self._transport.pause_reading()
                return
            self._weight = work.weight
        self._take_body()

    def _granted(self) -> None:
        assert self._work is not None
        self._weight = self._work.weight
        self._transport.resume_reading()
        self._take_body()

    def _take_body(self) -> None:
        assert self._head is not None
        length = self._head.length or 0
        rest = self._rest
        if self._filled - rest >= length:
            self._received = length
            self._start(bytes(self._view[rest : rest + length]) if length else b"")
        else:
            self._whole = bytearray(length)
            self._aim(memoryview(self._whole), SMALL_BODY_SECONDS)

    def _start(self, body: Body) -> None:
        assert self._work is not None
        self._state = _BUSY
        self.deadline = NEVER
        self._coming = True
        work = self._work
        try:
            started = work.start is not None and work.start(body, self._send)
        except Exception as error:
            self._send(self._fault(error))
            return
        if not started:
            self._task = self._server.loop.create_task(self._run(work.run(body)))

    async def _run(self, coming: Awaitable[Answer]) -> None:
        try:
            answer = await coming
        except Exception as error:
            answer = self._fault(error)
        self._send(answer)

    # --- a request whose body is streamed ---------------------------------------------------------------

    async def _stream(self, sink: Sink, length: int) -> None:
        """Fill one chunk from the socket while the one before is written."""
        server = self._server
        server.streams += 1
        # Every chunk is a fresh one: the sink may keep what it was given.
        size = STREAM_CHUNK_BYTES if server.streams <= FEW_STREAMS else CROWDED_CHUNK_BYTES
        remaining = length
        try:
            self._aim(memoryview(bytearray(min(remaining, size))), STREAM_CHUNK_SECONDS)
            while remaining:
                data = await self._next_chunk()
                remaining -= len(data)
                if remaining:
                    self._aim(memoryview(bytearray(min(remaining, size))), STREAM_CHUNK_SECONDS)
                await sink.write(data)
            answer = await sink.finish()
        except Exception as error:
            await sink.abort()
            answer = self._fault(error)
            self._stop_receiving()
        finally:
            server.streams -= 1
        self._send(answer)

    def _stop_receiving(self) -> None:
        """The rest of the body is not wanted."""
        self._last = True
        self._target = self._view
        if self._state == _BODY:
            self._state = _BUSY
            self._transport.pause_reading()

    async def _next_chunk(self) -> memoryview:
        assert self._waiter is not None
        target = self._target
        await self._waiter
        self._waiter = None
        if self._got < len(target):
            raise ClientGone
        return target

    # --- bringing a body to its place -------------------------------------------------------------------

    def _aim(self, target: memoryview, seconds: float) -> None:
        """Let what arrives go into `target`, beginning with what came together with the head."""
        first = self._received == 0
        self._received += len(target)
        rest = min(self._filled - self._rest, len(target))
        if rest:
            target[:rest] = self._view[self._rest : self._rest + rest]
            self._rest += rest
        self._target = target
        self._got = rest
        if self._whole is None:
            self._waiter = self._server.loop.create_future()
        if self._state == _GONE:
            if self._waiter is not None:
                self._waiter.set_result(None)
            return
        if first and not rest and self._head is not None and self._head.expects_continue():
            self._transport.write(_CONTINUE)
        self._state = _BODY
        self.deadline = self._server.loop.time() + seconds
        if rest == len(target):
            self._chunk_complete()
        elif not self._transport.is_reading():
            self._transport.resume_reading()

    def _chunk_complete(self) -> None:
        body = self._whole
        if body is not None:
            self._whole = None
            self._target = self._view
            self._start(body)
            return
        assert self._waiter is not None and self._head is not None
        self._state = _BUSY
        self.deadline = NEVER
        if self._received < (self._head.length or 0):
            self._transport.pause_reading()
        elif not self._transport.is_reading():
            # All of it had come together with the head: from now on a client that goes, or asks again, is heard.
            self._transport.resume_reading()
        self._waiter.set_result(None)

    # --- the answer -----------------------------------------------------------------------------------

    def _fault(self, error: Exception) -> Answer:
        if isinstance(error, Refused):
            return error.answer
        if not isinstance(error, ClientGone):
            print("chunkd: a request failed:", file=sys.stderr)
            traceback.print_exception(error, file=sys.stderr)
        return Answer.text(500, "internal error")

    def _refuse(self, status: int, reason: str) -> None:
        self._state = _BUSY
        self._last = True
        self._head = None
        self._received = 0
        self._send(Answer.text(status, reason))

    def _send(self, answer: Answer) -> None:
        self._coming = False
        if self._state == _GONE:
            self._give_back()
            return
        body, head = answer.body, self._head
        self.deadline = NEVER
        if len(body) <= JOIN_BYTES:
            self._transport.write(answer.head(self._last) + body)
        else:
            self._transport.writelines([answer.head(self._last), body])
        method = head.method if head is not None else "-"
        self._server.application.answered(method, answer.status, self._received, len(body))
        if not self._stalled:
            self._done()

    def _done(self) -> None:
        """The answer is with the kernel: the next request, or the end."""
        self._give_back()
        self._work = self._task = None
        self._filled = self._rest = 0
        if not self._last:
            self._state = _HEAD
            self.deadline = self._server.loop.time() + IDLE_SECONDS
            return
        if self._server.stopping:
            self._transport.close()
            return
        self._state = _LINGER
        self._received = 0
        self.deadline = self._server.loop.time() + LINGER_SECONDS
        self._transport.write_eof()
        if not self._transport.is_reading():
            self._transport.resume_reading()

    def _give_back(self) -> None:
        weight, self._weight = self._weight, 0
        if weight:
            self._server.budget.give(weight)
