"""Who writes a batch: the loop while the disk is quick, the thread when it is not."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from chunkd import committer
from chunkd.blocks import crc32c
from chunkd.bundle import Packed
from chunkd.errors import StoreReadOnly
from chunkd.shards import PutResult, Shards
from tests.chunkd.engine_store import TINY, FaultyDisk, opened, put, sid, whole

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


async def test_who_fails_to_hear_it_keeps_nobody_from_hearing_it(store: Path) -> None:
    told: list[object] = []

    def deaf(results: object) -> None:
        raise RuntimeError("deaf")

    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
    async with opened(store) as shards:
        for number, stored in enumerate((deaf, told.append)):
            assert shards.store((Packed(sid(number), b"one", crc32c(b"one")),), stored)
        await put(shards, 2, b"two")
        assert told == [[PutResult.CREATED]]
        assert [str(error) for error in reported] == ["deaf"]
        assert await whole(shards, 0) == await whole(shards, 1) == b"one"
        assert shards.usage().queue == 0


async def test_what_has_to_wait_is_not_begun(store: Path) -> None:
    told: list[object] = []
    async with opened(store, queue_bytes=64) as shards:
        one = Packed(sid(1), b"one", crc32c(b"one"))
        assert shards.store((one,), told.append)
        assert not shards.store((one,), told.append), "it is under way"
        assert not shards.store((Packed(sid(2), b"two", crc32c(b"two")),), told.append), "the queue is full"
        assert await put(shards, 1, b"one") is PutResult.EXISTS
        assert told == [[PutResult.CREATED]]
        assert shards.find(sid(2)) is None
