"""Membership against a gate that the test plays, with the compare-and-set of the contract."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from awscrt.checksums import crc32c

from chunkd import join, wire
from chunkd.answer import Answer, Sink, Work
from chunkd.head import Head
from chunkd.join import JoinRefused, Membership
from chunkd.server import Server

KEY = wire.ClusterKey(b"c" * 16, b"s" * 32)
NODE = b"n" * 16
NOW = 1_000_000.0


@dataclass
class Memory:
    """A superblock in memory; `saves` is what was made durable, in order."""

    node_id: bytes = NODE
    incarnation: int = 0
    nonce: bytes = b""
    saves: list[tuple[int, bytes]] = field(default_factory=list)

    def begin(self) -> None:
        self._save(self.incarnation, secrets.token_bytes(16))

    def finish(self, incarnation: int) -> None:
        self._save(incarnation, b"")

    def _save(self, incarnation: int, nonce: bytes) -> None:
        self.incarnation, self.nonce = incarnation, nonce
        self.saves.append((incarnation, nonce))


class Gate:
    """The internal port: compares and sets; `losing` joins are carried out but their answers get lost."""

    def __init__(self) -> None:
        self.known, self.nonce = 0, ""
        self.losing = 0
        self.broken: list[Answer] = []
        self.joins: list[wire.JoinRequest] = []
        self.beats: list[wire.Heartbeat] = []
        self.forget = False

    def begin(self, head: Head) -> Answer | Work | Sink:
        return Work(lambda body: self._answer(head, bytes(body)), head.length or 0)

    async def _answer(self, head: Head, body: bytes) -> Answer:
        claimed = json.loads(body)
        crc = head.headers[wire.CRC_HEADER]
        assert crc == wire.crc_text(crc32c(body))
        reason = wire.verify(
            KEY.derive(wire.INTERNAL_PURPOSE), head.headers["authorization"], head.method, head.target,
            claimed["node_id"], claimed["incarnation"], NOW, len(body), crc,
        )  # fmt: skip
        if reason is not None:
            return Answer.text(401, reason)
        if self.broken:
            return self.broken.pop(0)
        if head.target == wire.JOIN_PATH:
            return self._join(wire.JoinRequest.decode(body))
        self.beats.append(wire.Heartbeat.decode(body))
        return Answer(409, b"", b'{"error":"unknown incarnation"}') if self.forget else Answer(200, b"", b"{}")

    def _join(self, asked: wire.JoinRequest) -> Answer:
        self.joins.append(asked)
        if asked.incarnation == self.known:
            self.known, self.nonce = self.known + 1, asked.nonce
        elif (asked.incarnation + 1, asked.nonce) != (self.known, self.nonce):
            return Answer(409, b"", b'{"error":"rolled back"}')
        self.forget = False
        if self.losing:
            self.losing -= 1
            raise ConnectionError("lost")
        return Answer(200, b"", wire.JoinAnswer(self.known).encode())

    def answered(self, method: str, status: int, received: int, sent: int) -> None:
        pass


async def eventually(true: Callable[[], object]) -> None:
    for _ in range(500):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not become true")


class Rig:
    """A gate on a port and a member of it."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.server = Server(self.gate, asyncio.get_running_loop())
        self.memory = Memory()
        self.joined: list[int] = []
        self.urls: tuple[str, ...] = ()

    def member(self, memory: Memory | None = None, urls: tuple[str, ...] | None = None) -> Membership:
        ledger = memory or self.memory
        return Membership(
            urls or self.urls,
            KEY,
            ledger,
            describe=lambda: wire.JoinRequest(
                NODE.hex(), ledger.incarnation, ledger.nonce.hex(), "a:1", "", "h", "z", "d", 10, 5
            ),
            health=lambda: wire.Health(NODE.hex(), "", ledger.incarnation, "ok", 10, 5, 5, 1, 0, 0.001, 0, "d"),
            joined=self.joined.append,
            now=lambda: NOW,
        )


@pytest.fixture
async def rig(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    monkeypatch.setattr(wire, "HEARTBEAT_SECONDS", 0.02)
    monkeypatch.setattr(join, "FIRST_PAUSE_SECONDS", 0.01)
    made = Rig()
    port = await made.server.listen_tcp("127.0.0.1", 0)
    made.urls = (f"http://127.0.0.1:{port}",)
    yield made
    await made.server.stop(0.2)


async def test_a_new_node_joins_and_its_nonce_is_durable_before(rig: Rig) -> None:
    assert await rig.member().join() == 1
    nonce = rig.gate.joins[0].nonce
    assert rig.memory.saves == [(0, bytes.fromhex(nonce)), (1, b"")] and len(nonce) == 32
    assert await rig.member().join() == 2
    assert rig.joined == [1, 2]
    assert rig.gate.joins[1].nonce not in ("", nonce)


@pytest.mark.usefixtures("capfd")
async def test_a_lost_answer_is_a_retry_even_across_a_crash(rig: Rig) -> None:
    rig.gate.losing = 1
    assert await rig.member().join() == 1
    rig.gate.losing = 100
    attempt = asyncio.create_task(rig.member().join())
    await eventually(lambda: rig.gate.losing < 95)
    attempt.cancel()
    rig.gate.losing = 0
    assert rig.gate.known == 2 and rig.memory.incarnation == 1 and rig.memory.nonce
    assert await rig.member(Memory(NODE, rig.memory.incarnation, rig.memory.nonce)).join() == 2


async def test_a_clone_and_a_rolled_back_disk_are_refused(rig: Rig) -> None:
    await rig.member().join()
    clone = Memory(NODE, rig.memory.incarnation, rig.memory.nonce)
    await rig.member().join()
    with pytest.raises(JoinRefused, match="rolled back"):
        await rig.member(clone).join()


async def test_a_gate_that_is_silent_is_named_with_a_reason(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def silent(*_: object) -> tuple[int, bytes]:
        raise TimeoutError

    monkeypatch.setattr(join, "post", silent)
    joining = asyncio.create_task(rig.member(urls=("http://gate:9001",)).join())
    await asyncio.sleep(0.05)
    joining.cancel()
    assert "http://gate:9001: TimeoutError; trying again" in caplog.text


@pytest.mark.usefixtures("capfd")
async def test_it_outlasts_dead_gates_errors_and_nonsense(rig: Rig) -> None:
    rig.gate.broken = [
        Answer.text(503, "starting"),
        Answer(200, b"", b"not json"),
        Answer(200, b"", b"{}"),
        Answer(500, b"", b'{"error":"x"}'),
    ]
    assert await rig.member(urls=("http://127.0.0.1:1", *rig.urls)).join() == 1


async def test_a_gate_that_closes_what_it_has_just_accepted_is_asked_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    post, closed = join.post, [RuntimeError("the handler is closed")]

    async def post_after_all(*asked: Any) -> tuple[int, bytes]:
        if closed:
            raise closed.pop()
        return await post(*asked)

    monkeypatch.setattr(join, "post", post_after_all)
    assert await rig.member().join() == 1 and not closed


async def test_heartbeats_tell_and_a_forgotten_node_joins_again(rig: Rig) -> None:
    member = rig.member()
    await member.join()
    staying = asyncio.create_task(member.stay())
    await eventually(lambda: len(rig.gate.beats) >= 2)
    assert rig.gate.beats[0] == wire.Heartbeat(NODE.hex(), 1, 5, 5, 10, "ok", 0, 0.001, 0)
    rig.gate.forget = True
    await eventually(lambda: rig.joined == [1, 2])
    assert rig.memory.incarnation == 2
    rig.gate.known, rig.gate.forget = 9, True
    with pytest.raises(JoinRefused):
        await asyncio.wait_for(staying, 5)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
    ],
)
async def test_answers_that_are_not_http_are_errors_not_surprises(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    with pytest.raises((OSError, EOFError, ValueError)):
        await join.post(url, "/internal/join", b"{}", {})
    server.close()
