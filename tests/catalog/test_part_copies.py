"""Parts by reference: their segments are trashed when nothing names them any more, whoever goes first (law 5)."""

from __future__ import annotations

import asyncio
import itertools
import random
import tempfile
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest

from s3gate.catalog.catalog import Catalog
from s3gate.catalog.errors import SourceChanged, Unavailable, UploadMissing
from s3gate.catalog.rows import ENABLED, NO_CONDITION, GarbageRow, ObjectRow, PartRow, UploadRow
from s3gate.geometry.extents import unpack
from s3gate.geometry.ids import session_prefix
from tests.catalog.conftest import Look, OpenCatalog
from tests.catalog.cutting import CuttingProxy
from tests.catalog.making import begin, bucket_of, complete_upload, delete, listed, part, put, stored, whole
from tests.catalog.test_garbage import collect, found

TABLES = ("part", "content", "garbage", "object", "upload")


def segments_of(*rows: PartRow | ObjectRow) -> set[bytes]:
    return {extent.segment_id for row in rows for extent in unpack(row.extents)}


async def by_reference(
    catalog: Catalog, source: ObjectRow, upload: UploadRow, number: int = 1, source_part: int = 0
) -> PartRow:
    """The part as it is listed."""
    moment = await catalog.copy_part(source, source_part, upload, number, "etag", "sum")
    [row] = (await catalog.list_parts(upload.upload_id, number - 1, 1))[0]
    assert (row.part_number, row.etag, row.checksum, row.modified_at) == (number, "etag", "sum", moment)
    return row


async def finished(catalog: Catalog, upload: UploadRow, *parts: PartRow) -> ObjectRow:
    await complete_upload(catalog, upload, listed([*parts]), whole(upload, [*parts]), NO_CONDITION, b"digest")
    return await found(catalog, upload.key)


async def made(catalog: Catalog, key: bytes, count: int = 2) -> tuple[ObjectRow, list[PartRow]]:
    """An object of parts of two segments each."""
    upload = await begin(catalog, key)
    parts = [await catalog.put_part(upload, part(catalog, upload, n, segments=2)) for n in range(1, count + 1)]
    return await finished(catalog, upload, *parts), parts


async def test_an_object_without_parts_as_a_part(catalog: Catalog, second: Catalog, look: Look) -> None:
    await put(catalog, "box", b"a", stored(catalog, size=70, segments=2), NO_CONDITION)
    source = await found(catalog, b"a")
    upload = await begin(second)
    row = await by_reference(second, source, upload)
    assert (row.size, row.extents, row.layout_id) == (70, source.extents, source.layout_id)
    assert row.part_id != source.content_id
    target = await finished(second, upload, row)
    assert (await catalog.part_extents(target.content_id, 1, 9)) == [row]
    await delete(catalog, "box", b"a", NO_CONDITION)
    assert await collect(catalog) == set()
    await delete(catalog, "box", b"key", NO_CONDITION)
    assert await collect(catalog) == segments_of(source)
    for table in TABLES:
        assert await look.one(f"SELECT count(*) FROM {table}") == 0


@pytest.mark.parametrize("order", list(itertools.permutations(b"abc")))
async def test_a_chain_whoever_goes_first(catalog: Catalog, look: Look, order: tuple[int, ...]) -> None:
    """c has b's part, which is a's: the last that goes takes it along."""
    first, parts = await made(catalog, b"a")
    upload = await begin(catalog, b"b")
    row = await by_reference(catalog, first, upload, 7, source_part=2)
    own = await catalog.put_part(upload, part(catalog, upload, 8))
    middle = await finished(catalog, upload, row, own)
    upload = await begin(catalog, b"c")
    last = await finished(catalog, upload, await by_reference(catalog, middle, upload, 3, source_part=7))
    assert last.size == row.size == parts[1].size
    trashed: set[bytes] = set()
    for key in order[:2]:
        await delete(catalog, "box", bytes([key]), NO_CONDITION)
        trashed |= await collect(catalog)
    assert not trashed & segments_of(parts[1])
    assert await look.one("SELECT count(*) FROM garbage") == 0
    await delete(catalog, "box", bytes([order[2]]), NO_CONDITION)
    trashed |= await collect(catalog)
    assert trashed == segments_of(*parts, own)
    for table in TABLES:
        assert await look.one(f"SELECT count(*) FROM {table}") == 0


async def test_all_at_once_is_collected_at_once(catalog: Catalog, look: Look) -> None:
    source, parts = await made(catalog, b"a", count=5)
    for key in (b"b", b"c"):
        upload = await begin(catalog, key)
        rows = [await by_reference(catalog, source, upload, n, source_part=n) for n in range(1, 6)]
        await finished(catalog, upload, *rows)
    for key in (b"a", b"b", b"c"):
        await delete(catalog, "box", key, NO_CONDITION)
    assert await collect(catalog) == segments_of(*parts)
    for table in TABLES:
        assert await look.one(f"SELECT count(*) FROM {table}") == 0


async def test_replaced_unlisted_and_aborted(catalog: Catalog, look: Look) -> None:
    source, parts = await made(catalog, b"a", count=3)
    upload = await begin(catalog)
    own = await catalog.put_part(upload, part(catalog, upload, 1))
    await by_reference(catalog, source, upload, 1, source_part=1)
    assert await collect(catalog) == segments_of(own)
    await by_reference(catalog, source, upload, 1, source_part=2)
    await by_reference(catalog, source, upload, 1, source_part=2)
    own = await catalog.put_part(upload, part(catalog, upload, 1))
    await by_reference(catalog, source, upload, 2, source_part=3)
    assert await collect(catalog) == set()
    await finished(catalog, upload, own)
    other = await begin(catalog, b"other")
    await by_reference(catalog, source, other, 1, source_part=3)
    await delete(catalog, "box", b"a", NO_CONDITION)
    assert await collect(catalog) == segments_of(*parts[:2])
    await catalog.abort_upload(other)
    assert await collect(catalog) == segments_of(parts[2])
    assert [row.part_id for row in await catalog.part_extents(upload.upload_id, 1, 9)] == [own.part_id]
    assert await look.one("SELECT count(*) FROM part") == 1


async def test_references_that_are_refused(catalog: Catalog, second: Catalog) -> None:
    await put(catalog, "box", b"a", stored(catalog), NO_CONDITION)
    source = await found(catalog, b"a")
    upload = await begin(catalog, b"m")
    parts = [await catalog.put_part(upload, part(catalog, upload, n)) for n in (1, 2)]
    multi = await finished(catalog, upload, parts[0])  # the other one waits for the collector
    upload = await begin(catalog)
    for row, source_part in ((multi, 0), (multi, 2), (multi, 3), (source, 1), (source._replace(version=2), 0)):
        with pytest.raises(SourceChanged):
            await catalog.copy_part(row, source_part, upload, 1, "", "")
    with pytest.raises(ValueError, match="encrypted"):
        await catalog.copy_part(source._replace(sse=b"x"), 0, upload, 1, "", "")
    await delete(second, "box", b"a", NO_CONDITION)
    with pytest.raises(SourceChanged):
        await catalog.copy_part(source, 0, upload, 1, "", "")
    await catalog.abort_upload(upload)
    with pytest.raises(UploadMissing):
        await catalog.copy_part(multi, 1, upload, 1, "", "")
    assert await catalog.all_parts(upload.upload_id) == []


async def test_an_older_version_as_a_source(catalog: Catalog) -> None:
    await catalog.set_versioning("box", ENABLED)
    await bucket_of(catalog, fresh=True)
    await put(catalog, "box", b"a", stored(catalog), NO_CONDITION)
    older = await found(catalog, b"a")
    await put(catalog, "box", b"a", stored(catalog), NO_CONDITION)
    upload = await begin(catalog)
    row = await by_reference(catalog, older, upload)
    bucket = await bucket_of(catalog)
    await catalog.delete_version(bucket, b"a", (older.version, older.version_id))
    assert await collect(catalog) == set()
    with pytest.raises(SourceChanged):
        await catalog.copy_part(older, 0, upload, 2, "", "")
    await catalog.abort_upload(upload)
    assert await collect(catalog) == segments_of(row)


async def test_a_reference_holds_its_source_until_it_is_there(catalog: Catalog, second: Catalog, look: Look) -> None:
    """It has seen its source and waits for the part it replaces: the source must not lose its content meanwhile."""
    await put(catalog, "box", b"a", stored(catalog), NO_CONDITION)
    source = await found(catalog, b"a")
    upload = await begin(catalog)
    own = await catalog.put_part(upload, part(catalog, upload, 1))
    async with look.connection.transaction():
        await look.rows("SELECT FROM part FOR UPDATE")
        copying = asyncio.ensure_future(catalog.copy_part(source, 0, upload, 1, "", ""))
        await asyncio.sleep(0.1)
        deleting = asyncio.ensure_future(delete(second, "box", b"a", NO_CONDITION))
        await asyncio.sleep(0.1)
        assert not deleting.done() and await collect(second) == set()
    await copying
    assert await deleting is not None
    assert await collect(second) == segments_of(own)


async def test_a_source_that_goes_first_is_not_referenced(catalog: Catalog, second: Catalog, look: Look) -> None:
    await put(catalog, "box", b"a", stored(catalog), NO_CONDITION)
    source = await found(catalog, b"a")
    upload = await begin(catalog)
    async with look.connection.transaction():
        await look.rows("DELETE FROM object WHERE key = 'a'")
        copying = asyncio.ensure_future(catalog.copy_part(source, 0, upload, 1, "", ""))
        await asyncio.sleep(0.1)
        assert not copying.done()
    with pytest.raises(SourceChanged):
        await copying


async def test_two_collectors_and_one_that_is_killed(catalog: Catalog, second: Catalog, look: Look) -> None:
    """Both contents of the same segments are taken before either is expanded; then one of the two begins again."""
    source, parts = await made(catalog, b"a")
    upload = await begin(catalog, b"b")
    rows = [await by_reference(catalog, source, upload, n, source_part=n) for n in (1, 2)]
    await finished(catalog, upload, *rows)
    for key in (b"a", b"b"):
        await delete(catalog, "box", key, NO_CONDITION)
    [one], [other] = await catalog.take_garbage(1), await second.take_garbage(1)

    async def expand(gate: Catalog, row: GarbageRow) -> set[bytes]:
        trashed: set[bytes] = set()
        while page := await gate.garbage_parts(row, 1):
            trashed |= segments_of(*page)
            if gate is second:  # killed before it had forgotten
                break
            await gate.forget_parts(page)
        return trashed

    trashed = set().union(*await asyncio.gather(expand(catalog, one), expand(second, other)))
    await catalog.finish_garbage([one])
    trashed |= await collect(catalog)
    await look.rows("UPDATE garbage SET leased_until = '-infinity'")
    trashed |= await collect(catalog)
    assert trashed == segments_of(*parts)
    for table in TABLES:
        assert await look.one(f"SELECT count(*) FROM {table}") == 0


async def test_what_only_other_sessions_name_is_not_swept(
    catalog: Catalog, second: Catalog, open_catalog: OpenCatalog
) -> None:
    source, parts = await made(catalog, b"a", count=3)
    await put(catalog, "box", b"small", stored(catalog, segments=4), NO_CONDITION)
    small = await found(catalog, b"small")
    upload = await begin(second, b"b")
    for n in (1, 3):
        await by_reference(second, source, upload, n, source_part=n)
    await by_reference(second, small, upload, 2)
    for key in (b"a", b"small"):
        await delete(catalog, "box", key, NO_CONDITION)
    worker = await open_catalog(kind="worker")
    assert await collect(worker) == segments_of(parts[1])
    session_id = catalog.ids.session_id
    rows, _ = await worker.several_segments(session_prefix(session_id), session_prefix(session_id + 1), 1000)
    named = {extent.segment_id for extents in rows for extent in unpack(extents)}
    named.update(await worker.first_segments(sorted(segments_of(*parts, small))))
    assert named == segments_of(parts[0], parts[2], small)
    assert segments_of(*await second.all_parts(upload.upload_id)) == named


async def assemble(gate: Catalog, key: bytes, dice: random.Random, made_ids: set[bytes], trashed: set[bytes]) -> int:
    """An upload of parts of its own and of whatever is there, aborted now and then; how many are references."""
    upload = await begin(gate, key)
    count = 0
    for number in (1, 2, 2, 3):
        row = (await gate.find_object("box", b"%d" % dice.randrange(4)))[1]
        if row is None or dice.random() < 0.2:
            sent = part(gate, upload, number)
            made_ids.update(segments_of(sent))
            await gate.put_part(upload, sent)
            continue
        try:
            await gate.copy_part(row, dice.randrange(1, 4) if row.part_count else 0, upload, number, "", "")
            count += 1
        except SourceChanged:  # or a number that Complete did not list
            continue
    parts = await gate.all_parts(upload.upload_id)
    assert not segments_of(*parts) & trashed
    chosen = [each for each in parts if dice.random() < 0.8]
    if chosen and dice.random() < 0.9:
        await complete_upload(gate, upload, listed(chosen), whole(upload, chosen), NO_CONDITION, b"d")
    else:
        await gate.abort_upload(upload)
    return count


async def test_references_against_deletes_against_collectors(
    catalog: Catalog, second: Catalog, open_catalog: OpenCatalog, look: Look
) -> None:
    """Whatever interleaves, nothing that a row names is ever trashed, and in the end everything else is."""
    workers = [await open_catalog(kind="worker") for _ in range(2)]
    made_ids: set[bytes] = set()
    trashed: set[bytes] = set()
    dice = random.Random(11)
    stop = asyncio.Event()
    references = 0

    async def collector(worker: Catalog) -> None:
        while not stop.is_set():
            trashed.update(await collect(worker))
            await asyncio.sleep(0.001)

    async def meddle(gate: Catalog) -> None:
        nonlocal references
        for _ in range(40):
            key = b"%d" % dice.randrange(4)
            choice = dice.random()
            if choice < 0.15:
                content = stored(gate)
                made_ids.add(content.content_id)
                await put(gate, "box", key, content, NO_CONDITION)
            elif choice < 0.28:
                await delete(gate, "box", key, NO_CONDITION)
            else:
                references += await assemble(gate, key, dice, made_ids, trashed)

    collecting = [asyncio.ensure_future(collector(worker)) for worker in workers]
    await asyncio.gather(*[meddle(gate) for gate in (catalog, second) for _ in range(4)])
    stop.set()
    await asyncio.gather(*collecting)
    trashed |= await collect(workers[0])
    assert references > 20
    named = set()
    for (extents,) in await look.rows("SELECT extents FROM object UNION ALL SELECT extents FROM part"):
        named |= {extent.segment_id for extent in unpack(extents)}
    assert not named & trashed
    assert named | trashed == made_ids
    for key in (b"0", b"1", b"2", b"3"):
        await delete(catalog, "box", key, NO_CONDITION)
    trashed |= await collect(workers[1])
    assert trashed == made_ids
    assert await look.one("SELECT count(*) FROM part") == 0


@pytest.fixture
async def proxy(database: str, catalog: Catalog) -> AsyncIterator[CuttingProxy]:
    with tempfile.TemporaryDirectory(prefix="s3gate-cut-") as directory:
        async with CuttingProxy(database, Path(directory)) as proxy:
            yield proxy


@pytest.mark.parametrize("forward", [True, False])
async def test_a_cut_off_reference(
    catalog: Catalog, proxy: CuttingProxy, open_catalog: OpenCatalog, forward: bool
) -> None:
    gate = await open_catalog(dsn=proxy.dsn)
    await put(gate, "box", b"a", stored(gate), NO_CONDITION)
    source = await found(gate, b"a")
    upload = await begin(gate)
    for number in range(4, 8):  # every connection prepares its statement
        await gate.copy_part(source, 0, upload, number, "", "")
    await asyncio.gather(*[gate.copy_part(source, 0, upload, number, "", "") for number in range(4, 12)])
    proxy.arm("part_copy", forward=forward)
    if forward:
        assert isinstance(await gate.copy_part(source, 0, upload, 1, "", ""), datetime)
    else:
        with pytest.raises(Unavailable):
            await gate.copy_part(source, 0, upload, 1, "", "")
    assert proxy.cut.is_set()
    numbers = [row.part_number for row in await catalog.all_parts(upload.upload_id)]
    assert (1 in numbers) == forward
    await delete(catalog, "box", b"a", NO_CONDITION)
    assert await collect(catalog) == set()
    await catalog.abort_upload(upload)
    assert await collect(catalog) == {source.content_id}
