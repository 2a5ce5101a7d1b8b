"""What was written is read back, whatever the length and the range, and lies where the geometry says."""

import asyncio
import os
import random
from pathlib import Path

import pytest

from s3gate.geometry.extents import pack, unpack
from s3gate.geometry.ids import session_of, slot_of, turn_of
from s3gate.geometry.stripe import Layout
from s3gate.store.writer import Written
from tests.store.small_fleet import LAYOUT, Body, small_fleet

LENGTHS = [1, 9, 10, 11, 59, 60, 61, 599, 600, 601, 605, 1199, 1200, 1201, 1799, 1800, 1801, 1807, 3600, 5555]


@pytest.mark.parametrize("unix", [False, True])
@pytest.mark.parametrize("placement", ["load", "round-robin", "consistent-hash"])
async def test_every_length_comes_back(tmp_path: Path, placement: str, unix: bool) -> None:
    async with small_fleet(tmp_path, 7, placement=placement, unix=unix) as fleet:
        for length in LENGTHS:
            data = os.urandom(length)
            written = await fleet.write(data)
            assert await fleet.read(written, length) == data
            assert len(unpack(written.extents)) == -(-length // LAYOUT.segment_bytes)
            assert written.content_id == written.extents[:16]
            assert not written.abandoned


@pytest.mark.parametrize("length", [1, 10, 11, 60, 61, 600])
async def test_small_bodies_come_back(tmp_path: Path, length: int) -> None:
    async with small_fleet(tmp_path) as fleet:
        data = os.urandom(length)
        written = await fleet.store.write_small(bucket="b", key=b"k", data=data)
        for _ in range(2):
            assert await fleet.store.read_small(7, written.extents, length, 0, length) == data
            assert await fleet.store.read_small(7, unpack(written.extents), length, 0, length) == data
        assert await fleet.read(written, length) == data
        for start in range(0, length, 7):
            stop = min(length, start + 13)
            assert await fleet.store.read_small(7, written.extents, length, start, stop) == data[start:stop]


async def test_an_empty_body_stores_nothing(tmp_path: Path) -> None:
    async with small_fleet(tmp_path) as fleet:
        small = await fleet.store.write_small(bucket="b", key=b"k", data=b"")
        long = await fleet.write(b"")
        assert small.extents == long.extents == b""
        assert session_of(small.content_id) == session_of(long.content_id) == 99
        assert small.content_id != long.content_id
        assert await fleet.store.read_small(7, b"", 0, 0, 0) == b""
        assert await fleet.read(long, 0) == b""
        assert not fleet.shards()


async def test_every_range_comes_back(tmp_path: Path) -> None:
    chance = random.Random(4)
    async with small_fleet(tmp_path) as fleet:
        data = os.urandom(4321)
        written = await fleet.write(data)
        for _ in range(150):
            start = chance.randrange(len(data))
            stop = chance.randrange(start, len(data) + 1)
            assert await fleet.read(written, len(data), start, stop) == data[start:stop]
            if stop - start <= LAYOUT.row_bytes:
                small = await fleet.store.read_small(7, written.extents, len(data), start, stop)
                assert small == data[start:stop]


async def test_shards_lie_where_the_geometry_says(tmp_path: Path) -> None:
    async with small_fleet(tmp_path, 8) as fleet:
        length = 1800 + 605
        written = await fleet.write(os.urandom(length))
        extents = unpack(written.extents)
        assert len({extent.group_id for extent in extents}) == 1
        group = next(group for group in fleet.groups if group.group_id == extents[0].group_id)
        for extent, segment_length in zip(extents, [1800, 605], strict=True):
            for position in range(6):
                slot = (position + turn_of(extent.segment_id)) % 6
                node = fleet.by_id(group.nodes[slot])
                stored = node.shards[extent.segment_id + bytes([slot])]
                assert len(stored) == LAYOUT.shard_length(segment_length, position)
        assert all(slot_of(one) < 6 for one in fleet.shards())


async def test_pieces_longer_than_an_answer_are_read_in_windows(tmp_path: Path) -> None:
    mib = 1024 * 1024
    layout = Layout(8, unit_bytes=5 * mib // 2, floor_bytes=mib, segment_bytes=30 * mib)
    async with small_fleet(tmp_path, layout=layout, budget=64 * mib) as fleet:
        data = os.urandom(17 * mib + 5)
        written = await fleet.write(data)
        assert await fleet.read(written, len(data)) == data
        assert await fleet.read(written, len(data), mib - 1, 4 * mib) == data[mib - 1 : 4 * mib]


async def test_what_is_read_ahead_comes_two_rows_in_one_answer(tmp_path: Path) -> None:
    async with small_fleet(tmp_path) as fleet:
        data = os.urandom(5 * LAYOUT.row_bytes - 7)
        written = await fleet.write(data)
        assert await fleet.read(written, len(data)) == data
        # One row at once, then two and two ahead: six shards each.
        gets = [line for node in fleet.nodes for line in node.requests if line.startswith("GET /shards/")]
        assert len(gets) == 3 * 6


async def test_an_upload_keeps_its_group(tmp_path: Path) -> None:
    async with small_fleet(tmp_path, 9) as fleet:
        group_id = fleet.store.pick_group("b", b"k")
        for length in (5, 500, 1700, 4000):
            written = await fleet.write(os.urandom(length), group_id)
            assert {extent.group_id for extent in unpack(written.extents)} == {group_id}
        small = await fleet.store.write_small(bucket="b", key=b"k", data=b"x", group_id=group_id)
        assert small.group_id == group_id


async def test_a_retired_group_is_left_and_still_read(tmp_path: Path) -> None:
    async with small_fleet(tmp_path, 7) as fleet:
        data = os.urandom(3000)
        before = await fleet.write(data, 1)
        fleet.groups = [type(group)(group.group_id, 1, group.nodes, group.group_id != 1) for group in fleet.groups]
        fleet.tell()
        after = await fleet.write(data, 1)
        assert before.group_id == 1 != after.group_id
        assert await fleet.read(before, 3000) == data


async def test_one_piece_segments_share_a_node_for_a_moment(tmp_path: Path) -> None:
    async with small_fleet(tmp_path, 7, placement="round-robin") as fleet:
        first = [await fleet.store.write_small(bucket="b", key=b"k", data=b"x") for _ in range(4)]
        nodes = {fleet.groups[w.group_id - 1].nodes[w.extents[15] % 6] for w in first}
        assert len(nodes) <= 2


async def test_rows_are_given_back_and_at_most_two_are_held(tmp_path: Path) -> None:
    async with small_fleet(tmp_path) as fleet:
        body = Body(os.urandom(9000), LAYOUT.row_bytes)
        await fleet.write(body.data, body=body)
        assert body.held == 0
        assert body.most_held <= 2


async def test_nodes_can_be_asked(tmp_path: Path) -> None:
    async with small_fleet(tmp_path) as fleet:
        written = await fleet.write(os.urandom(600))
        segment_id = written.content_id
        node = fleet.by_id(fleet.groups[0].nodes[2])
        known = await fleet.store.stat(node.node_id, segment_id + b"\x02")
        assert known is not None
        assert known.length == 100
        assert await fleet.store.stat(node.node_id, segment_id + b"\x03") is None
        assert await fleet.store.list_shards(node.node_id, segment_id[:8], b"", 10) == ([known], None)
        assert await fleet.store.list_shards(node.node_id, b"\xff", b"", 10) == ([], None)
        await fleet.store.trash(node.node_id, [known.shard_id, b"x" * 17])
        assert node.trashed == {known.shard_id, b"x" * 17}
        assert (await fleet.store.health(node.node_id)).incarnation == 3
        assert fleet.store.local_view().groups_writable == 1


async def test_a_packed_and_an_unpacked_list_are_the_same(tmp_path: Path) -> None:
    async with small_fleet(tmp_path) as fleet:
        data = os.urandom(4000)
        written = await fleet.write(data)
        extents = unpack(written.extents)
        assert pack(extents) == written.extents
        pieces = [bytes(piece) async for piece in fleet.store.read(7, extents, 4000, 0, 4000)]
        assert b"".join(pieces) == data


async def test_who_is_alone_hears_where_its_shard_goes_while_it_is_on_its_way(tmp_path: Path) -> None:
    async with small_fleet(tmp_path) as fleet:

        async def write(data: bytes) -> tuple[Written, list[Written]]:
            heard: list[Written] = []
            written = await fleet.store.write_small(bucket="b", key=b"k", data=data, placed=heard.append)
            return written, heard

        await write(b"x")
        written, heard = await write(b"x")
        assert heard == [written]
        assert (await write(b""))[1] == (await write(os.urandom(600)))[1] == [], "nothing, and more than a shard"
        assert not any(heard for _, heard in await asyncio.gather(*[write(b"x") for _ in range(3)]))
