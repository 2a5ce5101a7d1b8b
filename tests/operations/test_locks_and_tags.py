"""Object lock, tags and attributes of objects: every operation, and every way to ask for them wrongly."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Mapping
from datetime import timedelta

import pytest

from s3gate.catalog.rows import ENABLED
from s3gate.s3.dates import iso_milliseconds
from s3gate.s3.errors import S3Error
from tests.operations.bench import Bench, Reply, code
from tests.operations.fakes import NOW

LATER = iso_milliseconds(NOW + timedelta(days=1))
MODE, UNTIL, HOLD = "x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date", "x-amz-object-lock-legal-hold"
BYPASS = {"x-amz-bypass-governance-retention": "true"}
RULE = "<Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>2</Days></DefaultRetention></Rule>"


@pytest.fixture
async def locked(bench: Bench) -> Bench:
    """With a bucket that has object lock, beside `box`, which has not."""
    await bench.ask("PUT", "/safe", headers={"x-amz-bucket-object-lock-enabled": "true"})
    return bench


def signed(body: bytes, headers: Mapping[str, str] | None = None) -> dict[str, str]:
    return {"content-md5": base64.b64encode(hashlib.md5(body).digest()).decode(), **(headers or {})}


async def tell(bench: Bench, target: str, body: str, headers: Mapping[str, str] | None = None) -> Reply:
    return await bench.ask("PUT", target, body.encode(), signed(body.encode(), headers))


async def put(bench: Bench, target: str, headers: Mapping[str, str] | None = None, body: bytes = b"x") -> Reply:
    return await bench.put(target, body, signed(body, headers))


def retention(mode: str, until: str) -> str:
    return f"<Retention><Mode>{mode}</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>"


async def refusal(awaited) -> S3Error:
    with pytest.raises(S3Error) as caught:
        await awaited
    return caught.value


# --- the bucket


async def test_the_configuration_of_a_bucket(locked: Bench) -> None:
    assert (await locked.ask("GET", "/safe?versioning")).text("Status") == "Enabled"
    assert (await locked.ask("GET", "/safe?object-lock")).text("ObjectLockEnabled") == "Enabled"
    assert await code(locked.ask("GET", "/box?object-lock")) == "ObjectLockConfigurationNotFoundError"
    body = f"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>{RULE}</ObjectLockConfiguration>"
    assert (await tell(locked, "/safe?object-lock", body)).status == 200
    assert (await locked.ask("GET", "/safe?object-lock")).text("Days") == "2"
    error = await refusal(tell(locked, "/box?object-lock", body))
    assert (error.status, error.code) == (409, "InvalidBucketState")
    await locked.catalog.set_versioning("box", ENABLED)
    assert (await tell(locked, "/box?object-lock", body)).status == 200
    assert (await locked.ask("GET", "/box?object-lock")).text("Mode") == "GOVERNANCE"
    assert await code(locked.ask("PUT", "/safe?object-lock", body.encode())) == "InvalidRequest", "without a digest"
    assert await code(tell(locked, "/safe?object-lock", "<x/>")) == "MalformedXML"


async def test_a_default_retention(locked: Bench) -> None:
    body = f"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>{RULE}</ObjectLockConfiguration>"
    await tell(locked, "/safe?object-lock", body)
    assert await code(locked.put("/safe/k")) == "InvalidRequest", "without a digest"
    await put(locked, "/safe/k")
    shown = (await locked.ask("HEAD", "/safe/k")).headers
    assert (shown[MODE], shown[UNTIL]) == ("GOVERNANCE", iso_milliseconds(NOW + timedelta(days=2)))
    await put(locked, "/safe/own", {MODE: "COMPLIANCE", UNTIL: LATER})
    assert (await locked.ask("HEAD", "/safe/own")).headers[UNTIL] == LATER
    await locked.ask("PUT", "/safe/copy", headers={"x-amz-copy-source": "/safe/own"})
    assert (await locked.ask("HEAD", "/safe/copy")).headers[MODE] == "GOVERNANCE"
    begun = await locked.ask("POST", "/safe/mpu?uploads", headers={HOLD: "ON"})
    where = f"/safe/mpu?uploadId={begun.text('UploadId')}"
    assert await code(locked.put(f"{where}&partNumber=1")) == "InvalidRequest", "without a digest"
    part = await put(locked, f"{where}&partNumber=1")
    listed = f"<Part><PartNumber>1</PartNumber><ETag>{part.headers['etag']}</ETag></Part>"
    await locked.ask("POST", where, f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode())
    shown = (await locked.ask("HEAD", "/safe/mpu")).headers
    assert (shown[MODE], shown[HOLD]) == ("GOVERNANCE", "ON")


@pytest.mark.parametrize(
    ("header", "value", "error"),
    [
        ("x-amz-bucket-object-lock-enabled", "maybe", "InvalidArgument"),
        ("x-amz-object-ownership", "Nobody", "InvalidArgument"),
    ],
)
async def test_buckets_that_are_refused(bench: Bench, header: str, value: str, error: str) -> None:
    assert await code(bench.ask("PUT", "/other", headers={header: value})) == error


async def test_what_a_bucket_is_told_at_once(bench: Bench) -> None:
    tags = "<Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags>"
    body = f"<CreateBucketConfiguration>{tags}</CreateBucketConfiguration>"
    await bench.ask("PUT", "/told", body.encode(), {"x-amz-object-ownership": "ObjectWriter"})
    assert (await bench.ask("GET", "/told?tagging")).texts("Key") == ["a"]
    assert b"<ObjectOwnership>ObjectWriter</ObjectOwnership>" in bench.catalog.buckets["told"].settings["ownership"]


# --- retention and hold


async def test_headers_of_locked_objects(locked: Bench) -> None:
    await put(locked, "/safe/k", {MODE: "GOVERNANCE", UNTIL: LATER, HOLD: "ON"})
    for method in ("GET", "HEAD"):
        shown = (await locked.ask(method, "/safe/k")).headers
        assert (shown[MODE], shown[UNTIL], shown[HOLD]) == ("GOVERNANCE", LATER, "ON")
    await put(locked, "/safe/plain")
    assert MODE not in (await locked.ask("HEAD", "/safe/plain")).headers
    for headers in ({MODE: "GOVERNANCE", UNTIL: LATER}, {HOLD: "ON"}):
        error = await refusal(put(locked, "/box/k", headers))
        assert (error.code, error.message) == ("InvalidRequest", "Bucket is missing Object Lock Configuration")
        assert (await refusal(locked.ask("POST", "/box/k?uploads", headers=headers))).code == "InvalidRequest"
    bare = locked.put("/safe/k", b"x", {MODE: "GOVERNANCE", UNTIL: LATER})
    assert (await refusal(bare)).message.startswith("Content-MD5 OR x-amz-checksum- HTTP header is required for Put")


async def test_retention(locked: Bench) -> None:
    version = (await put(locked, "/safe/k")).headers["x-amz-version-id"]
    target = f"/safe/k?retention&versionId={version}"
    error = await refusal(locked.ask("GET", target))
    assert (error.status, error.code) == (404, "NoSuchObjectLockConfiguration")
    assert (await tell(locked, target, retention("GOVERNANCE", LATER))).status == 200
    assert (await locked.ask("GET", target)).text("RetainUntilDate") == LATER
    shorter = retention("GOVERNANCE", iso_milliseconds(NOW + timedelta(hours=1)))
    error = await refusal(tell(locked, target, shorter))
    assert (error.status, error.code) == (403, "AccessDenied")
    removal = locked.ask("DELETE", f"/safe/k?versionId={version}")
    assert (await refusal(removal)).message == "Access Denied because object protected by object lock."
    assert (await tell(locked, target, shorter, BYPASS)).status == 200
    assert (await tell(locked, target, "<Retention/>", BYPASS)).status == 200
    assert await code(locked.ask("GET", target)) == "NoSuchObjectLockConfiguration"
    await tell(locked, target, retention("COMPLIANCE", LATER))
    for headers in ({}, BYPASS):
        assert await code(tell(locked, target, retention("GOVERNANCE", LATER), headers)) == "AccessDenied"
        assert await code(locked.ask("DELETE", f"/safe/k?versionId={version}", headers=headers)) == "AccessDenied"
    assert (await locked.ask("DELETE", "/safe/k")).status == 204, "a delete marker removes nothing"


async def test_governance_can_be_bypassed(locked: Bench) -> None:
    headers = {MODE: "GOVERNANCE", UNTIL: LATER}
    version = (await put(locked, "/safe/k", headers)).headers["x-amz-version-id"]
    body = f"<Delete><Object><Key>k</Key><VersionId>{version}</VersionId></Object></Delete>".encode()
    assert (await locked.ask("POST", "/safe?delete", body, signed(body))).texts("Code") == ["AccessDenied"]
    assert (await locked.ask("POST", "/safe?delete", body, signed(body, BYPASS))).texts("Code") == []


async def test_there_is_nothing_to_bypass_where_nothing_is_locked(bench: Bench) -> None:
    await put(bench, "/box/k")
    error = await refusal(bench.ask("DELETE", "/box/k", headers=BYPASS))
    assert error.code == "InvalidArgument" and "Object Lock enabled buckets" in error.message
    assert (await bench.ask("HEAD", "/box/k")).status == 200
    body = b"<Delete><Object><Key>k</Key></Object></Delete>"
    assert (await bench.ask("POST", "/box?delete", body, signed(body, BYPASS))).texts("Code") == []


async def test_legal_hold(locked: Bench) -> None:
    version = (await put(locked, "/safe/k")).headers["x-amz-version-id"]
    assert await code(locked.ask("GET", "/safe/k?legal-hold")) == "NoSuchObjectLockConfiguration"
    for status in ("ON", "OFF"):
        await tell(locked, "/safe/k?legal-hold", f"<LegalHold><Status>{status}</Status></LegalHold>")
        assert (await locked.ask("GET", "/safe/k?legal-hold")).text("Status") == status
        assert (await locked.ask("HEAD", "/safe/k")).headers[HOLD] == status
        if status == "ON":
            removal = locked.ask("DELETE", f"/safe/k?versionId={version}", headers=BYPASS)
            assert await code(removal) == "AccessDenied"
    assert (await locked.ask("DELETE", f"/safe/k?versionId={version}")).status == 204


@pytest.mark.parametrize("kind", ["retention", "legal-hold"])
async def test_locks_that_cannot_be(locked: Bench, kind: str) -> None:
    body = retention("GOVERNANCE", LATER) if kind == "retention" else "<LegalHold><Status>ON</Status></LegalHold>"
    await put(locked, "/box/k")
    for method in ("GET", "PUT"):
        data = body if method == "PUT" else ""
        headers = signed(data.encode())
        error = await refusal(locked.ask(method, f"/box/k?{kind}", data.encode(), headers))
        assert (error.code, error.message) == ("InvalidRequest", "Bucket is missing Object Lock Configuration")
        assert await code(locked.ask(method, f"/safe/none?{kind}", data.encode(), headers)) == "NoSuchKey"
        gone = f"/safe/none?{kind}&versionId={'A' * 32}"
        assert await code(locked.ask(method, gone, data.encode(), headers)) == "NoSuchVersion"
    await put(locked, "/safe/k")
    marker = (await locked.ask("DELETE", "/safe/k")).headers["x-amz-version-id"]
    assert await code(tell(locked, f"/safe/k?{kind}&versionId={marker}", body)) == "MethodNotAllowed"
    assert await code(tell(locked, f"/safe/k?{kind}", "<X/>")) == "MalformedXML"
    assert await code(locked.ask("PUT", f"/safe/k?{kind}", body.encode())) == "InvalidRequest", "without a digest"
    if kind == "retention":
        past = retention("GOVERNANCE", iso_milliseconds(NOW))
        assert (await refusal(tell(locked, "/safe/k?retention", past))).message == (
            "The retain until date must be in the future!"
        )


# --- tags


def tagging(**tags: str) -> str:
    inner = "".join(f"<Tag><Key>{key}</Key><Value>{value}</Value></Tag>" for key, value in tags.items())
    return f"<Tagging><TagSet>{inner}</TagSet></Tagging>"


async def test_tags_of_objects(bench: Bench) -> None:
    await bench.put("/box/k", b"x", {"x-amz-tagging": "a=1&b=2"})
    assert (await bench.ask("GET", "/box/k")).headers["x-amz-tagging-count"] == "2"
    assert (await bench.ask("GET", "/box/k?tagging")).texts("Key") == ["a", "b"]
    await tell(bench, "/box/k?tagging", tagging(c="3"))
    assert (await bench.ask("GET", "/box/k?tagging")).texts("Value") == ["3"]
    assert (await bench.ask("DELETE", "/box/k?tagging")).status == 204
    assert (await bench.ask("GET", "/box/k?tagging")).texts("Tag") == []
    assert "x-amz-tagging-count" not in (await bench.ask("HEAD", "/box/k")).headers
    for method in ("GET", "PUT", "DELETE"):
        body = tagging(a="1").encode() if method == "PUT" else b""
        assert await code(bench.ask(method, "/box/none?tagging", body)) == "NoSuchKey"
        assert await code(bench.ask(method, "/none-such/k?tagging", body)) == "NoSuchBucket"


async def test_tags_of_versions(bench: Bench) -> None:
    await bench.catalog.set_versioning("box", ENABLED)
    first = (await bench.put("/box/k", b"1")).headers["x-amz-version-id"]
    second = (await bench.put("/box/k", b"2")).headers["x-amz-version-id"]
    told = await tell(bench, f"/box/k?tagging&versionId={first}", tagging(a="1"))
    assert told.headers["x-amz-version-id"] == first
    assert (await bench.ask("GET", f"/box/k?tagging&versionId={first}")).texts("Key") == ["a"]
    current = await bench.ask("GET", "/box/k?tagging")
    assert (current.texts("Key"), current.headers["x-amz-version-id"]) == ([], second)
    marker = (await bench.ask("DELETE", "/box/k")).headers["x-amz-version-id"]
    for target in ("/box/k?tagging", f"/box/k?tagging&versionId={marker}"):
        for method in ("GET", "PUT", "DELETE"):
            body = tagging(a="1").encode() if method == "PUT" else b""
            assert await code(bench.ask(method, target, body)) == "MethodNotAllowed", "of a current marker, too"
    assert (await bench.ask("DELETE", f"/box/k?tagging&versionId={first}")).headers["x-amz-version-id"] == first


async def test_tags_of_copies_and_uploads(bench: Bench) -> None:
    await bench.put("/box/k", b"x", {"x-amz-tagging": "a=1"})
    source = {"x-amz-copy-source": "/box/k"}
    await bench.ask("PUT", "/box/copy", headers={**source, "x-amz-tagging": "b=2"})
    assert (await bench.ask("GET", "/box/copy?tagging")).texts("Key") == ["a"]
    source["x-amz-tagging-directive"] = "REPLACE"
    await bench.ask("PUT", "/box/copy", headers={**source, "x-amz-tagging": "b=2"})
    assert (await bench.ask("GET", "/box/copy?tagging")).texts("Key") == ["b"]
    await bench.ask("PUT", "/box/copy", headers=source)
    assert (await bench.ask("GET", "/box/copy?tagging")).texts("Key") == []
    begun = await bench.ask("POST", "/box/mpu?uploads", headers={"x-amz-tagging": "a=1"})
    where = f"/box/mpu?uploadId={begun.text('UploadId')}"
    part = await bench.put(f"{where}&partNumber=1")
    listed = f"<Part><PartNumber>1</PartNumber><ETag>{part.headers['etag']}</ETag></Part>"
    await bench.ask("POST", where, f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode())
    assert (await bench.ask("GET", "/box/mpu?tagging")).texts("Key") == ["a"]


async def test_tags_of_buckets(bench: Bench) -> None:
    assert await code(bench.ask("GET", "/box?tagging")) == "NoSuchTagSet"
    assert (await tell(bench, "/box?tagging", tagging(**{f"k{n}": "v" for n in range(50)}))).status == 204
    assert len((await bench.ask("GET", "/box?tagging")).texts("Tag")) == 50
    assert await code(tell(bench, "/box?tagging", tagging(**{f"k{n}": "v" for n in range(51)}))) == "BadRequest"
    assert (await bench.ask("DELETE", "/box?tagging")).status == 204
    assert await code(bench.ask("GET", "/box?tagging")) == "NoSuchTagSet"
    for tags in (tagging(a="1"), tagging()):
        assert (await tell(bench, "/box?tagging", tags)).status == 204
    assert await code(bench.ask("GET", "/box?tagging")) == "NoSuchTagSet"


# --- attributes


async def attributes(bench: Bench, target: str, names: str, **headers: str) -> Reply:
    asked = {"x-amz-object-attributes": names, **{f"x-amz-{k.replace('_', '-')}": v for k, v in headers.items()}}
    return await bench.ask("GET", f"{target}?attributes", headers=asked)


async def test_attributes_of_a_plain_object(bench: Bench) -> None:
    etag = (await bench.put("/box/k", b"hello")).headers["etag"]
    got = await attributes(bench, "/box/k", "ETag,Checksum,ObjectParts,StorageClass,ObjectSize")
    assert (got.text("ETag"), got.text("ObjectSize"), got.text("StorageClass")) == (etag.strip('"'), "5", "STANDARD")
    assert (got.text("ChecksumType"), got.text("PartsCount")) == ("FULL_OBJECT", None)
    assert got.headers["last-modified"].endswith("GMT")
    assert "x-amz-version-id" not in got.headers
    assert await code(attributes(bench, "/box/none", "ETag")) == "NoSuchKey"
    assert await code(bench.ask("GET", "/box/k?attributes")) == "InvalidRequest"
    assert await code(attributes(bench, "/box/k", "Size")) == "InvalidArgument"


# "Conditional request headers", https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectAttributes.html
@pytest.mark.parametrize(
    ("conditions", "wanted"),
    [
        ({"if-match": "own", "if-unmodified-since": "Mon, 01 Jan 2024 00:00:00 GMT"}, 200),
        ({"if-none-match": "own", "if-modified-since": "Mon, 01 Jan 2024 00:00:00 GMT"}, 304),
        ({"if-match": '"other"'}, 412),
        ({"if-none-match": '"other"'}, 200),
    ],
)
async def test_attributes_under_conditions(bench: Bench, conditions: dict[str, str], wanted: int) -> None:
    etag = (await bench.put("/box/k", b"hello")).headers["etag"]
    given = {name: etag if value == "own" else value for name, value in conditions.items()}
    try:
        status = (
            await bench.ask("GET", "/box/k?attributes", headers={"x-amz-object-attributes": "ETag", **given})
        ).status
    except S3Error as error:
        status = error.status
    assert status == wanted


@pytest.mark.parametrize("kind", ["COMPOSITE", "FULL_OBJECT"])
async def test_attributes_of_parts(bench: Bench, kind: str) -> None:
    headers = {"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": kind}
    begun = await bench.ask("POST", "/box/k?uploads", headers=headers)
    where = f"/box/k?uploadId={begun.text('UploadId')}"
    sizes, listed = [5 << 20, 5 << 20, 7], ""
    for number, size in enumerate(sizes, 1):
        crc = base64.b64encode(zlib.crc32(b"x" * size).to_bytes(4, "big")).decode()
        part = await bench.put(f"{where}&partNumber={number}", b"x" * size, {"x-amz-checksum-crc32": crc})
        checksum = f"<ChecksumCRC32>{crc}</ChecksumCRC32>"
        listed += f"<Part><PartNumber>{number}</PartNumber><ETag>{part.headers['etag']}</ETag>{checksum}</Part>"
    await bench.ask("POST", where, f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode())
    got = await attributes(bench, "/box/k", "Checksum,ObjectParts", max_parts="1", part_number_marker="1")
    assert (got.text("PartsCount"), got.text("ChecksumType")) == ("3", kind)
    assert "-" not in (got.text("ChecksumCRC32") or "")
    if kind == "FULL_OBJECT":
        assert got.texts("Part") == []
        return
    assert (got.texts("PartNumber"), got.text("Size"), got.text("IsTruncated")) == (["2"], str(5 << 20), "true")
    assert got.text("NextPartNumberMarker") == "2"
    last = await attributes(bench, "/box/k", "ObjectParts", part_number_marker="2")
    assert (last.texts("PartNumber"), last.text("IsTruncated")) == (["3"], "false")
