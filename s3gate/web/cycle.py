"""One request and its response on a connection: ASGI's `receive` and `send`.

It keeps the received pieces of the body as they came (uvicorn's own copies each byte twice), writes head and
body of a response at once, and decides whether the connection survives the response. It knows no S3.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.protocols.utils import ClientDisconnected

if TYPE_CHECKING:
    from s3gate.web.protocol import GateProtocol

log = logging.getLogger("s3gate.web")

Message = MutableMapping[str, Any]
Application = Callable[[Any, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]

JOINED_BYTES = 64 * 1024
"""Bodies up to this size are copied behind their head: one write, and under TLS one record."""
_BODILESS = frozenset((204, 304))


class Broken(Exception):
    """A response cannot be completed and the reason has been logged: the connection is to be cut."""


class Cycle:
    """Everything that belongs to one request; made by the protocol when the header section is complete."""

    __slots__ = (
        "_buffered",
        "_chunked",
        "_delivered",
        "_expected",
        "_head",
        "_waiter",
        "chunks",
        "content_length",
        "disconnected",
        "expect_pending",
        "keep_alive",
        "more_body",
        "protocol",
        "received",
        "response_complete",
        "response_started",
        "scope",
        "slow",
        "task",
    )

    def __init__(
        self,
        protocol: GateProtocol,
        scope: dict[str, Any],
        keep_alive: bool,
        expect_pending: bool,
        content_length: int | None,
    ) -> None:
        self.protocol = protocol
        self.scope = scope
        self.keep_alive = keep_alive
        self.expect_pending = expect_pending
        self.content_length = content_length
        self.chunks: deque[bytes] = deque()
        self.received = 0
        self.more_body = True
        self.disconnected = False
        self.slow = False
        self.response_started = False
        self.response_complete = False
        self.task: asyncio.Task[None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._buffered = 0
        self._delivered = False
        self._head = b""
        self._chunked = False
        self._expected = 0

    @property
    def waits_for_body(self) -> bool:
        """Whether the operation is waiting for bytes that the client owes."""
        return self._waiter is not None and self.more_body

    # --- from the protocol ---

    def feed(self, piece: bytes) -> None:
        """A piece of the body has arrived."""
        self.chunks.append(piece)
        size = len(piece)
        self.received += size
        self._buffered += size
        if self._buffered > self.protocol.porter.limits.body_buffer_bytes:
            self.protocol.flow.pause_reading()
        self.wake()

    def wake(self) -> None:
        """Lets a waiting `receive` look again."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def run(self, app: Application) -> None:
        """Runs the application; an exception that reaches this place is a fault of ours, and is logged."""
        try:
            await app(self.scope, self.receive, self.send)
            if not self.response_complete and not self.disconnected:
                raise RuntimeError("the application returned without completing its response")
        except ClientDisconnected:
            pass
        except Broken:
            await self._fail()
        except asyncio.CancelledError:
            self.protocol.transport.abort()
            raise
        except Exception:
            log.exception("a request failed outside of its operation")
            await self._fail()
        finally:
            if self.task is not None:
                self.protocol.tasks.discard(self.task)

    async def _fail(self) -> None:
        if self.response_started and not self._head:
            self.protocol.transport.abort()  # never a short answer that looks whole (law 7)
            return
        self.response_started = False
        self._head = b""
        headers = [(b"content-length", b"0"), (b"connection", b"close")]
        with contextlib.suppress(ClientDisconnected):
            await self.send({"type": "http.response.start", "status": 500, "headers": headers})
            await self.send({"type": "http.response.body"})

    # --- to the application ---

    async def receive(self) -> Message:
        """The next piece of the body; the message has `slow` when the client did not keep the least rate."""
        chunks = self.chunks
        if self.expect_pending:
            self.expect_pending = False
            # Of an empty body too: botocore takes an answer in place of the 100 for that of the next request.
            if (self.more_body or self.content_length == 0) and not chunks:
                self.protocol.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        while not (chunks or self.disconnected or self.slow or self.response_complete):
            if not self.more_body and not self._delivered:
                break
            self._waiter = self.protocol.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self.disconnected or self.slow or self.response_complete:
            return {"type": "http.disconnect", "slow": self.slow}
        piece = b""
        if chunks:
            piece = chunks.popleft()
            self._buffered -= len(piece)
            if self.more_body and self._buffered <= self.protocol.porter.limits.body_buffer_bytes // 2:
                self.protocol.flow.resume_reading()
        more = self.more_body or bool(chunks)
        self._delivered = not more
        return {"type": "http.request", "body": piece, "more_body": more}

    async def send(self, message: Message) -> None:
        """Takes the head of the response, then its body, piece by piece."""
        flow = self.protocol.flow
        if flow.write_paused and not self.disconnected:
            await flow.drain()
        if self.disconnected:
            raise ClientDisconnected
        kind = message["type"]
        if kind == "http.response.start" and not self.response_started:
            self._start(message["status"], message.get("headers", ()))
        elif kind == "http.response.body" and self.response_started and not self.response_complete:
            self._write(message.get("body", b""), message.get("more_body", False))
        else:
            raise RuntimeError(f"unexpected {kind}")

    def _start(self, status: int, headers: Any) -> None:
        if self.expect_pending or (self.more_body and not self._rest_can_be_dropped()):
            self.keep_alive = False
        protocol = self.protocol
        lines = [STATUS_LINE[status], protocol.porter.default_lines(protocol.server_state.default_headers)]
        length = -1
        said_close = chunked = False
        count = 0
        for name, value in headers:
            if name == b"content-length":
                length = int(value)
            elif name == b"connection":
                said_close = b"close" in value.lower()
            elif name == b"transfer-encoding":
                chunked = True
            lines += (name, b": ", value, b"\r\n")
            count += 1
        if said_close:
            self.keep_alive = False
        elif not self.keep_alive:
            lines.append(b"connection: close\r\n")
            count += 1
        bodiless = status in _BODILESS or self.scope["method"] == "HEAD"
        if length < 0 and not bodiless and not chunked:
            lines.append(b"transfer-encoding: chunked\r\n")
            chunked = True
            count += 1
        lines.append(b"\r\n")
        head = b"".join(lines)
        _check_lines(head, count + 2 + len(protocol.server_state.default_headers))
        self._chunked = chunked and not bodiless
        self._expected = 0 if bodiless or chunked else length
        self._head = head
        self.response_started = True

    def _rest_can_be_dropped(self) -> bool:
        """A client that waits for 100 may or may not send its body after another answer: nobody can know."""
        if self.expect_pending or self.content_length is None:
            return False
        return self.content_length - self.received <= self.protocol.porter.limits.drain_bytes

    def _write(self, body: bytes | memoryview, more: bool) -> None:
        protocol = self.protocol
        transport = protocol.transport
        size = len(body)
        if self.scope["method"] == "HEAD":
            body, size = b"", 0
        elif self._chunked:
            body = _chunk(body, size, more)
            size = len(body)
        elif size > self._expected:
            raise RuntimeError("a response is longer than its Content-Length")
        else:
            self._expected -= size
        head = self._head
        if head:
            self._head = b""
            protocol.written += len(head) + size
            if size <= JOINED_BYTES:
                transport.write(b"".join((head, body)))
            else:
                transport.writelines((head, body))
        elif size:
            protocol.written += size
            transport.write(body)
        if not more:
            if self._expected:
                raise RuntimeError("a response is shorter than its Content-Length")
            self.response_complete = True
            self.wake()
            protocol.on_response_complete()


def _chunk(body: bytes | memoryview, size: int, more: bool) -> bytes:
    """A piece of a body whose length was not announced: none of S3's, only pages of our own."""
    chunk = b"%x\r\n%b\r\n" % (size, bytes(body)) if size else b""
    return chunk if more else chunk + b"0\r\n\r\n"


def _check_lines(head: bytes, lines: int) -> None:
    """No value may bring a line of its own: header injection ends here, whatever an operation let through."""
    if head.count(b"\n") != lines or head.count(b"\r") != lines or b"\0" in head:
        raise RuntimeError("a response header contains a line break or NUL")
