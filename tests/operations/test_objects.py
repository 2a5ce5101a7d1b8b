"""PutObject, GetObject, HeadObject, DeleteObject: the life of an object, and every documented way to fail."""

from __future__ import annotations

import asyncio
import base64
import time
import zlib

import pytest

from s3gate.catalog.errors import Unavailable
from s3gate.s3.errors import S3Error
from s3gate.store.errors import ShardCorrupt, ShardMissing, StoreFull, StoreUnavailable, WriteCancelled
from tests.operations.bench import Bench, code, md5
from tests.operations.fake_store import ROW_BYTES

SIZES = [0, 1, 5, 4096, ROW_BYTES - 1, ROW_BYTES, ROW_BYTES + 1, 3 * ROW_BYTES + 7]


def crc32(data: bytes) -> str:
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


@pytest.mark.parametrize("size", SIZES)
async def test_what_was_put_comes_back(bench: Bench, size: int) -> None:
    data = bytes(i % 251 for i in range(size))
    put = await bench.put("/box/a%20b", data)
    assert put.headers["etag"] == f'"{md5(data)}"'
    assert put.headers["x-amz-checksum-type"] == "FULL_OBJECT"
    assert len(base64.b64decode(put.headers["x-amz-checksum-crc64nvme"])) == 8
    got = await bench.ask("GET", "/box/a%20b")
    assert (got.status, got.body) == (200, data)
    assert got.headers["content-type"] == "binary/octet-stream"
    assert got.headers["accept-ranges"] == "bytes"
    head = await bench.ask("HEAD", "/box/a%20b")
    assert head.headers["content-length"] == str(size)
    assert head.body == b""
    assert bench.budget.free == bench.budget.total
    assert not bench.catalog.discarded


async def test_the_catalog_hears_ahead_what_it_will_be_told_to_commit(bench: Bench) -> None:
    await bench.put("/box/k", b"hello", {"x-amz-meta-one": "1", "if-none-match": "*"})
    [(bucket, key, stored, condition)] = bench.catalog.expected
    row = bench.catalog.objects[bucket.bucket_id, b"k"]
    assert (key, stored.content_id, stored.etag, stored.headers) == (b"k", row.content_id, row.etag, row.headers)
    assert (stored.extents, stored.checksum, condition.if_none_match) == (row.extents, row.checksum, True)


async def test_headers_and_metadata_come_back(bench: Bench) -> None:
    headers = {
        "content-type": "text/plain",
        "cache-control": "no-store",
        "content-encoding": "gzip,aws-chunked",
        "x-amz-meta-one": "1",
        "x-amz-meta-two": "z",
    }
    await bench.put("/box/k", b"x", headers)
    head = await bench.ask("HEAD", "/box/k")
    assert head.headers["content-type"] == "text/plain"
    assert head.headers["content-encoding"] == "gzip"
    assert head.headers["x-amz-meta-one"] == "1"
    over = await bench.ask("GET", "/box/k?response-content-type=a/b&response-expires=never")
    assert over.headers["content-type"] == "a/b"
    assert over.headers["expires"] == "never"


@pytest.mark.parametrize("size", [100, 3 * ROW_BYTES])
@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=90-", 90, None),
        ("bytes=-7", -7, None),
        ("bytes=5-999999999", 5, None),
    ],
)
async def test_ranges(bench: Bench, size: int, asked: str, start: int, stop: int | None) -> None:
    data = bytes(i % 251 for i in range(size))
    await bench.put("/box/k", data)
    got = await bench.ask("GET", "/box/k", headers={"range": asked, "x-amz-checksum-mode": "ENABLED"})
    first = start % size
    last = size if stop is None else stop
    assert (got.status, got.body) == (206, data[start:stop])
    assert got.headers["content-range"] == f"bytes {first}-{last - 1}/{size}"
    assert "x-amz-checksum-crc64nvme" not in got.headers
    head = await bench.ask("HEAD", "/box/k", headers={"range": asked})
    assert (head.status, head.headers["content-length"]) == (206, str(last - first))


@pytest.mark.parametrize("asked", ["bytes=33-10", "bytes=0-1,3-4", "lines=1-2", "bytes=-", "junk"])
async def test_ranges_that_are_ignored(bench: Bench, asked: str) -> None:
    await bench.put("/box/k", b"0123456789")
    got = await bench.ask("GET", "/box/k", headers={"range": asked})
    assert (got.status, got.body) == (200, b"0123456789")


@pytest.mark.parametrize(("size", "asked"), [(0, "bytes=0-0"), (0, "bytes=-5"), (10, "bytes=10-"), (10, "bytes=-0")])
async def test_ranges_that_cannot_be(bench: Bench, size: int, asked: str) -> None:
    await bench.put("/box/k", b"x" * size)
    with pytest.raises(S3Error) as caught:
        await bench.ask("GET", "/box/k", headers={"range": asked})
    assert (caught.value.code, caught.value.headers["content-range"]) == ("InvalidRange", f"bytes */{size}")


async def test_part_numbers_of_a_plain_object(bench: Bench) -> None:
    await bench.put("/box/k", b"hello")
    got = await bench.ask("GET", "/box/k?partNumber=1")
    assert (got.status, got.body, got.headers["content-range"]) == (206, b"hello", "bytes 0-4/5")
    assert "x-amz-mp-parts-count" not in got.headers
    assert await code(bench.ask("GET", "/box/k?partNumber=2")) == "InvalidPartNumber"
    assert await code(bench.ask("GET", "/box/k?partNumber=0")) == "InvalidArgument"
    both = bench.ask("GET", "/box/k?partNumber=1", headers={"range": "bytes=0-1"})
    assert await code(both) == "InvalidRequest"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_conditions(bench: Bench, method: str) -> None:
    etag = (await bench.put("/box/k")).headers["etag"]
    modified = (await bench.ask("HEAD", "/box/k")).headers["last-modified"]
    table = [
        ({"if-match": etag}, ""),
        ({"if-match": etag.strip('"')}, ""),
        ({"if-match": '"x"'}, "PreconditionFailed"),
        ({"if-match": "*"}, ""),
        ({"if-none-match": etag}, "NotModified"),
        ({"if-none-match": '"x"'}, ""),
        ({"if-modified-since": modified}, "NotModified"),
        ({"if-unmodified-since": "Mon, 01 Jan 2001 00:00:00 GMT"}, "PreconditionFailed"),
        ({"if-unmodified-since": "Mon, 01 Jan 2001 00:00:00 GMT", "if-match": etag}, ""),
    ]
    for headers, expected in table:
        asked = bench.ask(method, "/box/k", headers=headers)
        if expected:
            assert await code(asked) == expected, headers
        else:
            assert (await asked).status == 200, headers


async def test_a_304_repeats_what_caches_go_by(bench: Bench) -> None:
    kept = {"cache-control": "max-age=60", "expires": "Mon, 23 Nov 2026 05:06:07 GMT"}
    etag = (await bench.put("/box/k", b"x", {**kept, "content-type": "a/b", "x-amz-meta-a": "b"})).headers["etag"]
    with pytest.raises(S3Error) as caught:
        await bench.ask("GET", "/box/k", headers={"if-none-match": etag})
    said = caught.value.headers
    assert said == {**kept, "etag": etag, "last-modified": said["last-modified"]}


async def test_checksums_are_shown_when_asked_for(bench: Bench) -> None:
    await bench.put("/box/k", b"hello", {"x-amz-checksum-crc32": crc32(b"hello")})
    assert "x-amz-checksum-crc32" not in (await bench.ask("HEAD", "/box/k")).headers
    for mode in ("ENABLED", "enabled"):
        shown = await bench.ask("GET", "/box/k", headers={"x-amz-checksum-mode": mode})
        assert shown.headers["x-amz-checksum-crc32"] == crc32(b"hello")
        assert shown.headers["x-amz-checksum-type"] == "FULL_OBJECT"


async def test_what_is_missing(bench: Bench) -> None:
    for method in ("GET", "HEAD"):
        assert await code(bench.ask(method, "/box/none")) == "NoSuchKey"
        assert await code(bench.ask(method, "/none-such/k")) == "NoSuchBucket"
        await bench.put("/box/k")
        assert (await bench.ask(method, "/box/k?versionId=null")).status == 200
        assert await code(bench.ask(method, "/box/k?versionId=v1")) == "InvalidArgument"
    assert await code(bench.put("/none-such/k")) == "NoSuchBucket"


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({"content-md5": base64.b64encode(b"\0" * 16).decode()}, "BadDigest"),
        ({"content-md5": "junk"}, "InvalidDigest"),
        ({"x-amz-checksum-crc32": "AAAAAA=="}, "BadDigest"),
        ({"x-amz-checksum-crc32": "junk"}, "InvalidRequest"),
        ({"x-amz-sdk-checksum-algorithm": "CRC32"}, "InvalidRequest"),
        ({"x-amz-server-side-encryption": "AES256"}, "NotImplemented"),
        ({"x-amz-storage-class": "GLACIER"}, "NotImplemented"),
        ({"x-amz-storage-class": "NONSENSE"}, "InvalidStorageClass"),
        ({"x-amz-tagging": "aws:a=b"}, "InvalidTag"),
        ({"x-amz-acl": "public-read"}, "AccessControlListNotSupported"),
        ({"x-amz-object-lock-mode": "GOVERNANCE"}, "InvalidArgument"),
        ({"x-amz-object-lock-legal-hold": "ON"}, "InvalidRequest"),
        ({"x-amz-bypass-governance-retention": "true"}, "NotImplemented"),
        ({"x-amz-meta-big": "x" * 2049}, "MetadataTooLarge"),
        ({"if-none-match": '"etag"'}, "NotImplemented"),
        ({"if-match": '"a"', "if-none-match": "*"}, "NotImplemented"),
        ({"content-length": str((5 << 30) + 1)}, "EntityTooLarge"),
    ],
)
@pytest.mark.parametrize("size", [5, 3 * ROW_BYTES])
async def test_puts_that_are_refused_leave_nothing(bench: Bench, size: int, headers: dict, error: str) -> None:
    assert await code(bench.put("/box/k", b"x" * size, headers)) == error
    assert not bench.catalog.objects
    assert bench.budget.free == bench.budget.total


async def test_a_length_is_needed(bench: Bench) -> None:
    assert await code(bench.ask("PUT", "/box/k", b"x", {"content-length": None})) == "MissingContentLength"
    chunked = {"content-length": None, "transfer-encoding": "chunked"}
    with pytest.raises(S3Error) as caught:
        await bench.ask("PUT", "/box/k", b"x", chunked)
    assert (caught.value.status, caught.value.extra) == (501, {"Header": "Transfer-Encoding"})


@pytest.mark.parametrize("size", [5, 3 * ROW_BYTES])
@pytest.mark.parametrize("cut", [0, 3])
async def test_a_body_that_stops_half_way(bench: Bench, size: int, cut: int) -> None:
    assert await code(bench.ask("PUT", "/box/k", b"x" * size, cut=cut)) == "IncompleteBody"
    assert not bench.catalog.objects
    assert len(bench.catalog.discarded) == (1 if size > ROW_BYTES else 0)
    assert bench.budget.free == bench.budget.total


@pytest.mark.parametrize(
    ("failure", "error"),
    [(StoreUnavailable(), "ServiceUnavailable"), (StoreFull(), "SlowDown"), (ShardCorrupt(), "InternalError")],
)
@pytest.mark.parametrize(("name", "size"), [("write_small", 5), ("write", 3 * ROW_BYTES)])
async def test_a_store_that_fails(bench: Bench, name: str, size: int, failure: Exception, error: str) -> None:
    bench.store.fail[name] = failure
    assert await code(bench.put("/box/k", b"x" * size)) == error
    assert len(bench.catalog.discarded) == 1
    assert bench.budget.free == bench.budget.total


async def test_a_discard_that_fails_does_not_hide_the_error(bench: Bench) -> None:
    bench.store.fail["write_small"] = StoreFull()
    bench.catalog.fail["discard"] = Unavailable()
    assert await code(bench.put("/box/k")) == "SlowDown"


async def test_what_attempts_abandoned_is_discarded(bench: Bench) -> None:
    bench.store.abandons = ((1, b"x" * 20),)
    await bench.put("/box/k")
    await bench.put("/box/k2", b"x" * 3 * ROW_BYTES)
    assert bench.catalog.discarded == [(1, b"x" * 20)] * 2
    assert (await bench.ask("GET", "/box/k")).body == b"hello"


async def test_bytes_of_a_commit_are_the_catalogs(bench: Bench) -> None:
    """Refused, ambiguous or cancelled: whoever was given the pointer also looks after the bytes (law 6)."""
    for failure in (Unavailable(), asyncio.CancelledError()):
        bench.catalog.fail["put_object"] = failure
        with pytest.raises((S3Error, asyncio.CancelledError)):
            await bench.put("/box/k")
    assert "discard" not in bench.catalog.calls


async def test_cancelled_writes_are_discarded(bench: Bench) -> None:
    bench.store.fail["write_small"] = WriteCancelled(asyncio.CancelledError(), [(1, b"e" * 20)])
    with pytest.raises(asyncio.CancelledError):
        await bench.put("/box/k")
    assert bench.catalog.discarded == [(1, b"e" * 20)]
    assert bench.budget.free == bench.budget.total


async def test_conditional_writes(bench: Bench) -> None:
    create, replace = {"if-none-match": "*"}, {"if-match": "*"}
    assert await code(bench.put("/box/k", b"1", replace)) == "NoSuchKey"
    etag = (await bench.put("/box/k", b"1", create)).headers["etag"]
    with pytest.raises(S3Error) as caught:
        await bench.put("/box/k", b"2", create)
    assert (caught.value.code, caught.value.extra) == ("PreconditionFailed", {"Condition": "If-None-Match"})
    assert await code(bench.put("/box/k", b"2", {"if-match": '"other"'})) == "PreconditionFailed"
    assert (await bench.put("/box/k", b"2", {"if-match": etag})).status == 200
    assert (await bench.ask("GET", "/box/k")).body == b"2"


async def test_delete(bench: Bench) -> None:
    assert (await bench.ask("DELETE", "/box/none")).status == 204
    etag = (await bench.put("/box/k")).headers["etag"]
    assert await code(bench.ask("DELETE", "/box/k", headers={"if-match": '"x"'})) == "PreconditionFailed"
    assert await code(bench.ask("DELETE", "/box/k?versionId=v")) == "InvalidArgument"
    assert await code(bench.ask("DELETE", "/none-such/k")) == "NoSuchBucket"
    gone = await bench.ask("DELETE", "/box/k", headers={"if-match": etag})
    assert (gone.status, gone.body, gone.headers) == (204, b"", {})
    assert await code(bench.ask("DELETE", "/box/k", headers={"if-match": "*"})) == "NoSuchKey"
    assert (await bench.ask("DELETE", "/box/k", headers={"x-amz-if-match-size": "5"})).status == 204
    assert (await bench.ask("DELETE", "/box/k?versionId=null")).headers["x-amz-version-id"] == "null"
    assert await code(bench.ask("GET", "/box/k")) == "NoSuchKey"


@pytest.mark.parametrize(
    ("failure", "error"),
    [(ShardMissing(), "InternalError"), (ShardCorrupt(), "InternalError"), (StoreUnavailable(), "ServiceUnavailable")],
)
@pytest.mark.parametrize(("name", "size"), [("read_small", 5), ("read", 3 * ROW_BYTES)])
async def test_a_lost_shard_is_an_error_before_the_first_byte(
    bench: Bench, name: str, size: int, failure: Exception, error: str
) -> None:
    await bench.put("/box/k", b"x" * size)
    bench.store.fail_on[name] = failure
    assert await code(bench.ask("GET", "/box/k")) == error


@pytest.mark.parametrize(("name", "size"), [("read_small", 5), ("read", 3 * ROW_BYTES)])
async def test_a_version_that_is_collected_under_a_read_is_looked_up_anew(bench: Bench, name: str, size: int) -> None:
    await bench.put("/box/k", b"x" * size)
    bench.store.fail[name] = ShardMissing()
    assert (await bench.ask("GET", "/box/k")).body == b"x" * size
    assert bench.catalog.calls.count("find_object") == 2


async def test_a_shard_lost_in_the_middle_breaks_the_body(bench: Bench) -> None:
    await bench.put("/box/k", b"x" * 3 * ROW_BYTES)
    bench.store.fail["read_on"] = ShardCorrupt()
    with pytest.raises(ShardCorrupt):
        await bench.ask("GET", "/box/k")


async def test_keys_are_opaque(bench: Bench) -> None:
    keys = ["/box//k", "/box/k", "/box/k/", "/box/a/../b", "/box/%2e%2e/k", "/box/%00", "/box/+", "/box/%2B%20"]
    for number, key in enumerate(keys):
        await bench.put(key, b"%d" % number)
    for number, key in enumerate(keys):
        if key not in ("/box/+", "/box/%2B%20"):
            assert (await bench.ask("GET", key)).body == b"%d" % number
    assert (await bench.ask("GET", "/box/%2B")).body == b"6"
    assert (await bench.ask("GET", "/box/+%20")).body == b"7"


async def test_a_small_get_is_lean(bench: Bench) -> None:
    """The target is 60 microseconds on the development machine; here it only must not become ten times that."""
    await bench.put("/box/k", b"x" * 4096)
    best = 1.0
    for _ in range(50):
        started = time.perf_counter()
        await bench.ask("GET", "/box/k")
        best = min(best, time.perf_counter() - started)
    assert best < 0.002


async def test_no_object_has_tags(bench: Bench) -> None:
    await bench.put("/box/key", b"x")
    assert b"<TagSet></TagSet>" in (await bench.ask("GET", "/box/key?tagging")).body
    assert await code(bench.ask("GET", "/box/none?tagging")) == "NoSuchKey"
