"""Bundles at the door: every shard gets its own answer, and what is malformed stores nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest
from awscrt.checksums import crc32c

from chunkd import bundle, wire
from chunkd.bundle import Packed, Said
from chunkd.errors import StoreFull
from tests.chunkd.test_server_app import ID, OTHER, Got, Node, content, make_node, node

__all__ = ["make_node", "node"]  # fixtures


def packed(*bodies: bytes) -> list[Packed]:
    return [Packed(number.to_bytes(17, "big"), body, crc32c(body)) for number, body in enumerate(bodies)]


def request(node: Node, shards: list[Packed], crc: str | None = None) -> bytes:
    table = bundle.encode_table(shards)
    data = b"".join([bytes(one.body) for one in shards])
    head = node.head("POST", wire.SHARDS_PATH, len(table) + len(data), crc or wire.crc_text(crc32c(table)))
    return head + table + data


async def send(node: Node, shards: list[Packed], crc: str | None = None) -> Got:
    return await node.ask(request(node, shards, crc))


@pytest.mark.parametrize(
    "bodies", [[b"x"], [b"a", b"bc", content(4096)], [content(60_000)] * 16, [b"y"] * bundle.MAX_SHARDS]
)
async def test_all_of_a_bundle_is_stored(node: Node, bodies: list[bytes]) -> None:
    shards = packed(*bodies)
    for status in (201, 200):
        got = await send(node, shards)
        assert got.status == 200
        assert bundle.decode_answer(got.body, len(shards)) == [Said(status, one.crc) for one in shards]
    for one in shards:
        assert (await node.get(one.shard_id)).body == one.body


async def test_each_shard_has_a_status_of_its_own(node: Node) -> None:
    await node.put(ID, b"hello")
    shards = packed(b"a", b"b", b"c")
    shards[1] = Packed(ID, b"other", crc32c(b"other"))
    shards[2] = shards[2]._replace(crc=1)
    got = await send(node, shards)
    assert [said.status for said in bundle.decode_answer(got.body, 3)] == [201, 409, 400]
    assert (await node.get(ID)).body == b"hello"
    assert (await node.get(shards[0].shard_id)).body == b"a"
    assert (await node.get(shards[2].shard_id)).status == 404


async def test_a_full_and_a_read_only_node_say_so(make_node: Callable[..., Node]) -> None:
    node = make_node(free_floor_bytes=1 << 60)
    node.port = await node.server.listen_tcp("127.0.0.1", 0)
    got = await send(node, packed(b"a", b"b"))
    assert [said.status for said in bundle.decode_answer(got.body, 2)] == [507, 507]
    node.shards._core.fail("a test")
    got = await send(node, packed(b"a", b"b"))
    assert [said.status for said in bundle.decode_answer(got.body, 2)] == [503, 503]


async def test_a_bundle_is_refused_as_a_whole_when_the_index_has_no_room(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a shard of its own would be: it is the node that is full, and not the gate's fault or a fault at all."""

    async def full(size: int) -> None:
        raise StoreFull("no space for the index")

    monkeypatch.setattr(node.shards._core, "admits", lambda size: False)
    monkeypatch.setattr(node.shards._core, "admit", full)
    got = await send(node, packed(b"a", b"b"))
    assert (got.status, got.headers["x-chunkd-state"]) == (507, "full")
    alone = await node.put(b"\x01" * 17, b"a")
    assert (alone.status, alone.headers["x-chunkd-state"]) == (507, "full")


async def test_malformed_bundles_store_nothing(node: Node) -> None:
    shards = packed(b"a", b"bc")
    crc = wire.crc_text(crc32c(b"something else"))
    assert (await send(node, shards, crc)).status == 400
    assert (await send(node, [shards[0], shards[0]])).status == 400
    assert (await send(node, [])).status == 400
    assert (await send(node, packed(*[b"y"] * (bundle.MAX_SHARDS + 1)))).status == 400
    table = bundle.encode_table(shards)
    for body in (b"", b"\x00", table, table + b"ab", table + b"abcd", table[:-1]):
        crc = wire.crc_text(crc32c(body[: len(table)]))
        assert (await node.ask(node.head("POST", wire.SHARDS_PATH, len(body), crc) + body)).status == 400
    assert (await node.ask(node.head("POST", wire.SHARDS_PATH, len(table) + 3) + table + b"abc")).status == 400
    most = bundle.MAX_TABLE_BYTES + bundle.MAX_BYTES
    assert (await node.ask(node.head("POST", wire.SHARDS_PATH, most + 1, crc))).status == 413
    assert node.shards.usage().shards == 0


async def test_the_signature_covers_the_table(node: Node) -> None:
    shards = packed(b"a", b"b")
    signed = request(node, shards)
    forged = bundle.encode_table([shards[0], shards[1]._replace(shard_id=OTHER)])
    assert (await node.ask(signed.replace(bundle.encode_table(shards), forged))).status == 400
    crcs = (wire.crc_text(crc32c(table)).encode() for table in (bundle.encode_table(shards), forged))
    assert (await node.ask(signed.replace(*crcs))).status == 401
    old = node.head("POST", wire.SHARDS_PATH, 10, "00000000", incarnation=2)
    got = await node.ask(old + bytes(10))
    assert (got.status, got.headers["x-chunkd-incarnation"]) == (401, "3")
    assert node.shards.usage().shards == 0


async def test_a_bundle_in_single_bytes_and_one_that_ends_early(node: Node) -> None:
    raw = request(node, packed(b"a", content(300)))
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    for at in range(len(raw)):
        writer.write(raw[at : at + 1])
        if at % 16 == 0:
            await asyncio.sleep(0)
    assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
    writer.write(request(node, packed(b"", b"", b"later", content(50_000)))[:-1])
    await writer.drain()
    writer.close()
    await asyncio.sleep(0.1)
    assert node.shards.usage().shards == 2


async def test_any_table_gets_an_answer(node: Node) -> None:
    random_ = random.Random(11)
    for turn in range(300):
        shards = [Packed(random_.randbytes(17), b"x" * size, 0) for size in random_.choices(range(1, 9), k=3)]
        body = bytearray(bundle.encode_table(shards) + b"".join([bytes(one.body) for one in shards]))
        for _ in range(random_.randrange(3)):
            body[random_.randrange(len(body))] = random_.randrange(256)
        table_bytes = len(bundle.encode_table(shards)) if turn % 3 else random_.randrange(len(body))
        crc = wire.crc_text(crc32c(bytes(body[:table_bytes])))
        got = await node.ask(node.head("POST", wire.SHARDS_PATH, len(body), crc) + bytes(body))
        assert got.status in (200, 400)
    assert node.shards.usage().shards == 0  # none had its checksum
