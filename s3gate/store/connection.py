"""One HTTP/1.1 connection to a chunkd: bytes out, one answer in, then the next request.

It knows neither shards nor signatures, and it never retries: a connection that ends in the middle fails its
request, and whoever asked decides. The parser is strict and small, because it only ever reads our own server.
An answer's body is received straight into the one buffer that is handed out.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

from s3gate.store.limits import ANSWER_BYTES

HEAD_BYTES = 16 * 1024
WRITE_BUFFER_BYTES = 64 * 1024
NO_BODY = (204, 304)
Buffer = bytes | bytearray | memoryview


class ConnectionBroken(Exception):
    """The connection ended, stalled or said something else than HTTP before the answer was complete.

    `fresh` is False when it had served an earlier request, and it ended before anything of this answer had arrived:
    then the other side may simply have closed an idle connection, and a new one may do.
    """

    def __init__(self, reason: str, fresh: bool) -> None:
        super().__init__(reason)
        self.fresh = fresh


class Answer(NamedTuple):
    """Status, headers by lower-case name, and the whole body."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes | bytearray


class Connection(asyncio.BufferedProtocol):
    """A connection with at most one request under way. `on_free` gets it back when its answer is complete."""

    __slots__ = (
        "_bodiless",
        "_body",
        "_buffered",
        "_drained",
        "_filled",
        "_head",
        "_head_view",
        "_headers",
        "_loop",
        "_moved",
        "_on_free",
        "_on_lost",
        "_paused",
        "_sending",
        "_status",
        "_ticks",
        "_used",
        "_view",
        "future",
        "is_local",
        "transport",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_free: Callable[["Connection"], None],
        on_lost: Callable[["Connection"], None],
    ) -> None:
        self._loop = loop
        self._on_free = on_free
        self._on_lost = on_lost
        self.transport: asyncio.Transport | None = None
        self.is_local = False
        self.future: asyncio.Future[Answer] | None = None
        self._head = bytearray(HEAD_BYTES)
        self._head_view = memoryview(self._head)
        self._body: bytearray | None = None
        self._view = self._head_view
        self._headers: dict[bytes, bytes] = {}
        self._status = 0
        self._filled = 0
        self._bodiless = False
        self._sending = False
        self._paused = False
        self._drained: asyncio.Future[None] | None = None
        self._used = False
        self._moved = True
        self._ticks = 0
        self._buffered = 0

    # --- requests -------------------------------------------------------------------------------------

    def start(self, parts: Sequence[Buffer], *, bodiless: bool = False, more: bool = False) -> asyncio.Future[Answer]:
        """Sends a request; the future is its answer. With `more`, the rest of the body follows by `send`."""
        self.future = future = self._loop.create_future()
        if self.transport is None:
            self._fail("connection lost")
            return future
        self._bodiless = bodiless
        self._sending = more
        self._moved = True
        self._ticks = 0
        self.transport.writelines(parts)
        return future

    def send(self, data: Buffer, last: bool) -> None:
        """Sends more of the body; follow it with `drained`."""
        if last:
            self._sending = False
        if self.transport is not None:
            self.transport.write(data)

    def is_full(self) -> bool:
        """Whether the kernel does not take more at the moment."""
        return self._paused

    async def drained(self) -> None:
        """Waits until the kernel has nearly all that was sent, or the connection or the request has ended."""
        if self._paused and self.future is not None and not self.future.done():
            self._drained = self._loop.create_future()
            await self._drained

    def give_up(self, future: asyncio.Future[Answer]) -> None:
        """Closes the connection if that request is still under way; its answer is not wanted any more."""
        if not future.cancel() and not future.cancelled():
            future.exception()  # so that asyncio does not report an error which nobody wants
        if self.future is future:
            self.close()

    def close(self) -> None:
        """Closes at once, without sending what is buffered."""
        if self.transport is not None:
            self.transport.abort()

    def tick(self, stall_ticks: int) -> None:
        """Called once a second: a request without progress for too long is broken off (law 9).

        It is no stall when the other side waits for us, in the middle of a body that our client sends slowly.
        """
        if self.future is None or self.transport is None:
            return
        buffered = self.transport.get_write_buffer_size()
        if self._moved or buffered < self._buffered or (self._sending and not buffered):
            self._ticks = 0
        else:
            self._ticks += 1
            if self._ticks >= stall_ticks:
                self._fail("no progress", fresh=True)  # no idle connection that had been closed: that is told at once
                self.close()
        self._moved = False
        self._buffered = buffered

    # --- what the transport calls ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport and asks it for early back pressure."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(WRITE_BUFFER_BYTES)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go: the head, or straight into the answer's body."""
        return self._view[self._filled :]

    def buffer_updated(self, count: int) -> None:
        """Bytes have arrived there."""
        self._moved = True
        self._filled += count
        if self._body is None:
            self._read_head()
        elif self._filled == len(self._view):
            self._finish(self._body)

    def pause_writing(self) -> None:
        """The kernel does not take more at the moment."""
        self._paused = True

    def resume_writing(self) -> None:
        """The kernel has taken what was buffered."""
        self._paused = False
        self._moved = True
        self._wake()

    def eof_received(self) -> bool:
        """The other side is done; so are we."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Fails the request under way, if any."""
        self.transport = None
        self._fail("connection lost")
        self._wake()
        self._on_lost(self)

    # --- the answer -----------------------------------------------------------------------------------

    def _read_head(self) -> None:
        filled = self._filled
        end = self._head.find(b"\r\n\r\n", 0, filled)
        if end < 0:
            if filled == HEAD_BYTES:
                self._break("the head of an answer is too long")
            return
        if self.future is None:
            return self._break("an answer without a request")
        lines = bytes(self._head_view[:end]).split(b"\r\n")
        try:
            self._status = int(lines[0][9:12])
            self._headers = headers = {
                name.lower(): value for name, value in [line.split(b": ", 1) for line in lines[1:]]
            }
            length = 0 if self._bodiless or self._status in NO_BODY else int(headers[b"content-length"])
        except (ValueError, KeyError):
            return self._break("not an answer")
        end += 4
        arrived = filled - end
        if not 0 <= arrived <= length <= ANSWER_BYTES or lines[0][:9] != b"HTTP/1.1 ":
            return self._break("not an answer")
        if arrived == length:
            return self._finish(bytes(self._head_view[end:filled]))
        self._body = body = bytearray(length)
        self._view = memoryview(body)
        self._view[:arrived] = self._head_view[end:filled]
        self._filled = arrived

    def _finish(self, body: bytes | bytearray) -> None:
        future, self.future = self.future, None
        status, headers, sending = self._status, self._headers, self._sending
        self._body = None
        self._view = self._head_view
        self._filled = 0
        self._used = True
        if future is not None and not future.done():
            future.set_result(Answer(status, headers, body))
        # Whoever waits for the kernel to take the body is told now: the node has had all of it, though the loop may
        # not have said so yet, and the next request on this connection must not take that waiter's place.
        self._wake()
        if sending or headers.get(b"connection") == b"close":
            self.close()
        else:
            self._on_free(self)

    def _break(self, reason: str) -> None:
        self._fail(reason)
        self.close()

    def _fail(self, reason: str, fresh: bool = False) -> None:
        future, self.future = self.future, None
        if future is not None and not future.done():
            fresh = fresh or not self._used or self._filled > 0 or self._body is not None
            future.set_exception(ConnectionBroken(reason, fresh))

    def _wake(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)
