"""One keep-alive HTTP/1.1 connection of the load generator.

It sends prepared bytes and hands back what came: no signing, no choice of what to ask. The parser is
httptools' (the same C parser for every server that is measured).
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field

import httptools


@dataclass(slots=True)
class Answer:
    """Status, the length of the body, the body itself unless it was compared on the way, and its headers."""

    status: int = 0
    length: int = 0
    body: list[bytes] = field(default_factory=list)
    headers: dict[bytes, bytes] = field(default_factory=dict)
    differs: bool = False


class Connection(asyncio.Protocol):
    """`await ask(head, body)` sends one request and returns its Answer; one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self._answer = Answer()
        self._expected: bytes | None = None
        self._without_body = False
        self._waiter: asyncio.Future[Answer] | None = None
        self._writable = asyncio.Event()
        self._parser = httptools.HttpResponseParser(self)

    @classmethod
    async def open(cls, host: str, port: int, tls: ssl.SSLContext | None) -> Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(cls, host, port, ssl=tls)
        return connection

    async def ask(self, head: bytes, body: bytes = b"", expected: bytes | None = None) -> Answer:
        """Raises ConnectionError when the server closes instead of answering. With `expected`, the body of a
        200 is compared and thrown away (`differs` tells)."""
        self._waiter = asyncio.get_running_loop().create_future()
        self._answer, self._expected = Answer(), expected
        self._without_body = head.startswith(b"HEAD ")
        if len(body) <= 65536:
            self.transport.write(head + body)
        else:
            self.transport.write(head)
            self.transport.write(body)
        return await self._waiter

    def close(self) -> None:
        self.transport.close()

    # asyncio's callbacks

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(ConnectionError("the server closed the connection"))

    # httptools' callbacks

    def on_header(self, name: bytes, value: bytes) -> None:
        self._answer.headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        answer = self._answer
        if self._expected is None:
            answer.body.append(body)
        elif self._expected[answer.length : answer.length + len(body)] != body:
            answer.differs = True
        answer.length += len(body)

    def on_headers_complete(self) -> None:
        # llhttp cannot know that this answers a HEAD: what Content-Length announces will not come.
        if self._without_body:
            self._finish()

    def on_message_complete(self) -> None:
        if not self._without_body:
            self._finish()

    def _finish(self) -> None:
        self._answer.status = self._parser.get_status_code()
        if self._answer.status >= 200 and self._waiter is not None:
            self._parser = httptools.HttpResponseParser(self)
            self._waiter.set_result(self._answer)
