"""Lookups: heads, versions that are named, and always the bucket's row of that very moment."""

from __future__ import annotations

import asyncio

import pytest

from s3gate.catalog.catalog import Catalog
from s3gate.catalog.rows import NO_CONDITION, NULL_VERSION, VersionRef
from tests.catalog.by_hand import Made, place
from tests.catalog.conftest import Look
from tests.catalog.making import bucket_of, put, stored

KEY = b"\0key\xff"


async def version_of(catalog: Catalog, ref: VersionRef | None, key: bytes = KEY) -> int | None:
    bucket, row = await catalog.find_object("box", key, ref)
    assert bucket is not None
    assert row is None or (row.key == key and row.bucket_id == bucket.bucket_id)
    return row and row.version


async def test_versions_are_found_wherever_they_are(catalog: Catalog, look: Look) -> None:
    bucket_id = (await bucket_of(catalog)).bucket_id
    made = [Made(9, marker=True), Made(7), Made(5, is_null=True, tags=b"a=b"), Made(2, marker=True), Made(1)]
    await place(look, bucket_id, KEY, *made)
    await place(look, bucket_id, b"head", Made(3, is_null=True), Made(2))
    assert await version_of(catalog, None) == 9
    for each in made:
        _, row = await catalog.find_object("box", KEY, each.ref)
        assert row is not None
        assert (row.version, row.version_id, row.marker, row.tags) == (
            each.version, each.version_id, each.marker, each.tags
        )  # fmt: skip
    assert await version_of(catalog, NULL_VERSION, b"head") == 3
    assert await version_of(catalog, (2, Made(2).version_id), b"head") == 2
    assert await version_of(catalog, NULL_VERSION, b"none") is None
    for wrong in ((7, Made(9).version_id), (9, Made(7).version_id), (8, Made(8).version_id), (5, b"x" * 16)):
        assert await version_of(catalog, wrong) is None
    assert await version_of(catalog, (2, Made(2).version_id), b"other") is None
    assert await catalog.find_object("none", KEY, NULL_VERSION) == (None, None)
    assert await catalog.find_object("n\0", KEY, NULL_VERSION) == (None, None)


async def test_many_at_once(catalog: Catalog, look: Look) -> None:
    bucket_id = (await bucket_of(catalog)).bucket_id
    keys = [b"k%d" % number for number in range(20)]
    for key in keys:
        await place(look, bucket_id, key, Made(2), Made(1, is_null=True))
    asked = [(key, ref) for key in keys for ref in (None, (2, Made(2).version_id), NULL_VERSION, (9, b"x" * 16))]
    answers = await asyncio.gather(*[version_of(catalog, ref, key) for key, ref in asked])
    assert answers == [2, 2, 1, None] * 20


@pytest.mark.parametrize("ref", [None, NULL_VERSION])
async def test_a_change_of_the_bucket_is_noticed_at_once(
    catalog: Catalog, second: Catalog, ref: VersionRef | None
) -> None:
    await put(catalog, "box", KEY, stored(catalog), NO_CONDITION)
    for number in range(20):
        await second.put_setting("box", "policy", b"%d" % number)
        found = await asyncio.gather(*[catalog.find_object("box", key, ref) for key in (KEY, b"none", KEY)])
        for bucket, _ in found:
            assert bucket is not None and bucket.settings == {"policy": b"%d" % number}
    assert [row is not None for _, row in found] == [True, False, True]
    # What a lookup has confirmed is remembered for another moment without asking.
    assert await catalog.find_bucket("box") is found[0][0]


async def test_a_bucket_that_comes_and_goes(catalog: Catalog, second: Catalog) -> None:
    """Whatever is found is found in the bucket that is given beside it."""
    stop = asyncio.Event()
    seen = 0

    async def look_up() -> None:
        nonlocal seen
        while not stop.is_set():
            bucket, row = await second.find_object("comes", KEY)
            if row is not None:
                assert bucket is not None and bucket.bucket_id == row.bucket_id
                assert row.headers == b"%d" % bucket.bucket_id
                seen += 1

    looking = [asyncio.create_task(look_up()) for _ in range(3)]
    for _ in range(20):
        bucket = await catalog.create_bucket("comes", "root", "")
        content = stored(catalog, headers=b"%d" % bucket.bucket_id)
        await catalog.put_object(bucket, KEY, content, NO_CONDITION)
        await asyncio.sleep(0.005)
        await catalog.delete_object(bucket, KEY, NO_CONDITION)
        await catalog.delete_bucket("comes")
    stop.set()
    await asyncio.gather(*looking)
    assert seen
