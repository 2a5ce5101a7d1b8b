"""What a gate does when nodes die, lie, stall, refuse or are cut off: never a wrong byte, never a lost shard id."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from s3gate.geometry.extents import EXTENT_BYTES, unpack
from s3gate.store.budget import Block
from s3gate.store.errors import (
    NodeFailed,
    ShardCorrupt,
    ShardMissing,
    StoreFull,
    StoreUnavailable,
    WriteCancelled,
    WriteFailed,
)
from s3gate.store.limits import KEPT_ROWS
from tests.store.fake_chunkd import Cut, FakeChunkd, Fault, answer
from tests.store.small_fleet import LAYOUT, Body, SmallFleet, small_fleet


def cut(first: bytes = b"") -> Fault:
    def fault(line: str, said: bytes) -> bytes:
        raise Cut(first)

    return fault


def half(line: str, said: bytes) -> bytes:
    raise Cut(said[: len(said) // 2])


def wrong_crc(line: str, said: bytes) -> bytes:
    at = said.index(b"x-chunkd-crc32c: ") + 17
    return said[:at] + b"00000000" + said[at + 8 :]


def flipped(line: str, said: bytes) -> bytes:
    return said[:-1] + bytes([said[-1] ^ 1])


def too_long(line: str, said: bytes) -> bytes:
    return said + b"more"


def too_short(line: str, said: bytes) -> bytes:
    body = said.partition(b"\r\n\r\n")[2][:-1]
    crc = said[said.index(b"x-chunkd-crc32c: ") + 17 :][:8].decode()
    return answer(200, {"x-chunkd-crc32c": crc}, body)


def garbage(line: str, said: bytes) -> bytes:
    return b"SSH-2.0-OpenSSH_9.9\r\n\r\n"


def endless_head(line: str, said: bytes) -> bytes:
    return b"HTTP/1.1 200 x\r\nx: " + b"y" * 20_000


def silence(line: str, said: bytes) -> None:
    return None


def status(code: int, **headers: str) -> Fault:
    def fault(line: str, said: bytes) -> bytes:
        return answer(code, {name.replace("_", "-"): value for name, value in headers.items()})

    return fault


BROKEN: list[Fault] = [cut(), half, garbage, endless_head, too_long, status(500), status(409)]


def check_accounted(fleet: SmallFleet, *known: bytes) -> None:
    """Every shard on a node belongs to a segment that the writer reported (law 4)."""
    segments = {packed[at : at + 16] for packed in known for at in range(0, len(packed), EXTENT_BYTES)}
    assert {shard_id[:16] for shard_id in fleet.shards()} <= segments


# --- reading --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [cut(), half, wrong_crc, flipped, too_short, garbage, status(500)])
@pytest.mark.parametrize("length", [8, 600, 3000])
async def test_a_read_survives_one_fault(tmp_path: Path, fault: Fault, length: int) -> None:
    async with small_fleet(tmp_path) as fleet:
        data = os.urandom(length)
        written = await fleet.write(data)
        for node in fleet.nodes:
            node.faults.append(fault)
        assert await fleet.read(written, length) == data
        for node in fleet.nodes:
            node.faults.append(fault)
        end = min(length, LAYOUT.row_bytes)
        assert await fleet.store.read_small(7, written.extents, length, 0, end) == data[:end]


@pytest.mark.parametrize("fault", [wrong_crc, flipped, too_short])
async def test_spoilt_bytes_are_never_served(tmp_path: Path, fault: Fault) -> None:
    async with small_fleet(tmp_path) as fleet:
        written = await fleet.write(os.urandom(3000))
        for node in fleet.nodes:
            node.faults.extend([fault] * 50)
        with pytest.raises(ShardCorrupt):
            await fleet.read(written, 3000)
        with pytest.raises(ShardCorrupt):
            await fleet.store.read_small(7, written.extents, 3000, 0, 600)


async def test_corruption_that_the_node_found_is_not_asked_for_again(tmp_path: Path) -> None:
    async with small_fleet(tmp_path) as fleet:
        written = await fleet.write(os.urandom(5))
        for node in fleet.nodes:
            node.faults.append(status(500, x_chunkd_state="corrupt"))
        started = time.monotonic()
        with pytest.raises(ShardCorrupt):
            await fleet.store.read_small(7, written.extents, 5, 0, 5)
        assert time.monotonic() - started < 0.5


async def test_a_missing_shard_is_an_error_at_once(tmp_path: Path) -> None:
    async with small_fleet(tmp_path) as fleet:
        written = await fleet.write(os.urandom(3000))
        fleet.nodes[2].shards.clear()
        with pytest.raises(ShardMissing):
            await fleet.read(written, 3000)


async def test_a_read_waits_for_a_node_that_comes_back(tmp_path: Path) -> None:
    async with small_fleet(tmp_path) as fleet:
        data = os.urandom(5000)
        written = await fleet.write(data)
        await fleet.nodes[3].stop()
        reading = asyncio.create_task(fleet.read(written, 5000))
        await asyncio.sleep(0.4)
        assert not reading.done()
        fleet.nodes[3].incarnation += 1
        await fleet.nodes[3].start()
        assert await reading == data


async def test_no_surprise_leaves_a_node_failed_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with small_fleet(tmp_path) as fleet:
        node = fleet.store.fleet.nodes[fleet.nodes[0].node_id]
        meet, surprises = node._meet, [RuntimeError("the handler is closed"), ValueError("whatever")]

        async def meet_after_all() -> None:
            if surprises:
                raise surprises.pop()
            await meet()

        monkeypatch.setattr(node, "_meet", meet_after_all)
        node.fail()
        for _ in range(100):
            if not node.failed:
                break
            await asyncio.sleep(0.05)
        assert not node.failed and not surprises


async def test_a_read_gives_up_after_its_limit(tmp_path: Path) -> None:
    async with small_fleet(tmp_path, read_wait_seconds=0.4) as fleet:
        written = await fleet.write(os.urandom(5000))
        await fleet.nodes[3].stop()
        started = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await fleet.read(written, 5000)
        assert 0.3 < time.monotonic() - started < 1.5


async def test_a_node_that_dies_in_the_middle_of_a_download(tmp_path: Path) -> None:
    async with small_fleet(tmp_path, unix=True) as fleet:
        data = os.urandom(20_000)
        written = await fleet.write(data)
        got = b""
        back: asyncio.Task[None] | None = None
        async for piece in fleet.store.read(7, written.extents, len(data), 0, len(data)):
            got += piece
            if back is None and len(got) >= 1000:
                await fleet.nodes[1].stop()
                back = asyncio.create_task(restart_later(fleet.nodes[1]))
        assert got == data


async def restart_later(node: FakeChunkd) -> None:
    await asyncio.sleep(0.3)
    await node.start()


async def test_a_stalled_node_is_given_up(tmp_path: Path) -> None:
    async with small_fleet(tmp_path, stall_seconds=1.0, read_wait_seconds=3.0) as fleet:
        data = os.urandom(5)
        written = await fleet.write(data)
        for node in fleet.nodes:
            node.faults.append(silence)
        started = time.monotonic()
        assert await fleet.store.read_small(7, written.extents, 5, 0, 5) == data
        assert time.monotonic() - started < 4


async def test_a_slow_reader_is_bounded_and_can_leave(tmp_path: Path) -> None:
    async with small_fleet(tmp_path, budget=LAYOUT.row_bytes * 2) as fleet:
        data = os.urandom(9000)
        written = await fleet.write(data)
        pieces = [fleet.store.read(7, written.extents, 9000, 0, 9000) for _ in range(3)]
        first = await anext(pieces[0])
        await asyncio.sleep(0.05)
        asked = sum(len(node.requests) for node in fleet.nodes)
        await asyncio.sleep(0.05)
        assert sum(len(node.requests) for node in fleet.nodes) == asked
        assert data.startswith(bytes(first))
        await pieces[0].aclose()  # type: ignore[attr-defined]
        assert fleet.budget.free == fleet.budget.total
        both = await asyncio.gather(*[collect(one) for one in pieces[1:]])
        assert both == [data, data]


async def collect(pieces: object) -> bytes:
    return b"".join([bytes(piece) async for piece in pieces])  # type: ignore[attr-defined]


async def test_unknown_groups_and_layouts_are_unavailable(tmp_path: Path) -> None:
    async with small_fleet(tmp_path) as fleet:
        written = await fleet.write(b"12345")
        with pytest.raises(StoreUnavailable):
            await fleet.store.read_small(99, written.extents, 5, 0, 5)
        fleet.groups = []
        fleet.tell()
        with pytest.raises(StoreUnavailable):
            await fleet.store.read_small(7, written.extents, 5, 0, 5)


# --- writing --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [*BROKEN, wrong_crc, status(507), status(503, x_chunkd_state="read-only")])
@pytest.mark.parametrize("length", [8, 600])
async def test_a_row_goes_elsewhere_when_a_node_fails(tmp_path: Path, fault: Fault, length: int) -> None:
    async with small_fleet(tmp_path, 7) as fleet:
        data = os.urandom(length)
        warm = [await fleet.write(os.urandom(600)) for _ in range(8)]
        for node in fleet.nodes[:1]:
            node.faults.extend([fault] * 3)
        written = [await fleet.store.write_small(bucket="b", key=b"k", data=data) for _ in range(20)]
        for one in written:
            assert await fleet.read(one, length) == data
        lying = [packed for one in written for _, packed in one.abandoned]
        check_accounted(fleet, *[one.extents for one in written + warm], *lying)


async def test_one_of_seven_down_costs_no_wait(tmp_path: Path) -> None:
    async with small_fleet(tmp_path, 7) as fleet:
        await fleet.nodes[2].stop()
        started = time.monotonic()
        for length in (5, 600, 1800, 3000):
            for _ in range(5):
                written = await fleet.write(os.urandom(length))
                down = fleet.nodes[2].node_id
                assert down not in fleet.groups[written.group_id - 1].nodes or length == 5
        assert time.monotonic() - started < 0.6


async def test_a_node_whose_heartbeat_is_old_is_avoided(tmp_path: Path) -> None:
    async with small_fleet(tmp_path, 7) as fleet:
        old = fleet.nodes[2].view(heartbeat_age_seconds=11.0)
        views = [old if node.node_id == old.node_id else node.view() for node in fleet.nodes]
        fleet.store.update(views, fleet.groups, [])
        for _ in range(20):
            await fleet.write(os.urandom(600))
        assert not fleet.nodes[2].shards
        assert fleet.store.local_view().nodes_up == 6


async def test_late_heartbeats_of_all_do_not_stop_writes(tmp_path: Path) -> None:
    async with small_fleet(tmp_path) as fleet:
        fleet.tell(heartbeat_age_seconds=15.0)
        await fleet.write(os.urandom(600))
        fleet.tell(heartbeat_age_seconds=35.0)
        with pytest.raises(WriteFailed) as failed:
            await fleet.write(os.urandom(600))
        assert isinstance(failed.value.cause, StoreUnavailable)
        assert failed.value.written == []


@pytest.mark.parametrize("length", [5, 600, 1700])
async def test_one_of_six_down_is_waited_for(tmp_path: Path, length: int) -> None:
    async with small_fleet(tmp_path, write_wait_seconds=30.0) as fleet:
        data = os.urandom(length)
        await fleet.write(data)
        await fleet.nodes[2].stop()
        fleet.store.fleet.nodes[fleet.nodes[2].node_id].fail()
        writing = [asyncio.create_task(fleet.write(data)) for _ in range(12)]
        await asyncio.sleep(0.5)
        assert not all(task.done() for task in writing)
        fleet.nodes[2].incarnation += 1
        await fleet.nodes[2].start()
        for task in writing:
            assert await fleet.read(await task, length) == data


async def test_one_of_six_down_for_long_is_unavailable(tmp_path: Path) -> None:
    async with small_fleet(tmp_path, write_wait_seconds=0.5) as fleet:
        await fleet.nodes[2].stop()
        started = time.monotonic()
        with pytest.raises(WriteFailed) as failed:
            await fleet.write(os.urandom(600))
        assert isinstance(failed.value.cause, StoreUnavailable)
        assert 0.4 < time.monotonic() - started < 2.0
        check_accounted(fleet, *[packed for _, packed in failed.value.written])


async def test_full_nodes_make_a_full_store(tmp_path: Path) -> None:
    async with small_fleet(tmp_path) as fleet:
        fleet.nodes[0].state = "full"
        fleet.tell(state="full")
        with pytest.raises(WriteFailed) as failed:
            await fleet.store.write_small(bucket="b", key=b"k", data=b"x")
        assert isinstance(failed.value.cause, StoreFull)


async def test_a_new_incarnation_is_learnt(tmp_path: Path) -> None:
    async with small_fleet(tmp_path) as fleet:
        data = os.urandom(600)
        written = await fleet.write(data)
        for node in fleet.nodes:
            node.incarnation += 1
        assert await fleet.read(written, 600) == data
        for node in fleet.nodes:
            node.incarnation += 1
        again = await fleet.write(data)
        assert not again.abandoned


async def test_restarted_nodes_take_streams_at_once(tmp_path: Path) -> None:
    async with small_fleet(tmp_path) as fleet:
        await fleet.write(os.urandom(3000))
        for node in fleet.nodes:
            await node.stop()
            node.incarnation += 1
            await node.start()
        data = os.urandom(3000)
        written = await fleet.write(data)
        assert await fleet.read(written, 3000) == data


@pytest.mark.parametrize("code", [507, 401, 500])
async def test_a_refusal_before_the_body_is_a_try_elsewhere(tmp_path: Path, code: int) -> None:
    async with small_fleet(tmp_path, 7) as fleet:
        fleet.nodes[1].early_status = code
        data = os.urandom(1200)
        for _ in range(6):
            written = await fleet.write(data)
            assert await fleet.read(written, 1200) == data


def at_answer(node: FakeChunkd, fault: Fault) -> Callable[[], None]:
    return lambda: node.faults.append(fault)


@pytest.mark.parametrize("fault", [cut(), half, wrong_crc, status(507), status(409), garbage])
async def test_a_long_segment_that_fails_reports_what_it_wrote(tmp_path: Path, fault: Fault) -> None:
    async with small_fleet(tmp_path, layout=replace(LAYOUT, segment_bytes=(KEPT_ROWS + 1) * LAYOUT.row_bytes)) as fleet:
        fleet.nodes[4].faults.append(fault)
        with pytest.raises(WriteFailed) as failed:
            await fleet.write(os.urandom(7000))
        assert isinstance(failed.value.cause, NodeFailed)
        assert failed.value.written
        await asyncio.sleep(0.05)
        check_accounted(fleet, *[packed for _, packed in failed.value.written])


class Wrong(Exception):
    """What a body's source raises."""


@pytest.mark.parametrize("at", [0, 1, 3, 5, 10**9])
async def test_a_body_that_fails_is_the_cause(tmp_path: Path, at: int) -> None:
    async with small_fleet(tmp_path) as fleet:
        body = Body(os.urandom(5400), LAYOUT.row_bytes, Wrong(), at)
        with pytest.raises(WriteFailed) as failed:
            await fleet.write(body.data, body=body)
        assert isinstance(failed.value.cause, Wrong)
        assert bool(failed.value.written) == (at > 0)
        await asyncio.sleep(0.05)
        check_accounted(fleet, *[packed for _, packed in failed.value.written])
        for node in fleet.store.fleet.nodes.values():
            assert node.under_way == 0


@pytest.mark.parametrize("extra", [-600, -1, 1, 600])
async def test_a_body_of_another_length_is_refused(tmp_path: Path, extra: int) -> None:
    async with small_fleet(tmp_path) as fleet:
        body = Body(os.urandom(2400 + extra), LAYOUT.row_bytes)
        with pytest.raises(WriteFailed) as failed:
            await fleet.store.write(bucket="b", key=b"k", length=2400, blocks=body.blocks())
        assert isinstance(failed.value.cause, ValueError)
        assert body.held == 0


async def test_a_body_that_is_not_read_to_its_end_is_closed(tmp_path: Path) -> None:
    """At once: a copy's body has a reader in it, who holds a part of the budget and connections."""
    async with small_fleet(tmp_path) as fleet:
        source = await fleet.write(os.urandom(4 * LAYOUT.row_bytes))

        async def copied() -> AsyncIterator[Block]:
            length = 4 * LAYOUT.row_bytes
            async with aclosing(fleet.store.read(source.layout_id, source.extents, length, 0, length)) as pieces:
                async for piece in pieces:
                    yield Block(memoryview(piece))

        with pytest.raises(WriteFailed) as failed:
            await fleet.store.write(bucket="b", key=b"k", length=2 * LAYOUT.row_bytes, blocks=copied())
        assert isinstance(failed.value.cause, ValueError)
        assert fleet.budget.free == fleet.budget.total


@pytest.mark.parametrize("length", [5, 600, 1800, 9000])
@pytest.mark.parametrize("after", [0.0, 0.01, 0.05])
async def test_a_cancelled_write_reports_and_leaks_nothing(tmp_path: Path, length: int, after: float) -> None:
    async with small_fleet(tmp_path) as fleet:
        for node in fleet.nodes:
            node.delay_seconds = 0.1
        body = Body(os.urandom(length), LAYOUT.row_bytes)
        body.pause = asyncio.Event()
        task = asyncio.create_task(fleet.write(body.data, body=body))
        await asyncio.sleep(after)
        task.cancel()
        try:
            await task
            raise AssertionError("not cancelled")
        except WriteCancelled as cancelled:
            reported = [packed for _, packed in cancelled.written]
        except asyncio.CancelledError:
            reported = []
        assert task.cancelled()
        await asyncio.sleep(0.3)
        check_accounted(fleet, *reported)
        for node in fleet.nodes:
            node.delay_seconds = 0.0
        for known in fleet.store.fleet.nodes.values():
            assert known.under_way == 0
        data = os.urandom(3000)
        assert await fleet.read(await fleet.write(data), 3000) == data


async def test_a_slow_sender_is_no_stalled_node(tmp_path: Path) -> None:
    async with small_fleet(tmp_path, stall_seconds=1.0) as fleet:
        body = Body(os.urandom(1800), LAYOUT.row_bytes)
        body.pause = asyncio.Event()
        task = asyncio.create_task(fleet.write(body.data, body=body))
        await asyncio.sleep(2.5)
        body.pause.set()
        assert await fleet.read(await task, 1800) == body.data


async def test_many_at_once_through_few_connections(tmp_path: Path) -> None:
    async with small_fleet(tmp_path, connections_per_node=8, write_wait_seconds=20.0) as fleet:
        bodies = [os.urandom(length) for length in (5, 600, 1800, 3000) * 10]
        written = await asyncio.gather(*[fleet.write(data) for data in bodies])
        read = await asyncio.gather(*[fleet.read(one, len(data)) for one, data in zip(written, bodies, strict=True)])
        assert read == bodies
        assert max(node.most_connections for node in fleet.nodes) <= 8
        assert all(len(unpack(one.extents)) >= 1 for one in written)
