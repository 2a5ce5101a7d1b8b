"""Versions of a key: conditions, protection, removal and promotion, each in the case that it is for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from s3gate.catalog.catalog import Catalog
from s3gate.catalog.errors import BucketChanged, ConditionFailed, ObjectMissing, SourceChanged, VersionLocked
from s3gate.catalog.rows import (
    COMPLIANCE,
    ENABLED,
    GOVERNANCE,
    LEGAL_HOLD,
    NO_CONDITION,
    NULL_VERSION,
    SUSPENDED,
    BucketRow,
    Committed,
    Condition,
    Deleted,
    ObjectRow,
    Stored,
    Traits,
)
from tests.catalog.conftest import Look
from tests.catalog.making import bucket_of, is_committed, stored

ABSENT = Condition(None, True)
EXISTS = Condition(("*",), False)
LATER = datetime.now(UTC) + timedelta(days=1)
EARLIER = datetime.now(UTC) - timedelta(days=1)


async def gathered(*work: Awaitable[Any]) -> list[Any]:
    return await asyncio.gather(*work, return_exceptions=True)


async def versioned(catalog: Catalog, state: int = ENABLED) -> BucketRow:
    await catalog.set_versioning("box", ENABLED)
    if state != ENABLED:
        await catalog.set_versioning("box", state)
    return await bucket_of(catalog, fresh=True)


async def put(catalog: Catalog, bucket: BucketRow, content: Stored, condition: Condition = NO_CONDITION) -> Committed:
    return await catalog.put_object(bucket, b"k", content, condition)


async def head(catalog: Catalog) -> ObjectRow:
    row = (await catalog.find_object("box", b"k"))[1]
    assert row is not None
    return row


async def test_conditions_look_at_the_current_version_and_a_marker_is_none(catalog: Catalog, look: Look) -> None:
    bucket = await versioned(catalog)
    with pytest.raises(ObjectMissing):
        await put(catalog, bucket, stored(catalog), EXISTS)
    assert (await put(catalog, bucket, stored(catalog, etag="one"), ABSENT)).version == 1
    with pytest.raises(ConditionFailed, match="If-None-Match"):
        await put(catalog, bucket, stored(catalog), ABSENT)
    with pytest.raises(ConditionFailed, match="If-Match"):
        await put(catalog, bucket, stored(catalog), Condition(("two",), False))
    await put(catalog, bucket, stored(catalog, etag="two"), Condition(("one",), False))
    assert (await catalog.delete_object(bucket, b"k", Condition(("two",), False))) is not None
    with pytest.raises(ObjectMissing):
        await put(catalog, bucket, stored(catalog), EXISTS)
    with pytest.raises(ObjectMissing):
        await catalog.delete_object(bucket, b"k", EXISTS)
    assert (await put(catalog, bucket, stored(catalog), ABSENT)).version == 4
    assert await look.one("SELECT count(*) FROM version") == 3
    await catalog._discards.drain(5)
    assert await look.one("SELECT count(*) FROM garbage") == 4


async def test_a_delete_may_name_size_time_and_version(catalog: Catalog) -> None:
    bucket = await bucket_of(catalog)
    done = await put(catalog, bucket, stored(catalog, size=7))
    refused = [
        (Condition(None, False, size=8), "size"),
        (Condition(None, False, modified_at=EARLIER), "last-modified"),
        (Condition(None, False, version=(2, b"")), "version"),
        (Condition(None, False, version=(1, b"x" * 16)), "version"),
    ]
    for condition, name in refused:
        with pytest.raises(ConditionFailed, match=name):
            await catalog.delete_object(bucket, b"k", condition)
        with pytest.raises(ConditionFailed, match=name):
            await catalog.delete_version(bucket, b"k", NULL_VERSION, condition)
        with pytest.raises((ObjectMissing, ConditionFailed)):
            await catalog.delete_object(bucket, b"other", condition)
    same_second = done.modified_at.replace(microsecond=0)
    right = Condition((stored(catalog).etag, (await head(catalog)).etag), False, 7, same_second, (1, b""))
    assert await catalog.delete_object(bucket, b"k", right) == Deleted(False, 1, b"")


async def test_a_delete_of_a_version_is_judged_on_that_version(catalog: Catalog) -> None:
    bucket = await versioned(catalog)
    one = await put(catalog, bucket, stored(catalog, etag="one", size=1))
    await put(catalog, bucket, stored(catalog, etag="two", size=2))
    marker = await catalog.delete_object(bucket, b"k", NO_CONDITION)
    assert marker is not None
    ref = one.version, one.version_id
    for condition in (Condition(("two",), False), Condition(None, False, size=2), Condition(None, False, version=ref)):
        with pytest.raises(ConditionFailed):
            await catalog.delete_version(bucket, b"k", ref, condition)
    with pytest.raises(ObjectMissing):
        await catalog.delete_version(bucket, b"k", marker[1:], EXISTS)
    with pytest.raises(ObjectMissing):
        await catalog.delete_version(bucket, b"k", NULL_VERSION, EXISTS)
    right = Condition(("one",), False, 1, one.modified_at, marker[1:])
    assert await catalog.delete_version(bucket, b"k", ref, right) == Deleted(False, 1, one.version_id)
    assert await catalog.delete_version(bucket, b"k", ref) is None
    assert await catalog.delete_version(bucket, b"k", marker[1:]) == marker
    assert (await head(catalog)).etag == "two"


async def test_removing_the_current_version_brings_back_the_one_before(catalog: Catalog, look: Look) -> None:
    bucket = await versioned(catalog)
    first = replace(stored(catalog, headers=b"h"), traits=Traits(b"t=1", 0, None, b"sse", b"acl"))
    done = await put(catalog, bucket, first)
    before = await head(catalog)
    assert before[-7:] == (done.version_id, False, b"t=1", 0, None, b"sse", b"acl")
    second = await put(catalog, bucket, stored(catalog))
    marker = await catalog.delete_object(bucket, b"k", NO_CONDITION)
    assert marker == Deleted(True, 3, (await head(catalog)).version_id) and (await head(catalog)).marker
    # The one in between goes in the same batch: the head's follower is the first.
    refs = [marker[1:], (second.version, second.version_id)]
    await asyncio.gather(*[catalog.delete_version(bucket, b"k", ref) for ref in refs])
    assert await head(catalog) == before
    assert await look.one("SELECT count(*) FROM version") == 0
    assert (await put(catalog, bucket, stored(catalog))).version == 2


async def test_a_thousand_versions_of_one_key_go_at_once(catalog: Catalog, second: Catalog, look: Look) -> None:
    bucket = await versioned(catalog)
    done = [await put(catalog, bucket, stored(catalog)) for _ in range(300)]
    gates = [catalog, second]
    answers = await asyncio.gather(
        *[gates[n % 2].delete_version(bucket, b"k", (each.version, each.version_id)) for n, each in enumerate(done)],
        *[gates[n % 2].delete_version(bucket, b"k", (each.version, b"y" * 16)) for n, each in enumerate(done)],
    )
    assert answers == [Deleted(False, each.version, each.version_id) for each in done] + [None] * 300
    assert await look.one("SELECT (SELECT count(*) FROM object) + (SELECT count(*) FROM version)") == 0
    assert await look.one("SELECT count(DISTINCT content_id) FROM garbage") == 300


async def test_suspended_writes_replace_the_null_version_wherever_it_is(catalog: Catalog, look: Look) -> None:
    old = stored(catalog)
    await put(catalog, await bucket_of(catalog), old)
    bucket = await versioned(catalog)
    kept = await put(catalog, bucket, stored(catalog))
    await catalog.set_versioning("box", SUSPENDED)
    with pytest.raises(BucketChanged):
        await catalog.delete_object(bucket, b"k", NO_CONDITION)
    bucket = await bucket_of(catalog, fresh=True)
    assert await catalog.delete_object(bucket, b"k", NO_CONDITION) == Deleted(True, 3, b"")
    assert await look.rows("SELECT version_id FROM version") == [(kept.version_id,)]
    assert await look.rows("SELECT content_id FROM garbage") == [(old.content_id,)]
    new = stored(catalog)
    assert await put(catalog, bucket, new) == Committed(4, (await head(catalog)).modified_at, b"")
    again = stored(catalog)
    await put(catalog, bucket, again)
    assert await look.one("SELECT count(*) FROM version") == 1
    assert [row[0] for row in await look.rows("SELECT content_id FROM garbage ORDER BY queued_at")] == [
        old.content_id,
        new.content_id,
    ]
    assert await catalog.delete_version(bucket, b"k", NULL_VERSION) == Deleted(False, 5, b"")
    assert (await head(catalog)).version_id == kept.version_id


@pytest.mark.parametrize(
    ("traits", "plainly", "bypassing"),
    [
        (Traits(lock=GOVERNANCE, retain_until=LATER), False, True),
        (Traits(lock=GOVERNANCE, retain_until=EARLIER), True, True),
        (Traits(lock=COMPLIANCE, retain_until=LATER), False, False),
        (Traits(lock=COMPLIANCE, retain_until=EARLIER), True, True),
        (Traits(lock=LEGAL_HOLD), False, False),
        (Traits(lock=LEGAL_HOLD | GOVERNANCE, retain_until=LATER), False, False),
        (Traits(lock=LEGAL_HOLD | GOVERNANCE, retain_until=EARLIER), False, False),
    ],
)
async def test_protected_versions(catalog: Catalog, traits: Traits, plainly: bool, bypassing: bool) -> None:
    bucket = await catalog.create_bucket("locked", "root", "", lock_enabled=True)
    for bypass, allowed in ((False, plainly), (True, bypassing)):
        for is_head in (True, False):
            done = await catalog.put_object(bucket, b"k", replace(stored(catalog), traits=traits), NO_CONDITION)
            if not is_head:
                await catalog.delete_object(bucket, b"k", NO_CONDITION)
            ref = done.version, done.version_id
            if allowed:
                assert await catalog.delete_version(bucket, b"k", ref, bypass=bypass) == Deleted(False, *ref)
                continue
            with pytest.raises(VersionLocked):
                await catalog.delete_version(bucket, b"k", ref, bypass=bypass)
            assert (await catalog.find_object("locked", b"k", ref))[1] is not None


async def test_an_older_version_is_copied_and_a_removed_one_is_not(catalog: Catalog, second: Catalog) -> None:
    bucket = await versioned(catalog)
    await put(catalog, bucket, stored(catalog))
    source = await head(catalog)
    await put(catalog, bucket, stored(catalog))
    content = Stored(source.content_id, source.size, source.etag, 1, 0, source.extents, b"copied", "")
    done = await second.copy_object(source, await bucket_of(second, fresh=True), b"k", content, NO_CONDITION)
    assert (done.version, len(done.version_id)) == (3, 16)
    assert (await head(catalog)).content_id == source.content_id
    assert await catalog.delete_version(bucket, b"k", (source.version, source.version_id)) is not None
    with pytest.raises(SourceChanged):
        await second.copy_object(source, bucket, b"other", content, NO_CONDITION)
    garbage = await catalog.take_garbage(10)
    assert [(row.content_id, row.referenced) for row in garbage] == [(source.content_id, True)]


async def test_traits_go_with_the_version_that_had_them(catalog: Catalog) -> None:
    """The fast statement, too, leaves nothing of what was there."""
    bucket = await bucket_of(catalog)
    await put(catalog, bucket, replace(stored(catalog), traits=Traits(b"t=1", 0, None, b"sse", b"acl")))
    assert (await head(catalog)).sse == b"sse"
    await put(catalog, bucket, stored(catalog))
    assert (await head(catalog))[-7:] == (b"", False, b"", 0, None, b"", b"")


async def test_one_batch_has_writes_of_every_kind(catalog: Catalog, look: Look) -> None:
    enabled = await versioned(catalog)
    plain = await catalog.create_bucket("plain", "root", "")
    await catalog.create_bucket("off", "root", "")
    await catalog.set_versioning("off", ENABLED)
    await catalog.set_versioning("off", SUSPENDED)
    suspended = await bucket_of(catalog, "off", fresh=True)
    buckets = enabled, plain, suspended
    for _ in range(3):
        tagged = replace(stored(catalog), traits=Traits(b"t=1"))
        answers = await gathered(
            *[catalog.put_object(to, b"k%d" % n, stored(catalog), NO_CONDITION) for to in buckets for n in range(3)],
            catalog.put_object(plain, b"tagged", tagged, NO_CONDITION),
            *[catalog.delete_object(of, b"gone", NO_CONDITION) for of in buckets],
        )
        assert [bool(each.version_id) for each in answers[:9]] == [True] * 3 + [False] * 6
        assert answers[11] is None and answers[10].marker and answers[12] == (True, answers[12].version, b"")
    assert await look.one("SELECT count(*) FROM version") == 8


async def test_of_many_conditional_writers_into_a_versioned_bucket_one_wins(
    catalog: Catalog, second: Catalog, look: Look
) -> None:
    bucket = await versioned(catalog)
    gates = [catalog, second]
    for condition in (ABSENT, None, ABSENT):
        if condition is None:
            await catalog.delete_object(bucket, b"k", NO_CONDITION)
            continue
        writes = [gate.put_object(bucket, b"k", stored(gate), condition) for _ in range(32) for gate in gates]
        answers = await gathered(*writes)
        assert sum(map(is_committed, answers)) == 1
        assert sum(isinstance(answer, ConditionFailed) for answer in answers) == 63
    etag = await look.one("SELECT etag FROM object")
    swap = Condition((etag,), False)
    swaps = await gathered(*[gate.put_object(bucket, b"k", stored(gate), swap) for _ in range(32) for gate in gates])
    assert sum(map(is_committed, swaps)) == 1
    assert await look.one("SELECT count(*) FROM version") == 3
