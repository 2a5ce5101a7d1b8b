"""The internal port: only what is signed with the cluster's key, whole and now, reaches the catalog."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from awscrt.checksums import crc32c

from chunkd import wire
from s3gate.catalog.errors import NodeRefused, Unavailable
from s3gate.web.internal import Internal

NOW = 1_800_000_000.0
KEY = wire.ClusterKey(b"c" * 16, b"s" * 32)
JOIN = wire.JoinRequest("aa" * 16, 3, "bb" * 16, "127.0.0.1:1", "", "host", "zone", "device", 10, 5)
BEAT = wire.Heartbeat("aa" * 16, 4, 5, 5, 10, "ok", 0, 0.001, 0)


class Roster:
    """Notes what it is told; refuses what it is told to refuse."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.error: Exception | None = None
        self.known = True
        self.planned = 0

    async def join_node(self, request: wire.JoinRequest) -> int:
        if self.error is not None:
            raise self.error
        self.messages.append(request)
        return 4

    async def heartbeat_node(self, beat: wire.Heartbeat) -> bool:
        self.messages.append(beat)
        return self.known

    async def plan(self) -> None:
        self.planned += 1


@pytest.fixture
def roster() -> Roster:
    return Roster()


@pytest.fixture
async def ask(listen: Any, roster: Roster) -> AsyncIterator[Any]:
    app = Internal(roster, KEY.derive(wire.INTERNAL_PURPOSE), lambda: NOW, roster.plan)
    async with listen(app) as listener:
        wire_ = await listener.connect()

        async def send(path: str, body: bytes, method: str = "POST", **headers: str) -> tuple[int, dict[str, Any]]:
            lines = [f"{method} {path} HTTP/1.1", "host: gate", f"content-length: {len(body)}"]
            lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
            reply = await wire_.ask("\r\n".join([*lines, "", ""]).encode() + body)
            return reply.status, json.loads(reply.body)

        yield send


def signed(path: str, message: Any, key: wire.ClusterKey = KEY, expiry: float = NOW + 60) -> dict[str, str]:
    body = message.encode()
    crc = wire.crc_text(crc32c(body))
    signing = key.derive(wire.INTERNAL_PURPOSE)[0]
    authorization = wire.sign(signing, "POST", path, message.node_id, message.incarnation, int(expiry), len(body), crc)
    return {"authorization": authorization, wire.CRC_HEADER: crc}


async def test_join_and_heartbeat(ask: Any, roster: Roster) -> None:
    assert await ask(wire.JOIN_PATH, JOIN.encode(), **signed(wire.JOIN_PATH, JOIN)) == (200, {"incarnation": 4})
    assert roster.planned == 1
    assert await ask(wire.HEARTBEAT_PATH, BEAT.encode(), **signed(wire.HEARTBEAT_PATH, BEAT)) == (200, {})
    assert (roster.messages, roster.planned) == ([JOIN, BEAT], 1)
    roster.known = False
    assert (await ask(wire.HEARTBEAT_PATH, BEAT.encode(), **signed(wire.HEARTBEAT_PATH, BEAT)))[0] == 409


async def test_refused_and_unavailable(ask: Any, roster: Roster) -> None:
    roster.error = NodeRefused("cloned")
    status, answer = await ask(wire.JOIN_PATH, JOIN.encode(), **signed(wire.JOIN_PATH, JOIN))
    assert (status, answer, roster.planned) == (409, {"error": "cloned"}, 0)
    roster.error = Unavailable("away")
    assert (await ask(wire.JOIN_PATH, JOIN.encode(), **signed(wire.JOIN_PATH, JOIN)))[0] == 503


async def test_only_good_signatures(ask: Any, roster: Roster) -> None:
    body = JOIN.encode()
    good = signed(wire.JOIN_PATH, JOIN)
    other_key = wire.ClusterKey(b"c" * 16, b"t" * 32)
    other_cluster = wire.ClusterKey(b"d" * 16, b"s" * 32)
    for headers in (
        {},
        {"authorization": good["authorization"]},
        {wire.CRC_HEADER: good[wire.CRC_HEADER]},
        signed(wire.JOIN_PATH, JOIN, other_key),
        signed(wire.JOIN_PATH, JOIN, other_cluster),
        signed(wire.JOIN_PATH, JOIN, expiry=NOW - 1),
        signed(wire.HEARTBEAT_PATH, JOIN),
        signed(wire.JOIN_PATH, replace(JOIN, incarnation=2)),
    ):
        assert (await ask(wire.JOIN_PATH, body, **headers))[0] == 401
    changed = replace(JOIN, address="evil:1").encode()
    assert (await ask(wire.JOIN_PATH, changed, **good))[0] == 401
    assert roster.messages == []


async def test_what_is_no_message(ask: Any, roster: Roster) -> None:
    for body in (b"", b"[]", b"{", b'{"node_id": 3}', b"\xff"):
        assert (await ask(wire.JOIN_PATH, body))[0] == 400
    assert (await ask("/internal/other", b""))[0] == 404
    assert (await ask("/", b""))[0] == 404
    assert (await ask(wire.JOIN_PATH, b"", method="GET"))[0] == 405
    assert (await ask(wire.JOIN_PATH, b" " * (wire.MAX_INTERNAL_BODY_BYTES + 1)))[0] == 413
    assert roster.messages == []
