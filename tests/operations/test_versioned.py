"""Versions: what every operation says of them, and what a delete marker stands for."""

from __future__ import annotations

import base64
import hashlib

import pytest

from s3gate.catalog.errors import BucketChanged
from s3gate.catalog.rows import ENABLED, SUSPENDED
from s3gate.s3.errors import S3Error
from tests.operations.bench import Bench, Reply, code
from tests.operations.fake_store import ROW_BYTES

NOWHERE = "A" * 32


@pytest.fixture
async def versioned(bench: Bench) -> Bench:
    await bench.catalog.set_versioning("box", ENABLED)
    return bench


async def set_versioning(bench: Bench, status: str) -> Reply:
    body = f"<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>".encode()
    return await bench.ask("PUT", "/box?versioning", body)


async def put(bench: Bench, body: bytes, key: str = "k") -> str:
    return (await bench.put(f"/box/{key}", body)).headers["x-amz-version-id"]


async def refusal(awaited) -> S3Error:
    with pytest.raises(S3Error) as caught:
        await awaited
    return caught.value


async def test_the_configuration(bench: Bench) -> None:
    assert b"<Status>" not in (await bench.ask("GET", "/box?versioning")).body
    for status in ("Enabled", "Suspended"):
        assert (await set_versioning(bench, status)).status == 200
        assert (await bench.ask("GET", "/box?versioning")).text("Status") == status
    assert await code(bench.ask("PUT", "/box?versioning", b"<x/>")) == "MalformedXML"
    assert await code(bench.ask("PUT", "/box?versioning", b"")) == "MissingRequestBodyError"
    mfa = bench.ask("PUT", "/box?versioning", b"<x/>", {"x-amz-mfa": "serial 123456"})
    assert (await refusal(mfa)).extra["Header"] == "x-amz-mfa"


async def test_a_lock_bucket_stays_versioned(bench: Bench) -> None:
    await bench.catalog.set_versioning("box", ENABLED)
    await bench.catalog.enable_lock("box")
    error = await refusal(set_versioning(bench, "Suspended"))
    assert (error.status, error.code) == (409, "InvalidBucketState")
    assert error.message.startswith("An Object Lock configuration is present on this bucket")
    assert (await set_versioning(bench, "Enabled")).status == 200


async def test_every_version_can_be_read(versioned: Bench) -> None:
    ids = [await put(versioned, b"%d" % number) for number in range(3)]
    assert len(set(ids)) == 3
    assert (await versioned.ask("GET", "/box/k")).headers["x-amz-version-id"] == ids[2]
    for number, version in enumerate(ids):
        got = await versioned.ask("GET", f"/box/k?versionId={version}")
        assert (got.body, got.headers["x-amz-version-id"]) == (b"%d" % number, version)
    seen = versioned.ask("HEAD", "/box/k", headers={"if-none-match": "*"})
    assert (await refusal(seen)).headers["x-amz-version-id"] == ids[2]


async def test_a_bucket_without_versioning_says_nothing_of_versions(bench: Bench) -> None:
    assert "x-amz-version-id" not in (await bench.put("/box/k")).headers
    assert "x-amz-version-id" not in (await bench.ask("GET", "/box/k?versionId=null")).headers
    assert (await bench.ask("DELETE", "/box/k")).headers == {}


async def test_delete_markers(versioned: Bench) -> None:
    first = await put(versioned, b"1")
    gone = await versioned.ask("DELETE", "/box/k")
    marker = gone.headers["x-amz-version-id"]
    assert gone.headers == {"x-amz-delete-marker": "true", "x-amz-version-id": marker}
    for method in ("GET", "HEAD"):
        error = await refusal(versioned.ask(method, "/box/k"))
        assert (error.status, error.code, error.extra) == (404, "NoSuchKey", {"Key": "k"})
        assert error.headers == {"x-amz-delete-marker": "true", "x-amz-version-id": marker}
        error = await refusal(versioned.ask(method, f"/box/k?versionId={marker}"))
        assert (error.status, error.code) == (405, "MethodNotAllowed")
        assert error.headers["allow"] == "DELETE"
        assert error.headers["x-amz-delete-marker"] == "true"
        assert error.headers["last-modified"].endswith("GMT")
    assert (await versioned.ask("GET", f"/box/k?versionId={first}")).body == b"1"
    assert b"<Contents>" not in (await versioned.ask("GET", "/box")).body
    removed = await versioned.ask("DELETE", f"/box/k?versionId={marker}")
    assert removed.headers == {"x-amz-delete-marker": "true", "x-amz-version-id": marker}
    assert (await versioned.ask("GET", "/box/k")).body == b"1"
    removed = await versioned.ask("DELETE", f"/box/k?versionId={first}")
    assert removed.headers == {"x-amz-version-id": first}
    assert await code(versioned.ask("GET", "/box/k")) == "NoSuchKey"
    again = await versioned.ask("DELETE", f"/box/k?versionId={first}")
    assert (again.status, again.headers) == (204, {"x-amz-version-id": first})


async def test_versions_that_are_not_there(versioned: Bench) -> None:
    await put(versioned, b"1")
    for target in ("k", "none"):
        error = await refusal(versioned.ask("GET", f"/box/{target}?versionId={NOWHERE}"))
        assert (error.status, error.code) == (404, "NoSuchVersion")
        assert error.extra == {"Key": target, "VersionId": NOWHERE}
        assert await code(versioned.ask("GET", f"/box/{target}?versionId=null")) == "NoSuchVersion"
    assert await code(versioned.ask("GET", "/box/k?versionId=junk")) == "InvalidArgument"
    assert (await refusal(versioned.ask("GET", "/box/k?versionId="))).message == (
        "Version id cannot be the empty string"
    )


async def test_null_versions(bench: Bench) -> None:
    await bench.put("/box/k", b"old")
    await bench.catalog.set_versioning("box", ENABLED)
    new = await put(bench, b"new")
    assert (await bench.ask("GET", "/box/k?versionId=null")).headers["x-amz-version-id"] == "null"
    await bench.catalog.set_versioning("box", SUSPENDED)
    assert "x-amz-version-id" not in (await bench.put("/box/k", b"null again")).headers, "as at AWS"
    assert (await bench.ask("HEAD", "/box/k")).headers["x-amz-version-id"] == "null"
    assert (await bench.ask("GET", "/box?versions")).texts("VersionId") == ["null", new]
    gone = await bench.ask("DELETE", "/box/k")
    assert gone.headers == {"x-amz-delete-marker": "true", "x-amz-version-id": "null"}
    assert (await bench.ask("GET", "/box?versions")).texts("VersionId") == ["null", new]
    await bench.ask("DELETE", "/box/k?versionId=null")
    assert (await bench.ask("GET", "/box/k")).body == b"new"


async def test_listing_versions_in_pages(versioned: Bench) -> None:
    ids = {key: [await put(versioned, b"x", key) for _ in range(3)] for key in ("a", "b")}
    await versioned.ask("DELETE", "/box/a")
    await put(versioned, b"x", "c/1")
    found: list[tuple[str, str]] = []
    query, pages = "", 0
    while True:
        page = await versioned.ask("GET", f"/box?versions&max-keys=2&delimiter=/{query}")
        pages += 1
        found += list(zip(page.texts("Key"), page.texts("VersionId"), strict=True))
        if page.text("IsTruncated") == "false":
            break
        query = f"&key-marker={page.text('NextKeyMarker')}"
        if page.text("NextVersionIdMarker"):
            query += f"&version-id-marker={page.text('NextVersionIdMarker')}"
    assert pages == 4
    assert [key for key, _ in found] == ["a"] * 4 + ["b"] * 3
    assert [version for _, version in found[1:]] == ids["a"][::-1] + ids["b"][::-1]
    assert page.texts("Prefix") == ["", "c/"]
    whole = await versioned.ask("GET", "/box?versions")
    assert whole.texts("IsLatest").count("true") == 3
    assert len(whole.texts("DeleteMarker")) == 1


async def test_a_page_behind_a_null_version(bench: Bench) -> None:
    await bench.put("/box/k", b"null")
    await bench.catalog.set_versioning("box", ENABLED)
    ids = [await put(bench, b"x") for _ in range(2)]
    await put(bench, b"x", "z")
    page = await bench.ask("GET", "/box?versions&key-marker=k&version-id-marker=null")
    assert page.texts("Key") == ["z"]
    page = await bench.ask("GET", f"/box?versions&key-marker=k&version-id-marker={ids[0]}")
    assert page.texts("VersionId")[0] == "null"
    await bench.ask("DELETE", "/box/k?versionId=null")
    page = await bench.ask("GET", "/box?versions&key-marker=k&version-id-marker=null")
    assert page.texts("VersionId")[:2] == ids[::-1], "better twice than never"


async def test_copies_of_versions(versioned: Bench) -> None:
    first, _ = await put(versioned, b"1"), await put(versioned, b"2")
    source = {"x-amz-copy-source": f"/box/k?versionId={first}"}
    copied = await versioned.ask("PUT", "/box/copy", headers=source)
    assert copied.headers["x-amz-copy-source-version-id"] == first
    assert (await versioned.ask("GET", f"/box/copy?versionId={copied.headers['x-amz-version-id']}")).body == b"1"
    restored = await versioned.ask("PUT", "/box/k", headers=source)
    assert restored.headers["x-amz-version-id"] != first
    assert (await versioned.ask("GET", "/box/k")).body == b"1"
    itself = versioned.ask("PUT", "/box/k", headers={"x-amz-copy-source": "/box/k"})
    assert await code(itself) == "InvalidRequest"
    marker = (await versioned.ask("DELETE", "/box/k")).headers["x-amz-version-id"]
    assert await code(versioned.ask("PUT", "/box/x", headers={"x-amz-copy-source": "/box/k"})) == "NoSuchKey"
    of_marker = {"x-amz-copy-source": f"/box/k?versionId={marker}"}
    assert await code(versioned.ask("PUT", "/box/x", headers=of_marker)) == "InvalidRequest"
    absent = {"x-amz-copy-source": f"/box/k?versionId={NOWHERE}"}
    assert await code(versioned.ask("PUT", "/box/x", headers=absent)) == "NoSuchVersion"


async def test_uploads_make_versions(versioned: Bench) -> None:
    begun = await versioned.ask("POST", "/box/k?uploads")
    where = f"/box/k?uploadId={begun.text('UploadId')}"
    source = await put(versioned, b"x" * 10, "source")
    part = await versioned.ask("PUT", f"{where}&partNumber=1", headers={"x-amz-copy-source": "/box/source"})
    assert part.headers["x-amz-copy-source-version-id"] == source
    body = (
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber>"
        f"<ETag>{part.text('ETag')}</ETag></Part></CompleteMultipartUpload>"
    ).encode()
    done = await versioned.ask("POST", where, body)
    again = await versioned.ask("POST", where, body)
    assert done.headers["x-amz-version-id"] == again.headers["x-amz-version-id"]
    assert (await versioned.ask("GET", "/box/k")).headers["x-amz-version-id"] == done.headers["x-amz-version-id"]


async def delete_many(bench: Bench, *inner: str, **headers: str) -> Reply:
    body = f"<Delete>{''.join(f'<Object>{each}</Object>' for each in inner)}</Delete>".encode()
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    return await bench.ask("POST", "/box?delete", body, {"content-md5": md5, **headers})


async def test_deleting_many(versioned: Bench) -> None:
    first, second = await put(versioned, b"1", "a"), await put(versioned, b"22", "b")
    reply = await delete_many(
        versioned,
        "<Key>a</Key>",
        f"<Key>b</Key><VersionId>{second}</VersionId>",
        f"<Key>a</Key><VersionId>{NOWHERE}</VersionId>",
        "<Key>a</Key><VersionId>junk</VersionId>",
        "<Key>none</Key><ETag>*</ETag>",
        "<Key>none</Key><Size>1</Size>",
    )
    text = reply.body.decode()
    marker = reply.text("DeleteMarkerVersionId")
    assert (
        f"<Deleted><Key>a</Key><DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>{marker}"
        "</DeleteMarkerVersionId></Deleted>"
    ) in text
    assert f"<Deleted><Key>b</Key><VersionId>{second}</VersionId></Deleted>" in text
    assert f"<Deleted><Key>a</Key><VersionId>{NOWHERE}</VersionId></Deleted>" in text
    assert reply.texts("Code") == ["NoSuchVersion", "NoSuchKey"]
    assert reply.text("Message") == "The specified version does not exist."
    reply = await delete_many(versioned, f"<Key>a</Key><VersionId>{marker}</VersionId>")
    assert reply.texts("VersionId") == reply.texts("DeleteMarkerVersionId") == [marker]
    assert (await versioned.ask("GET", "/box/a")).headers["x-amz-version-id"] == first
    refused = await delete_many(versioned, "<Key>a</Key><Size>7</Size>", '<Key>a</Key><ETag>"x"</ETag>')
    assert refused.texts("Code") == ["PreconditionFailed", "PreconditionFailed"]
    mfa = delete_many(versioned, "<Key>a</Key>", **{"x-amz-mfa": "serial 123456"})
    assert await code(mfa) == "NotImplemented"


async def test_conditions_of_deletes(versioned: Bench) -> None:
    version = await put(versioned, b"hello")
    date = (await versioned.ask("HEAD", "/box/k")).headers["last-modified"]
    for headers in (
        {"if-match": '"x"'},
        {"x-amz-if-match-size": "4"},
        {"x-amz-if-match-last-modified-time": "Mon, 01 Jan 2001 00:00:00 GMT"},
    ):
        assert await code(versioned.ask("DELETE", "/box/k", headers=headers)) == "PreconditionFailed", headers
        assert await code(versioned.ask("DELETE", f"/box/k?versionId={version}", headers=headers)) == (
            "PreconditionFailed"
        )
    good = {"if-match": "*", "x-amz-if-match-size": "5", "x-amz-if-match-last-modified-time": date}
    assert (await versioned.ask("DELETE", "/box/k", headers=good)).headers["x-amz-delete-marker"] == "true"
    assert await code(versioned.ask("DELETE", "/box/k", headers={"if-match": "*"})) == "NoSuchKey"
    assert (await versioned.ask("DELETE", "/box/k", headers={"x-amz-if-match-size": "5"})).headers == {}
    assert (await versioned.put("/box/k", b"1", {"if-none-match": "*"})).status == 200, "a marker is no object"


@pytest.mark.parametrize("size", [5, 3 * ROW_BYTES])
async def test_a_write_is_decided_anew_when_the_bucket_changed(bench: Bench, size: int) -> None:
    await bench.put("/box/k", b"old")
    stale = bench.catalog.remembered["box"]
    await bench.catalog.set_versioning("box", ENABLED)
    bench.catalog.remembered["box"] = stale
    reply = await bench.put("/box/k", b"x" * size)
    assert len(reply.headers["x-amz-version-id"]) == 32
    assert (await bench.ask("GET", "/box?versions")).texts("VersionId")[1] == "null"
    bench.catalog.remembered["box"] = stale
    assert (await bench.ask("DELETE", "/box/k")).headers["x-amz-delete-marker"] == "true"
    bench.catalog.remembered["box"] = stale
    assert (await delete_many(bench, "<Key>k</Key>")).texts("DeleteMarker") == ["true"]
    assert not bench.catalog.discarded


async def test_a_bucket_that_never_stands_still(bench: Bench) -> None:
    bench.catalog.fail_on["put_object"] = BucketChanged()
    error = await refusal(bench.put("/box/k"))
    assert (error.status, error.code, error.headers["retry-after"]) == (409, "OperationAborted", "1")
    assert len(bench.catalog.discarded) == 1
    error = await refusal(bench.put("/box/k", b"x", {"if-none-match": "*"}))
    assert (error.status, error.code) == (409, "ConditionalRequestConflict")


async def test_a_bucket_that_goes_under_a_write(bench: Bench) -> None:
    await bench.put("/box/k")
    bench.catalog.objects.clear()
    await bench.catalog.delete_bucket("box")
    assert await code(bench.put("/box/k")) == "NoSuchBucket"
    assert len(bench.catalog.discarded) == 1
