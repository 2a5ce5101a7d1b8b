"""What the lifecycle worker is given: pages of heads, older versions and uploads, and its own progress."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta

import pytest

from s3gate.catalog.catalog import Catalog
from s3gate.catalog.rows import HeadRow, LifecycleWalk, NoncurrentRow
from tests.catalog.by_hand import Made, place, place_many
from tests.catalog.conftest import Look
from tests.catalog.making import begin, bucket_of


async def noncurrent(catalog: Catalog, bucket_id: int, prefix: bytes, limit: int) -> list[NoncurrentRow]:
    """All of them, page by page."""
    rows: list[NoncurrentRow] = []
    after, version = b"", None
    while True:
        page = await catalog.lifecycle.noncurrent(bucket_id, prefix, after, version, limit)
        rows += page
        if len(page) < limit:
            return rows
        after, version = page[-1].key, page[-1].version


async def test_heads(catalog: Catalog, look: Look) -> None:
    bucket_id = (await bucket_of(catalog)).bucket_id
    await place(look, bucket_id, b"a", Made(3, marker=True))
    await place(look, bucket_id, b"b/1", Made(3, marker=True), Made(1))
    await place(look, bucket_id, b"b/2", Made(5, size=7, tags=b"x=y"), Made(1))
    await place(look, bucket_id, b"c", Made(1, is_null=True))
    rows = await catalog.lifecycle.heads(bucket_id, b"", b"", 10)
    assert [row[:7] for row in rows] == [
        (b"a", 3, Made(3).version_id, True, True, 0, b""),
        (b"b/1", 3, Made(3).version_id, True, False, 0, b""),
        (b"b/2", 5, Made(5).version_id, False, False, 7, b"x=y"),
        (b"c", 1, b"", False, False, 1, b""),
    ]
    pages: list[HeadRow] = []
    while page := await catalog.lifecycle.heads(bucket_id, b"", pages[-1].key if pages else b"", 1):
        pages += page
    assert pages == rows
    assert await catalog.lifecycle.heads(bucket_id, b"b/", b"", 10) == rows[1:3]
    assert await catalog.lifecycle.heads(bucket_id, b"b/", b"b/1", 10) == rows[2:3]
    assert await catalog.lifecycle.heads(bucket_id, b"b/", b"c", 10) == []


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_ranks_count_from_the_newest_on_every_page(catalog: Catalog, look: Look, limit: int) -> None:
    bucket_id = (await bucket_of(catalog)).bucket_id
    dice = random.Random(limit)
    expected = []
    for key in sorted(b"%c/%d" % (letter, number) for letter in b"pqr" for number in range(4)):
        counters = sorted(dice.sample(range(1, 30), dice.randint(1, 8)), reverse=True)
        await place(look, bucket_id, key, *[Made(counter, marker=counter % 3 == 0) for counter in counters])
        expected += [(key, counter, rank) for rank, counter in enumerate(counters[1:], 1)]
    rows = await noncurrent(catalog, bucket_id, b"", limit)
    assert [(row.key, row.version, row.rank) for row in rows] == expected
    assert all(row.version_id == Made(row.version).version_id and row.marker == (row.version % 3 == 0) for row in rows)
    inside = [row for row in rows if row.key.startswith(b"q/")]
    assert await noncurrent(catalog, bucket_id, b"q/", limit) == inside
    assert await catalog.lifecycle.noncurrent(bucket_id, b"q/", b"p/3", 1, 100) == inside


async def test_ranks_of_very_many_versions(catalog: Catalog, look: Look) -> None:
    bucket_id = (await bucket_of(catalog)).bucket_id
    await place_many(look, bucket_id, "k", 20_000)
    loop = asyncio.get_running_loop()
    for after, first in ((None, 1), (20_000, 2), (19_951, 51), (19_802, 101), (5_000, 101)):
        took = []
        for _ in range(3):
            began = loop.time()
            rows = await catalog.lifecycle.noncurrent(bucket_id, b"", b"" if after is None else b"k", after, 1000)
            took.append(loop.time() - began)
        assert len(rows) == 1000 and rows[0].version == (after or 20_001) - 1
        assert [row.rank for row in rows[:3]] == [first, first + 1, first + 2]
        assert min(took) < 0.1


async def test_old_uploads_of_a_prefix(catalog: Catalog, look: Look) -> None:
    bucket_id = (await bucket_of(catalog)).bucket_id
    for key in (b"a", b"p/1", b"p/2", b"p/3", b"q"):
        await begin(catalog, key)
    await look.rows("UPDATE upload SET initiated_at = now() - interval '3 days' WHERE key <> %s", b"p/3")
    before = datetime.now(UTC) - timedelta(days=2)
    assert await catalog.lifecycle.abort_uploads(bucket_id, b"p/", before, 1) == 1
    assert await catalog.lifecycle.abort_uploads(bucket_id, b"p/", before, 9) == 1
    assert await catalog.lifecycle.abort_uploads(bucket_id, b"p/", before, 9) == 0
    assert [row[0] for row in await look.rows("SELECT key FROM upload ORDER BY key")] == [b"a", b"p/3", b"q"]
    assert await look.one("SELECT count(*) FROM garbage WHERE kind = 'upload'") == 2
    assert await catalog.lifecycle.abort_uploads(bucket_id, b"", before, 9) == 2


async def take(catalog: Catalog, day: int, lease: float = 60.0) -> LifecycleWalk:
    walk = await catalog.lifecycle.take(day, lease)
    assert walk is not None
    return walk


async def test_a_walk_is_taken_once_and_resumed(catalog: Catalog, second: Catalog) -> None:
    assert await catalog.lifecycle.take(7, 60.0) is None
    await catalog.put_setting("box", "lifecycle", b"rules")
    first = await take(catalog, 7)
    assert (first.bucket.name, first.bucket.settings, first.day, first.position) == (
        "box", {"lifecycle": b"rules"}, 7, b""
    )  # fmt: skip
    assert await second.lifecycle.take(7, 60.0) is None
    assert await catalog.lifecycle.save(first, b"half", done=False)
    resumed = await take(second, 8, lease=0.2)  # another day: the walk of the day before is brought to its end
    assert (resumed.day, resumed.position) == (7, b"half")
    assert not await catalog.lifecycle.save(first, b"late", done=True)
    assert await catalog.lifecycle.take(8, 60.0) is None
    await asyncio.sleep(0.3)  # it was killed
    again = await take(catalog, 8)
    assert (again.day, again.position) == (7, b"half")
    assert await catalog.lifecycle.save(again, b"end", done=True)
    assert await catalog.lifecycle.take(7, 60.0) is None
    following = await take(catalog, 8)
    assert (following.day, following.position) == (8, b"")
    assert await catalog.lifecycle.save(following, b"", done=True)
    assert await catalog.lifecycle.take(8, 60.0) is None
    await catalog.delete_setting("box", "lifecycle")
    assert await catalog.lifecycle.take(9, 60.0) is None


async def test_a_clock_that_was_wrong_does_not_stop_the_walks(catalog: Catalog) -> None:
    await catalog.put_setting("box", "lifecycle", b"rules")
    for day in (5000, 7, 8):
        assert await catalog.lifecycle.save(await take(catalog, day), b"", done=True)
    assert await catalog.lifecycle.take(7, 60.0) is None


async def test_walks_take_turns(catalog: Catalog, second: Catalog) -> None:
    for name in ("one", "two"):
        await catalog.create_bucket(name, "root", "", settings={"lifecycle": b""})
    await catalog.create_bucket("none", "root", "", settings={"policy": b""})
    turns = []
    for step in range(6):
        walk = await take(catalog, 1)
        turns.append(walk.bucket.name)
        assert await catalog.lifecycle.save(walk, b"%d" % step, done=False)
    assert turns == ["one", "two"] * 3
    both = list(await asyncio.gather(catalog.lifecycle.take(1, 60.0), second.lifecycle.take(1, 60.0)))
    while None in both:  # they had chosen the same
        missing = both.index(None)
        both[missing] = await (catalog, second)[missing].lifecycle.take(1, 60.0)
    assert {walk.bucket.name for walk in both if walk} == {"one", "two"}
