"""When somebody waits for memory that slow clients hold, they have to be quicker or go; otherwise they have time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from s3gate.web.limits import Limits

PATIENT = Limits(sweep_seconds=0.02, crowded_seconds=1.0, crowded_bytes_per_second=10_000, crowded_window_seconds=0.3)
HEAD = b"PUT /x HTTP/1.1\r\nhost: h\r\ncontent-length: 1000000\r\n\r\n"


class App:
    """Reads the body, or sends one that is longer than any buffer, and tells how each request ended."""

    def __init__(self) -> None:
        self.endings: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] == "PUT":
            while (message := await receive())["type"] == "http.request" and message["more_body"]:
                pass
            self.endings.append("slow" if message.get("slow") else "read")
        length = 64 << 20 if scope["method"] == "GET" else 0
        headers = [(b"content-length", b"%d" % length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            for _ in range(length >> 20):
                await send({"type": "http.response.body", "body": bytes(1 << 20), "more_body": True})
        except Exception:
            self.endings.append("left")
            raise
        await send({"type": "http.response.body"})


@pytest.mark.parametrize("waited", [0.0, 5.0])
async def test_a_body_that_stops(listen: Any, waited: float) -> None:
    app = App()
    async with listen(app, PATIENT) as listener:
        listener.protocol.porter._waited_seconds = lambda: waited
        wire = await listener.connect()
        await wire.say(HEAD + bytes(1000))
        await asyncio.sleep(1)
        assert app.endings == (["slow"] if waited else [])


async def test_a_body_that_comes_quickly_enough(listen: Any) -> None:
    app = App()
    async with listen(app, PATIENT) as listener:
        listener.protocol.porter._waited_seconds = lambda: 5.0
        wire = await listener.connect()
        await wire.say(HEAD)
        for _ in range(10):
            await wire.say(bytes(5_000))
            await asyncio.sleep(0.1)
        assert app.endings == []


@pytest.mark.parametrize("waited", [0.0, 5.0])
async def test_a_reader_that_stops(listen: Any, waited: float) -> None:
    app = App()
    async with listen(app, PATIENT) as listener:
        listener.protocol.porter._waited_seconds = lambda: waited
        wire = await listener.connect(limit=1000, receive_buffer=4096)
        await wire.say(b"GET /x HTTP/1.1\r\nhost: h\r\n\r\n")
        await asyncio.sleep(1)
        assert app.endings == (["left"] if waited else [])
