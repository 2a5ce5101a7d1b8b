import asyncio

import pytest

from s3gate.store.budget import Block, Budget
from s3gate.store.cache import ENTRY_BYTES, ShardCache
from s3gate.store.errors import BudgetExceeded, StoreError, WriteCancelled, WriteFailed
from s3gate.store.limits import SMALL_BYTES


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_nobody_overtakes() -> None:
    budget = Budget(100)
    await budget.acquire(80)
    order: list[int] = []

    async def take(size: int) -> None:
        await budget.acquire(size)
        order.append(size)

    tasks = [asyncio.create_task(take(size)) for size in (60, 10, 20)]
    await settle()
    assert order == []
    assert budget.waiting == 3
    assert not budget.try_acquire(1)
    budget.release(30)
    await settle()
    assert order == []
    budget.release(50)
    await asyncio.gather(*tasks)
    assert order == [60, 10, 20]
    assert budget.free == 10


async def test_small_ones_never_stand_behind_rows() -> None:
    row = SMALL_BYTES + 1
    budget = Budget(row, SMALL_BYTES)
    assert budget.longest_wait_seconds() == 0
    await budget.acquire(row)
    waiting = asyncio.create_task(budget.acquire(row))
    await asyncio.sleep(0.05)
    assert not budget.try_acquire(row)
    assert budget.longest_wait_seconds() > 0.04
    assert budget.try_acquire(SMALL_BYTES)
    assert not budget.try_acquire(1)
    assert (budget.free, budget.waiting, budget.total) == (0, 1, row + SMALL_BYTES)
    budget.release(SMALL_BYTES)
    assert not waiting.done()
    budget.release(row)
    await waiting
    budget.release(row)
    assert budget.free == budget.total


async def test_what_is_read_ahead_leaves_half_to_others() -> None:
    budget = Budget(100)
    assert budget.try_acquire_spare(30)
    assert budget.try_acquire_spare(20)
    assert not budget.try_acquire_spare(1)
    await budget.acquire(50)
    budget.release(60)
    waiting = asyncio.create_task(budget.acquire(70))
    await settle()
    assert not budget.try_acquire_spare(5)
    budget.release(40)
    await waiting


async def test_what_is_kept_makes_way_for_everybody() -> None:
    budget = Budget(100)
    first, second = budget.kept(), budget.kept()
    first.add(memoryview(bytes(10)))
    second.add(memoryview(bytes(20)))
    first.add(memoryview(bytes(15)))
    assert (first.count(), second.count(), budget.free) == (2, 1, 55)
    assert budget.try_acquire_spare(50)  # as if nothing were kept
    assert (first.count(), second.count(), budget.free) == (2, 1, 5)
    assert budget.try_acquire(30)  # the oldest goes first, and whole
    assert (first.count(), second.count(), budget.free) == (0, 1, 0)
    waiting = asyncio.create_task(budget.acquire(40))
    await settle()
    assert (second.count(), budget.free) == (0, 20)
    first.add(memoryview(b"x"))
    second.let_go()
    assert (first.count(), budget.free) == (0, 20)
    budget.release(80)
    await waiting
    budget.release(40)
    assert budget.free == budget.total


async def test_rows_are_kept_if_half_of_the_budget_stays_free() -> None:
    budget = Budget(100)
    kept = budget.kept()
    kept.add(memoryview(bytes(30)))
    kept.add(memoryview(bytes(20)))
    assert (kept.count(), budget.free) == (2, 50)
    kept.add(memoryview(b"x"))
    assert (kept.count(), budget.free) == (0, 100)
    assert budget.try_acquire(90)
    waiting = asyncio.create_task(budget.acquire(20))
    await settle()
    budget.release(90)
    await waiting
    budget.release(20)


async def test_what_is_kept_stays_while_it_is_in_use() -> None:
    budget = Budget(100)
    kept = budget.kept()
    kept.add(memoryview(bytes(30)))
    with kept.in_use() as rows:
        assert [len(row) for row in rows] == [30]
        assert not budget.try_acquire(80)
        assert (kept.count(), budget.free) == (1, 70)
    assert budget.try_acquire(80)
    with kept.in_use() as rows:
        assert rows == []
    assert budget.free == 20


async def test_who_came_while_it_was_in_use_gets_it_afterwards() -> None:
    budget = Budget(100)
    kept = budget.kept()
    kept.add(memoryview(bytes(30)))
    with kept.in_use():
        waiting = asyncio.create_task(budget.acquire(80))
        await settle()
        assert not waiting.done()
    await asyncio.wait_for(waiting, 1)
    assert (kept.count(), budget.free) == (0, 20)


async def test_who_leaves_the_queue_lets_others_through() -> None:
    budget = Budget(100)
    await budget.acquire(80)
    large = asyncio.create_task(budget.acquire(90))
    small = asyncio.create_task(budget.acquire(10))
    await settle()
    large.cancel()
    await small
    assert budget.free == 10
    with pytest.raises(asyncio.CancelledError):
        await large


async def test_what_was_given_at_the_moment_of_leaving_comes_back() -> None:
    budget = Budget(100)
    await budget.acquire(100)
    waiting = asyncio.create_task(budget.acquire(60))
    await settle()
    budget.release(100)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert budget.free == 100


async def test_more_than_all_is_refused() -> None:
    with pytest.raises(BudgetExceeded):
        await Budget(10).acquire(11)


def test_a_block_is_released_once() -> None:
    budget = Budget(10)
    assert budget.try_acquire(5)
    block = Block(memoryview(b"12345"), lambda: budget.release(5))
    block.release()
    block.release()
    assert budget.free == 10
    assert not block.data  # a task that waits for the next block would keep these bytes alive, uncounted
    Block(memoryview(b"")).release()


def test_a_cancelled_write_is_both() -> None:
    error = WriteCancelled(asyncio.CancelledError(), [(1, b"x")])
    assert isinstance(error, asyncio.CancelledError)
    assert isinstance(error, WriteFailed)
    assert isinstance(error, StoreError)
    assert error.written == [(1, b"x")]


def test_the_cache_keeps_what_was_used_last() -> None:
    cache = ShardCache(3 * (100 + ENTRY_BYTES))
    for number in range(3):
        cache.put(bytes([number]) * 17, bytes(100))
    assert cache.get(bytes(17)) == bytes(100)
    cache.put(b"x" * 17, bytes(100))
    assert cache.get(b"\x01" * 17) is None
    assert cache.get(bytes(17)) is not None
    cache.put(b"x" * 17, bytes(100))
    assert len(cache) == 3
    cache.put(b"y" * 17, bytes(10_000))
    assert len(cache) == 3


def test_a_cache_of_nothing_keeps_nothing() -> None:
    cache = ShardCache(0)
    cache.put(bytes(17), b"x")
    assert cache.get(bytes(17)) is None
