"""Listing versions against a model in Python, pages of a key with very many, and what markers cost a plain listing."""

from __future__ import annotations

import asyncio
import random

import pytest

from s3gate.catalog.catalog import Catalog
from s3gate.catalog.listing import is_rolled
from s3gate.catalog.rows import CommonPrefix, VersionEntry
from tests.catalog.by_hand import Made, place, place_many
from tests.catalog.conftest import Look
from tests.catalog.making import bucket_of

Entry = tuple[bytes, int | None]  # a version of a key, or a common prefix
ALPHABET = b"\x00/a\xfe\xff"


def model(versions: list[tuple[bytes, int]], prefix: bytes, delimiter: bytes, after: Entry) -> list[Entry]:
    """Every entry of a listing, the plain way; `versions` in order."""
    key_after, version_after = after
    entries: list[Entry] = []
    for key, version in versions:
        if not key.startswith(prefix) or key < key_after:
            continue
        if key == key_after and (version_after is None or version >= version_after):
            continue
        if key.startswith(key_after) and is_rolled(prefix, delimiter, key_after):
            continue
        at = key.find(delimiter, len(prefix)) if delimiter else -1
        entry = (key, version) if at < 0 else (key[: at + len(delimiter)], None)
        if entry not in entries[-1:]:
            entries.append(entry)
    return entries


async def read(
    catalog: Catalog, bucket_id: int, prefix: bytes, delimiter: bytes, after: Entry, limit: int
) -> tuple[list[Entry], bool]:
    page = await catalog.list_versions(
        bucket_id, prefix=prefix, delimiter=delimiter, after=after[0], after_version=after[1], limit=limit
    )
    entries: list[Entry] = [
        (entry.prefix, None) if isinstance(entry, CommonPrefix) else (entry.key, entry.version)
        for entry in page.entries
    ]
    return entries, page.truncated


async def walk(
    catalog: Catalog, bucket_id: int, prefix: bytes, delimiter: bytes, after: Entry, limit: int
) -> list[Entry]:
    collected: list[Entry] = []
    while True:
        entries, truncated = await read(catalog, bucket_id, prefix, delimiter, after, limit)
        collected += entries
        if not truncated:
            assert len(entries) <= limit
            return collected
        assert len(entries) == limit
        after = entries[-1]


@pytest.mark.parametrize("seed", range(6))
async def test_pages_are_as_in_the_model(catalog: Catalog, look: Look, seed: int) -> None:
    dice = random.Random(seed)

    def some(longest: int) -> bytes:
        return bytes(dice.choices(ALPHABET, k=dice.randint(0, longest)))

    bucket_id = (await bucket_of(catalog)).bucket_id
    versions: list[tuple[bytes, int]] = []
    for key in {some(5) for _ in range(25)} - {b""}:
        counters = sorted(dice.sample(range(1, 9), dice.choice((1, 1, 2, 6))), reverse=True)
        await place(look, bucket_id, key, *[Made(counter, marker=dice.random() < 0.3) for counter in counters])
        versions += [(key, -counter) for counter in counters]
    ordered = [(key, -counter) for key, counter in sorted(versions)]
    for _ in range(60):
        prefix, delimiter = some(2), some(2)
        key, version = dice.choice(ordered) if dice.random() < 0.5 else (some(5), dice.randint(1, 9))
        after = (key, dice.choice((None, version)))
        expected = model(ordered, prefix, delimiter, after)
        for limit in (1, 2, 5, 1000):
            assert await walk(catalog, bucket_id, prefix, delimiter, after, limit) == expected


@pytest.mark.parametrize("delimiter", [b"", b"/"])
async def test_a_page_shows_what_the_rows_say(catalog: Catalog, look: Look, delimiter: bytes) -> None:
    bucket_id = (await bucket_of(catalog)).bucket_id
    made = [Made(7, marker=True), Made(4, is_null=True, size=44), Made(2, size=22)]
    await place(look, bucket_id, b"k", *made)
    page = await catalog.list_versions(
        bucket_id, prefix=b"", delimiter=delimiter, after=b"", after_version=None, limit=9
    )
    assert not page.truncated and len(page.entries) == 3
    for entry, each in zip(page.entries, made, strict=True):
        assert isinstance(entry, VersionEntry)
        assert entry[:5] == (b"k", each.version, each.version_id, each.marker, each is made[0])
        assert entry.size == (0 if each.marker else each.size) and entry.modified_at.tzinfo is not None
    empty = await catalog.list_versions(
        bucket_id, prefix=b"", delimiter=delimiter, after=b"", after_version=None, limit=0
    )
    assert (empty.entries, empty.truncated) == ([], False)


async def test_a_version_that_was_promoted_meanwhile_is_not_missed(catalog: Catalog, look: Look) -> None:
    bucket_id = (await bucket_of(catalog)).bucket_id
    await place(look, bucket_id, b"k", Made(7), Made(6))
    for delimiter in (b"", b"/"):
        assert await walk(catalog, bucket_id, b"", delimiter, (b"k", 9), 1) == [(b"k", 7), (b"k", 6)]


async def test_very_many_versions_of_one_key(catalog: Catalog, look: Look) -> None:
    """100,000 versions: a page costs what a page costs, wherever it begins, in front of the key and behind it."""
    bucket_id = (await bucket_of(catalog)).bucket_id
    await place_many(look, bucket_id, "d/many", 100_000)
    for key in (b"a", b"d/a", b"d/z", b"z"):
        await place(look, bucket_id, key, Made(2), Made(1))
    loop = asyncio.get_running_loop()
    took: list[float] = []
    for delimiter, prefix in ((b"", b""), (b"/", b"d/")):
        for after in ((b"", None), (b"d/many", 99_000), (b"d/many", 50_000), (b"d/many", 500)):
            seconds = []
            for _ in range(3):
                began = loop.time()
                entries, truncated = await read(catalog, bucket_id, prefix, delimiter, after, 1000)
                seconds.append(loop.time() - began)
            took.append(min(seconds))
            assert truncated is (after[1] != 500) and entries == sorted(entries, key=lambda e: (e[0], -(e[1] or 0)))
            many = [version for key, version in entries if key == b"d/many"]
            assert many == list(range(after[1] - 1 if after[1] else 100_001, 0, -1))[: len(many)]
    began = loop.time()
    assert await walk(catalog, bucket_id, b"", b"/", (b"", None), 1000) == [
        (b"a", 2), (b"a", 1), (b"d/", None), (b"z", 2), (b"z", 1)
    ]  # fmt: skip
    took.append(loop.time() - began)
    assert max(took) < 0.15, took


async def test_delete_markers_cost_a_listing_nothing(catalog: Catalog, look: Look) -> None:
    """100,000 of them in front of the first key, and folders of nothing else."""
    bucket_id = (await bucket_of(catalog)).bucket_id
    await look.rows(
        "INSERT INTO object SELECT %s, convert_to('a/' || n, 'UTF8'), 2, decode(md5('a/' || n), 'hex'), 0, 'e', now(),"
        " 1, 0, '', '', '', convert_to(lpad(n::text, 16, '0'), 'UTF8'), true FROM generate_series(1, 100000) AS n",
        bucket_id,
    )
    await place(look, bucket_id, b"a/5x", Made(1))
    await place(look, bucket_id, b"b", Made(3), Made(2, marker=True), Made(1))
    loop = asyncio.get_running_loop()
    for delimiter, prefix, expected in (
        (b"", b"", [b"a/5x", b"b"]),
        (b"/", b"", [b"a/", b"b"]),
        (b"/", b"a/", [b"a/5x"]),
        (b"", b"a/9", []),
    ):
        took = []
        for _ in range(4):
            began = loop.time()
            page = await catalog.list_objects(
                bucket_id, prefix=prefix, delimiter=delimiter, after=b"", inclusive=False, limit=1000
            )
            took.append(loop.time() - began)
        assert [e.prefix if isinstance(e, CommonPrefix) else e.key for e in page.entries] == expected
        assert min(took) < 0.02, (delimiter, prefix)
