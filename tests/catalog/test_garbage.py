"""Copies, the collector's side and the sweeper's: references are rows, and nothing referenced is trashed (law 5)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from s3gate.catalog.catalog import Catalog
from s3gate.catalog.errors import BucketMissing, ConditionFailed, ObjectMissing, SourceChanged
from s3gate.catalog.rows import NO_CONDITION, Committed, Condition, Deleted, ObjectRow, Stored
from s3gate.geometry.extents import EXTENT_BYTES, unpack
from s3gate.geometry.ids import ID_BYTES, session_prefix
from tests.catalog.conftest import QUICK, Look, OpenCatalog
from tests.catalog.making import begin, complete_upload, copy_to, delete, is_committed, listed, part, put, stored, whole


def as_stored(row: ObjectRow, headers: bytes = b"") -> Stored:
    return Stored(row.content_id, row.size, row.etag, row.layout_id, row.part_count, row.extents, headers, row.checksum)


async def found(catalog: Catalog, key: bytes) -> ObjectRow:
    row = (await catalog.find_object("box", key))[1]
    assert row is not None
    return row


async def copy(catalog: Catalog, source: ObjectRow, key: bytes, condition: Condition = NO_CONDITION) -> Committed:
    return await copy_to(catalog, source, "box", key, as_stored(source, b"copied"), condition)


async def collect(catalog: Catalog) -> set[bytes]:
    """What a collector does: the segments it trashed."""
    trashed: set[bytes] = set()
    while rows := await catalog.take_garbage(100):
        for row in rows:
            if row.referenced:
                continue
            trashed |= {extent.segment_id for extent in unpack(row.extents)}
            while parts := await catalog.garbage_parts(row, 2):
                trashed |= {extent.segment_id for each in parts for extent in unpack(each.extents)}
                await catalog.forget_parts(parts)
        await catalog.finish_garbage(rows)
    return trashed


async def test_a_copy_is_another_reference(catalog: Catalog, look: Look) -> None:
    content = stored(catalog)
    await put(catalog, "box", b"a", content, NO_CONDITION)
    source = await found(catalog, b"a")
    await copy(catalog, source, b"b")
    row = await found(catalog, b"b")
    assert (row.content_id, row.headers, row.version) == (source.content_id, b"copied", 1)
    replaced = stored(catalog)
    await put(catalog, "box", b"c", replaced, NO_CONDITION)
    assert (await copy(catalog, source, b"c")).version == 2
    assert await collect(catalog) == {replaced.content_id}
    await delete(catalog, "box", b"a", NO_CONDITION)
    await delete(catalog, "box", b"b", NO_CONDITION)
    assert await collect(catalog) == set()
    await delete(catalog, "box", b"c", NO_CONDITION)
    assert await collect(catalog) == {content.content_id}
    assert await look.one("SELECT count(*) FROM garbage") == 0


async def test_a_copy_onto_itself_changes_its_headers_only(catalog: Catalog, look: Look) -> None:
    await put(catalog, "box", b"a", stored(catalog), NO_CONDITION)
    assert (await copy(catalog, await found(catalog, b"a"), b"a")).version == 2
    assert (await found(catalog, b"a")).headers == b"copied"
    assert await look.one("SELECT count(*) FROM garbage") == 0


async def test_copies_that_are_refused(catalog: Catalog, second: Catalog) -> None:
    await put(catalog, "box", b"a", stored(catalog), NO_CONDITION)
    source = await found(catalog, b"a")
    with pytest.raises(BucketMissing):
        await copy_to(catalog, source, "nobox", b"b", as_stored(source), NO_CONDITION)
    with pytest.raises(ObjectMissing):
        await copy(catalog, source, b"b", Condition(("*",), False))
    with pytest.raises(ConditionFailed):
        await copy(catalog, source, b"a", Condition(None, True))
    await put(second, "box", b"a", stored(second), NO_CONDITION)
    with pytest.raises(SourceChanged):
        await copy(catalog, source, b"b")
    source = await found(catalog, b"a")
    await delete(second, "box", b"a", NO_CONDITION)
    await put(second, "box", b"a", stored(second), NO_CONDITION)
    with pytest.raises(SourceChanged):
        await copy(catalog, source, b"b")
    with pytest.raises(ValueError, match="content"):
        await copy_to(catalog, source, "box", b"b", stored(catalog), NO_CONDITION)


async def test_of_many_conditional_copies_one_wins(catalog: Catalog, second: Catalog) -> None:
    await put(catalog, "box", b"a", stored(catalog), NO_CONDITION)
    source = await found(catalog, b"a")
    answers = await asyncio.gather(
        *[copy(gate, source, b"b", Condition(None, True)) for _ in range(10) for gate in (catalog, second)],
        return_exceptions=True,
    )
    assert sum(map(is_committed, answers)) == 1


async def test_a_copy_holds_its_source_until_it_has_its_reference(
    catalog: Catalog, second: Catalog, look: Look
) -> None:
    """The copy has seen its source and waits for its target: the source must not lose its content meanwhile."""
    for key in (b"a", b"b"):
        await put(catalog, "box", key, stored(catalog), NO_CONDITION)
    source = await found(catalog, b"a")
    async with look.connection.transaction():
        await look.rows("SELECT FROM object WHERE key = 'b' FOR UPDATE")
        copying = asyncio.ensure_future(copy(catalog, source, b"b"))
        await asyncio.sleep(0.1)
        deleting = asyncio.ensure_future(delete(second, "box", b"a", NO_CONDITION))
        await asyncio.sleep(0.1)
        trashed = await collect(second)
    assert (await copying).version == 2 and await deleting == Deleted(False, 1, b"")
    trashed |= await collect(second)
    assert (await found(catalog, b"b")).content_id == source.content_id
    assert source.content_id not in trashed


async def test_copy_against_delete_against_collect(
    catalog: Catalog, second: Catalog, open_catalog: OpenCatalog
) -> None:
    """Whatever interleaves, no visible object's content is ever trashed, and in the end everything else is."""
    worker = await open_catalog(kind="worker")
    trashed: set[bytes] = set()
    made: set[bytes] = set()
    dice = random.Random(5)
    stop = asyncio.Event()

    async def collector() -> None:
        while not stop.is_set():
            trashed.update(await collect(worker))
            await asyncio.sleep(0.001)

    async def meddle(gate: Catalog) -> None:
        for _ in range(60):
            key, other = (b"%d" % dice.randrange(4) for _ in range(2))
            choice = dice.random()
            if choice < 0.3:
                content = stored(gate)
                made.add(content.content_id)
                await put(gate, "box", key, content, NO_CONDITION)
            elif choice < 0.5:
                await delete(gate, "box", key, NO_CONDITION)
            else:
                row = (await gate.find_object("box", key))[1]
                if row is not None:
                    try:
                        await copy(gate, row, other)
                    except SourceChanged:
                        continue
                    assert row.content_id not in trashed

    collecting = asyncio.ensure_future(collector())
    await asyncio.gather(*[meddle(gate) for gate in (catalog, second) for _ in range(5)])
    stop.set()
    await collecting
    trashed |= await collect(worker)
    page = await catalog.list_objects(
        (await found_bucket(catalog)), prefix=b"", delimiter=b"", after=b"", inclusive=False, limit=100
    )
    visible = {(await found(catalog, entry.key)).content_id for entry in page.entries}  # type: ignore[union-attr]
    assert not visible & trashed
    assert visible | trashed == made


async def found_bucket(catalog: Catalog) -> int:
    bucket = await catalog.find_bucket("box")
    assert bucket is not None
    return bucket.bucket_id


async def test_a_multipart_content_is_collected_in_batches_and_twice(catalog: Catalog, look: Look) -> None:
    upload = await begin(catalog)
    parts = [await catalog.put_part(upload, part(catalog, upload, n, segments=2)) for n in range(1, 6)]
    segments = [{extent.segment_id for extent in unpack(each.extents)} for each in parts]
    await complete_upload(catalog, upload, listed(parts[:4]), whole(upload, parts[:4]), NO_CONDITION, b"d")
    [row] = await catalog.take_garbage(10)
    assert (row.kind, row.referenced) == ("unlisted", False)
    assert await catalog.garbage_parts(row, 10) == [parts[4]]
    await look.rows("UPDATE garbage SET leased_until = '-infinity'")
    assert await collect(catalog) == segments[4]
    await catalog.finish_garbage([row])  # the one that was slower
    await delete(catalog, "box", b"key", NO_CONDITION)
    [row] = await catalog.take_garbage(10)
    await catalog.forget_parts(await catalog.garbage_parts(row, 1))  # and was killed
    await look.rows("UPDATE garbage SET leased_until = '-infinity'")
    assert await collect(catalog) == segments[1] | segments[2] | segments[3]
    for table in ("part", "content", "garbage", "object", "upload"):
        assert await look.one(f"SELECT count(*) FROM {table}") == 0


async def test_unlisted_parts_of_a_content_that_was_collected_meanwhile(catalog: Catalog, look: Look) -> None:
    upload = await begin(catalog)
    parts = [await catalog.put_part(upload, part(catalog, upload, n)) for n in (1, 2)]
    await complete_upload(catalog, upload, listed(parts[:1]), whole(upload, parts[:1]), NO_CONDITION, b"d")
    await delete(catalog, "box", b"key", NO_CONDITION)
    assert await collect(catalog) == {each.part_id for each in parts}
    assert await look.one("SELECT count(*) FROM garbage") == 0


async def test_an_aborted_uploads_parts_are_garbage(catalog: Catalog, look: Look) -> None:
    upload = await begin(catalog)
    parts = [await catalog.put_part(upload, part(catalog, upload, n)) for n in (1, 2, 3)]
    await catalog.abort_upload(upload)
    assert await collect(catalog) == {each.part_id for each in parts}
    assert await look.one("SELECT count(*) FROM part") == 0


async def test_garbage_is_leased_and_comes_back(catalog: Catalog, second: Catalog, open_catalog: OpenCatalog) -> None:
    await catalog.discard([(1, stored(catalog).extents) for _ in range(10)] + [(1, b"")])
    halves = await asyncio.gather(catalog.take_garbage(5), second.take_garbage(5))
    assert len({row.garbage_id for half in halves for row in half}) == 10
    assert await catalog.take_garbage(10) == []
    await catalog.finish_garbage(halves[0])
    await catalog.finish_garbage(halves[0])
    impatient = await open_catalog(limits=replace(QUICK, garbage_lease_seconds=0.05))
    await impatient.discard([(2, stored(impatient).extents)])
    [first] = await impatient.take_garbage(10)
    await asyncio.sleep(0.1)
    [again] = await impatient.take_garbage(10)
    assert again == first._replace(age_seconds=again.age_seconds) and first.layout_id == 2
    assert 0.0 <= first.age_seconds < again.age_seconds - 0.09


async def test_a_lease_is_renewed(catalog: Catalog, open_catalog: OpenCatalog) -> None:
    worker = await open_catalog(limits=replace(QUICK, garbage_lease_seconds=0.5))
    await worker.discard([(1, stored(worker).extents) for _ in range(3)])
    rows = await worker.take_garbage(10)
    await asyncio.sleep(0.3)
    await worker.finish_garbage(rows[:1])
    await worker.renew_garbage(rows)
    await asyncio.sleep(0.3)
    assert await catalog.take_garbage(10) == []
    await asyncio.sleep(0.3)
    assert len(await catalog.take_garbage(10)) == 2


async def test_parked_garbage_waits_for_its_node(catalog: Catalog) -> None:
    shards = [b"%017d" % number for number in range(10_000)]
    here, there = b"h" * 16, b"t" * 16
    await catalog.park_garbage(here, shards)
    await catalog.park_garbage(there, shards[:1])
    await catalog.park_garbage(there, [])
    assert [row.shard_ids for row in await catalog.take_parked(there, 10)] == [(shards[0],)]
    waiting = await catalog.take_parked(here, 10)
    assert sorted(shard for row in waiting for shard in row.shard_ids) == shards
    await catalog.finish_parked(waiting[:2])
    await catalog.finish_parked(waiting[:2])
    assert await catalog.take_parked(here, 10) == waiting[2:]


@pytest.mark.parametrize("limit", [6, 7, 1000])
async def test_what_rows_still_name(catalog: Catalog, second: Catalog, limit: int) -> None:
    expected: set[bytes] = set()
    several: set[bytes] = set()

    def keep(extents: bytes) -> None:
        expected.update(extent.segment_id for extent in unpack(extents))
        several.update([extents] if len(extents) > EXTENT_BYTES else [])

    upload = await begin(second)  # of another session
    for number in range(12):
        content = stored(catalog, segments=1 + number % 4)
        keep(content.extents)
        await put(catalog, "box", b"%d" % (number % 7), content, NO_CONDITION)
        attempt = part(catalog, upload, 1 + number % 5, segments=1 + number % 3)
        keep(attempt.extents)
        await catalog.put_part(upload, attempt)
        await put(second, "box", b"other%d" % number, stored(second, segments=2), NO_CONDITION)
    for number in range(5):
        await copy(second, await found(second, b"3"), b"copy%d" % number)
    first, stop = session_prefix(catalog.ids.session_id), session_prefix(catalog.ids.session_id + 1)
    rows: list[bytes] = []
    while first < stop:
        page, first = await catalog.several_segments(first, stop, limit)
        assert all(extents[:ID_BYTES] < first for extents in page)
        rows += page
    assert set(rows) == several and [each[:ID_BYTES] for each in rows] == sorted(each[:ID_BYTES] for each in rows)
    strangers = [catalog.ids.next(), second.ids.next()]
    firsts = await catalog.first_segments([*expected, *strangers])
    assert len(firsts) == len(set(firsts)) and not {*firsts} & {*strangers}
    assert {*firsts, *(extent.segment_id for extents in rows for extent in unpack(extents))} == expected


async def test_a_clean_close_leaves_a_session_to_sweep(catalog: Catalog, open_catalog: Callable[..., object]) -> None:
    other = await Catalog.open(catalog._pool._dsn, kind="gate", limits=QUICK)
    session_id = other.ids.session_id
    await put(other, "box", b"k", stored(other), NO_CONDITION)
    await other.close()
    closed = await catalog.closed_sessions()
    assert [row.session_id for row in closed] == [session_id]
    assert closed[0].closed_at is not None
    await catalog.forget_session(catalog.ids.session_id)  # open: stays
    await catalog.forget_session(session_id)
    assert await catalog.closed_sessions() == []
    await put(catalog, "box", b"k", stored(catalog), NO_CONDITION)
