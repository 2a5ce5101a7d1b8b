"""What an application says to a request: an answer, work that leads to one, or a sink for a body.

Shapes only: nothing here knows a socket, a shard or a disk.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from chunkd.head import Head

Body = bytes | bytearray | memoryview

_REASONS = {
    200: "OK", 201: "Created", 204: "No Content", 206: "Partial Content", 303: "See Other", 400: "Bad Request",
    401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed", 408: "Request Timeout", 409: "Conflict",
    411: "Length Required", 413: "Content Too Large", 414: "URI Too Long", 416: "Range Not Satisfiable",
    431: "Request Header Fields Too Large", 500: "Internal Server Error", 503: "Service Unavailable",
    505: "HTTP Version Not Supported", 507: "Insufficient Storage",
}  # fmt: skip
STATUS_LINES = {status: f"HTTP/1.1 {status} {reason}\r\n".encode() for status, reason in _REASONS.items()}


class Answer:
    """Status, further header lines (each ended by CRLF) and body; `sized` is false for 204 and after HEAD."""

    __slots__ = ("body", "fields", "sized", "status")

    def __init__(self, status: int, fields: bytes = b"", body: Body = b"", sized: bool = True) -> None:
        self.status = status
        self.fields = fields
        self.body = body
        self.sized = sized

    @classmethod
    def text(cls, status: int, message: str, fields: bytes = b"") -> Answer:
        """A refusal with its reason, for people."""
        body = message.encode("utf-8", "replace") + b"\n"
        return cls(status, fields + b"content-type: text/plain; charset=utf-8\r\n", body)

    def head(self, last: bool) -> bytes:
        """Status line and headers; `last` announces that the connection will be closed."""
        head = STATUS_LINES[self.status] + self.fields
        if self.sized:
            head += b"content-length: %d\r\n" % len(self.body)
        return head + (b"connection: close\r\n\r\n" if last else b"\r\n")


class Work:
    """Answered by a coroutine over the whole body; `weight` is what request and answer hold in memory.

    `start` is asked first, if there is one. True: it has called what it was given with the answer, or will, and no
    task is needed. False: something is to be waited for before it can begin.
    """

    __slots__ = ("run", "start", "weight")

    def __init__(
        self,
        run: Callable[[Body], Awaitable[Answer]],
        weight: int,
        start: Callable[[Body, Callable[[Answer], None]], bool] | None = None,
    ) -> None:
        self.run = run
        self.weight = weight
        self.start = start


class Refused(Exception):
    """Raised inside a sink or work when the answer is known: nothing more of the request is wanted."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class Sink(Protocol):
    """Takes a body in chunks; `write` is done with a chunk when it returns, `abort` may come at any point."""

    async def write(self, data: memoryview) -> None:
        """Take one chunk."""

    async def finish(self) -> Answer:
        """All of it was written."""
        ...

    async def abort(self) -> None:
        """It will not be finished: leave nothing behind."""


class Application(Protocol):
    """Decides at the head, before a body is received."""

    def begin(self, head: Head) -> Answer | Work | Sink:
        """What to do with this request."""
        ...

    def answered(self, method: str, status: int, received: int, sent: int) -> None:
        """An answer was given; for counting."""
