"""A node that fails in the middle of a short segment of several rows: its rows are sent again, elsewhere, as long as
the budget can spare them."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from s3gate.geometry.extents import EXTENT_BYTES, unpack
from s3gate.store.budget import Block
from s3gate.store.errors import NodeFailed, WriteCancelled, WriteFailed
from s3gate.store.limits import KEPT_ROWS
from s3gate.store.writer import Written
from tests.store.fake_chunkd import Fault
from tests.store.small_fleet import LAYOUT, SmallFleet, small_fleet
from tests.store.test_store_faults import check_accounted, cut, garbage, half, status, wrong_crc

ROW = LAYOUT.row_bytes
LENGTH = KEPT_ROWS * ROW - 7
"""As much as is kept, with a short row at the end."""
GROUP = 1
SMALL_BUDGET = 2 * ROW - 2
"""Half of it is less than a row."""


async def write(
    fleet: SmallFleet, data: bytes, at: int = -1, hook: Callable[[], Awaitable[object]] | None = None
) -> Written:
    """Writes to the group, if it takes writes; calls the hook before row `at` is asked for. Every block comes back."""
    held = 0

    def release() -> None:
        nonlocal held
        held -= 1

    async def blocks() -> AsyncIterator[Block]:
        nonlocal held
        for start in range(0, len(data) + ROW, ROW):
            if start == at * ROW and hook is not None:
                await hook()
            if start < len(data):
                held += 1
                yield Block(memoryview(data)[start : start + ROW], release)

    try:
        return await fleet.store.write(bucket="b", key=b"k", length=len(data), blocks=blocks(), group_id=GROUP)
    finally:
        assert held == 0
        assert fleet.budget.free == fleet.budget.total


async def kill(fleet: SmallFleet) -> None:
    """One node of the group, in the middle of a shard."""
    dying = fleet.by_id(fleet.groups[GROUP - 1].nodes[2])
    assert fleet.store.fleet.nodes[dying.node_id].under_way
    await dying.stop()
    await asyncio.sleep(0.01)


async def check(fleet: SmallFleet, written: Written, data: bytes, failures: int) -> None:
    """Everything is there, and what failed on the way is reported with ids of its own (law 3). Connections that were
    there before may cost further tries: those that they were opened to are gone."""
    assert await fleet.read(written, len(data)) == data
    lying = [packed for _, packed in written.abandoned]
    assert len(lying) >= failures
    assert len({packed[:16] for packed in [*lying, written.extents]}) == len(lying) + 1
    await asyncio.sleep(0.05)
    check_accounted(fleet, written.extents, *lying)


@pytest.mark.parametrize("row", range(1, KEPT_ROWS + 1))
async def test_a_node_that_dies_after_a_row_costs_a_try(tmp_path: Path, row: int) -> None:
    async with small_fleet(tmp_path, 7) as fleet:
        data = os.urandom(LENGTH)
        for node in fleet.nodes:
            node.delay_seconds = 0.05  # so that no answer is there before the last one is waited for
        written = await write(fleet, data, row, lambda: kill(fleet))
        assert written.group_id != GROUP
        await check(fleet, written, data, 1)


@pytest.mark.parametrize("fault", [cut(), half, wrong_crc, status(507), status(503), status(409), garbage])
async def test_a_node_that_fails_at_its_answer_costs_a_try(tmp_path: Path, fault: Fault) -> None:
    async with small_fleet(tmp_path, 7) as fleet:
        data = os.urandom(LENGTH)
        fleet.by_id(fleet.groups[GROUP - 1].nodes[5]).faults.append(fault)
        await check(fleet, await write(fleet, data), data, 1)


async def test_two_failures_cost_two_tries(tmp_path: Path) -> None:
    async with small_fleet(tmp_path) as fleet:
        data = os.urandom(LENGTH)
        fleet.nodes[3].faults.extend([cut(), cut()])
        await check(fleet, await write(fleet, data), data, 2)


async def test_failures_in_the_middle_and_at_the_answer(tmp_path: Path) -> None:
    async with small_fleet(tmp_path, 8) as fleet:
        data = os.urandom(LENGTH)
        for node in fleet.nodes:
            node.faults.append(cut())
        written = await write(fleet, data, 1, lambda: kill(fleet))
        await check(fleet, written, data, 2)


async def test_a_node_that_never_answers_rightly_ends_the_write(tmp_path: Path) -> None:
    async with small_fleet(tmp_path, write_wait_seconds=0.5) as fleet:
        fleet.nodes[3].faults.extend([cut()] * 10_000)
        with pytest.raises(WriteFailed) as failed:
            await write(fleet, os.urandom(LENGTH))
        assert isinstance(failed.value.cause, NodeFailed)
        await asyncio.sleep(0.05)
        check_accounted(fleet, *[packed for _, packed in failed.value.written])


async def test_the_short_end_of_a_long_body_is_kept(tmp_path: Path) -> None:
    """The long segment before it was durable in all respects but its answers, which are waited for last."""
    layout = replace(LAYOUT, segment_bytes=(KEPT_ROWS + 1) * ROW)
    async with small_fleet(tmp_path, 7, layout=layout) as fleet:
        data = os.urandom(layout.segment_bytes + 2 * ROW)

        async def kill_later() -> None:
            await asyncio.sleep(0.2)  # the first segment's six answers
            await kill(fleet)

        written = await write(fleet, data, KEPT_ROWS + 2, kill_later)
        assert written.abandoned
        long, short = unpack(written.extents)
        assert long.group_id == GROUP != short.group_id


@pytest.mark.parametrize("at", [1, KEPT_ROWS, KEPT_ROWS + 1])
async def test_a_longer_segment_fails(tmp_path: Path, at: int) -> None:
    layout = replace(LAYOUT, segment_bytes=(KEPT_ROWS + 1) * ROW)
    async with small_fleet(tmp_path, 7, layout=layout) as fleet:
        for node in fleet.nodes:
            node.delay_seconds = 0.05
        with pytest.raises(WriteFailed) as failed:
            await write(fleet, os.urandom(layout.segment_bytes), at, lambda: kill(fleet))
        assert isinstance(failed.value.cause, NodeFailed)
        assert [len(packed) for _, packed in failed.value.written] == [EXTENT_BYTES]


@pytest.mark.parametrize("at", [1, KEPT_ROWS])
async def test_without_bytes_to_spare_nothing_is_kept(tmp_path: Path, at: int) -> None:
    async with small_fleet(tmp_path, 7, budget=SMALL_BUDGET) as fleet:
        for node in fleet.nodes:
            node.delay_seconds = 0.05
        with pytest.raises(WriteFailed) as failed:
            await write(fleet, os.urandom(LENGTH), at, lambda: kill(fleet))
        assert isinstance(failed.value.cause, NodeFailed)
        assert [len(packed) for _, packed in failed.value.written] == [EXTENT_BYTES]


async def test_who_needs_the_bytes_gets_them_at_once(tmp_path: Path) -> None:
    async with small_fleet(tmp_path, 7) as fleet:
        whole = fleet.budget.total

        async def take_all_and_kill() -> None:
            assert fleet.budget.free == whole - 2 * ROW
            async with asyncio.timeout(1):
                await fleet.budget.acquire(whole)
            fleet.budget.release(whole)
            await kill(fleet)

        with pytest.raises(WriteFailed):
            await write(fleet, os.urandom(LENGTH), 2, take_all_and_kill)
        assert fleet.budget.free == whole


async def test_bytes_that_are_needed_while_a_place_is_waited_for(tmp_path: Path) -> None:
    """The failure was met with all rows at hand; when a group takes writes again, they are gone."""
    async with small_fleet(tmp_path) as fleet:

        async def kill_and_take_all() -> None:
            await kill(fleet)
            loop = asyncio.get_running_loop()
            loop.call_later(0.2, take_all)

        def take_all() -> None:
            assert fleet.budget.try_acquire(fleet.budget.total)
            fleet.budget.release(fleet.budget.total)
            again.append(asyncio.create_task(fleet.by_id(fleet.groups[0].nodes[2]).start()))

        again: list[asyncio.Task[None]] = []
        with pytest.raises(WriteFailed) as failed:
            await write(fleet, os.urandom(LENGTH), 1, kill_and_take_all)
        assert again
        assert isinstance(failed.value.cause, NodeFailed)
        assert len(failed.value.written) >= 2


@pytest.mark.parametrize("at", range(1, KEPT_ROWS + 1))
async def test_a_cancelled_write_gives_everything_back(tmp_path: Path, at: int) -> None:
    """Once while it waits for its body, once while it begins anew."""
    async with small_fleet(tmp_path) as fleet:
        for node in fleet.nodes:
            node.delay_seconds = 0.05
        reached = asyncio.Event()

        async def wait() -> None:
            reached.set()
            await asyncio.sleep(60)

        async def kill_one() -> None:
            await kill(fleet)
            reached.set()

        for hook in (wait, kill_one):
            reached.clear()
            writing = asyncio.create_task(write(fleet, os.urandom(LENGTH), at, hook))
            await reached.wait()
            await asyncio.sleep(0.01)
            writing.cancel()
            with pytest.raises(WriteCancelled) as cancelled:
                await writing
            await asyncio.sleep(0.1)
            check_accounted(fleet, *[packed for _, packed in cancelled.value.written])
            for node in fleet.nodes:
                node.shards.clear()
        for known in fleet.store.fleet.nodes.values():
            assert known.under_way == 0
