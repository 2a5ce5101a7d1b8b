"""Who writes a batch: the loop while the disk is quick, the thread when it is not."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from chunkd import committer
from chunkd.errors import StoreReadOnly
from chunkd.shards import Shards
from tests.chunkd.engine_store import TINY, FaultyDisk, opened, put, whole

ROOM = 32 * 1024
QUICK, SLOW = 0.0002, 0.02
LEARNT = 3 * committer.USUAL_BATCHES


class TimedDisk(FaultyDisk):
    """Its syncs take as long as the test says; it notes which thread waited for each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.seconds = QUICK
        self.passed = 0.0
        self.by_the_loop: list[bool] = []
        monkeypatch.setattr(committer.time, "perf_counter", lambda: self.passed)

    def fdatasync(self, fd: int) -> None:
        super().fdatasync(fd)
        self.passed += self.seconds
        self.by_the_loop.append(threading.current_thread() is threading.main_thread())


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> TimedDisk:
    return TimedDisk(monkeypatch)


async def put_many(shards: Shards, disk: TimedDisk, first: int, count: int = LEARNT) -> list[bool]:
    """Small shards one after the other, zeros always ahead; who synced each."""
    who = []
    for number in range(first, first + count):
        await put(shards, number, b"%d" % number)
        who.append(disk.by_the_loop[-1])
        shards._core.writer.fill(ROOM)
    return who


async def test_a_disk_that_proved_quick_is_synced_by_the_loop_itself(store: Path, disk: TimedDisk) -> None:
    async with opened(store, disk=disk) as shards:
        who = await put_many(shards, disk, 0)
        assert not who[0] and who[-1]
    async with opened(store) as shards:
        for number in range(LEARNT):
            assert await whole(shards, number) == b"%d" % number


async def test_a_disk_that_became_slow_is_left_to_the_thread(store: Path, disk: TimedDisk) -> None:
    async with opened(store, disk=disk) as shards:
        await put_many(shards, disk, 0)
        disk.seconds = SLOW
        assert not any((await put_many(shards, disk, LEARNT))[1:])
        disk.seconds = QUICK
        assert (await put_many(shards, disk, 2 * LEARNT, 2 * LEARNT))[-1]


async def test_what_is_large_or_finds_no_zeros_is_the_threads(store: Path, disk: TimedDisk) -> None:
    async with opened(store, disk=disk, pack_bytes=TINY.small_shard_bytes * 4) as shards:
        await put_many(shards, disk, 0)
        assert not shards._core.writer.has_zeros(ROOM + 1)
        await put(shards, 1000, bytes(ROOM + 1))
        assert not disk.by_the_loop[-1]
        shards._core.writer.fill(TINY.small_shard_bytes)
        await put(shards, 1001, bytes(committer.INLINE_BYTES))
        assert not disk.by_the_loop[-1]


async def test_a_sync_that_fails_in_the_loop_ends_all_writing(store: Path, disk: TimedDisk) -> None:
    async with opened(store, disk=disk) as shards:
        assert (await put_many(shards, disk, 0))[-1]
        disk.fail_sync = True
        with pytest.raises(StoreReadOnly):
            await put(shards, 1000, b"lost")
        disk.fail_sync = False
        with pytest.raises(StoreReadOnly):
            await put(shards, 1001, b"refused")
