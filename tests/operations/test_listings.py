"""Listings of objects page by page, and DeleteObjects with its answer for every key."""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import quote

import pytest

from s3gate.catalog.errors import Unavailable
from tests.operations.bench import Bench, code

KEYS = ["a/1", "a/2", "b", "b/", "c d+e", "é"]


@pytest.fixture
async def bench(bench: Bench) -> Bench:
    for key in KEYS:
        await bench.put(f"/box/{quote(key)}", b"x")
    return bench


@pytest.mark.parametrize("size", [1, 2, 4, 100])
@pytest.mark.parametrize("delimiter", ["", "/"])
async def test_v2_pages_have_everything_once(bench: Bench, size: int, delimiter: str) -> None:
    seen: list[str] = []
    token = ""
    for _ in range(20):
        target = f"/box?list-type=2&max-keys={size}&delimiter={delimiter}{token}"
        page = await bench.ask("GET", target)
        entries = page.texts("Key") + page.texts("Prefix")[1:]
        assert page.text("KeyCount") == str(len(entries))
        seen += entries
        if page.text("IsTruncated") == "false":
            break
        token = f"&continuation-token={quote(page.text('NextContinuationToken') or '')}"
    expected = KEYS if not delimiter else ["a/", "b", "b/", "c d+e", "é"]
    assert sorted(seen) == sorted(expected)


@pytest.mark.parametrize("delimiter", ["", "/"])
async def test_v1_pages_have_everything_once(bench: Bench, delimiter: str) -> None:
    seen: list[str] = []
    marker = ""
    for _ in range(20):
        page = await bench.ask("GET", f"/box/?max-keys=2&delimiter={delimiter}&marker={quote(marker)}")
        keys, prefixes = page.texts("Key"), page.texts("Prefix")[1:]
        seen += keys + prefixes
        if page.text("IsTruncated") == "false":
            break
        assert (page.text("NextMarker") is not None) == bool(delimiter)
        marker = page.text("NextMarker") or keys[-1]
    expected = KEYS if not delimiter else ["a/", "b", "b/", "c d+e", "é"]
    assert sorted(seen) == sorted(expected)


async def test_a_marker_inside_a_prefix_does_not_repeat_it(bench: Bench) -> None:
    page = await bench.ask("GET", "/box?delimiter=/&marker=a/1")
    assert page.texts("Prefix")[1:] == ["b/"]


async def test_url_encoding_everywhere(bench: Bench) -> None:
    page = await bench.ask("GET", "/box?list-type=2&encoding-type=url&prefix=c%20&start-after=%2B")
    assert page.texts("Key") == ["c%20d%2Be"]
    assert page.text("Prefix") == "c%20"
    assert page.text("StartAfter") == "%2B"


async def test_versions(bench: Bench) -> None:
    page = await bench.ask("GET", "/box?versions&max-keys=2&delimiter=/")
    assert page.texts("VersionId") == ["null"]
    assert (page.text("NextKeyMarker"), page.text("NextVersionIdMarker")) == ("b", "null")
    page = await bench.ask("GET", "/box?versions&max-keys=1&delimiter=/")
    assert (page.text("NextKeyMarker"), page.text("NextVersionIdMarker")) == ("a/", None)
    page = await bench.ask("GET", "/box?versions&key-marker=b&version-id-marker=null")
    assert page.texts("Key") == ["b/", "c d+e", "é"]


@pytest.mark.parametrize("query", ["", "list-type=2", "versions"])
async def test_empty_pages_and_missing_buckets(bench: Bench, query: str) -> None:
    page = await bench.ask("GET", f"/box?{query}&max-keys=0")
    assert (page.texts("Key"), page.text("IsTruncated")) == ([], "false")
    assert (await bench.ask("GET", f"/box?{query}&prefix=zzz")).texts("Key") == []
    assert await code(bench.ask("GET", f"/none-such?{query}")) == "NoSuchBucket"


async def test_a_bucket_that_was_made_anew_elsewhere_is_seen(bench: Bench) -> None:
    await bench.ask("PUT", "/other")
    await bench.ask("GET", "/other")
    owner = bench.catalog.buckets["other"].owner
    await bench.catalog.delete_bucket("other")
    await bench.catalog.create_bucket("other", owner, "us-east-1")
    await bench.put("/other/new")
    assert (await bench.ask("GET", "/other")).texts("Key") == ["new"]
    await bench.ask("DELETE", "/other/new")
    await bench.catalog.delete_bucket("other")
    assert await code(bench.ask("GET", "/other")) == "NoSuchBucket"


def document(*inner: str, quiet: bool = False) -> bytes:
    objects = "".join(f"<Object>{each}</Object>" for each in inner)
    return f"<Delete>{objects}{'<Quiet>true</Quiet>' if quiet else ''}</Delete>".encode()


async def delete(bench: Bench, body: bytes, bucket: str = "box"):
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    return await bench.ask("POST", f"/{bucket}?delete", body, {"content-md5": md5})


async def test_delete_objects(bench: Bench) -> None:
    reply = await delete(bench, document("<Key>b</Key>", "<Key>none</Key>", "<Key>é</Key><VersionId>null</VersionId>"))
    assert reply.texts("Key") == ["b", "none", "é"]
    assert reply.texts("VersionId") == ["null"]
    assert reply.texts("Error") == []
    assert (await bench.ask("GET", "/box")).texts("Key") == ["a/1", "a/2", "b/", "c d+e"]


async def test_delete_objects_says_what_failed(bench: Bench) -> None:
    bench.catalog.fail["delete_object"] = Unavailable()
    reply = await delete(
        bench,
        document(
            "<Key>a/1</Key>",
            "<Key>a/2</Key><VersionId>v1</VersionId>",
            '<Key>b</Key><ETag>"x"</ETag>',
            "<Key>b/</Key><Size>7</Size>",
            f"<Key>{'k' * 1025}</Key>",
            "<Key>gone</Key><ETag>*</ETag>",
            "<Key>c d+e</Key>",
            quiet=True,
        ),
    )
    expected = ["ServiceUnavailable", "NoSuchVersion", "PreconditionFailed", "PreconditionFailed", "KeyTooLongError"]
    assert reply.texts("Code") == [*expected, "NoSuchKey"]
    assert reply.texts("Deleted") == []
    assert (await bench.ask("GET", "/box")).texts("Key") == ["a/1", "a/2", "b", "b/", "é"]


async def test_delete_objects_is_refused(bench: Bench) -> None:
    body = document("<Key>b</Key>")
    assert await code(bench.ask("POST", "/box?delete", body)) == "InvalidRequest"
    wrong = {"content-md5": base64.b64encode(b"\0" * 16).decode()}
    assert await code(bench.ask("POST", "/box?delete", body, wrong)) == "BadDigest"
    assert await code(delete(bench, document(*["<Key>k</Key>"] * 1001))) == "MalformedXML"
    assert await code(delete(bench, b"")) == "MalformedXML"
    assert await code(delete(bench, b" " * (3 << 20))) == "MaxMessageLengthExceeded"
    assert await code(delete(bench, body, "none-such")) == "NoSuchBucket"
    crc = {"x-amz-checksum-sha256": base64.b64encode(hashlib.sha256(body).digest()).decode()}
    assert (await bench.ask("POST", "/box?delete", body, crc)).status == 200


async def test_a_thousand_keys(bench: Bench) -> None:
    reply = await delete(bench, document(*[f"<Key>k{number}</Key>" for number in range(1000)]))
    assert len(reply.texts("Deleted")) == 1000
