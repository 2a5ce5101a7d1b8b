"""The protocol under hostile and merely unusual clients, on real sockets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.web.scripted import GET, App


async def test_request_and_response(listen: Any, app: App) -> None:
    async with listen(app) as listener:
        wire = await listener.connect()
        reply = await wire.ask(b"GET /x%2Fy?a=1&b HTTP/1.1\r\nHost: h:1\r\nX-A:  b\r\n\r\n")
    assert (reply.status, reply.body) == (200, b"hello")
    assert "date" in reply.headers and "connection" not in reply.headers
    scope = app.scopes[0]
    assert (scope["method"], scope["raw_path"], scope["query_string"]) == ("GET", b"/x%2Fy", b"a=1&b")
    assert scope["headers"] == [(b"host", b"h:1"), (b"x-a", b"b")]
    assert scope["client"][0] == "127.0.0.1" and scope["scheme"] == "http"


async def test_head_has_no_body(listen: Any, app: App) -> None:
    async with listen(app) as listener:
        wire = await listener.connect()
        await wire.say(b"HEAD /x HTTP/1.1\r\nhost: h\r\n\r\n")
        reply = await wire.reply(head_only=True)
        assert reply.headers["content-length"] == "5"
        assert (await wire.ask(GET)).body == b"hello"


async def test_unknown_length_is_chunked(listen: Any, app: App) -> None:
    async with listen(app) as listener:
        wire = await listener.connect()
        await wire.say(b"GET /chunked HTTP/1.1\r\nhost: h\r\n\r\n")
        assert (await wire.head())[1]["transfer-encoding"] == "chunked"
        assert await wire.reader.readuntil(b"0\r\n\r\n") == b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"


async def test_keep_alive_and_pipelining(listen: Any, app: App) -> None:
    async with listen(app) as listener:
        wire = await listener.connect()
        for _ in range(3):
            assert (await wire.ask(GET)).status == 200
        await wire.say(GET + GET.replace(b"/x", b"/refuse") + GET)
        assert [(await wire.reply()).status for _ in range(3)] == [200, 403, 200]
        await wire.say(b"GET /x HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
        assert (await wire.reply()).headers["connection"] == "close"
        assert await wire.at_end()


async def test_pipelined_requests_do_not_pile_up(listen: Any, app: App) -> None:
    async with listen(app) as listener:
        wire = await listener.connect()
        wire.writer.write(GET.replace(b"/x", b"/hold"))
        await asyncio.sleep(0.05)
        sending = asyncio.ensure_future(wire.say(GET * 200_000))
        await asyncio.sleep(0.2)
        connection = next(iter(listener.server.server_state.connections))
        app.hold.set()
        most = 0
        for _ in range(1000):
            await wire.reply()
            most = max(most, len(connection.queued))
        assert 0 < most <= 2 * 262_144 // len(GET)
        sending.cancel()


async def test_http_1_0_closes(listen: Any, app: App) -> None:
    async with listen(app) as listener:
        wire = await listener.connect()
        assert (await wire.ask(b"GET /x HTTP/1.0\r\nhost: h\r\n\r\n")).body == b"hello"
        assert await wire.at_end()


async def test_half_closed_client_gets_its_answer(listen: Any, app: App) -> None:
    async with listen(app) as listener:
        wire = await listener.connect()
        await wire.say(GET.replace(b"/x", b"/hold"))
        wire.writer.write_eof()
        await asyncio.sleep(0.05)
        app.hold.set()
        assert (await wire.reply()).body == b"held"


async def test_absolute_form(listen: Any, app: App) -> None:
    async with listen(app) as listener:
        wire = await listener.connect()
        assert (await wire.ask(b"GET http://other/x?q HTTP/1.1\r\nhost: h\r\n\r\n")).status == 200
    assert (app.scopes[0]["raw_path"], app.scopes[0]["query_string"]) == (b"/x", b"q")


PUT = b"PUT /read HTTP/1.1\r\nhost: h\r\n"
REFUSED = {
    "no host": b"GET /x HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /x HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
    "length and chunked": PUT + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": PUT + b"transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": b"PUT /read HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
    "negative length": b"PUT /read HTTP/1.1\r\nhost: h\r\ncontent-length: -5\r\n\r\n",
    "huge length": b"PUT /read HTTP/1.1\r\nhost: h\r\ncontent-length: 99999999999999999999999\r\n\r\n",
    "unknown coding": b"PUT /read HTTP/1.1\r\nhost: h\r\ntransfer-encoding: gzip\r\n\r\n",
    "coding behind chunked": b"PUT /read HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked, x\r\n\r\n0\r\n\r\n",
    "space before colon": b"GET /x HTTP/1.1\r\nhost : h\r\n\r\n",
    "folded header": b"GET /x HTTP/1.1\r\nhost: h\r\nx-a: b\r\n c\r\n\r\n",
    "bare line feed": b"GET /x HTTP/1.1\nhost: h\n\n",
    "NUL in a value": b"GET /x HTTP/1.1\r\nhost: h\r\nx-a: a\0b\r\n\r\n",
    "raw bytes in the path": b"GET /\xc3\xa4 HTTP/1.1\r\nhost: h\r\n\r\n",
    "space in the path": b"GET /a b HTTP/1.1\r\nhost: h\r\n\r\n",
    "fragment": b"GET /a#b HTTP/1.1\r\nhost: h\r\n\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(50),
    "tunnel": b"CONNECT other:443 HTTP/1.1\r\nhost: h\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
async def test_malformed_requests_are_refused(listen: Any, app: App, case: str) -> None:
    async with listen(app) as listener:
        wire = await listener.connect()
        reply = await wire.ask(REFUSED[case] + GET)
        assert reply.status == (501 if case == "unknown coding" else 400)
        assert reply.headers["connection"] == "close"
        assert b"<Error><Code>" in reply.body
        assert f"<RequestId>{reply.headers['x-amz-request-id']}</RequestId>".encode() in reply.body
        assert await wire.at_end()
    assert not app.scopes


async def test_fault_behind_a_running_request_lets_it_finish(listen: Any, app: App) -> None:
    async with listen(app) as listener:
        wire = await listener.connect()
        await wire.say(GET.replace(b"/x", b"/hold") + b"nonsense\r\n\r\n")
        await asyncio.sleep(0.05)
        app.hold.set()
        reply = await wire.reply()
        assert (reply.body, reply.headers["connection"]) == (b"held", "close")
        assert await wire.at_end()


async def test_broken_chunk_ends_the_request(listen: Any, app: App) -> None:
    async with listen(app) as listener:
        wire = await listener.connect()
        await wire.say(b"PUT /read HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await wire.say(b"zz\r\n")
        assert (await wire.reply()).status == 400
        assert await wire.at_end()
        assert app.messages[-1]["type"] == "http.disconnect"
