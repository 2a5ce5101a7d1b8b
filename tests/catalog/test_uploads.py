"""Multipart uploads: parts sent again, Complete twice and against others, abort, expiry, tombstones."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from s3gate.catalog import buckets
from s3gate.catalog.catalog import Catalog
from s3gate.catalog.errors import (
    BucketChanged,
    BucketMissing,
    BucketNotEmpty,
    ConditionFailed,
    ObjectMissing,
    PartMissing,
    UploadMissing,
)
from s3gate.catalog.rows import (
    GOVERNANCE,
    LEGAL_HOLD,
    NO_CONDITION,
    PLAIN,
    Committed,
    Condition,
    PartRow,
    Traits,
    UploadRow,
)
from tests.catalog.conftest import QUICK, Look, OpenCatalog
from tests.catalog.making import (
    begin,
    bucket_of,
    complete_upload,
    delete,
    is_committed,
    listed,
    part,
    put,
    stored,
    whole,
)


async def put_parts(catalog: Catalog, upload: UploadRow, *numbers: int) -> list[PartRow]:
    return list(await asyncio.gather(*[catalog.put_part(upload, part(catalog, upload, n)) for n in numbers]))


async def complete(catalog: Catalog, upload: UploadRow, parts: list[PartRow], **given: Any) -> Committed:
    return await complete_upload(
        catalog,
        upload,
        listed(parts),
        whole(upload, parts),
        given.get("condition", NO_CONDITION),
        given.get("digest", b"digest"),
    )


async def test_an_upload_from_begin_to_content(catalog: Catalog, second: Catalog, look: Look) -> None:
    old = stored(catalog)
    await put(catalog, "box", b"key", old, NO_CONDITION)
    upload = await begin(catalog)
    assert await second.find_upload("box", b"key", upload.upload_id) == upload
    assert await second.find_upload("box", b"other", upload.upload_id) is None
    assert await second.find_upload("nobox", b"key", upload.upload_id) is None
    assert await second.find_upload("n\0", b"key", upload.upload_id) is None
    parts = await put_parts(second, upload, 9, 2, 5, 10_000)
    assert await catalog.all_parts(upload.upload_id) == sorted(parts, key=lambda row: row.part_number)
    assert await catalog.list_parts(upload.upload_id, 2, 2) == ([parts[2], parts[0]], True)
    assert await catalog.list_parts(upload.upload_id, 9, 2) == ([parts[3]], False)
    chosen = [parts[1], parts[2], parts[3]]
    committed = await complete(second, upload, chosen)
    assert committed.version == 2
    row = (await catalog.find_object("box", b"key"))[1]
    assert row is not None
    assert (row.content_id, row.part_count, row.extents, row.size) == (upload.upload_id, 3, b"", 15)
    manifest = await catalog.manifest(row.content_id)
    assert (manifest.part_numbers, manifest.part_ends) == ((2, 5, 10_000), (5, 10, 15))
    assert await catalog.manifest(row.content_id) is manifest
    assert await catalog.part_extents(row.content_id, 3, 10_000) == chosen[1:]
    assert await catalog.find_upload("box", b"key", upload.upload_id) is None
    kinds = dict(await look.rows("SELECT kind, content_id FROM garbage"))
    assert kinds == {"content": old.content_id, "unlisted": upload.upload_id}
    tombstone = await second.find_completed(upload.upload_id)
    assert tombstone is not None and (tombstone.version, tombstone.completed_at) == committed[:2]
    assert await catalog.find_completed(b"x" * 16) is None
    with pytest.raises(ObjectMissing):
        await catalog.manifest(b"x" * 16)


async def test_a_part_sent_again_replaces_and_complete_wants_the_attempt_it_lists(
    catalog: Catalog, second: Catalog, look: Look
) -> None:
    upload = await begin(catalog)
    [first] = await put_parts(catalog, upload, 1)
    [again] = await put_parts(second, upload, 1)
    assert await look.rows("SELECT content_id, extents FROM garbage") == [(first.part_id, first.extents)]
    for wrong, missing in (([first], 1), ([again, part(catalog, upload, 3), part(catalog, upload, 2)], 2)):
        with pytest.raises(PartMissing) as caught:
            await complete(catalog, upload, wrong)
        assert caught.value.part_number == missing
    assert (await complete(catalog, upload, [again])).version == 1
    assert await look.one("SELECT count(*) FROM garbage") == 1


async def test_the_same_part_at_once_through_two_gates(catalog: Catalog, second: Catalog, look: Look) -> None:
    upload = await begin(catalog)
    attempts = [part(gate, upload, 1 + n % 3) for n in range(60) for gate in (catalog, second)]
    await asyncio.gather(
        *[(catalog, second)[place % 2].put_part(upload, attempt) for place, attempt in enumerate(attempts)]
    )
    ended = Counter(row[0] for row in await look.rows("SELECT part_id FROM part"))
    ended.update(row[0] for row in await look.rows("SELECT content_id FROM garbage"))
    assert ended == Counter(attempt.part_id for attempt in attempts)


async def test_complete_twice_has_one_answer_whatever_its_conditions_say(catalog: Catalog, second: Catalog) -> None:
    upload = await begin(catalog)
    parts = await put_parts(catalog, upload, 1, 2)
    absent = Condition(None, True)
    first = await complete(catalog, upload, parts, condition=absent)
    await put(catalog, "box", b"key", stored(catalog), NO_CONDITION)
    assert await complete(second, upload, parts, condition=absent) == first
    await delete(catalog, "box", b"key", NO_CONDITION)
    await catalog.delete_bucket("box")
    assert await complete(second, upload, parts, condition=absent) == first
    with pytest.raises((UploadMissing, BucketChanged)):
        await complete(second, upload, parts[:1], digest=b"another list")
    assert await catalog.forget_completed(3600, 10) == 0
    assert await catalog.forget_completed(0, 10) == 1
    with pytest.raises((UploadMissing, BucketMissing)):
        await complete(second, upload, parts)


async def test_completes_at_once_have_one_answer(catalog: Catalog, second: Catalog, look: Look) -> None:
    for number in range(15):
        upload = await begin(catalog, b"%d" % number)
        parts = await put_parts(catalog, upload, 1, 2)
        answers = await asyncio.gather(*[complete(gate, upload, parts) for gate in (catalog, second, catalog, second)])
        assert len(set(answers)) == 1
    assert await look.one("SELECT count(*) FROM garbage") == 0
    assert await look.one("SELECT count(*) FROM content") == 15


async def test_conditions_of_complete(catalog: Catalog, look: Look) -> None:
    upload = await begin(catalog)
    parts = await put_parts(catalog, upload, 1)
    with pytest.raises(ObjectMissing):
        await complete(catalog, upload, parts, condition=Condition(("*",), False))
    await put(catalog, "box", b"key", stored(catalog, etag="e"), NO_CONDITION)
    with pytest.raises(ConditionFailed) as caught:
        await complete(catalog, upload, parts, condition=Condition(None, True))
    assert caught.value.condition == "If-None-Match"
    with pytest.raises(ConditionFailed) as caught:
        await complete(catalog, upload, parts, condition=Condition(("f",), False))
    assert caught.value.condition == "If-Match"
    # What was refused left the upload as it was.
    assert await look.one("SELECT count(*) FROM upload") == 1
    assert (await complete(catalog, upload, parts, condition=Condition(("f", "e"), False))).version == 2


async def test_complete_and_abort_and_late_parts_race(catalog: Catalog, second: Catalog, look: Look) -> None:
    """One of Complete and Abort wins; a part that comes with them is in the content, garbage, or refused."""
    outcomes = Counter[str]()
    dice = random.Random(3)
    for number in range(40):
        key = b"%d" % number
        upload = await begin(catalog, key)
        parts = await put_parts(catalog, upload, 1, 2)
        late = part(second, upload, 2)

        async def soon(work: Any) -> Any:
            await asyncio.sleep(dice.random() * 0.002)
            return await work

        answers: Any = await asyncio.gather(
            soon(complete(second, upload, parts)),
            soon(catalog.abort_upload(upload)),
            soon(second.put_part(upload, late)),
            return_exceptions=True,
        )
        completed, aborted, sent = answers
        row = (await catalog.find_object("box", key))[1]
        assert is_committed(completed) == (row is not None)
        assert is_committed(completed) or isinstance(completed, UploadMissing | PartMissing)
        assert aborted is None or isinstance(aborted, UploadMissing)
        assert not (is_committed(completed) and aborted is None)
        if row is not None:
            kept = [each.part_id for each in await second.part_extents(upload.upload_id, 1, 10_000)]
            assert kept == [each.part_id for each in parts]
        assert isinstance(sent, PartRow | UploadMissing)
        outcomes[type(completed).__name__] += 1
    await second._discards.drain(5)
    left = await look.rows(
        "SELECT count(*) FROM part p WHERE NOT EXISTS (SELECT FROM content c WHERE c.content_id = p.upload_id)"
        " AND NOT EXISTS (SELECT FROM garbage g WHERE g.content_id = p.upload_id AND g.kind = 'upload')"
    )
    assert left == [(0,)]
    assert len(outcomes) >= 2


async def test_completes_of_two_uploads_of_one_key_race(catalog: Catalog, second: Catalog, look: Look) -> None:
    for number in range(15):
        key = b"%d" % number
        uploads = [await begin(catalog, key), await begin(catalog, key)]
        parts = [await put_parts(catalog, upload, 1) for upload in uploads]
        small = stored(catalog)
        answers = await asyncio.gather(
            complete(catalog, uploads[0], parts[0]),
            complete(second, uploads[1], parts[1]),
            put(catalog, "box", key, small, NO_CONDITION),
        )
        assert sorted(answer.version for answer in answers) == [1, 2, 3]
        contents = [upload.upload_id for upload in uploads] + [small.content_id]
        last = max(range(3), key=lambda place: answers[place].version)
        row = (await catalog.find_object("box", key))[1]
        assert row is not None and row.content_id == contents.pop(last)
        garbage = [row[0] for row in await look.rows("DELETE FROM garbage RETURNING content_id")]
        assert Counter(garbage) == Counter(contents)


async def test_abort_and_expiry(catalog: Catalog, second: Catalog, look: Look) -> None:
    upload = await begin(catalog)
    parts = await put_parts(catalog, upload, 1)
    await second.abort_upload(upload)
    with pytest.raises(UploadMissing):
        await catalog.abort_upload(upload)
    with pytest.raises(UploadMissing):
        await put_parts(catalog, upload, 2)
    with pytest.raises(UploadMissing):
        await complete(catalog, upload, parts)
    assert await look.rows("SELECT kind, content_id FROM garbage WHERE kind = 'upload'") == [
        ("upload", upload.upload_id)
    ]
    for number in range(5):
        await begin(catalog, b"%d" % number)
    assert await catalog.expire_uploads(3600, 10) == 0
    async with look.connection.transaction():  # one of them is being written to
        await look.rows("SELECT FROM upload WHERE key = '0' FOR SHARE")
        assert await catalog.expire_uploads(0, 3) == 3
        assert await catalog.expire_uploads(0, 10) == 1
    assert await catalog.expire_uploads(0, 10) == 1
    assert await look.one("SELECT count(*) FROM garbage WHERE kind = 'upload'") == 6


async def test_uploads_go_with_their_bucket(catalog: Catalog, look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets, "_UPLOADS_AT_ONCE", 2)
    uploads = [await begin(catalog, b"%d" % number) for number in range(5)]
    await put(catalog, "box", b"key", stored(catalog), NO_CONDITION)
    with pytest.raises(BucketNotEmpty):
        await catalog.delete_bucket("box")
    assert await look.one("SELECT count(*) FROM upload") == 5
    await delete(catalog, "box", b"key", NO_CONDITION)
    await catalog.delete_bucket("box")
    found = await look.rows("SELECT content_id FROM garbage WHERE kind = 'upload'")
    assert {row[0] for row in found} == {upload.upload_id for upload in uploads}
    with pytest.raises(BucketMissing):
        await begin(catalog)
    with pytest.raises(BucketMissing):
        await catalog.delete_bucket("box")


async def test_ten_thousand_parts_are_one_row_at_complete(catalog: Catalog, look: Look) -> None:
    upload = await begin(catalog)
    rows = [part(catalog, upload, number) for number in range(1, 10_001)]
    await look.rows(
        "INSERT INTO part SELECT %s, n, i, 5, 'e', '', now(), 1, i || '\\x00000001'"
        " FROM unnest(%s::int[], %s::bytea[]) AS x (n, i)",
        upload.upload_id,
        [row.part_number for row in rows],
        [row.part_id for row in rows],
    )
    assert len(await catalog.all_parts(upload.upload_id)) == 10_000
    loop = asyncio.get_running_loop()
    began = loop.time()
    await complete(catalog, upload, rows)
    assert loop.time() - began < 3
    manifest = await catalog.manifest(upload.upload_id)
    assert (len(manifest.part_numbers), manifest.part_ends[-1]) == (10_000, 50_000)
    assert [row.part_number for row in await catalog.part_extents(upload.upload_id, 4000, 4002)] == [4000, 4001, 4002]


async def test_so_many_parts_are_remembered(open_catalog: OpenCatalog) -> None:
    catalog = await open_catalog(limits=replace(QUICK, manifest_cache_parts=5))
    await catalog.create_bucket("box", "root", "")
    contents = []
    for count in (2, 3, 1, 6):
        upload = await begin(catalog)
        await complete(catalog, upload, await put_parts(catalog, upload, *range(1, count + 1)))
        contents.append(upload.upload_id)
    first, second, third, large = contents
    found = [await catalog.manifest(each) for each in (first, second)]
    assert [await catalog.manifest(each) for each in (first, second)] == found
    assert await catalog.manifest(first) is found[0] and await catalog.manifest(second) is found[1]
    together = await asyncio.gather(catalog.manifest(third), catalog.manifest(third))
    assert together[0] == together[1]
    assert await catalog.manifest(second) is found[1], "the oldest went, and nothing else"
    assert await catalog.manifest(first) is not found[0]
    assert len((await catalog.manifest(large)).part_numbers) == 6
    assert catalog._contents._parts == 0 and not catalog._contents._known


async def test_an_upload_keeps_what_its_version_will_have(catalog: Catalog, second: Catalog) -> None:
    until = datetime(2040, 1, 2, tzinfo=UTC)
    for given in (PLAIN, Traits(b"a=b", GOVERNANCE | LEGAL_HOLD, until, b"\0envelope", b"acl")):
        row = await bucket_of(catalog)
        upload = await catalog.create_upload(
            row, b"key", headers=b"h", checksum_algorithm="CRC32", checksum_type="FULL_OBJECT", group_id=1, traits=given
        )
        assert upload.traits == given
        assert await second.find_upload("box", b"key", upload.upload_id) == upload
        for delimiter in (b"", b"/"):
            page = await second.list_uploads(
                row.bucket_id, prefix=b"", delimiter=delimiter, after=b"", after_id=b"", limit=9
            )
            assert upload in page.entries
        sealed = await catalog.put_part(upload, part(catalog, upload, 1)._replace(sse=b"\0salt"))
        again = await catalog.put_part(upload, part(catalog, upload, 1)._replace(sse=b"other"))
        plain = await catalog.put_part(upload, part(catalog, upload, 2))
        assert sealed.sse == b"\0salt"
        assert await second.all_parts(upload.upload_id) == [again, plain]
