"""Disks that fail or fill up, directories that are not ours, data that is gone."""

from __future__ import annotations

import asyncio
import errno
import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from chunkd.blocks import crc32c
from chunkd.check import check
from chunkd.disk import Disk, Space
from chunkd.errors import StoreFull, StoreReadOnly, StoreRefused, SyncFailed
from chunkd.packs import pack_path
from chunkd.recovery import INDEX, rebuild_index
from chunkd.shards import Shards
from chunkd.superblock import clear_read_only, initialise, load_superblock
from tests.chunkd.engine_store import (
    TINY,
    Clock,
    FaultyDisk,
    forget_last_checkpoint,
    opened,
    put,
    put_large,
    settle,
    sid,
    state_of,
    whole,
)

# --- directories that are refused ---


def _check_elsewhere(store: Path) -> str:
    program = f"import chunkd.check, pathlib; chunkd.check.check(pathlib.Path({str(store)!r}))"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False).stderr


async def test_one_process_at_a_time(store: Path) -> None:
    async with opened(store):
        with pytest.raises(StoreRefused, match="in use"):
            Shards.open(store, limits=TINY, now=Clock())
        with pytest.raises(StoreRefused, match="in use"):
            check(store)
        with pytest.raises(StoreRefused, match="in use"):
            rebuild_index(store)
        assert "in use" in _check_elsewhere(store)
    async with opened(store):
        pass


def test_foreign_and_unmounted_directories_are_refused(tmp_path: Path, store: Path) -> None:
    with pytest.raises(StoreRefused, match="no superblock"):
        Shards.open(tmp_path, limits=TINY, now=Clock())
    with pytest.raises(StoreRefused, match="no superblock"):
        Shards.open(tmp_path / "nowhere", limits=TINY, now=Clock())
    assert not (tmp_path / "lock").exists()
    with pytest.raises(StoreRefused, match="belongs to cluster"):
        Shards.open(store, limits=TINY, now=Clock(), cluster_id=b"d" * 16)
    with pytest.raises(StoreRefused, match="not empty"):
        initialise(store, cluster_id=b"d" * 16)
    with pytest.raises(StoreRefused, match="not empty"):
        initialise(tmp_path, cluster_id=b"d" * 16)
    superblock = (store / "superblock").read_bytes()
    (store / "superblock").write_bytes(superblock.replace(b'"incarnation": 0', b'"incarnation": 1'))
    with pytest.raises(StoreRefused, match="damaged"):
        Shards.open(store, limits=TINY, now=Clock())


async def test_the_superblock_remembers_a_join(store: Path) -> None:
    async with opened(store) as shards:
        before = shards.superblock
        shards.save_superblock(incarnation=3, nonce=b"\x01\x02")
    after = load_superblock(store, Disk())
    assert (after.incarnation, after.nonce, after.node_id) == (3, b"\x01\x02", before.node_id)


async def test_an_index_without_its_data_is_refused(store: Path) -> None:
    async with opened(store) as shards:
        for n in range(60):
            await put(shards, n, random.Random(n).randbytes(3000))
        await put_large(shards, 100, b"large")
    first = pack_path(store / "packs", 1)
    kept = first.read_bytes()
    first.unlink()
    with pytest.raises(StoreRefused, match="missing"):
        Shards.open(store, limits=TINY, now=Clock())
    first.write_bytes(kept[:1000])
    with pytest.raises(StoreRefused, match="shorter"):
        Shards.open(store, limits=TINY, now=Clock())
    first.write_bytes(kept)
    (store / "files" / "00000001").rename(store / "away")
    with pytest.raises(StoreRefused, match="missing"):
        Shards.open(store, limits=TINY, now=Clock())
    (store / "away").rename(store / "files" / "00000001")
    (store / "packs").rename(store / "away")
    with pytest.raises(StoreRefused, match="missing"):
        Shards.open(store, limits=TINY, now=Clock())
    (store / "away").rename(store / "packs")
    async with opened(store) as shards:
        assert shards.usage().shards == 61
    first.unlink()
    assert not check(store).sound
    rebuilt = rebuild_index(store)
    async with opened(store) as shards:
        assert shards.usage().shards == rebuilt < 61
        assert await whole(shards, 100) == b"large"


# --- an index that is lost ---


@pytest.mark.parametrize("way", ["unlinked", "empty", "garbage", "torn"])
async def test_a_lost_index_is_rebuilt(store: Path, way: str) -> None:
    async with opened(store) as shards:
        for n in range(60):
            await put(shards, n, random.Random(n).randbytes(2000))
        for n in range(60, 65):
            await put_large(shards, n, random.Random(n).randbytes(100_000))
        await shards.trash([sid(n) for n in range(0, 65, 7)])
    index = store / INDEX
    if way == "unlinked":
        index.unlink()
    elif way == "empty":
        index.write_bytes(b"")
    elif way == "garbage":
        index.write_bytes(random.Random(1).randbytes(20_000))
    else:
        index.write_bytes(index.read_bytes()[:5000])
    async with opened(store) as shards:
        usage = shards.usage()
        assert (usage.shards, usage.trashed) == (65, 10)
        for n in range(65):
            size = 2000 if n < 60 else 100_000
            assert await whole(shards, n) == random.Random(n).randbytes(size)
            assert state_of(shards, n) == ("live" if n % 7 else "trash")
    report = check(store)
    assert report.problems == [] and report.shards == 65 and report.files == 5


async def test_check_compares_the_index_with_the_data(store: Path) -> None:
    async with opened(store) as shards:
        for n in range(5):
            await put(shards, n, b"body")
    connection = sqlite3.connect(store / INDEX)
    connection.execute("DELETE FROM shard WHERE id = ?", (sid(1),))
    connection.execute("INSERT INTO shard SELECT ?, length, crc, state, 0, 1, 0 FROM shard LIMIT 1", (sid(9),))
    connection.execute("UPDATE shard SET length = 99 WHERE id = ?", (sid(2),))
    connection.commit()
    connection.close()
    problems = check(store).problems
    assert len(problems) == 3
    assert "on disk but not in the index" in problems[0]
    assert "not on disk" in problems[2]
    assert rebuild_index(store) == 5
    assert check(store).problems == []


# --- the end of the log ---


async def _killed(store: Path, bodies: dict[int, bytes]) -> None:
    """One batch per shard, and no checkpoint."""
    async with opened(store, pack_bytes=1 << 20) as shards:
        for n, body in bodies.items():
            await put(shards, n, body)
        forget_last_checkpoint(shards)


BODIES = {n: random.Random(n).randbytes(1000 + n) for n in range(10)}


async def test_a_torn_tail_is_erased(store: Path) -> None:
    await _killed(store, BODIES)
    path = pack_path(store / "packs", 1)
    content = path.read_bytes()
    for cut in (len(content) - 1500, len(content) - 500, len(content) - 65):
        path.write_bytes(content[:cut] + bytes(5000))
        assert check(store).torn and check(store).damage == []
        async with opened(store, pack_bytes=1 << 20) as shards:
            assert shards.damage() == ()
            last = max(n for n in BODIES if shards.find(sid(n)))
            assert [n for n in BODIES if shards.find(sid(n))] == list(range(last + 1)) and last >= 7
            await put(shards, 99, b"new")
        async with opened(store, pack_bytes=1 << 20) as shards:
            assert await whole(shards, 99) == b"new" and await whole(shards, 5) == BODIES[5]
        (store / INDEX).unlink()
        path.write_bytes(content)


async def test_damage_before_the_last_batch_is_no_torn_tail(store: Path) -> None:
    await _killed(store, BODIES)
    path = pack_path(store / "packs", 1)
    content = path.read_bytes()
    for at, lost in ((0, 0), (500, None)):
        damaged = bytearray(content)
        damaged[at] ^= 1
        path.write_bytes(damaged)
        async with opened(store, pack_bytes=1 << 20) as shards:
            assert [n for n in BODIES if not shards.find(sid(n))] == ([] if lost is None else [lost])
            (damage,) = shards.damage()
            assert damage.pack == 1 and damage.place == 0
            for n in range(1, 10):
                assert await whole(shards, n) == BODIES[n]
        assert path.read_bytes()[:500] == damaged[:500]
        (store / INDEX).unlink()


async def test_damage_before_the_checkpoint_is_no_torn_tail(store: Path) -> None:
    """The last batch was confirmed by a checkpoint: rot in it is reported even when the index is made anew."""
    async with opened(store, pack_bytes=1 << 20) as shards:
        for n, body in BODIES.items():
            await put(shards, n, body)
    path = pack_path(store / "packs", 1)
    content = bytearray(path.read_bytes())
    content[-200] ^= 1
    path.write_bytes(content)
    report = check(store)
    assert not report.torn and len(report.damage) == 1
    assert rebuild_index(store) == 10
    async with opened(store, pack_bytes=1 << 20) as shards:
        assert len(shards.damage()) == 1 and shards.find(sid(9)) is not None


async def test_a_half_renamed_file(store: Path) -> None:
    """kill -9 before the rename: the temporary file goes. After it, with the index behind: the file is found."""
    async with opened(store) as shards:
        await put_large(shards, 1, b"one" * 50_000)
        forget_last_checkpoint(shards)
    path = next(p for p in (store / "files").rglob("*") if p.is_file())
    (store / "tmp" / "x.1").write_bytes(path.read_bytes())
    async with opened(store) as shards:
        assert await whole(shards, 1) == b"one" * 50_000
        assert not list((store / "tmp").iterdir())


# --- full ---


async def test_below_the_floor_it_is_full(store: Path) -> None:
    disk = FaultyDisk()
    async with opened(store, disk=disk, free_floor_bytes=1_000_000) as shards:
        await put(shards, 1, b"x")
        disk.free = 999_999
        shards._core.measure_space()
        with pytest.raises(StoreFull):
            await put(shards, 2, b"x")
        with pytest.raises(StoreFull):
            shards.begin(sid(3), 5)
        assert shards.usage().state == "full" and shards.usage().free_bytes == 0
        await shards.trash([sid(1)])
        disk.free = 10_000_000
        shards._core.measure_space()
        await put(shards, 2, b"x")
        assert shards.usage().state == "ok"


async def test_the_log_says_once_that_there_is_no_room(store: Path, caplog: pytest.LogCaptureFixture) -> None:
    disk = FaultyDisk()
    async with opened(store, disk=disk, free_floor_bytes=1_000_000) as shards:
        for free in (999_999, 999_998, 10_000_000, 10_000_000):
            disk.free = free
            await shards._upkeep.unit()
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        f"{store} is full, and takes no writes: 999999 bytes are free, the floor is 1000000",
        f"{store} is no longer full: 10000000 bytes are free, the floor is 1000000",
    ]


async def test_a_full_disk_fails_the_write_and_nothing_else(store: Path) -> None:
    disk = FaultyDisk()
    async with opened(store, disk=disk, pack_bytes=1 << 20) as shards:
        await put(shards, 1, b"one")
        for room in (0, 100, 2000):
            disk.room = room
            with pytest.raises(StoreFull):
                await put(shards, 2, bytes(4000))
            with pytest.raises(StoreFull):
                await put_large(shards, 3, bytes(300_000))
            disk.room = None
        assert shards.usage().state == "ok"
        await put(shards, 4, b"four")
        await put(shards, 2, b"two")
        await put_large(shards, 3, b"three")
        forget_last_checkpoint(shards)
    async with opened(store) as shards:
        assert shards.damage() == ()
        assert [await whole(shards, n) for n in (1, 2, 3, 4)] == [b"one", b"two", b"three", b"four"]


async def test_a_full_disk_whose_space_cannot_be_asked_for(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = FaultyDisk()
    async with opened(store, disk=disk) as shards:
        await put(shards, 1, b"one")

        def broken(path: Path) -> Space:
            raise OSError(errno.EIO, "injected")

        with monkeypatch.context() as patched:
            patched.setattr(disk, "space", broken)
            disk.room = 0
            with pytest.raises(StoreFull):
                await asyncio.wait_for(put(shards, 2, b"two"), 5)
        disk.room = None
        await put(shards, 2, b"two")


# --- law 8 ---


async def test_a_failed_sync_makes_it_read_only_until_it_is_cleared(store: Path) -> None:
    disk = FaultyDisk()
    async with opened(store, disk=disk) as shards:
        await put(shards, 1, b"before")
        disk.fail_sync = True
        results = await asyncio.gather(*[put(shards, n, b"lost") for n in range(2, 30)], return_exceptions=True)
        assert all(isinstance(result, StoreReadOnly) for result in results)
        disk.fail_sync = False
        with pytest.raises(StoreReadOnly):
            await put(shards, 30, b"after")
        with pytest.raises(StoreReadOnly):
            shards.begin(sid(31), 5)
        with pytest.raises(StoreReadOnly):
            await shards.trash([sid(1)])
        assert await whole(shards, 1) == b"before" and shards.find(sid(2)) is None
        assert shards.usage().state == "read-only" and shards.usage().io_errors
        await settle(shards)
    async with opened(store) as shards:
        assert shards.usage().state == "read-only" and "injected" in shards.usage().reason
        assert await whole(shards, 1) == b"before"
        with pytest.raises(StoreReadOnly):
            await put(shards, 30, b"after")
    with pytest.raises(StoreRefused, match="read-only"):
        rebuild_index(store)
    assert "injected" in (clear_read_only(store) or "")
    assert clear_read_only(store) is None
    async with opened(store) as shards:
        assert shards.usage().state == "ok"
        await put(shards, 30, b"after")


async def test_who_waits_outside_hears_of_a_failed_sync_too(store: Path) -> None:
    disk = FaultyDisk()
    async with opened(store, disk=disk, queue_bytes=5000) as shards:
        disk.fail_sync = True
        writes = [put(shards, n, bytes(4000)) for n in range(30)]
        results = await asyncio.wait_for(asyncio.gather(*writes, return_exceptions=True), 5)
        assert all(isinstance(result, StoreReadOnly) for result in results)


async def test_what_cannot_be_applied_is_acknowledged_to_nobody_and_stops_all_writing(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(store) as shards:
        await put(shards, 1, b"one")
        await shards.checkpoint()

        def unreadable(*_: object) -> None:
            raise sqlite3.OperationalError("disk I/O error")

        monkeypatch.setattr(shards._core.index, "mark", unreadable)
        writes = [shards.trash([sid(1)]), *[put(shards, n, b"more") for n in range(2, 5)]]
        results = await asyncio.wait_for(asyncio.gather(*writes, return_exceptions=True), 5)
        assert all(isinstance(result, StoreReadOnly) for result in results)
        with pytest.raises(StoreReadOnly):
            await put(shards, 9, b"after")
        assert shards.usage().state == "read-only" and not shards._core.pending
    clear_read_only(store)
    async with opened(store) as shards:
        assert state_of(shards, 1) == "trash" and await whole(shards, 2) == b"more"


async def test_a_stream_that_cannot_be_cleared_away_is_over_all_the_same(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FaultyDisk()
    async with opened(store, disk=disk) as shards:
        write = shards.begin(sid(1), 300_000)
        await write.write(bytes(200_000))

        def broken(path: Path) -> None:
            raise OSError(errno.EIO, "injected")

        monkeypatch.setattr(disk, "unlink", broken)
        await write.abort()
        monkeypatch.undo()
    async with opened(store):
        assert not list((store / "tmp").iterdir())


@pytest.mark.parametrize("fault", ["fail_sync", "fail_directory_sync"])
async def test_a_failed_sync_of_a_file(store: Path, fault: str) -> None:
    disk = FaultyDisk()
    async with opened(store, disk=disk) as shards:
        setattr(disk, fault, True)
        with pytest.raises(StoreReadOnly):
            await put_large(shards, 1, bytes(100_000))
        setattr(disk, fault, False)
        assert shards.find(sid(1)) is None and shards.usage().state == "read-only"


async def test_a_failed_sync_while_recovering(store: Path) -> None:
    await _killed(store, BODIES)
    disk = FaultyDisk()
    disk.fail_directory_sync = True
    with pytest.raises(StoreRefused, match="read-only"):
        Shards.open(store, limits=TINY, disk=disk, now=Clock())
    async with opened(store) as shards:
        assert shards.usage().state == "read-only" and shards.usage().shards == len(BODIES)
    index = (store / INDEX).read_bytes()
    (store / INDEX).unlink()
    with pytest.raises(StoreRefused, match="its index is lost"):
        Shards.open(store, limits=TINY, now=Clock())
    (store / INDEX).write_bytes(index)
    assert clear_read_only(store) is not None
    async with opened(store) as shards:
        assert shards.usage().shards == len(BODIES)


async def test_a_failed_commit_of_the_index(store: Path) -> None:
    class Failing(FaultyDisk):
        def commit(self, connection: sqlite3.Connection, path: Path) -> None:
            if self.fail_commit:
                raise SyncFailed(5, "injected")
            super().commit(connection, path)

    disk = Failing()
    async with opened(store, disk=disk) as shards:
        await put(shards, 1, b"one")
        disk.fail_commit = True
        with pytest.raises(StoreReadOnly):
            await shards.checkpoint()
        assert shards.usage().state == "read-only"
        assert await whole(shards, 1) == b"one"
    clear_read_only(store)
    async with opened(store) as shards:
        assert await whole(shards, 1) == b"one"


def test_kill_9_in_the_middle_of_writing(store: Path) -> None:
    """A real process, a real kill: what it said was acknowledged is there."""
    program = f"""
import asyncio, pathlib, random, time
from chunkd.blocks import crc32c
from chunkd.bundle import Packed
from tests.chunkd.engine_store import TINY, put, put_large, sid
from chunkd.shards import Shards
async def main():
    shards = Shards.open(pathlib.Path({str(store)!r}), limits=TINY, now=time.time)
    task = asyncio.create_task(shards.run_background())
    async def client(n):
        while True:
            write = put_large if n % 10 == 9 else put
            await write(shards, n, random.Random(n).randbytes(n * 37 % 9000))
            print(n, flush=True)
            n += 10
    async def bundles(n):
        while True:
            bodies = [(sid(i), random.Random(i).randbytes(i * 37 % 9000)) for i in range(n, n + 5)]
            await shards.put_bundle([Packed(i, body, crc32c(body)) for i, body in bodies])
            print(*range(n, n + 5), sep="\\n", flush=True)
            n += 5
    await asyncio.gather(*[client(n) for n in range(10)], bundles(1 << 40))
asyncio.run(main())
"""
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        said = [int(process.stdout.readline()) for _ in range(300)]
        process.kill()
        said += [int(line) for line in process.stdout.read().split("\n")[:-1]]
        process.wait()
        asyncio.run(_all_there(store, said))
    assert check(store).sound


async def _all_there(store: Path, numbers: list[int]) -> None:
    async with opened(store) as shards:
        assert shards.damage() == ()
        for n in numbers:
            body = random.Random(n).randbytes(n * 37 % 9000)
            info = shards.find(sid(n))
            assert info is not None and info.crc32c == crc32c(body) and await whole(shards, n) == body
