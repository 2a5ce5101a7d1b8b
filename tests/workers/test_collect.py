"""The collector: deletes what lost its last reference, nothing else, and may be killed anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from s3gate.catalog.catalog import Catalog
from s3gate.catalog.limits import Limits
from s3gate.catalog.rows import NO_CONDITION, PartRow, Stored
from s3gate.geometry.extents import Extent
from s3gate.workers.collect import RENEW_SECONDS, collect, deliver_parked
from s3gate.workers.disposal import UnknownGroup, shards_by_node
from s3gate.workers.workshop import Workshop
from tests.fix_ministore import FLOOR, UNIT, MiniStore

BIG = bytes(range(256)) * 120  # three segments of two rows


class Killed(Exception):
    """Stands for kill -9 between two steps."""


async def run_all(shop: Workshop) -> None:
    while await collect(shop):
        pass


async def test_a_deleted_object_gives_its_shards_up(ministore: MiniStore) -> None:
    kept = await ministore.put(b"kept", BIG)
    await ministore.put(b"gone", BIG)
    await ministore.put(b"replaced", b"first")
    latest = await ministore.put(b"replaced", b"second")
    await ministore.delete(b"gone")
    assert len(ministore.live()) > len(ministore.shards_of(kept.extents + latest.extents))
    await run_all(ministore.shop)
    assert ministore.live() == ministore.shards_of(kept.extents + latest.extents)
    assert await ministore.read(b"kept") == BIG
    assert ministore.sql("SELECT count(*) FROM garbage") == [(0,)]


async def test_nodes_that_have_nothing_of_a_small_object_are_not_asked(
    ministore: MiniStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []
    trash = ministore.store.trash

    async def noted(node_id: bytes, shard_ids: list[bytes]) -> None:
        asked.extend(shard_ids)
        await trash(node_id, shard_ids)

    monkeypatch.setattr(ministore.store, "trash", noted)
    sizes = [1, FLOOR, FLOOR + 1, 3 * FLOOR, 6 * FLOOR - 1, UNIT * 6, UNIT * 12 + 1]
    stored = b"".join([(await ministore.put(b"%d" % size, b"x" * size)).extents for size in sizes])
    there = ministore.shards_of(stored)
    assert there == ministore.live()
    for size in sizes:
        await ministore.delete(b"%d" % size)
    await run_all(ministore.shop)
    assert set(asked) == there and len(asked) == len(there)
    assert ministore.live() == set()


async def test_a_copy_keeps_the_content_until_it_goes_too(ministore: MiniStore) -> None:
    row = await ministore.put(b"original", BIG)
    stored = Stored(row.content_id, row.size, row.etag, row.layout_id, 0, row.extents, b"", "")
    await ministore.catalog.copy_object(row, ministore.bucket, b"copy", stored, NO_CONDITION)
    await ministore.delete(b"original")
    await run_all(ministore.shop)
    assert await ministore.read(b"copy") == BIG
    await ministore.delete(b"copy")
    await run_all(ministore.shop)
    assert ministore.live() == set()


async def test_multipart_contents_and_unlisted_parts(ministore: MiniStore) -> None:
    upload = await ministore.begin(b"multi")
    parts = [await ministore.part(upload, number, BIG[: 7000 * number]) for number in (1, 2, 3)]
    again = await ministore.part(upload, 1, b"again")
    await ministore.complete(upload, [again, parts[2]])
    await run_all(ministore.shop)
    assert ministore.live() == ministore.shards_of(again.extents + parts[2].extents)
    await ministore.delete(b"multi")
    await run_all(ministore.shop)
    assert ministore.live() == set()
    assert ministore.sql("SELECT (SELECT count(*) FROM part), (SELECT count(*) FROM content)") == [(0, 0)]


@pytest.mark.parametrize("first", [b"original", b"copy"])
async def test_parts_by_reference_whoever_goes_first(ministore: MiniStore, first: bytes) -> None:
    upload = await ministore.begin(b"original")
    parts = [await ministore.part(upload, number, BIG[: 7000 * number]) for number in (1, 2)]
    source = await ministore.complete(upload, parts)
    whole = await ministore.put(b"whole", BIG)
    before = ministore.live()
    upload = await ministore.begin(b"copy")
    await ministore.catalog.copy_part(source, 2, upload, 1, "etag", "")
    await ministore.catalog.copy_part(whole, 0, upload, 2, "etag", "")
    copied = await ministore.catalog.all_parts(upload.upload_id)
    await ministore.complete(upload, copied)
    assert ministore.live() == before
    await ministore.delete(b"whole")
    await ministore.delete(first)
    await run_all(ministore.shop)
    kept = copied if first == b"original" else parts
    assert ministore.live() == ministore.shards_of(b"".join(each.extents for each in kept))
    await ministore.delete(b"copy" if first == b"original" else b"original")
    await run_all(ministore.shop)
    assert ministore.live() == set()
    assert ministore.sql("SELECT (SELECT count(*) FROM part), (SELECT count(*) FROM garbage)") == [(0, 0)]


async def test_an_aborted_upload(ministore: MiniStore) -> None:
    upload = await ministore.begin(b"multi")
    await ministore.part(upload, 1, BIG)
    await ministore.catalog.abort_upload(upload)
    await run_all(ministore.shop)
    assert ministore.live() == set()
    assert ministore.sql("SELECT count(*) FROM part") == [(0,)]


async def test_what_a_slow_collector_works_on_stays_its_own(
    ministore: MiniStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Limits().garbage_lease_seconds >= 3 * RENEW_SECONDS
    monkeypatch.setattr("s3gate.workers.collect.RENEW_SECONDS", 0.05)
    go_on = asyncio.Event()
    forget = ministore.catalog.forget_parts

    async def slowly(parts: Sequence[PartRow]) -> None:
        await go_on.wait()
        await forget(parts)

    monkeypatch.setattr(ministore.catalog, "forget_parts", slowly)
    upload = await ministore.begin(b"multi")
    await ministore.part(upload, 1, BIG)
    await ministore.catalog.abort_upload(upload)
    collecting = asyncio.create_task(run_all(ministore.shop))
    seen: set[object] = set()
    while len(seen) < 3:
        seen |= {row[0] for row in ministore.sql("SELECT leased_until::text FROM garbage")}
        await asyncio.sleep(0.05)
    go_on.set()
    await collecting
    assert ministore.sql("SELECT count(*) FROM garbage") == [(0,)] and ministore.live() == set()


async def test_shards_for_a_node_that_is_down_are_parked(ministore: MiniStore) -> None:
    await ministore.put(b"gone", BIG)
    await ministore.delete(b"gone")
    down = ministore.nodes[2]
    await down.stop()
    await run_all(ministore.shop)
    assert ministore.live() == set()
    assert ministore.sql("SELECT DISTINCT node_id FROM node_garbage") == [(down.node_id,)]
    await deliver_parked(ministore.shop)
    assert ministore.sql("SELECT count(*) > 0 FROM node_garbage") == [(True,)]
    await down.start(ministore.catalog)
    assert down.live()
    await _until_well(ministore)
    await deliver_parked(ministore.shop)
    assert down.live() == set()
    assert ministore.sql("SELECT count(*) FROM node_garbage") == [(0,)]


async def test_killed_between_any_two_steps_it_is_done_again(
    ministore: MiniStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = await ministore.begin(b"multi")
    parts = [await ministore.part(upload, number, BIG) for number in (1, 2)]
    await ministore.complete(upload, parts)
    await ministore.put(b"plain", BIG)
    await ministore.delete(b"multi")
    await ministore.delete(b"plain")
    for method in ("park_garbage", "garbage_parts", "forget_parts", "finish_garbage"):

        async def killed(*arguments: object) -> None:
            raise Killed

        if method == "park_garbage":
            await ministore.nodes[0].stop()
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(Catalog, method, killed)
            await collect(ministore.shop)
        # The lease of a collector that died ends by time.
        ministore.sql("UPDATE garbage SET leased_until = '-infinity'")
        if method == "park_garbage":
            await ministore.nodes[0].start(ministore.catalog)
            await _until_well(ministore)
    await run_all(ministore.shop)
    await deliver_parked(ministore.shop)
    assert ministore.live() == set()
    assert ministore.sql("SELECT (SELECT count(*) FROM part), (SELECT count(*) FROM garbage)") == [(0, 0)]


async def _until_well(ministore: MiniStore) -> None:
    for _ in range(200):
        if not any(node.failed for node in ministore.store.fleet.nodes.values()):
            return
        await asyncio.sleep(0.02)


def test_an_unknown_group_is_never_passed_over() -> None:
    with pytest.raises(UnknownGroup):
        shards_by_node([Extent(b"s" * 16, 7)], {})


async def test_much_garbage_takes_several_batches(ministore: MiniStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s3gate.workers.collect.GARBAGE_ROWS", 3)
    monkeypatch.setattr("s3gate.workers.collect.SEGMENTS_AT_ONCE", 2)
    for number in range(8):
        await ministore.put(b"%d" % number, b"x" * UNIT * number or b"y")
        await ministore.delete(b"%d" % number)
    await run_all(ministore.shop)
    assert ministore.live() == set()
