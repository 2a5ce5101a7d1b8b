"""An application that does what the path says, for tests of the protocol."""

from __future__ import annotations

import asyncio
from typing import Any

GET = b"GET /x HTTP/1.1\r\nhost: h\r\n\r\n"


class App:
    """What the paths do: /x answers, /read reads all first, /refuse answers 403 unread, /big streams."""

    def __init__(self) -> None:
        self.scopes: list[dict[str, Any]] = []
        self.received = 0
        self.messages: list[dict[str, Any]] = []
        self.hold = asyncio.Event()
        self.done = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        path = scope["raw_path"]
        try:
            if path == b"/read":
                await self.read(receive)
                await self.answer(send, 200, b"%d" % self.received)
            elif path == b"/refuse":
                await self.answer(send, 403, b"no")
            elif path == b"/big":
                await self.big(send)
            elif path == b"/short":
                await self.start(send, 200, 100)
                await send({"type": "http.response.body", "body": b"x"})
            elif path == b"/inject":
                headers = [(b"x-a", b"1\r\nset-cookie: a=b"), (b"content-length", b"0")]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                await send({"type": "http.response.body"})
            elif path == b"/hold":
                await self.hold.wait()
                await self.answer(send, 200, b"held")
            elif path == b"/chunked":
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": b"abc", "more_body": True})
                await send({"type": "http.response.body", "body": b"de"})
            else:
                await self.answer(send, 200, b"hello")
        finally:
            self.done.set()

    async def read(self, receive: Any) -> None:
        self.received = 0
        while True:
            message = await receive()
            self.messages.append(message)
            if message["type"] != "http.request":
                return
            self.received += len(message["body"])
            if not message["more_body"]:
                return

    async def start(self, send: Any, status: int, length: int) -> None:
        headers = [(b"content-length", b"%d" % length), (b"etag", b'"e"')]
        await send({"type": "http.response.start", "status": status, "headers": headers})

    async def answer(self, send: Any, status: int, body: bytes) -> None:
        await self.start(send, status, len(body))
        await send({"type": "http.response.body", "body": body})

    async def big(self, send: Any) -> None:
        await self.start(send, 200, 64 << 20)
        for _ in range(64):
            await send({"type": "http.response.body", "body": memoryview(bytes(1 << 20)), "more_body": True})
        await send({"type": "http.response.body"})
