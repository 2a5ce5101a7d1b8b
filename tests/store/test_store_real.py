"""The store against real chunkds: six processes, full-size rows, a kill in the middle."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from s3gate.geometry.extents import unpack
from s3gate.geometry.ids import IdSource, new_session_id
from s3gate.geometry.placement import Group
from s3gate.geometry.plan import plan_groups
from s3gate.geometry.stripe import make_layout
from s3gate.store.budget import Budget
from s3gate.store.errors import ShardCorrupt, WriteFailed
from s3gate.store.limits import StoreLimits
from s3gate.store.node import Node
from s3gate.store.store import Store
from s3gate.store.writer import Written
from tests.fix_page_cache import drop_from_memory
from tests.store.fake_chunkd import KEY
from tests.store.real_chunkd import Cluster, RealChunkd, real_nodes
from tests.store.small_fleet import Body

MIB = 1024 * 1024
LAYOUT = make_layout(1)


class Real:
    def __init__(self, cluster: Cluster, nodes: list[RealChunkd]) -> None:
        self.cluster = cluster
        self.nodes = nodes
        self.budget = Budget(96 * MIB)
        limits = StoreLimits(write_wait_seconds=10.0)
        self.store = Store(KEY, limits, IdSource(new_session_id()), time.time, layout=LAYOUT, budget=self.budget)
        plan = plan_groups(cluster.views(), [])
        self.groups = [Group(n + 1, 1, members) for n, members in enumerate(plan.create)]
        self.tell()

    def tell(self) -> None:
        self.store.update(self.cluster.views(), self.groups, [LAYOUT])

    async def write(self, data: bytes) -> Written:
        blocks = Body(data, LAYOUT.row_bytes).blocks()
        return await self.store.write(bucket="b", key=b"k", length=len(data), blocks=blocks)

    async def read(self, written: Written, length: int, start: int = 0, stop: int | None = None) -> bytes:
        stop = length if stop is None else stop
        pieces = self.store.read(1, written.extents, length, start, stop)
        return b"".join([bytes(piece) async for piece in pieces])


@asynccontextmanager
async def real_store(directory: Path, count: int, *, unix: bool) -> AsyncIterator[Real]:
    async with real_nodes(directory, count, unix=unix) as (cluster, nodes):
        real = Real(cluster, nodes)
        try:
            yield real
        finally:
            await real.store.close()


async def test_bytes_go_there_and_back(tmp_path: Path) -> None:
    async with real_store(tmp_path, 6, unix=True) as real:
        for length in (1, 4096, 65_537, 400_000, 3 * MIB, 5 * MIB, 8 * MIB + 3, 70 * MIB):
            data = os.urandom(length)
            written = await real.write(data)
            assert await real.read(written, length) == data
            middle = await real.read(written, length, length // 3, length // 2)
            assert middle == data[length // 3 : length // 2]
            if length <= LAYOUT.row_bytes:
                assert await real.store.read_small(1, written.extents, length, 0, length) == data


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The statuses of what nodes answered to GETs."""
    statuses: list[int] = []
    settle = Node.settle

    async def noting(self: Node, *given: Any) -> Any:
        answer = await settle(self, *given)
        statuses.append(answer.status if answer is not None else 0)
        return answer

    monkeypatch.setattr(Node, "settle", noting)
    return statuses


def flip(path: Path, piece: bytes) -> None:
    """Damages a file that holds these bytes."""
    at = path.read_bytes().find(piece)
    if at >= 0:
        with open(path, "r+b") as file:
            file.seek(at)
            file.write(bytes([piece[0] ^ 1]))


def files_of(nodes: list[RealChunkd]) -> list[Path]:
    """The files that hold shards."""
    return [
        path
        for node in nodes
        for room in ("packs", "files")
        for path in (node.directory / room).rglob("*")
        if path.is_file()
    ]


async def test_nodes_on_this_host_lend_what_is_in_memory(tmp_path: Path, sent: list[int]) -> None:
    length = 70 * MIB + 12_345
    async with real_store(tmp_path, 6, unix=True) as real:
        data = os.urandom(length)
        written = await real.write(data)
        assert await real.read(written, length) == data
        assert await real.read(written, length) == data
        sent.clear()
        before = real.store.lent_bytes
        assert await real.read(written, length) == data
        assert real.store.lent_bytes == before + length
        for start, stop in ((0, 1), (MIB - 5, 9 * MIB + 7), (63 * MIB - 1, 63 * MIB + 1), (length - 3 * MIB, length)):
            assert await real.read(written, length, start, stop) == data[start:stop]
        assert sent == []
        # What is not in memory is for the nodes to read, for all pieces at once.
        for path in files_of(real.nodes):
            drop_from_memory(path)
        assert await real.read(written, length, 0, 20 * MIB) == data[: 20 * MIB]
        assert set(sent) == {206}


async def test_small_reads_of_what_was_lent(tmp_path: Path, sent: list[int]) -> None:
    length = 600 * 1024
    async with real_store(tmp_path, 6, unix=True) as real:
        data = os.urandom(length)
        written = await real.write(data)
        for _ in range(2):
            assert await real.store.read_small(1, written.extents, length, 0, length) == data
        assert real.store.lent_bytes == length  # the first one opened the files
        sent.clear()
        assert await real.store.read_small(1, written.extents, length, 0, length) == data
        assert await real.store.read_small(1, written.extents, length, 100, 350_000) == data[100:350_000]
        assert sent == [] and real.store.lent_bytes == 2 * length + 349_900
        for path in files_of(real.nodes):
            drop_from_memory(path)
        assert await real.store.read_small(1, written.extents, length, 0, length) == data
        assert sent == [200] * 6


async def test_damage_to_what_was_lent_is_never_served(tmp_path: Path) -> None:
    async with real_store(tmp_path, 6, unix=True) as real:
        data = os.urandom(MIB)
        written = await real.write(data)
        for _ in range(2):
            assert await real.read(written, MIB) == data
        for path in files_of(real.nodes):
            flip(path, data[500_000:500_064])
        with pytest.raises(ShardCorrupt):
            await real.read(written, MIB)


async def test_a_node_that_has_gone_lends_nothing(tmp_path: Path) -> None:
    async with real_store(tmp_path, 6, unix=True) as real:
        data = os.urandom(MIB)
        written = await real.write(data)
        for _ in range(2):
            assert await real.read(written, MIB) == data
        shards = places(real, written)
        assert all(real.store.fleet.nodes[node].loans.get(shard) for node, shard in shards)
        for node in real.nodes:
            await node.kill()
        await asyncio.sleep(0.5)
        assert not any(real.store.fleet.nodes[node].loans.get(shard) for node, shard in shards)


def places(real: Real, written: Written) -> list[tuple[bytes, bytes]]:
    extent = unpack(written.extents)[0]
    group = next(group for group in real.groups if group.group_id == extent.group_id)
    return [(node_id, extent.segment_id + bytes([slot])) for slot, node_id in enumerate(group.nodes)]


async def test_far_nodes_are_asked_for_bytes(tmp_path: Path, sent: list[int]) -> None:
    async with real_store(tmp_path, 6, unix=False) as real:
        data = os.urandom(MIB)
        written = await real.write(data)
        sent.clear()
        for _ in range(3):
            assert await real.read(written, MIB) == data
        assert sent == [200] * 18


async def test_shards_are_listed_and_trashed(tmp_path: Path) -> None:
    async with real_store(tmp_path, 7, unix=False) as real:
        written = await real.write(os.urandom(2 * MIB))
        extent = unpack(written.extents)[0]
        group = next(group for group in real.groups if group.group_id == extent.group_id)
        for slot, node_id in enumerate(group.nodes):
            shard_id = extent.segment_id + bytes([slot])
            listed, following = await real.store.list_shards(node_id, extent.segment_id[:8], b"", 100)
            assert [one.shard_id for one in listed] == [shard_id]
            assert following is None
            assert await real.store.stat(node_id, shard_id) == listed[0]
            await real.store.trash(node_id, [shard_id])
            assert (await real.store.list_shards(node_id, extent.segment_id[:8], b"", 100))[0] == []
            known = await real.store.stat(node_id, shard_id)
            assert known is not None
            assert known.state == "trash"


async def test_a_node_is_killed_and_comes_back(tmp_path: Path) -> None:
    async with real_store(tmp_path, 6, unix=True) as real:
        acknowledged: list[tuple[Written, bytes]] = []
        stop = asyncio.Event()

        async def client(size: int) -> None:
            while not stop.is_set():
                data = os.urandom(size)
                try:
                    acknowledged.append((await real.write(data), data))
                except WriteFailed as failed:
                    assert size > LAYOUT.row_bytes, failed

        clients = [asyncio.create_task(client(size)) for size in (*[4096] * 16, 500_000, 7 * MIB)]
        for number in (2, 4):
            await asyncio.sleep(0.4)
            await real.nodes[number].kill()
            await real.nodes[number].start()
            real.tell()
        for _ in range(20):
            data = os.urandom(4096)
            acknowledged.append((await real.write(data), data))
        stop.set()
        await asyncio.gather(*clients)
        for written, data in acknowledged:
            assert await real.read(written, len(data)) == data
