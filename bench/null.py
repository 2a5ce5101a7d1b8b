"""An empty server: what machine and generator can do at most. `python -m bench.null SIZE` prints its port.

It reads every request to its end and answers 200 with an ETag, and SIZE bytes to a GET.
"""

from __future__ import annotations

import asyncio
import random
import sys

import httptools
import uvloop


class NullServer(asyncio.Protocol):
    """Answers every request at once with nothing behind it."""

    def __init__(self, payload: bytes) -> None:
        head = b'HTTP/1.1 200 OK\r\nETag: "null"\r\nContent-Length: '
        self._get = head + str(len(payload)).encode() + b"\r\n\r\n" + payload
        self._other = head + b"0\r\n\r\n"
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._transport.write(self._get if self._parser.get_method() == b"GET" else self._other)


async def main(size: int) -> None:
    payload = random.Random(7).randbytes(size)  # what bench.load compares with
    server = await asyncio.get_running_loop().create_server(lambda: NullServer(payload), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
