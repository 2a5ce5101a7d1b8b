"""The HTTP connection over real sockets, with an application of the test's own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest

from chunkd import bounds, connection
from chunkd.answer import Answer, Body, Sink, Work
from chunkd.budget import Budget
from chunkd.head import Head
from chunkd.server import Server


class Recorder:
    """A sink that remembers."""

    def __init__(self, seen: list[str], wait: asyncio.Event | None = None) -> None:
        self.seen = seen
        self.body = bytearray()
        self.wait = wait

    async def write(self, data: memoryview) -> None:
        if self.wait is not None:
            await self.wait.wait()
        await asyncio.sleep(0)
        self.body += data

    async def finish(self) -> Answer:
        self.seen.append(f"finished {len(self.body)}")
        return Answer(201, b"", bytes(self.body[-4:]))

    async def abort(self) -> None:
        self.seen.append(f"aborted {len(self.body)}")


class Echo:
    """GET /n gives n bytes, PUT /small echoes, PUT /stream counts, /early answers before the body."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.counted: list[tuple[str, int]] = []
        self.started: list[Callable[[Answer], None]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    def begin(self, head: Head) -> Answer | Work | Sink:
        if head.path == "/early":
            return Answer.text(401, "no")
        if head.path == "/fault":
            raise RuntimeError("begin")
        if head.path == "/small":
            return Work(self._echo, head.length or 0)
        if head.path == "/started":
            return Work(self._echo, head.length or 0, self._start)
        if head.path == "/start-fault":
            return Work(self._echo, head.length or 0, self._start_badly)
        if head.path == "/late-fault":
            return Work(self._fail, 0)
        if head.path == "/stream":
            return Recorder(self.seen, self.gate)
        size = int(head.path[1:])
        return Work(lambda body: self._give(size), size)

    async def _echo(self, body: Body) -> Answer:
        await self.gate.wait()
        return Answer(200, b"", body)

    def _start(self, body: Body, answer: Callable[[Answer], None]) -> bool:
        self.started.append(answer)
        return True

    def _start_badly(self, body: Body, answer: Callable[[Answer], None]) -> bool:
        raise RuntimeError("start")

    async def _give(self, size: int) -> Answer:
        return Answer(200, b"", b"x" * size)

    async def _fail(self, body: Body) -> Answer:
        raise RuntimeError("late")

    def answered(self, method: str, status: int, received: int, sent: int) -> None:
        self.counted.append((method, status))


class Rig:
    """A server on a port, and clients for it."""

    def __init__(self) -> None:
        self.app = Echo()
        self.server = Server(self.app, asyncio.get_running_loop())
        self.port = 0

    async def client(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def ask(self, raw: bytes) -> bytes:
        """Send, then read to the end of the connection."""
        reader, writer = await self.client()
        writer.write(raw)
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        return answer


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    made = Rig()
    made.port = await made.server.listen_tcp("127.0.0.1", 0)
    yield made
    await made.server.stop(0.2)
    assert made.server.budget.used == 0
    assert made.server.streams == 0


async def answer_of(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).decode().split("\r\n")
    fields = dict(line.split(": ", 1) for line in head[1:] if line)
    return int(head[0].split()[1]), fields, await reader.readexactly(int(fields.get("content-length", 0)))


async def eventually(true: Callable[[], Any]) -> None:
    for _ in range(200):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not become true")


def put(path: str, body: bytes, *more: str) -> bytes:
    lines = [f"PUT {path} HTTP/1.1", f"content-length: {len(body)}", *more, "", ""]
    return "\r\n".join(lines).encode() + body


async def test_keep_alive_and_sizes_across_every_boundary(rig: Rig) -> None:
    reader, writer = await rig.client()
    for size in (0, 1, bounds.RECEIVE_BYTES - 50, bounds.RECEIVE_BYTES, 300_000, 2_000_000):
        body = bytes(i & 255 for i in range(size))
        writer.write(put("/small", body))
        status, fields, echoed = await answer_of(reader)
        assert status == 200 and echoed == body and "connection" not in fields
        writer.write(b"GET /%d HTTP/1.1\r\n\r\n" % size)
        assert (await answer_of(reader))[2] == b"x" * size
    writer.close()


async def test_a_request_in_single_bytes(rig: Rig) -> None:
    reader, writer = await rig.client()
    for byte in put("/small", b"hello"):
        writer.write(bytes((byte,)))
        await asyncio.sleep(0)
        await writer.drain()
    assert (await answer_of(reader))[2] == b"hello"
    writer.close()


@pytest.mark.parametrize("size", [1, 4, bounds.STREAM_CHUNK_BYTES, bounds.STREAM_CHUNK_BYTES + 1, 3_000_000])
async def test_streams(rig: Rig, size: int) -> None:
    reader, writer = await rig.client()
    for _ in range(2):
        writer.write(put("/stream", bytes(size - 1) + b"!"))
        status, _, tail = await answer_of(reader)
        assert status == 201 and tail.endswith(b"!")
    assert rig.app.seen == [f"finished {size}"] * 2
    writer.close()


async def test_a_slow_sink_holds_the_sender_back(rig: Rig) -> None:
    rig.app.gate.clear()
    reader, writer = await rig.client()
    writer.write(put("/stream", bytes(40_000_000)))
    await asyncio.sleep(0.2)
    assert writer.transport.get_write_buffer_size() > 20_000_000
    rig.app.gate.set()
    assert (await answer_of(reader))[0] == 201
    writer.close()


async def test_a_client_that_goes_inside_a_stream_leaves_nothing(rig: Rig) -> None:
    _, writer = await rig.client()
    writer.write(put("/stream", bytes(3_000_000))[:1_500_000])
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.close()
    await eventually(lambda: rig.app.seen)
    assert rig.app.seen[0].startswith("aborted")


async def test_a_client_that_goes_inside_a_small_body_gives_its_budget_back(rig: Rig) -> None:
    _, writer = await rig.client()
    writer.write(put("/small", bytes(1_000_000))[:500_000])
    await eventually(lambda: rig.server.budget.used == 1_000_000)
    writer.close()
    await eventually(lambda: rig.server.budget.used == 0)


async def test_the_budget_makes_bodies_wait_in_order(rig: Rig) -> None:
    rig.server.budget.total = 1_500_000
    rig.app.gate.clear()
    pairs = [await rig.client() for _ in range(4)]
    for _, writer in pairs:
        writer.write(put("/small", bytes(1_000_000)))
    await eventually(lambda: rig.server.budget.waiting == 3)
    assert rig.server.budget.used == 1_000_000
    pairs[3][1].close()
    rig.app.gate.set()
    for reader, _ in pairs[:3]:
        assert (await answer_of(reader))[0] == 200
    await eventually(lambda: rig.server.budget.used == 0)


def test_shares_that_come_back_at_once_are_granted_one_after_the_other() -> None:
    """What the page cache has is answered where it is granted: many such answers must not be as many calls deep."""
    budget = Budget(10)
    granted: list[int] = []

    def answer(number: int) -> None:
        granted.append(number)
        budget.give(10)

    assert budget.take(10, lambda: None)
    for number in range(5000):
        assert not budget.take(10, partial(answer, number))
    budget.give(10)
    assert (granted, budget.used, budget.waiting) == (list(range(5000)), 0, 0)


async def test_who_gave_up_waiting_for_the_budget_is_forgotten(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "BUDGET_SECONDS", 0.1)
    rig.server.budget.total = 1_000_000
    rig.app.gate.clear()
    pairs = [await rig.client() for _ in range(4)]
    for _, writer in pairs:
        writer.write(put("/small", bytes(1_000_000)))
    await eventually(lambda: rig.server.budget.waiting == 3)
    for reader, _ in pairs[1:]:
        with contextlib.suppress(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 5)
    await eventually(lambda: rig.server.budget.waiting == 0)
    rig.app.gate.set()
    assert (await answer_of(pairs[0][0]))[0] == 200


async def test_an_early_answer_closes_and_is_not_lost(rig: Rig) -> None:
    reader, writer = await rig.client()
    writer.write(put("/early", bytes(1_000_000)))
    status, fields, _ = await answer_of(reader)
    assert status == 401 and fields["connection"] == "close"
    assert await reader.read() == b""
    writer.close()


async def test_an_early_answer_to_a_body_already_here_keeps_the_connection(rig: Rig) -> None:
    reader, writer = await rig.client()
    for _ in range(2):
        writer.write(put("/early", b"123"))
        status, fields, _ = await answer_of(reader)
        assert status == 401 and "connection" not in fields
    writer.close()


async def test_what_follows_a_request_is_never_read_as_one(rig: Rig) -> None:
    answer = await rig.ask(put("/small", b"hello") + b"GET /7 HTTP/1.1\r\n\r\n")
    assert answer.count(b"HTTP/1.1") == 1 and b"connection: close" in answer and answer.endswith(b"hello")
    rig.app.gate.clear()
    reader, writer = await rig.client()
    writer.write(put("/small", b"hello"))
    await asyncio.sleep(0.05)
    writer.write(b"garbage")
    await asyncio.sleep(0.05)
    rig.app.gate.set()
    assert (await answer_of(reader))[1]["connection"] == "close"
    assert await reader.read() == b""
    writer.close()


async def test_expect_100_continue(rig: Rig) -> None:
    reader, writer = await rig.client()
    for path in ("/small", "/stream"):
        writer.write(f"PUT {path} HTTP/1.1\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n".encode())
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"abcd")
        assert (await answer_of(reader))[2] == b"abcd"
    writer.write(b"PUT /early HTTP/1.1\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n")
    assert (await answer_of(reader))[0] == 401
    writer.close()


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 9000 + b"\r\n\r\n", 431),
        (b"A" * 20_000, 431),
        (b"\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: a\n\n\r\n\r\n", 400),
    ],
)
async def test_bad_heads_are_answered_and_closed(rig: Rig, raw: bytes, status: int) -> None:
    answer = await rig.ask(raw)
    assert answer.startswith(b"HTTP/1.1 %d " % status) and b"connection: close" in answer


async def test_faults_are_500_and_do_not_end_the_server(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    reader, writer = await rig.client()
    for path in ("/fault", "/late-fault", "/5"):
        writer.write(f"GET {path} HTTP/1.1\r\n\r\n".encode())
        assert (await answer_of(reader))[0] == (200 if path == "/5" else 500)
    assert "RuntimeError: late" in capsys.readouterr().err
    writer.close()


async def test_deadlines(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HEAD_SECONDS", "IDLE_SECONDS", "SMALL_BODY_SECONDS", "STREAM_CHUNK_SECONDS"):
        monkeypatch.setattr(connection, name, 0.2)
    answers = await asyncio.gather(
        rig.ask(b"GET /1 HTT"),
        rig.ask(b""),
        rig.ask(put("/small", b"hello")[:-1]),
        rig.ask(put("/stream", b"hello")[:-1]),
        return_exceptions=True,
    )
    assert isinstance(answers[0], bytes) and b" 408 " in answers[0]
    for answer in answers[1:]:
        assert answer == b"" or isinstance(answer, ConnectionResetError)
    assert rig.app.seen == ["aborted 0"]


async def test_too_many_connections(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MAX_CONNECTIONS", 2)
    kept = [await rig.client() for _ in range(2)]
    await eventually(lambda: len(rig.server.connections) == 2)
    assert b" 503 " in await rig.ask(b"")
    for _, writer in kept:
        writer.close()


async def test_a_reader_that_stalls_holds_its_budget_until_it_reads(rig: Rig) -> None:
    reader, writer = await rig.client()
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(b"GET /30000000 HTTP/1.1\r\n\r\n")
    await asyncio.sleep(0.1)
    assert rig.server.budget.used == 30_000_000
    writer.transport.resume_reading()  # type: ignore[attr-defined]
    assert len((await answer_of(reader))[2]) == 30_000_000
    await eventually(lambda: rig.server.budget.used == 0)
    writer.close()


async def test_stop_lets_a_running_request_finish(rig: Rig) -> None:
    rig.app.gate.clear()
    idle = await rig.client()
    reader, writer = await rig.client()
    writer.write(put("/small", b"hello"))
    await asyncio.sleep(0.05)
    stopping = asyncio.create_task(rig.server.stop(2.0))
    assert await asyncio.wait_for(idle[0].read(), 2) == b""
    rig.app.gate.set()
    status, fields, body = await answer_of(reader)
    assert (status, fields["connection"], body) == (200, "close", b"hello")
    await stopping
    writer.close()


async def test_what_was_started_without_a_task_is_answered_when_it_is_done(rig: Rig) -> None:
    reader, writer = await rig.client()
    for status in (201, 200):
        writer.write(b"PUT /started HTTP/1.1\r\ncontent-length: 4\r\n\r\nbody")
        await eventually(lambda: rig.app.started)
        rig.app.started.pop()(Answer(status))
        assert (await answer_of(reader))[0] == status
    writer.close()
    assert b" 500 " in await rig.ask(b"PUT /start-fault HTTP/1.1\r\nconnection: close\r\ncontent-length: 1\r\n\r\nx")


async def test_a_started_body_is_counted_until_it_is_done_though_its_client_has_gone(rig: Rig) -> None:
    _, writer = await rig.client()
    size = bounds.RECEIVE_BYTES + 1
    writer.write(b"PUT /started HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % size + bytes(size))
    await eventually(lambda: rig.app.started)
    writer.close()
    await eventually(lambda: not rig.server.connections)
    assert rig.server.budget.used == size
    rig.app.started.pop()(Answer(201))
    assert rig.server.budget.used == 0


async def test_what_a_receiver_holds_is_bounded_by_the_connections_alone(rig: Rig) -> None:
    rig.app.gate.clear()
    reader, writer = await rig.client()
    writer.write(b"PUT /small HTTP/1.1\r\ncontent-length: 4\r\n\r\nbody")
    await asyncio.sleep(0.05)
    assert rig.server.budget.used == 0
    rig.app.gate.set()
    assert (await answer_of(reader))[2] == b"body"
    writer.close()
