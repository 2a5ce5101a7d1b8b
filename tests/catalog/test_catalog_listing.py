"""Listing against a model in Python: any bytes, prefixes, delimiters, pages."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s3gate.catalog import listing
from s3gate.catalog.catalog import Catalog
from s3gate.catalog.rows import NO_CONDITION, CommonPrefix, ListEntry, UploadRow
from tests.catalog.conftest import Look
from tests.catalog.making import begin, put, stored

Entry = tuple[str, bytes]

# Few bytes, so that keys share prefixes; the ends of the range, so that nothing lies beyond them.
BYTES = st.binary(max_size=3).map(lambda data: bytes(b"\x00/a\xfe\xff"[byte % 5] for byte in data))
KEYS = st.sets(st.builds(lambda left, right: left + right, BYTES, BYTES).filter(bool), max_size=25)


def model(keys: Iterable[bytes], prefix: bytes, delimiter: bytes, after: bytes, inclusive: bool) -> list[Entry]:
    """Every entry of a listing, the plain way."""
    entries: list[Entry] = []
    skipped = not inclusive and listing.is_rolled(prefix, delimiter, after)
    for key in sorted(keys):
        if not key.startswith(prefix) or key < after or (key == after and not inclusive):
            continue
        if skipped and key.startswith(after):
            continue
        at = key.find(delimiter, len(prefix)) if delimiter else -1
        entry = ("key", key) if at < 0 else ("prefix", key[: at + len(delimiter)])
        if entry not in entries[-1:]:
            entries.append(entry)
    return entries


async def read(
    catalog: Catalog, bucket_id: int, prefix: bytes, delimiter: bytes, after: bytes, inclusive: bool, limit: int
) -> tuple[list[Entry], bool]:
    page = await catalog.list_objects(
        bucket_id, prefix=prefix, delimiter=delimiter, after=after, inclusive=inclusive, limit=limit
    )
    entries = [
        ("prefix", entry.prefix) if isinstance(entry, CommonPrefix) else ("key", entry.key) for entry in page.entries
    ]
    return entries, page.truncated


@given(keys=KEYS, prefix=BYTES, delimiter=BYTES, after=BYTES, inclusive=st.booleans(), limit=st.integers(1, 6))
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
def test_pages_are_as_in_the_model(
    pages: Pages, keys: set[bytes], prefix: bytes, delimiter: bytes, after: bytes, inclusive: bool, limit: int
) -> None:
    expected = model(keys, prefix, delimiter, after, inclusive)
    assert pages.read(keys, prefix, delimiter, after, inclusive, limit) == expected


class Pages:
    """Runs listings of a given set of keys, page by page, on a loop of its own."""

    def __init__(self, dsn: str) -> None:
        self.loop = asyncio.new_event_loop()
        self.catalog = self.loop.run_until_complete(Catalog.open(dsn, kind="gate"))

    def read(
        self, keys: set[bytes], prefix: bytes, delimiter: bytes, after: bytes, inclusive: bool, limit: int
    ) -> list[Entry]:
        return self.loop.run_until_complete(self._read(keys, prefix, delimiter, after, inclusive, limit))

    async def _read(
        self, keys: set[bytes], prefix: bytes, delimiter: bytes, after: bytes, inclusive: bool, limit: int
    ) -> list[Entry]:
        catalog = self.catalog
        bucket = await catalog.create_bucket(f"b{catalog.ids.next().hex()}", "root", "")
        await asyncio.gather(*[put(catalog, bucket.name, key, stored(catalog), NO_CONDITION) for key in keys])
        collected: list[Entry] = []
        while True:
            entries, truncated = await read(catalog, bucket.bucket_id, prefix, delimiter, after, inclusive, limit)
            assert len(entries) <= limit
            collected += entries
            if not truncated:
                return collected
            assert len(entries) == limit
            after, inclusive = entries[-1][1], False

    def close(self) -> None:
        self.loop.run_until_complete(self.catalog.close())
        self.loop.close()


@pytest.fixture
def pages(database: str) -> Iterable[Pages]:
    pages = Pages(database)
    yield pages
    pages.close()


@pytest.mark.parametrize("delimiter", [b"", b"/"])
async def test_a_page_shows_what_the_row_says(catalog: Catalog, delimiter: bytes) -> None:
    bucket = await catalog.find_bucket("box")
    assert bucket is not None
    content = stored(catalog, size=77)
    committed = await put(catalog, "box", b"a", content, NO_CONDITION)
    page = await catalog.list_objects(
        bucket.bucket_id, prefix=b"", delimiter=delimiter, after=b"", inclusive=False, limit=1
    )
    assert page.entries == [ListEntry(b"a", 77, content.etag, committed.modified_at, "")]
    assert page.truncated is False
    empty = await catalog.list_objects(
        bucket.bucket_id, prefix=b"", delimiter=delimiter, after=b"", inclusive=False, limit=0
    )
    assert (empty.entries, empty.truncated) == ([], False)


async def test_the_longest_keys(catalog: Catalog) -> None:
    bucket = await catalog.find_bucket("box")
    assert bucket is not None
    keys = [b"\xff" * 1024, b"\xff" * 1023 + b"\xfe", b"\xff" * 1023, b"\xff" * 1022 + b"/"]
    for key in keys:
        await put(catalog, "box", key, stored(catalog), NO_CONDITION)
    for prefix in (b"", b"\xff", b"\xff" * 1023, b"\xff" * 1024, b"\xff" * 1025):
        for delimiter in (b"", b"/", b"\xff", b"\xff\xff"):
            for after in (b"", b"\xff" * 1023, b"\xff" * 1024, b"\xff" * 2000):
                for inclusive in (False, True):
                    entries, _ = await read(catalog, bucket.bucket_id, prefix, delimiter, after, inclusive, 100)
                    assert entries == model(keys, prefix, delimiter, after, inclusive)


async def test_a_skip_scan_does_not_read_what_it_skips(catalog: Catalog, look: Look) -> None:
    bucket = await catalog.find_bucket("box")
    assert bucket is not None
    await look.rows(
        "INSERT INTO object SELECT %s, convert_to(d || '/' || n, 'UTF8'), 1, decode(md5(d || '/' || n), 'hex'), 1,"
        " 'e', now(), 1, 0, '', '', '' FROM generate_series(100, 149) AS d, generate_series(1, 2000) AS n",
        bucket.bucket_id,
    )
    loop = asyncio.get_running_loop()
    await read(catalog, bucket.bucket_id, b"", b"/", b"", False, 1000)
    began = loop.time()
    entries, truncated = await read(catalog, bucket.bucket_id, b"", b"/", b"", False, 1000)
    took = loop.time() - began
    assert entries == [("prefix", b"%d/" % number) for number in range(100, 150)] and not truncated
    assert took < 0.05


async def test_buckets_are_listed_by_name(catalog: Catalog) -> None:
    for name in ("b-1", "b.1", "b1", "a", "b_1", "zz"):
        await catalog.create_bucket(name, "root", "")
    names = [row.name for row in await catalog.list_buckets("root", "", "", 100)]
    assert names == sorted([*names]) and len(names) == 7
    assert [row.name for row in await catalog.list_buckets("root", "b", "b-1", 2)] == ["b.1", "b1"]
    assert [row.name for row in await catalog.list_buckets("root", "b", "b1", 9)] == ["b_1", "box"]


async def test_uploads_are_listed_by_key_and_id(catalog: Catalog) -> None:
    bucket = await catalog.find_bucket("box")
    assert bucket is not None
    keys = [b"a", b"a", b"a", b"d/1", b"d/1", b"d/2", b"e\xff", b"z/\0"]
    uploads = sorted([await begin(catalog, key) for key in keys], key=lambda row: (row.key, row.upload_id))

    async def walk(prefix: bytes, delimiter: bytes, limit: int) -> list[UploadRow | CommonPrefix]:
        entries: list[UploadRow | CommonPrefix] = []
        after, after_id = b"", b""
        while True:
            page = await catalog.list_uploads(
                bucket.bucket_id,
                prefix=prefix,
                delimiter=delimiter,
                after=after,
                after_id=after_id,
                limit=limit,
            )
            entries += page.entries
            if not page.truncated:
                return entries
            last = entries[-1]
            after, after_id = (last.prefix, b"") if isinstance(last, CommonPrefix) else (last.key, last.upload_id)

    for limit in (1, 2, 3, 100):
        assert await walk(b"", b"", limit) == uploads
        assert await walk(b"d/", b"", limit) == uploads[3:6]
        assert await walk(b"d/", b"/", limit) == uploads[3:6]
        assert await walk(b"", b"/", limit) == [
            *uploads[:3], CommonPrefix(b"d/"), uploads[6], CommonPrefix(b"z/")
        ]  # fmt: skip
    page = await catalog.list_uploads(bucket.bucket_id, prefix=b"", delimiter=b"", after=b"a", after_id=b"", limit=1)
    assert page.entries == [uploads[3]]


async def test_a_marker_outside_the_prefix_brings_nothing_from_outside(catalog: Catalog) -> None:
    """No byte lies between a key and the same with a NUL behind it: the bound below the prefix is the marker's key."""
    bucket = await catalog.find_bucket("box")
    assert bucket is not None
    inside = await begin(catalog, b"a\0")
    await begin(catalog, b"a")
    page = await catalog.list_uploads(
        bucket.bucket_id, prefix=b"a\0", delimiter=b"", after=b"a", after_id=bytes(16), limit=9
    )
    assert page.entries == [inside]
