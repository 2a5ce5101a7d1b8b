"""Zeros ahead, compaction, scrub, emptying the trash early."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from chunkd.check import check
from chunkd.errors import ShardCorrupt
from chunkd.packs import pack_numbers, pack_path
from chunkd.recovery import INDEX
from tests.chunkd.engine_store import (
    Clock,
    FaultyDisk,
    forget_last_checkpoint,
    opened,
    purge,
    put,
    put_large,
    settle,
    sid,
    state_of,
    whole,
)


def _packs(store: Path) -> list[int]:
    return pack_numbers(store / "packs", FaultyDisk())


async def test_the_pack_is_zero_ahead_of_its_end(store: Path) -> None:
    async with opened(store) as shards:
        await put(shards, 1, bytes(range(256)))
        await settle(shards)
        size = pack_path(store / "packs", 1).stat().st_size
        assert size >= 32 * 1024
        await put(shards, 2, b"x" * 1000)
        assert pack_path(store / "packs", 1).stat().st_size == size
        for n in range(3, 20):
            await put(shards, n, random.Random(n).randbytes(4000))
            await settle(shards)
        assert _packs(store) == [1, 2]
    assert check(store).sound


async def test_compaction_gives_space_back_and_keeps_the_rest(store: Path) -> None:
    clock = Clock()
    bodies = {n: random.Random(n).randbytes(3000) for n in range(100)}
    async with opened(store, clock=clock) as shards:
        for n, body in bodies.items():
            await put(shards, n, body)
        before = _packs(store)
        await shards.trash([sid(n) for n in bodies if n % 5])
        clock.seconds += 101
        await settle(shards)
        assert len(_packs(store)) <= len(before) // 2
        for n, body in bodies.items():
            assert (shards.find(sid(n)) is None) == bool(n % 5)
            if n % 5 == 0:
                assert await whole(shards, n) == body
    assert check(store).problems == []
    (store / INDEX).unlink()
    async with opened(store, clock=clock) as shards:
        assert shards.usage().shards == 20 and shards.usage().trashed == 0
    assert check(store).problems == []


async def test_compaction_may_stop_after_any_step(store: Path) -> None:
    clock = Clock()
    bodies = {n: random.Random(n).randbytes(900) for n in range(200)}
    async with opened(store, clock=clock, pack_bytes=32 * 1024, compaction_bytes=2000) as shards:
        for n, body in bodies.items():
            await put(shards, n, body)
        await shards.trash([sid(n) for n in bodies if n % 3])
        clock.seconds += 101
        await purge(shards)
    for steps in range(1, 60, 4):
        async with opened(store, clock=clock, pack_bytes=32 * 1024, compaction_bytes=2000) as shards:
            for _ in range(steps % 17):
                await shards._upkeep.compactor.step()
            if steps % 8 == 1:
                forget_last_checkpoint(shards)
        if steps % 12 == 1:
            (store / INDEX).unlink()
        async with opened(store, clock=clock, pack_bytes=32 * 1024) as shards:
            assert [i for i, _ in shards.list(b"", b"", 999, "all")[0]] == [sid(n) for n in bodies if n % 3 == 0]
            for n in range(0, 200, 3):
                assert await whole(shards, n) == bodies[n]


async def test_marks_outlive_the_pack_they_were_written_in(store: Path) -> None:
    """The TRASH records lie in a pack that is compacted while their shards are still in the trash."""
    clock = Clock()
    async with opened(store, clock=clock) as shards:
        for n in range(10):
            await put(shards, n, bytes(6000))
        await put_large(shards, 10, bytes(300_000))
        await shards.trash([sid(n) for n in range(0, 11, 2)])
        for n in range(11, 40):
            await put(shards, n, bytes(6000))
        clock.seconds += 50
        await shards.trash([sid(n) for n in range(11, 40)])
        clock.seconds += 40
        # Only the later ones are purged; the marks of the others have to be carried on.
        await shards._upkeep.purger._purge([sid(n) for n in range(11, 40)], 0)
        await settle(shards)
        assert 1 in _packs(store)
        marks = [n for n in range(11) if state_of(shards, n) == "trash"]
        assert marks == list(range(0, 11, 2))
    (store / INDEX).unlink()
    async with opened(store, clock=clock) as shards:
        assert [n for n in range(11) if state_of(shards, n) == "trash"] == marks
        assert [n for n in range(11) if state_of(shards, n) == "live"] == list(range(1, 11, 2))
    assert check(store).problems == []


async def test_purged_shards_stay_purged_when_the_index_is_lost(store: Path) -> None:
    """Their bodies lie in a pack that is mostly alive, their PURGE records in one that is compacted."""
    clock = Clock()
    async with opened(store, clock=clock) as shards:
        for n in range(20):
            await put(shards, n, bytes(3000))
        await shards.trash([sid(n) for n in range(3)])
        clock.seconds += 101
        await purge(shards)
        assert shards.find(sid(0)) is None
        for n in range(20, 60):
            await put(shards, n, bytes(3000))
        await shards.trash([sid(n) for n in range(20, 60)])
        clock.seconds += 101
        await settle(shards)
        assert _packs(store)[0] == 1 and 2 not in _packs(store)
    (store / INDEX).unlink()
    async with opened(store, clock=clock) as shards:
        assert [i for i, _ in shards.list(b"", b"", 99, "all")[0]] == [sid(n) for n in range(3, 20)]


async def test_a_damaged_pack_is_never_unlinked(store: Path) -> None:
    clock = Clock()
    async with opened(store, clock=clock) as shards:
        for n in range(40):
            await put(shards, n, random.Random(n).randbytes(3000))
        await shards.trash([sid(n) for n in range(1, 40)])
        clock.seconds += 101
        await purge(shards)
        await shards.checkpoint()
        path = pack_path(store / "packs", 1)
        content = bytearray(path.read_bytes())
        content[500] ^= 1
        path.write_bytes(content)
        await settle(shards)
        assert 1 in _packs(store)
        with pytest.raises(ShardCorrupt):
            await whole(shards, 0)


async def test_the_trash_goes_early_when_space_is_short(store: Path) -> None:
    disk = FaultyDisk()
    async with opened(store, disk=disk, free_short_bytes=1000) as shards:
        await put(shards, 1, b"x")
        await put_large(shards, 2, bytes(300_000))
        await shards.trash([sid(1), sid(2)])
        await settle(shards)
        assert shards.usage().trashed == 2
        disk.free = 900
        await settle(shards)
        assert shards.usage().shards == 0


async def test_scrub_finds_damage_and_goes_round_again(store: Path) -> None:
    clock = Clock()
    async with opened(store, clock=clock, scrub_bytes=10_000, scrub_seconds=1.0) as shards:
        for n in range(40):
            await put(shards, n, random.Random(n).randbytes(3000))
        await put_large(shards, 40, bytes(300_000))
        await shards.checkpoint()
        path = pack_path(store / "packs", 1)
        content = bytearray(path.read_bytes())
        content[20] ^= 1
        content[20_000] ^= 1
        path.write_bytes(content)
        large = next(p for p in (store / "files").rglob("*") if p.is_file())
        content = bytearray(large.read_bytes())
        content[100_000] ^= 1
        large.write_bytes(content)
        for _ in range(60):
            clock.seconds += 1
            await shards._upkeep.scrubber.step()
        found = {damage.shard_id for damage in shards.damage()}
        assert {sid(0), sid(40), None} <= found and len(found) == 4
        count = len(shards.damage())
        for _ in range(60):
            clock.seconds += 1
            await shards._upkeep.scrubber.step()
        assert len(shards.damage()) == count
    async with opened(store, clock=clock) as shards:
        assert len(shards.damage()) == count
    report = check(store)
    assert not report.sound and len(report.problems) >= 3
