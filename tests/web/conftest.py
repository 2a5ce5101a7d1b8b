"""Listeners on real sockets: uvicorn with our protocol, in the test's own event loop."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import uvicorn
import uvloop

from s3gate.web.limits import Limits
from s3gate.web.protocol import make_protocol
from tests.fix_tls import Certificate, make_certificate
from tests.web.scripted import App

FAST = {"sweep_seconds": 0.02, "linger_seconds": 0.5}


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The event loop of production."""
    return {"uvloop": uvloop.new_event_loop}


@dataclass
class Reply:
    """One response as it came over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes


class Wire:
    """A client that says exactly what a test tells it to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers of what comes next, 1xx included."""
        lines = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)).decode("latin-1").split("\r\n")
        pairs = (line.split(": ", 1) for line in lines[1:] if line)
        return int(lines[0].split(" ")[1]), {name.lower(): value for name, value in pairs}

    async def reply(self, head_only: bool = False) -> Reply:
        """The next response with its body."""
        status, headers = await self.head()
        length = 0 if head_only or status in (204, 304) else int(headers.get("content-length", "0"))
        return Reply(status, headers, await asyncio.wait_for(self.reader.readexactly(length), 10))

    async def ask(self, data: bytes) -> Reply:
        await self.say(data)
        return await self.reply()

    async def at_end(self, seconds: float = 5) -> bool:
        """Whether the server closes the connection without another byte."""
        try:
            return await asyncio.wait_for(self.reader.read(1), seconds) == b""
        except ConnectionResetError:
            return True

    async def close(self) -> None:
        self.writer.close()


@dataclass
class Listener:
    """A running server."""

    port: int
    server: uvicorn.Server
    protocol: Any
    tls: ssl.SSLContext | None = None
    wires: list[Wire] | None = None

    async def connect(self, limit: int = 2**20, receive_buffer: int | None = None) -> Wire:
        sock = None
        if receive_buffer is not None:
            import socket

            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
            reader, writer = await asyncio.open_connection(sock=sock, limit=limit)
        else:
            name = {"server_hostname": "localhost"} if self.tls else {}
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self.tls, limit=limit, **name)
        wire = Wire(reader, writer)
        assert self.wires is not None
        self.wires.append(wire)
        return wire


@asynccontextmanager
async def listening(app: Any, limits: Limits, certificate: Certificate | None = None) -> AsyncIterator[Listener]:
    protocol = make_protocol(limits)
    files = {} if certificate is None else {"ssl_certfile": certificate.cert, "ssl_keyfile": certificate.key}
    config = uvicorn.Config(
        app,
        port=0,
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        **files,
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0.01)
        assert not task.done()
    port = server.servers[0].sockets[0].getsockname()[1]
    context = None
    if certificate is not None:
        context = ssl.create_default_context(cafile=str(certificate.cert))
    listener = Listener(port, server, protocol, context, [])
    try:
        yield listener
    finally:
        for wire in listener.wires or ():
            wire.writer.transport.abort()
        server.should_exit = True
        await asyncio.wait_for(task, 10)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def limits() -> Limits:
    """Deadlines are looked at often, so that no test waits for the sweep."""
    return Limits(**FAST)


@pytest.fixture
def listen(certificate: Certificate) -> Callable[..., Any]:
    """`async with listen(app, limits, tls=True) as listener`."""

    def make(app: Any, limits: Limits | None = None, tls: bool = False) -> Any:
        return listening(app, limits or Limits(**FAST), certificate if tls else None)

    return make


@pytest.fixture
def app() -> App:
    """What the paths of requests drive."""
    return App()
