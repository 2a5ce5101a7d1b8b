"""Limits and deadlines of the protocol, and bodies that nobody reads."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from s3gate.web.limits import Limits
from tests.web.scripted import GET, App

FAST = {"sweep_seconds": 0.02, "linger_seconds": 0.5}


# --- limits ---


async def test_header_section_of_8_kib(listen: Any, app: App) -> None:
    fits = b"GET /x HTTP/1.1\r\nhost: h\r\nx-a: " + b"a" * 8000 + b"\r\n\r\n"
    async with listen(app) as listener:
        wire = await listener.connect()
        assert (await wire.ask(fits)).status == 200
        reply = await wire.ask(fits.replace(b"x-a", b"x-b: " + b"b" * 300 + b"\r\nx-a"))
        assert (reply.status, b"RequestHeaderSectionTooLarge" in reply.body) == (400, True)
        assert await wire.at_end()


@pytest.mark.parametrize("piece", [100, 5000, 100_000])
async def test_header_section_without_end(listen: Any, app: App, piece: int) -> None:
    async with listen(app) as listener:
        wire = await listener.connect()
        await wire.say(b"GET /x HTTP/1.1\r\nhost: h\r\nx-a: ")
        for _ in range(20_000 // piece + 1):
            await wire.say(b"a" * piece)
            await asyncio.sleep(0)
        assert b"RequestHeaderSectionTooLarge" in (await wire.reply()).body


async def test_too_many_headers(listen: Any, app: App) -> None:
    async with listen(app) as listener:
        wire = await listener.connect()
        lines = b"".join(b"a%d: b\r\n" % number for number in range(200))
        reply = await wire.ask(b"GET /x HTTP/1.1\r\nhost: h\r\n" + lines + b"\r\n")
        assert (reply.status, b"RequestHeaderSectionTooLarge" in reply.body) == (400, True)


async def test_endless_trailers_and_extensions(listen: Any, app: App) -> None:
    begin = b"PUT /read HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"
    async with listen(app) as listener:
        for endless in (b"0\r\n" + b"x-a: b\r\n" * 5000, b"5;" + b"a" * 40_000):
            wire = await listener.connect()
            await wire.say(begin)
            await asyncio.sleep(0.05)
            await wire.say(endless)
            assert (await wire.reply()).status == 400
            assert await wire.at_end()


async def test_trailers_are_not_headers(listen: Any, app: App) -> None:
    async with listen(app) as listener:
        wire = await listener.connect()
        head = b"PUT /read HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"
        assert (await wire.ask(head + b"2\r\nhi\r\n0\r\nx-amz-acl: public\r\n\r\n")).body == b"2"
        assert (await wire.ask(GET)).status == 200
    assert all(name != b"x-amz-acl" for name, _ in app.scopes[0]["headers"])


async def test_slow_header_section(listen: Any, app: App) -> None:
    async with listen(app, Limits(**FAST, head_seconds=0.2)) as listener:
        wire = await listener.connect()
        await wire.say(b"GET /x HTTP/1.1\r\n")
        for _ in range(5):
            await asyncio.sleep(0.06)
            wire.writer.write(b"a: b\r\n")
        assert b"RequestTimeout" in (await wire.reply()).body
        assert await wire.at_end()
        silent = await listener.connect()
        assert await silent.at_end()


async def test_idle_connection(listen: Any, app: App) -> None:
    async with listen(app, Limits(**FAST, idle_seconds=0.3)) as listener:
        wire = await listener.connect()
        assert (await wire.ask(GET)).status == 200
        await asyncio.sleep(0.15)
        assert (await wire.ask(GET)).status == 200
        assert await wire.at_end()


async def test_crawling_body(listen: Any, app: App) -> None:
    limits = Limits(**FAST, body_bytes_per_second=1000, body_window_seconds=0.2)
    async with listen(app, limits) as listener:
        wire = await listener.connect()
        await wire.say(b"PUT /read HTTP/1.1\r\nhost: h\r\ncontent-length: 100000\r\n\r\n")
        for _ in range(20):
            await asyncio.sleep(0.02)
            wire.writer.write(b"a")
        reply = await wire.reply()
        assert reply.headers["connection"] == "close"
        assert app.messages[-1] == {"type": "http.disconnect", "slow": True}


async def test_time_of_the_operation_is_not_the_clients(listen: Any, app: App) -> None:
    limits = Limits(**FAST, body_window_seconds=0.1, head_seconds=0.1, idle_seconds=0.1)
    async with listen(app, limits) as listener:
        wire = await listener.connect()
        await wire.say(GET.replace(b"/x", b"/hold"))
        await asyncio.sleep(0.4)
        app.hold.set()
        assert (await wire.reply()).body == b"held"


async def test_crawling_reader(listen: Any, app: App) -> None:
    limits = Limits(**FAST, download_window_seconds=0.3)
    async with listen(app, limits) as listener:
        wire = await listener.connect(limit=1024, receive_buffer=4096)
        await wire.say(GET.replace(b"/x", b"/big"))
        await asyncio.wait_for(app.done.wait(), 5)
        assert not listener.server.server_state.connections


async def test_connections_per_address(listen: Any, app: App) -> None:
    async with listen(app, Limits(**FAST, connections_per_address=2)) as listener:
        first, second, third = [await listener.connect() for _ in range(3)]
        assert (await first.ask(GET)).status == (await second.ask(GET)).status == 200
        reply = await third.reply()
        assert (reply.status, b"SlowDown" in reply.body) == (503, True)
        await first.close()
        await asyncio.sleep(0.05)
        assert (await (await listener.connect()).ask(GET)).status == 200


async def test_body_is_received_only_as_it_is_read(listen: Any, app: App) -> None:
    size = 64 << 20
    async with listen(app) as listener:
        wire = await listener.connect()
        wire.writer.write(b"PUT /hold HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n\r\n" % size)
        sending = asyncio.ensure_future(wire.say(bytes(size)))
        await asyncio.sleep(0.3)
        cycle = next(iter(listener.server.server_state.connections)).current
        assert cycle.received <= (1 << 20) + 256_000
        sending.cancel()


# --- bodies that nobody reads ---


async def test_small_unread_body_keeps_the_connection(listen: Any, app: App) -> None:
    async with listen(app) as listener:
        wire = await listener.connect()
        await wire.say(b"PUT /refuse HTTP/1.1\r\nhost: h\r\ncontent-length: 1000\r\n\r\n")
        assert (await wire.reply()).status == 403
        await wire.say(b"a" * 1000 + GET)
        assert (await wire.reply()).body == b"hello"


@pytest.mark.parametrize("tls", [False, True])
async def test_answer_arrives_although_a_large_body_is_unread(listen: Any, app: App, tls: bool) -> None:
    size = 8 << 20
    async with listen(app, tls=tls) as listener:
        wire = await listener.connect()
        head = b"PUT /refuse HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n\r\n" % size
        sending = asyncio.ensure_future(wire.say(head + bytes(size)))
        reply = await wire.reply()
        assert (reply.status, reply.headers["connection"]) == (403, "close")
        await asyncio.wait([sending], timeout=2)
        assert sending.done() and sending.exception() is None
        await wire.close()


async def test_connection_that_lingers_is_closed(listen: Any, app: App) -> None:
    async with listen(app) as listener:
        wire = await listener.connect()
        await wire.say(b"PUT /refuse HTTP/1.1\r\nhost: h\r\ncontent-length: 9999999\r\n\r\n")
        assert (await wire.reply()).status == 403
        await asyncio.sleep(0.8)
        assert not listener.server.server_state.connections


EXPECT = b"PUT %b HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n"


async def test_continue_is_sent_when_the_body_is_wanted(listen: Any, app: App) -> None:
    async with listen(app) as listener:
        wire = await listener.connect()
        for _ in range(2):
            await wire.say(EXPECT % b"/read")
            assert (await wire.head())[0] == 100
            await wire.say(b"hello")
            assert (await wire.reply()).body == b"5"
        await wire.say(EXPECT % b"/read" + b"hello")  # the client did not wait
        assert (await wire.reply()).body == b"5"


@pytest.mark.parametrize("sends_anyway", [False, True])
async def test_refused_without_continue(listen: Any, app: App, sends_anyway: bool) -> None:
    async with listen(app) as listener:
        wire = await listener.connect()
        await wire.say(EXPECT % b"/refuse")
        reply = await wire.reply()
        assert (reply.status, reply.headers["connection"]) == (403, "close")
        if sends_anyway:
            await wire.say(b"hello")
        assert await wire.at_end()


# --- what the application does wrong ---


async def test_short_response_breaks_the_connection(listen: Any, app: App) -> None:
    async with listen(app) as listener:
        wire = await listener.connect()
        await wire.say(GET.replace(b"/x", b"/short"))
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await wire.reply()


async def test_header_injection_is_stopped(listen: Any, app: App) -> None:
    async with listen(app) as listener:
        wire = await listener.connect()
        reply = await wire.ask(GET.replace(b"/x", b"/inject"))
        assert (reply.status, "set-cookie" in reply.headers) == (500, False)


async def test_large_bodies_arrive_whole(listen: Any, app: App) -> None:
    for tls in (False, True):
        async with listen(app, tls=tls) as listener:
            wire = await listener.connect()
            assert len((await wire.ask(GET.replace(b"/x", b"/big"))).body) == 64 << 20
            body = b"PUT /read HTTP/1.1\r\nhost: h\r\ncontent-length: 20000000\r\n\r\n" + bytes(20_000_000)
            assert (await wire.ask(body)).body == b"20000000"


async def test_upgrade_is_ignored_and_closes(listen: Any, app: App) -> None:
    async with listen(app) as listener:
        wire = await listener.connect()
        reply = await wire.ask(b"GET /x HTTP/1.1\r\nhost: h\r\nconnection: Upgrade\r\nupgrade: h2c\r\n\r\n" + GET)
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert await wire.at_end()


@pytest.mark.parametrize("split", [False, True], ids=["whole", "split"])
@pytest.mark.parametrize(
    ("framing", "sent"),
    [
        (b"content-length: 300000", b"x" * 300_000),
        (b"transfer-encoding: chunked", b"493e0\r\n" + b"x" * 300_000 + b"\r\n0\r\n\r\n"),
        (b"content-length: 300000\r\nexpect: 100-continue", b"x" * 300_000),
    ],
    ids=["length", "chunked", "expect"],
)
async def test_the_body_of_a_request_for_an_upgrade_is_read(
    listen: Any, app: App, framing: bytes, sent: bytes, split: bool
) -> None:
    """Java's client asks for HTTP/2 with its first request on a connection, be it a PUT."""
    head = b"PUT /read HTTP/1.1\r\nhost: h\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\n%b\r\n\r\n"
    async with listen(app) as listener:
        wire = await listener.connect()
        if split or b"expect" in framing:
            await wire.say(head % framing)
            if b"expect" in framing:
                assert (await wire.head())[0] == 100
            await asyncio.sleep(0.05)
            await wire.say(sent + GET)
        else:
            await wire.say(head % framing + sent + GET)
        reply = await wire.reply()
        assert (reply.status, reply.body, reply.headers["connection"]) == (200, b"300000", "close")
        assert await wire.at_end()
    assert len(app.scopes) == 1
