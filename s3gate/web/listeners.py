"""Sockets and the servers on them: what of uvicorn is used, and with which settings.

Signals, readiness and the order of stopping belong to whoever runs the servers.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import uvicorn

from s3gate.web.cycle import Application
from s3gate.web.limits import Limits
from s3gate.web.porter import nobody_waits
from s3gate.web.protocol import make_protocol

BACKLOG = 2048
GRACE_SECONDS = 2
"""How long requests under way may go on after the order to stop."""
SERVER_NAME = "s3gate"


def listening_socket(address: tuple[str, int], inherited: int | None) -> socket.socket:
    """The supervisor's socket, which several gates share, or one of our own."""
    if inherited is not None:
        listener = socket.socket(fileno=inherited)
    else:
        host, port = address
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


class Server(uvicorn.Server):
    """A server that leaves signals alone: a process has several, and one order to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing is captured."""
        yield

    async def wait_ended(self, seconds: float) -> None:
        """Gives requests that were cancelled a moment to clean up behind themselves."""
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=seconds)

    async def wait_started(self, serving: asyncio.Task[None]) -> None:
        """Returns when connections are accepted; raises what kept the server from it."""
        while not self.started:
            if serving.done():
                serving.result()
                raise RuntimeError("the server ended before it began")
            await asyncio.sleep(0.005)


def make_server(
    app: Application,
    limits: Limits,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    *,
    waited_seconds: Callable[[], float] = nobody_waits,
) -> Server:
    """A server with our protocol; it is given its sockets when it serves."""
    config = uvicorn.Config(
        app,
        http=make_protocol(limits, waited_seconds),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        headers=[("server", SERVER_NAME)],
        backlog=BACKLOG,
        timeout_graceful_shutdown=GRACE_SECONDS,
        ssl_certfile=tls_cert,
        ssl_keyfile=tls_key,
    )
    return Server(config)
