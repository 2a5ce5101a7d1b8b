"""The door over the real engine, through real sockets: every answer of the contract, and what must leave nothing."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from awscrt.checksums import crc32c

from chunkd import wire
from chunkd.app import App
from chunkd.limits import Limits
from chunkd.metrics import Metrics
from chunkd.server import Server
from chunkd.shards import Shards
from chunkd.superblock import initialise
from tests.fix_page_cache import drop_from_memory

KEY = wire.ClusterKey(b"c" * 16, b"s" * 32)
ID = bytes(range(17))
OTHER = bytes(range(1, 18))
LARGE = wire.SMALL_SHARD_BYTES + 100_000


class Got(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Node:
    """A node with everything but the process."""

    def __init__(self, directory: Path, limits: Limits) -> None:
        initialise(directory, cluster_id=KEY.cluster_id)
        self.directory = directory
        self.shards = Shards.open(directory, limits=limits, now=time.time)
        self.app = App(self.shards, KEY.derive(wire.REQUEST_PURPOSE), Metrics(), time.time)
        self.app.joined_as(3)
        self.server = Server(self.app, asyncio.get_running_loop())
        self.port = 0
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    def head(
        self,
        method: str,
        target: str,
        length: int = 0,
        crc: str | None = None,
        *,
        incarnation: int = 3,
        expiry: int | None = None,
        extra: str = "",
    ) -> bytes:
        key = KEY.derive(wire.REQUEST_PURPOSE)[0]
        until = int(time.time()) + 60 if expiry is None else expiry
        node_id = self.shards.superblock.node_id.hex()
        signature = wire.sign(key, method, target, node_id, incarnation, until, length, crc or wire.NO_CRC)
        crc_line = f"{wire.CRC_HEADER}: {crc}\r\n" if crc else ""
        head = f"{method} {target} HTTP/1.1\r\nauthorization: {signature}\r\ncontent-length: {length}\r\n"
        return (head + crc_line + extra + "\r\n").encode()

    async def ask(self, raw: bytes) -> Got:
        if self.writer is None or self.writer.is_closing():
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        assert self.reader is not None
        self.writer.write(raw)
        lines = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)).decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:] if line)
        body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        if headers.get("connection") == "close":
            self.writer.close()
        return Got(int(lines[0].split()[1]), headers, body)

    async def put(self, shard_id: bytes, body: bytes, *, crc: str | None = None, announce: bool = True) -> Got:
        known = crc or (wire.crc_text(crc32c(body)) if announce else None)
        return await self.ask(self.head("PUT", wire.shard_path(shard_id), len(body), known) + body)

    async def get(self, shard_id: bytes, window: str = "") -> Got:
        extra = f"range: {window}\r\n" if window else ""
        return await self.ask(self.head("GET", wire.shard_path(shard_id), extra=extra))

    async def trash(self, *ids: bytes) -> Got:
        body = b"".join(ids)
        crc = wire.crc_text(crc32c(body))
        return await self.ask(self.head("POST", wire.DELETE_PATH, len(body), crc) + body)

    def temporary_files(self) -> list[Path]:
        return [path for path in (self.directory / "tmp").rglob("*") if path.is_file()]


@pytest.fixture
async def make_node(tmp_path: Path) -> AsyncIterator[Callable[..., Node]]:
    made: list[Node] = []

    def make(**limits: int) -> Node:
        node = Node(tmp_path / f"node{len(made)}", Limits(**{"free_floor_bytes": 1, **limits}))  # type: ignore[arg-type]
        made.append(node)
        return node

    yield make
    for node in made:
        if node.writer is not None:
            node.writer.close()
        await node.server.stop(0.2)
        assert node.server.budget.used == 0
        await node.shards.close()


@pytest.fixture
async def node(make_node: Callable[..., Node]) -> Node:
    made = make_node()
    made.port = await made.server.listen_tcp("127.0.0.1", 0)
    return made


def check_place(place: wire.Place, body: bytes) -> None:
    path = Path(place.path)
    assert (place.device, place.inode) == (path.stat().st_dev, path.stat().st_ino)
    assert path.read_bytes()[place.offset : place.offset + len(body)] == body


def content(size: int) -> bytes:
    return bytes(bytearray(i * 7 & 255 for i in range(997)) * (size // 997 + 1))[:size]


@pytest.mark.parametrize("size", [1, 4096, wire.BLOCK_BYTES + 1, wire.MAX_READ_BYTES, LARGE])
async def test_put_get_head(node: Node, size: int) -> None:
    body = content(size)
    crc = wire.crc_text(crc32c(body))
    assert (await node.put(ID, body))[:2] == (201, {"x-chunkd-crc32c": crc, "content-length": "0"})
    assert (await node.put(ID, body)).status == 200
    head = await node.ask(node.head("HEAD", wire.shard_path(ID)))
    assert head.headers == {"x-chunkd-crc32c": crc, "x-chunkd-length": str(size), "x-chunkd-state": "live"}
    got = b""
    for start in range(0, size, wire.MAX_READ_BYTES):
        window = await node.get(ID, f"bytes={start}-{min(start + wire.MAX_READ_BYTES, size) - 1}")
        assert window.status == 206
        assert window.headers["x-chunkd-crc32c"] == wire.crc_text(crc32c(window.body))
        assert window.headers["x-chunkd-length"] == str(size)
        got += window.body
    assert got == body
    whole = await node.get(ID)
    if size <= wire.MAX_READ_BYTES:
        assert (whole.status, whole.body) == (200, body)
    else:
        assert whole.status == 400


async def test_ids_are_never_given_to_other_content(node: Node) -> None:
    for first, second in ((b"a" * 10, b"b" * 10), (content(LARGE), content(LARGE)[::-1])):
        shard_id = crc32c(first).to_bytes(17, "big")
        assert (await node.put(shard_id, first)).status == 201
        assert (await node.put(shard_id, second)).status == 409
        assert (await node.put(shard_id, second, announce=False)).status == 409
        assert (await node.get(shard_id, "bytes=0-9")).body == first[:10]


@pytest.mark.parametrize("size", [10, LARGE])
async def test_a_wrong_checksum_leaves_nothing(node: Node, size: int) -> None:
    assert (await node.put(ID, content(size), crc="00000001")).status == 400
    assert (await node.get(ID)).status == 404
    assert not node.temporary_files()
    assert (await node.put(ID, content(size))).status == 201


@pytest.mark.parametrize("size", [10, 100_000, LARGE])
async def test_a_shard_without_a_checksum_is_streamed(node: Node, size: int) -> None:
    put = await node.put(ID, content(size), announce=False)
    assert put.status == 201 and put.headers["x-chunkd-crc32c"] == wire.crc_text(crc32c(content(size)))
    assert (await node.get(ID, "bytes=0-0")).body == content(size)[:1]


async def test_ranges(node: Node) -> None:
    body = content(200_000)
    await node.put(ID, body)
    for first, last in ((0, 0), (65_535, 65_536), (70_000, 199_999), (199_999, 300_000)):
        got = await node.get(ID, f"bytes={first}-{last}")
        assert (got.status, got.body) == (206, body[first : last + 1])
        assert got.headers["content-range"] == f"bytes {first}-{min(last, 199_999)}/200000"
    for window in ("bytes=5-", "bytes=-5", "bytes=5-4", "bytes=0-1,3-4", "bits=0-1", "bytes=a-b", "bytes=01-2"):
        assert (await node.get(ID, window)).status == 400
    assert (await node.get(ID, "bytes=200000-200000")).status == 416


@pytest.mark.parametrize("size", [1, 200_000, LARGE])
async def test_a_place_is_told_instead_of_what_is_in_memory(node: Node, size: int) -> None:
    """Whoever reads there finds the bytes, and the checksum of each of their blocks."""
    body = content(size)
    await node.put(ID, body)
    wanted = f"range: bytes=0-{min(size, 1000) - 1}\r\n{wire.PLACE_HEADER}: wanted\r\n"
    raw = node.head("GET", wire.shard_path(ID), extra=wanted)
    first = await node.ask(raw)  # its file is not open yet
    assert (first.status, first.body) == (206, body[:1000])
    told = await node.ask(raw)
    assert (told.status, told.body) == (303, b"")
    place = wire.Place.decode(told.headers[wire.PLACE_HEADER])
    check_place(place, body)
    blocks = [body[at : at + wire.BLOCK_BYTES] for at in range(0, size, wire.BLOCK_BYTES)]
    assert place.table == b"".join(crc32c(block).to_bytes(4, "little") for block in blocks)
    drop_from_memory(place.path)
    assert (await node.ask(raw)).status == 206  # it has to be read from the disk, which is for the node to do


async def test_trash_is_readable_and_says_so(node: Node) -> None:
    await node.put(ID, b"hello")
    await node.put(OTHER, content(LARGE))
    assert (await node.ask(node.head("DELETE", wire.shard_path(ID)))).status == 204
    assert (await node.ask(node.head("DELETE", wire.shard_path(ID)))).status == 204
    got = await node.get(ID)
    assert (got.status, got.body, got.headers["x-chunkd-state"]) == (200, b"hello", "trash")
    assert (await node.trash(ID, OTHER, b"\xff" * 17)).status == 204
    head = await node.ask(node.head("HEAD", wire.shard_path(OTHER)))
    assert head.headers["x-chunkd-state"] == "trash"
    assert (await node.put(ID, b"hello")).status == 409


@pytest.mark.parametrize("body", [b"", b"x", b"x" * 18, b"x" * 17 * 4097])
async def test_lists_of_deletions_have_a_form(node: Node, body: bytes) -> None:
    crc = wire.crc_text(crc32c(body))
    assert (await node.ask(node.head("POST", wire.DELETE_PATH, len(body), crc) + body)).status == 400


async def test_deletions_need_the_checksum_that_the_signature_covers(node: Node) -> None:
    await node.put(ID, b"hello")
    assert (await node.ask(node.head("POST", wire.DELETE_PATH, 17) + ID)).status == 400
    wrong = node.head("POST", wire.DELETE_PATH, 17, wire.crc_text(crc32c(OTHER)))
    assert (await node.ask(wrong + ID)).status == 400
    assert (await node.ask(node.head("HEAD", wire.shard_path(ID)))).headers["x-chunkd-state"] == "live"


async def test_list(node: Node) -> None:
    ids = [bytes((group, number)) + bytes(15) for group in (1, 2) for number in range(5)]
    for shard_id in reversed(ids):
        await node.put(shard_id, shard_id)
    await node.trash(ids[7])

    async def page(target: str) -> tuple[list[bytes], bool]:
        got = await node.ask(node.head("GET", target))
        assert got.status == 200
        lines = wire.decode_lines(got.body)
        assert all(line.length == 17 and line.crc32c == crc32c(line.shard_id) for line in lines)
        more = got.headers["x-chunkd-more"] == "1"
        assert got.headers.get("x-chunkd-after") == (lines[-1].shard_id.hex() if more else None)
        return [line.shard_id for line in lines], more

    live = ids[:7] + ids[8:]
    assert await page("/shards") == (live, False)
    assert await page(wire.list_target(b"", b"", 9)) == (live, False)
    assert await page(wire.list_target(b"", b"", 4)) == (live[:4], True)
    assert await page(wire.list_target(b"", live[3], 4)) == (live[4:8], True)
    assert await page(wire.list_target(b"\x02", b"", 10)) == (live[5:], False)
    assert await page(wire.list_target(b"\x02", ids[5], 10, "trash")) == ([ids[7]], False)
    assert await page(wire.list_target(b"", b"", 10, "all")) == (ids, False)
    assert await page(wire.list_target(b"\x03", b"", 10)) == ([], False)


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=10001",
        "limit=x",
        "state=x",
        "prefix=0",
        "prefix=0g",
        "prefix=AB",
        "after=" + "0" * 36,
        "x=1",
        "limit=1&limit=2",
        "limit",
        "&&",
        "prefix=%",
    ],
)
async def test_malformed_lists(node: Node, query: str) -> None:
    assert (await node.ask(node.head("GET", "/shards?" + query))).status == 400


async def test_who_may(node: Node) -> None:
    path = wire.shard_path(ID)
    await node.put(ID, b"hello")
    old = await node.ask(node.head("GET", path, incarnation=2))
    assert (old.status, old.headers["x-chunkd-incarnation"]) == (401, "3")
    assert (await node.ask(node.head("GET", path, expiry=int(time.time()) - 1))).status == 401
    assert (await node.ask(f"GET {path} HTTP/1.1\r\n\r\n".encode())).status == 401
    signed = node.head("GET", path)
    assert (await node.ask(signed)).status == 200
    assert (await node.ask(signed.replace(b"GET", b"DELETE"))).status == 401
    assert (await node.ask(signed.replace(ID.hex().encode(), OTHER.hex().encode()))).status == 401
    # A signature covers the length, so a body cannot be put under another's.
    put = node.head("PUT", path, 5, "00000000").replace(b"content-length: 5", b"content-length: 6")
    assert (await node.ask(put + b"hello!")).status == 401
    for target in ("/health", "/metrics"):
        assert (await node.ask(f"GET {target} HTTP/1.1\r\n\r\n".encode())).status == 200


async def test_until_joined_only_health(node: Node) -> None:
    node.app.joined = False
    assert (await node.ask(node.head("GET", wire.shard_path(ID)))).status == 503
    assert (await node.ask(b"GET /health HTTP/1.1\r\n\r\n")).status == 200


@pytest.mark.parametrize(
    ("method", "target", "length", "status"),
    [
        ("PUT", wire.shard_path(ID), 0, 400),
        ("PUT", wire.shard_path(ID), wire.MAX_SHARD_BYTES + 1, 413),
        ("PUT", "/shards/xyz", 5, 400),
        ("PUT", wire.shard_path(ID).upper(), 5, 404),
        ("PUT", wire.shard_path(ID) + "?x", 5, 400),
        ("PATCH", wire.shard_path(ID), 0, 405),
        ("GET", wire.shard_path(ID), 5, 400),
        ("GET", "/shards/" + "AB" * 17, 0, 400),
        ("GET", "/", 0, 404),
        ("GET", "/shard", 0, 404),
        ("POST", "/shards?x", 17, 404),
        ("PUT", "/shards", 17, 404),
    ],
)
async def test_refusals(node: Node, method: str, target: str, length: int, status: int) -> None:
    assert (await node.ask(node.head(method, target, length, "00000000"))).status == status


async def test_a_length_is_required(node: Node) -> None:
    raw = node.head("PUT", wire.shard_path(ID)).replace(b"content-length: 0\r\n", b"")
    assert (await node.ask(raw)).status == 411


@pytest.mark.parametrize("size", [100_000, LARGE])
async def test_a_client_that_goes_inside_a_body_leaves_nothing(node: Node, size: int) -> None:
    body = content(size)
    crc = wire.crc_text(crc32c(body))
    _, writer = await asyncio.open_connection("127.0.0.1", node.port)
    writer.write(node.head("PUT", wire.shard_path(ID), size, crc) + body[:-1])
    await writer.drain()
    await asyncio.sleep(0.1)
    writer.close()
    for _ in range(100):
        if not node.server.connections and not node.server.streams:
            break
        await asyncio.sleep(0.02)
    assert node.shards.find(ID) is None and not node.temporary_files()
    assert (await node.put(ID, body)).status == 201


async def test_a_full_node_says_507(make_node: Callable[..., Node]) -> None:
    node = make_node(free_floor_bytes=1 << 60)
    node.port = await node.server.listen_tcp("127.0.0.1", 0)
    small, large = await node.put(ID, b"hello"), await node.put(ID, content(LARGE))
    assert (small.status, large.status) == (507, 507)
    assert large.headers["x-chunkd-state"] == "full"
    assert json.loads((await node.ask(b"GET /health HTTP/1.1\r\n\r\n")).body)["state"] == "full"


@pytest.mark.parametrize("is_open", [False, True])
async def test_damage_is_never_served(node: Node, is_open: bool) -> None:
    body = content(200_000)
    await node.put(ID, body)
    if is_open:
        # The next read is answered from the page cache at once, without a thread.
        assert (await node.get(ID)).body == body
    for pack in node.directory.rglob("*"):
        data = bytearray(pack.read_bytes()) if pack.is_file() and "pack" in str(pack.parent) else bytearray()
        at = data.find(body)
        if at >= 0:
            data[at + 100_000] ^= 1
            pack.write_bytes(data)
    got = await node.get(ID)
    assert (got.status, got.headers["x-chunkd-state"]) == (500, "corrupt")
    assert (await node.get(ID, "bytes=0-99")).body == body[:100]


async def test_metrics_count(node: Node) -> None:
    await node.put(ID, b"hello")
    await node.get(ID)
    page = (await node.ask(b"GET /metrics HTTP/1.1\r\n\r\n")).body.decode()
    assert 'chunkd_requests_total{method="PUT",status="201"} 1\n' in page
    assert "chunkd_received_bytes_total 5\n" in page and "chunkd_sent_bytes_total 5\n" in page
    assert "chunkd_shards 1\n" in page and 'chunkd_state{state="ok"} 1\n' in page


async def test_many_at_once(node: Node) -> None:
    async def one(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
        for turn in range(10):
            shard_id = bytes((number, turn)) + bytes(15)
            body = content(1000 + number)
            writer.write(node.head("PUT", wire.shard_path(shard_id), len(body), wire.crc_text(crc32c(body))) + body)
            assert b" 201 " in await reader.readuntil(b"\r\n\r\n")
            writer.write(node.head("GET", wire.shard_path(shard_id)))
            assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(len(body)) == body
        writer.close()

    await asyncio.gather(*[one(number) for number in range(32)])
