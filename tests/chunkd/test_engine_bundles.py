"""Bundles in the engine: one sync for all of them, and each of them for itself."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from chunkd.blocks import crc32c
from chunkd.bundle import Packed
from chunkd.errors import BadChecksum, ShardConflict, StoreFull, StoreReadOnly
from chunkd.packs import pack_path
from chunkd.recovery import INDEX
from chunkd.shards import PutResult
from tests.chunkd.engine_store import FaultyDisk, forget_last_checkpoint, opened, put, sid, whole

CREATED, EXISTS = PutResult.CREATED, PutResult.EXISTS


def packed(number: int, body: bytes) -> Packed:
    return Packed(sid(number), body, crc32c(body))


async def test_a_bundle_is_there_again_after_a_restart(store: Path) -> None:
    bodies = {n: random.Random(n).randbytes(size) for n, size in enumerate((1, 63, 64, 4096, 65_536, 65_537, 20_000))}
    async with opened(store) as shards:
        batches = shards._core.index.at.batch
        assert await shards.put_bundle([packed(n, body) for n, body in bodies.items()]) == [CREATED] * 7
        assert shards._core.index.at.batch == batches + 1
        assert await shards.put_bundle([packed(n, body) for n, body in bodies.items()]) == [EXISTS] * 7
        forget_last_checkpoint(shards)
    async with opened(store) as shards:
        for n, body in bodies.items():
            assert await whole(shards, n) == body


async def test_each_is_refused_for_itself(store: Path) -> None:
    async with opened(store) as shards:
        await put(shards, 1, b"one")
        await put(shards, 2, b"two")
        await put(shards, 3, b"three")
        await shards.trash([sid(3)])
        results = await shards.put_bundle(
            [
                packed(1, b"one"),
                packed(2, b"other"),
                packed(3, b"three"),
                Packed(sid(4), b"spoilt", 4),
                packed(5, b"five"),
            ]
        )
        assert results[0] is EXISTS and results[4] is CREATED
        assert [type(one) for one in results[1:4]] == [ShardConflict, ShardConflict, BadChecksum]
        assert await whole(shards, 5) == b"five" and shards.find(sid(4)) is None
        assert not shards._core.pending


async def test_bundles_that_share_shards_do_not_wait_for_each_other(store: Path) -> None:
    async with opened(store) as shards, asyncio.timeout(10):
        one, two = packed(1, b"one"), packed(2, b"two")
        bundles = [shards.put_bundle([one, two]), shards.put_bundle([two, one]), shards.put_bundle([two])]
        singles = [put(shards, 1, b"one"), put(shards, 2, b"two")]
        several, alone = await asyncio.gather(asyncio.gather(*bundles), asyncio.gather(*singles))
        assert [result for results in several for result in results].count(CREATED) + alone.count(CREATED) == 2
        assert not shards._core.pending


async def test_a_full_node_refuses_what_does_not_fit(store: Path) -> None:
    disk = FaultyDisk()
    async with opened(store, disk=disk, free_floor_bytes=1_000_000) as shards:
        disk.free = 1_002_000
        shards._core.measure_space()
        results = await shards.put_bundle([packed(1, bytes(1000)), packed(2, bytes(5000)), packed(3, bytes(100))])
        assert results[0] is CREATED and isinstance(results[1], StoreFull)
        assert await whole(shards, 1) == bytes(1000) and shards.find(sid(2)) is None


async def test_a_full_disk_refuses_what_was_not_written(store: Path) -> None:
    disk = FaultyDisk()
    async with opened(store, disk=disk) as shards:
        await put(shards, 1, b"one")
        disk.room = 100
        results = await shards.put_bundle([packed(1, b"one"), packed(2, bytes(500)), packed(3, bytes(500))])
        assert results[0] is EXISTS and [type(one) for one in results[1:]] == [StoreFull] * 2
        disk.room = None
        assert await shards.put_bundle([packed(2, bytes(500)), packed(3, bytes(500))]) == [CREATED] * 2


async def test_a_failed_sync_acknowledges_none(store: Path) -> None:
    disk = FaultyDisk()
    async with opened(store, disk=disk) as shards:
        await put(shards, 1, b"one")
        disk.fail_sync = True
        bundles = [shards.put_bundle([packed(n, b"lost"), packed(n + 1, b"lost")]) for n in (10, 20)]
        for results in await asyncio.gather(*bundles):
            assert [type(one) for one in results] == [StoreReadOnly] * 2
        disk.fail_sync = False
        assert isinstance((await shards.put_bundle([packed(30, b"after")]))[0], StoreReadOnly)
        assert await shards.put_bundle([packed(1, b"one")]) == [EXISTS]
        assert shards.find(sid(10)) is None and not shards._core.pending


async def test_a_torn_bundle_is_erased_and_says_nothing_wrong(store: Path) -> None:
    bodies = {n: random.Random(n).randbytes(700) for n in range(1, 7)}
    async with opened(store) as shards:
        await put(shards, 0, b"before")
        await shards.put_bundle([packed(n, body) for n, body in bodies.items()])
        forget_last_checkpoint(shards)
    path = pack_path(store / "packs", 1)
    content = path.read_bytes()
    for cut in range(200, len(content), 333):
        path.write_bytes(content[:cut] + bytes(5000))
        (store / INDEX).unlink(missing_ok=True)
        async with opened(store) as shards:
            assert shards.damage() == ()
            assert await whole(shards, 0) == b"before"
            here = [n for n in bodies if shards.find(sid(n))]
            for n in here:
                assert await whole(shards, n) == bodies[n]
            assert here == list(range(1, len(here) + 1))
