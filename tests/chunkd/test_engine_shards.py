"""What the engine does for its callers, and that it is still so after a restart."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from chunkd.blocks import crc32c
from chunkd.database import Database, Entry
from chunkd.errors import BadChecksum, ShardConflict, ShardCorrupt, ShardMissing
from chunkd.packs import pack_path
from chunkd.shards import PutResult
from tests.chunkd.engine_store import Clock, opened, put, put_large, settle, sid, state_of, whole

SIZES = (0, 1, 63, 64, 65, 4096, 65535, 65536, 65537, 200_000)


async def test_small_shards_are_there_again_after_a_restart(store: Path) -> None:
    bodies = {n: random.Random(n).randbytes(size) for n, size in enumerate(SIZES)}
    async with opened(store) as shards:
        for n, body in bodies.items():
            assert await put(shards, n, body) is PutResult.CREATED
            assert await whole(shards, n) == body
    async with opened(store) as shards:
        assert shards.usage().shards == len(bodies)
        for n, body in bodies.items():
            assert await whole(shards, n) == body


async def test_large_shards_are_there_again_after_a_restart(store: Path) -> None:
    bodies = {n: random.Random(n).randbytes(size) for n, size in enumerate((*SIZES, 1_000_000))}
    async with opened(store) as shards:
        for n, body in bodies.items():
            assert await put_large(shards, n, body) is PutResult.CREATED
    async with opened(store) as shards:
        for n, body in bodies.items():
            assert await whole(shards, n) == body
        assert len(list((store / "files").iterdir())) == 4


async def test_ranges_of_both_kinds(store: Path) -> None:
    body = random.Random(1).randbytes(250_000)
    async with opened(store, small_read_bytes=70_000) as shards:
        await put(shards, 1, body)
        await put_large(shards, 2, body)
        random_ = random.Random(2)
        ranges = [(0, 0), (0, 1), (250_000, 250_000), (65_535, 65_537), (131_072, 196_608), (0, 250_000)]
        ranges += [tuple(sorted(random_.choices(range(250_001), k=2))) for _ in range(50)]  # type: ignore[misc]
        for start, stop in ranges:
            for n in (1, 2):
                data, crc, info = await shards.read(sid(n), start, stop)
                assert data == body[start:stop] and crc == crc32c(data) and info.length == len(body)
        with pytest.raises(ValueError, match="not within"):
            await shards.read(sid(1), 0, 250_001)


async def test_missing(store: Path) -> None:
    async with opened(store) as shards:
        assert shards.find(sid(1)) is None
        with pytest.raises(ShardMissing):
            await shards.read(sid(1), 0, 0)
        await shards.trash([sid(1)])


async def test_the_same_again_exists_and_other_content_conflicts(store: Path) -> None:
    async with opened(store) as shards:
        for write in (put, put_large):
            number = 1 if write is put else 2
            assert await write(shards, number, b"one") is PutResult.CREATED
            assert await write(shards, number, b"one") is PutResult.EXISTS
            with pytest.raises(ShardConflict):
                await write(shards, number, b"two")
            assert await put(shards, number, b"one") is PutResult.EXISTS
            assert await put_large(shards, number, b"one") is PutResult.EXISTS
            await shards.trash([sid(number)])
            with pytest.raises(ShardConflict):
                await write(shards, number, b"one")
            assert not list((store / "tmp").iterdir())


async def test_the_same_at_once(store: Path) -> None:
    async with opened(store) as shards:
        writes = [put(shards, 1, b"same"), put_large(shards, 1, b"same"), put(shards, 1, b"same")]
        results = await asyncio.gather(*writes, put(shards, 1, b"else"), return_exceptions=True)
        assert results.count(PutResult.CREATED) == 1 and results.count(PutResult.EXISTS) == 2
        assert sum(isinstance(r, ShardConflict) for r in results) == 1
        assert await whole(shards, 1) == b"same"


async def test_a_wrong_checksum_stores_nothing(store: Path) -> None:
    async with opened(store) as shards:
        with pytest.raises(BadChecksum):
            await shards.put(sid(1), b"body", 1)
        assert shards.find(sid(1)) is None


async def test_a_large_write_of_the_wrong_length(store: Path) -> None:
    async with opened(store) as shards:
        write = shards.begin(sid(1), 100_000)
        await write.write(bytes(99_999))
        with pytest.raises(BadChecksum):
            await write.commit()
        await write.abort()
        write = shards.begin(sid(1), 10)
        with pytest.raises(BadChecksum):
            await write.write(bytes(11))
        await write.abort()
        assert shards.find(sid(1)) is None and not list((store / "tmp").iterdir())


async def test_an_aborted_and_an_abandoned_large_write_leave_nothing(store: Path) -> None:
    async with opened(store) as shards:
        write = shards.begin(sid(1), 300_000)
        await write.write(bytes(200_000))
        await write.abort()
        await write.abort()
        assert not list((store / "tmp").iterdir())
        write = shards.begin(sid(1), 300_000)
        await write.write(bytes(200_000))
        await write.write(bytes(90_000))
    assert list((store / "tmp").iterdir())
    async with opened(store) as shards:
        assert not list((store / "tmp").iterdir()) and shards.find(sid(1)) is None


async def test_a_cancelled_commit_still_ends_well(store: Path) -> None:
    async with opened(store) as shards:
        write = shards.begin(sid(1), 5)
        await write.write(b"12345")
        task = asyncio.create_task(write.commit())
        await asyncio.sleep(0.0005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await write.abort()
        await shards._core.settled(sid(1))
        if shards.find(sid(1)) is not None:
            assert await whole(shards, 1) == b"12345"
        one = asyncio.create_task(put(shards, 2, b"x"))
        await asyncio.sleep(0)
        one.cancel()
        assert await put(shards, 2, b"x") in (PutResult.EXISTS, PutResult.CREATED)


async def test_many_writers_share_commits(store: Path) -> None:
    async with opened(store, queue_bytes=20_000, pack_bytes=1 << 20) as shards:
        bodies = {n: random.Random(n).randbytes(n * 7 % 5000) for n in range(400)}
        await asyncio.gather(*[put(shards, n, body) for n, body in bodies.items()])
        assert shards._core.index.at.batch < 200
        for n, body in bodies.items():
            assert await whole(shards, n) == body


async def test_what_comes_together_is_synced_together(store: Path) -> None:
    async with opened(store) as shards:
        batch = shards._core.index.at.batch
        await asyncio.gather(*[put(shards, n, b"x") for n in range(8)])
        assert shards._core.index.at.batch == batch + 1


async def test_an_id_is_known_whatever_the_order_in_which_ids_came(store: Path) -> None:
    """The database is not asked for an id above all of its writer: not before a checkpoint, nor after, nor after a
    restart."""
    writer = 7 << 72
    async with opened(store) as shards:
        for n in (5, 3, 9, writer + 2, writer + 1):
            assert state_of(shards, n) is None
            assert await put(shards, n, b"one") is PutResult.CREATED
            assert await put(shards, n, b"one") is PutResult.EXISTS
            await shards.checkpoint()
            assert await put(shards, n, b"one") is PutResult.EXISTS
    async with opened(store) as shards:
        for n in (5, 9, writer + 2):
            assert await put(shards, n, b"one") is PutResult.EXISTS
            assert state_of(shards, n + 1) is None
        assert await put(shards, 10, b"one") is PutResult.CREATED
        await shards.trash([sid(10), sid(9)])
        await shards.checkpoint()
        assert [state_of(shards, n) for n in (9, 10, 11)] == ["trash", "trash", None]


async def test_many_deletions_ask_the_database_once(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither before they are logged nor when they are applied, nor when they are purged, one by one."""
    clock = Clock()
    asked: list[bytes] = []
    find = Database.find

    def noted(database: Database, shard_id: bytes) -> Entry | None:
        asked.append(shard_id)
        return find(database, shard_id)

    monkeypatch.setattr(Database, "find", noted)
    async with opened(store, clock=clock) as shards:
        for n in range(40):
            await put(shards, n, b"x")
        await shards.checkpoint()
        del asked[:]
        await shards.trash([sid(n) for n in range(0, 100, 2)])
        assert not asked
        # What a checkpoint has written since is what counts.
        await shards.checkpoint()
        assert [state_of(shards, n) for n in range(4)] == ["trash", "live", "trash", "live"]
        del asked[:]
        clock.seconds += 101
        await settle(shards)
        await shards.checkpoint()
        assert not asked
        assert [state_of(shards, n) for n in range(4)] == [None, "live", None, "live"]
        assert (shards.usage().shards, shards.usage().trashed) == (20, 0)
    async with opened(store, clock=clock) as shards:
        assert [i for i, _ in shards.list(b"", b"", 99, "all")[0]] == [sid(n) for n in range(1, 40, 2)]


async def test_the_list(store: Path) -> None:
    async with opened(store) as shards:
        random_ = random.Random(3)
        numbers = [random_.getrandbits(136) for _ in range(60)]
        for n in numbers[:30]:
            await put(shards, n, b"a")
        await shards.checkpoint()
        for n in numbers[30:]:
            await put(shards, n, b"b")
        await shards.trash([sid(n) for n in numbers[20:40]])
        ids = sorted(sid(n) for n in numbers)
        for state, chosen in (("all", numbers), ("trash", numbers[20:40]), ("live", numbers[:20] + numbers[40:])):
            wanted = sorted(sid(n) for n in chosen)
            got: list[bytes] = []
            after: bytes | None = b""
            while after is not None:
                page, after = shards.list(b"", after, 7, state)
                assert len(page) == 7 or after is None
                assert all(state in ("all", info.state) for _, info in page)
                got += [shard_id for shard_id, _ in page]
            assert got == wanted
        prefix = ids[30][:2]
        assert [i for i, _ in shards.list(prefix, b"", 99, "all")[0]] == [i for i in ids if i.startswith(prefix)]
        assert shards.list(b"\xff", b"", 5, "all") == ([], None)


async def test_a_page_of_the_list_looks_at_so_many_shards_only(store: Path) -> None:
    """What a session wrote may have gone to the trash by the million: nobody else is served while that is walked."""
    async with opened(store, list_entries=10) as shards:
        for n in range(35):
            await put(shards, n, b"x")
        await shards.trash([sid(n) for n in range(33)])
        pages, after = [], b""
        while after is not None:
            page, after = shards.list(b"", after, 7, "live")
            pages.append([shard_id for shard_id, _ in page])
        assert pages == [[], [], [], [sid(33), sid(34)]]


async def test_trash_is_readable_durable_and_purged_in_time(store: Path) -> None:
    clock = Clock()
    async with opened(store, clock=clock) as shards:
        await put(shards, 1, b"small")
        await put_large(shards, 2, b"large" * 50_000)
        await put(shards, 3, b"kept")
        await shards.trash([sid(1), sid(2), sid(1)])
        usage = shards.usage()
        assert (usage.shards, usage.trashed) == (3, 2)
    async with opened(store, clock=clock) as shards:
        for n in (1, 2):
            info = shards.find(sid(n))
            assert info is not None and info.state == "trash"
            await whole(shards, n)
        await settle(shards)
        assert shards.usage().trashed == 2
        clock.seconds += 101
        await settle(shards)
        assert shards.find(sid(1)) is None and shards.find(sid(2)) is None
        assert shards.usage().shards == 1 and shards.usage().trashed == 0
        assert not any(path.is_file() for path in (store / "files").rglob("*"))
    async with opened(store, clock=clock) as shards:
        assert [i for i, _ in shards.list(b"", b"", 9, "all")[0]] == [sid(3)]


async def test_a_flipped_byte_is_never_served(store: Path) -> None:
    body = random.Random(5).randbytes(150_000)
    async with opened(store) as shards:
        await put(shards, 1, body)
        await put_large(shards, 2, body)
    for path in (pack_path(store / "packs", 1), next(p for p in (store / "files").rglob("*") if p.is_file())):
        content = bytearray(path.read_bytes())
        content[70_000] ^= 1
        path.write_bytes(content)
    async with opened(store) as shards:
        for n in (1, 2):
            data, _, _ = await shards.read(sid(n), 0, 65_000)
            assert data == body[:65_000]
            with pytest.raises(ShardCorrupt):
                await shards.read(sid(n), 65_536, 131_072)
            with pytest.raises(ShardCorrupt):
                await whole(shards, n)
        assert {damage.shard_id for damage in shards.damage()} == {sid(1), sid(2)}
        assert shards.usage().damaged == 2 and shards.usage().io_errors > 0


async def test_background_work_runs_and_is_cancelled(store: Path) -> None:
    async with opened(store, tick_seconds=0.001, checkpoint_seconds=0.0) as shards:
        task = asyncio.create_task(shards.run_background())
        for n in range(50):
            await put(shards, n, bytes(1000))
        for _ in range(500):
            await asyncio.sleep(0.002)
            if shards.usage().unsaved == 0:
                break
        assert shards.usage().unsaved == 0
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
