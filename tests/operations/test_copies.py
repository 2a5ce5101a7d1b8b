"""CopyObject moves no byte and says what AWS says; UploadPartCopy makes a part from an object."""

from __future__ import annotations

import base64
import zlib
from types import SimpleNamespace

import pytest

from s3gate.catalog.errors import SourceChanged
from s3gate.operations import _source
from s3gate.store.errors import ShardMissing, StoreUnavailable
from tests.operations.bench import Bench, code, md5
from tests.operations.fake_store import ROW_BYTES

FIVE = 5 << 20


def crc32(data: bytes) -> str:
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


async def copy(bench: Bench, source: str = "/box/src", target: str = "/box/dst", **headers: str):
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return await bench.ask("PUT", target, headers={"x-amz-copy-source": source, **given})


async def multipart(bench: Bench, key: str, parts: list[bytes]) -> None:
    created = await bench.ask("POST", f"/box/{key}?uploads")
    upload = created.text("UploadId")
    inner = ""
    for number, data in enumerate(parts, 1):
        reply = await bench.put(f"/box/{key}?partNumber={number}&uploadId={upload}", data)
        inner += f"<Part><PartNumber>{number}</PartNumber><ETag>{reply.headers['etag']}</ETag></Part>"
    body = f"<CompleteMultipartUpload>{inner}</CompleteMultipartUpload>".encode()
    await bench.ask("POST", f"/box/{key}?uploadId={upload}", body)


@pytest.fixture
async def bench(bench: Bench) -> Bench:
    await bench.put("/box/src", b"hello", {"x-amz-meta-m": "1", "content-type": "a/b"})
    bench.store.calls.clear()
    return bench


async def test_a_copy_moves_no_byte(bench: Bench) -> None:
    reply = await copy(bench)
    assert reply.text("ETag") == f'"{md5(b"hello")}"'
    assert reply.text("ChecksumType") == "FULL_OBJECT"
    assert bench.store.calls == []
    got = await bench.ask("GET", "/box/dst")
    assert (got.body, got.headers["x-amz-meta-m"], got.headers["content-type"]) == (b"hello", "1", "a/b")


async def test_directives(bench: Bench) -> None:
    await copy(bench, x_amz_metadata_directive="REPLACE", x_amz_meta_n="2")
    head = await bench.ask("HEAD", "/box/dst")
    assert head.headers["x-amz-meta-n"] == "2"
    assert head.headers["content-type"] == "binary/octet-stream"
    assert "x-amz-meta-m" not in head.headers
    await copy(bench, x_amz_metadata_directive="COPY", x_amz_meta_n="2")
    head = await bench.ask("HEAD", "/box/dst")
    assert head.headers["x-amz-meta-m"] == "1"
    assert "x-amz-meta-n" not in head.headers
    assert await code(copy(bench, x_amz_metadata_directive="MERGE")) == "InvalidArgument"


async def test_the_redirect_is_never_copied(bench: Bench) -> None:
    redirect = "x-amz-website-redirect-location"
    await bench.put("/box/src", b"hello", {redirect: "/there"})
    await copy(bench)
    assert redirect not in (await bench.ask("HEAD", "/box/dst")).headers
    await copy(bench, x_amz_website_redirect_location="/here")
    assert (await bench.ask("HEAD", "/box/dst")).headers[redirect] == "/here"


async def test_onto_itself(bench: Bench) -> None:
    assert await code(copy(bench, target="/box/src")) == "InvalidRequest"
    reply = await copy(bench, target="/box/src", x_amz_metadata_directive="REPLACE", x_amz_meta_z="9")
    assert reply.status == 200
    assert (await bench.ask("HEAD", "/box/src")).headers["x-amz-meta-z"] == "9"
    assert (await copy(bench, target="/box/src", x_amz_storage_class="STANDARD")).status == 200


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("/box/none", "NoSuchKey"),
        ("/none-such/k", "NoSuchBucket"),
        ("box", "InvalidArgument"),
        ("", "InvalidArgument"),
        ("/box/", "InvalidArgument"),
        ("/box/%zz", "InvalidURI"),
        ("/box/src?versionId=v1", "InvalidArgument"),
        ("/box/" + "k" * 1025, "KeyTooLongError"),
    ],
)
async def test_sources_that_are_none(bench: Bench, source: str, error: str) -> None:
    assert await code(copy(bench, source)) == error


@pytest.mark.parametrize("source", ["box/src", "/box/src", "box/sr%63", "/box/src?versionId=null", "box%2Fsrc"])
async def test_sources_in_every_spelling(bench: Bench, source: str) -> None:
    assert (await copy(bench, source)).status == 200


async def test_conditions_on_the_source_fail_alike(bench: Bench) -> None:
    etag = md5(b"hello")
    long_ago = "Mon, 01 Jan 2001 00:00:00 GMT"
    modified = (await bench.ask("HEAD", "/box/src")).headers["last-modified"]
    for name, value in [
        ("x_amz_copy_source_if_match", "x"),
        ("x_amz_copy_source_if_none_match", etag),
        ("x_amz_copy_source_if_unmodified_since", long_ago),
        ("x_amz_copy_source_if_modified_since", modified),
    ]:
        assert await code(copy(bench, **{name: value})) == "PreconditionFailed", name
    both = {"x_amz_copy_source_if_match": etag, "x_amz_copy_source_if_unmodified_since": long_ago}
    assert (await copy(bench, **both)).status == 200


async def test_conditions_on_the_destination(bench: Bench) -> None:
    assert (await copy(bench, if_none_match="*")).status == 200
    assert await code(copy(bench, if_none_match="*")) == "PreconditionFailed"
    assert await code(copy(bench, if_match="x")) == "PreconditionFailed"


@pytest.fixture
def no_md5(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody works out what a row knows: MD5 is what a copy that reads spends most on."""

    def refuse(**_: object) -> None:
        raise AssertionError("MD5 of a source whose ETag is known")

    monkeypatch.setattr(_source, "hashlib", SimpleNamespace(md5=refuse))


async def test_another_checksum_is_computed_by_reading(bench: Bench, no_md5: None) -> None:
    reply = await copy(bench, x_amz_checksum_algorithm="CRC32")
    assert (reply.text("ChecksumCRC32"), reply.text("ETag")) == (crc32(b"hello"), f'"{md5(b"hello")}"')
    assert bench.store.calls == ["read"]
    bench.store.calls.clear()
    await copy(bench, x_amz_checksum_algorithm="crc64nvme")
    assert bench.store.calls == []
    assert await code(copy(bench, x_amz_checksum_algorithm="MD4")) == "InvalidRequest"


async def test_a_multipart_source_gets_the_etag_of_one_part(bench: Bench) -> None:
    parts = [b"a" * FIVE, b"b" * 9]
    await multipart(bench, "src", parts)
    bench.store.calls.clear()
    reply = await copy(bench)
    assert reply.text("ETag") == f'"{md5(b"".join(parts))}"'
    assert reply.text("ChecksumType") == "FULL_OBJECT"
    assert set(bench.store.calls) == {"read", "read_on"}
    got = await bench.ask("GET", "/box/dst?partNumber=1")
    assert (got.status, got.body) == (206, b"".join(parts))
    assert "x-amz-mp-parts-count" not in got.headers


async def test_a_source_that_changes_is_looked_up_again(bench: Bench) -> None:
    bench.catalog.fail["copy_object"] = SourceChanged()
    assert (await copy(bench)).status == 200

    async def always(*_: object) -> None:
        raise SourceChanged

    bench.catalog.copy_object = always
    assert await code(copy(bench)) == "OperationAborted"


async def test_more_than_five_gibibytes_are_refused(bench: Bench) -> None:
    place, row = next(iter(bench.catalog.objects.items()))
    bench.catalog.objects[place] = row._replace(size=(5 << 30) + 1)
    assert await code(copy(bench)) == "InvalidRequest"


async def test_expected_owners(bench: Bench) -> None:
    for name in ("x_amz_source_expected_bucket_owner", "x_amz_expected_bucket_owner"):
        assert await code(copy(bench, **{name: "9" * 12})) == "AccessDenied"
        assert await code(copy(bench, **{name: "x"})) == "InvalidBucketOwnerAWSAccountID"


async def begin(bench: Bench, **headers: str) -> str:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return (await bench.ask("POST", "/box/big?uploads", headers=given)).text("UploadId") or ""


@pytest.mark.parametrize("size", [0, 1, ROW_BYTES, 3 * ROW_BYTES + 5])
async def test_a_part_from_an_object(bench: Bench, size: int) -> None:
    data = bytes(i % 251 for i in range(size))
    await bench.put("/box/src", data)
    upload = await begin(bench)
    reply = await copy(bench, target=f"/box/big?partNumber=1&uploadId={upload}")
    assert reply.text("ETag") == f'"{md5(data)}"'
    [part] = await bench.catalog.all_parts(bytes.fromhex(upload))
    assert part.size == size
    assert bench.budget.free == bench.budget.total


async def test_a_part_from_a_range(bench: Bench) -> None:
    upload = await begin(bench, x_amz_checksum_algorithm="CRC32")
    target = f"/box/big?partNumber=1&uploadId={upload}"
    reply = await copy(bench, target=target, x_amz_copy_source_range="bytes=1-3")
    assert reply.text("ChecksumCRC32") == crc32(b"ell")
    for wrong in ("bytes=3-1", "bytes=0-5", "bytes=-2", "bytes=2-", "0-1", "junk"):
        assert await code(copy(bench, target=target, x_amz_copy_source_range=wrong)) == "InvalidArgument"


async def test_part_copies_that_are_refused(bench: Bench) -> None:
    upload = await begin(bench)
    target = f"/box/big?partNumber=1&uploadId={upload}"
    assert await code(copy(bench, "/box/none", target)) == "NoSuchKey"
    assert await code(copy(bench, target=f"/box/big?partNumber=1&uploadId={'0' * 32}")) == "NoSuchUpload"
    assert await code(copy(bench, target=f"/box/big?partNumber=0&uploadId={upload}")) == "InvalidArgument"
    assert await code(copy(bench, target=target, x_amz_copy_source_if_match="x")) == "PreconditionFailed"


async def test_something_whole_moves_no_byte(bench: Bench) -> None:
    """A whole source without parts, or one part of one with parts, under whichever name of its bytes."""
    await multipart(bench, "multi", [b"a" * FIVE, b"b" * 9])
    upload = await begin(bench)
    bench.store.calls.clear()
    ranges = [
        ("/box/src", None, b"hello"),
        ("/box/src", "bytes=0-4", b"hello"),
        ("/box/multi", f"bytes=0-{FIVE - 1}", b"a" * FIVE),
        ("/box/multi", f"bytes={FIVE}-{FIVE + 8}", b"b" * 9),
    ]
    for number, (source, text, data) in enumerate(ranges, 1):
        given = {} if text is None else {"x_amz_copy_source_range": text}
        reply = await copy(bench, source, f"/box/big?partNumber={number}&uploadId={upload}", **given)
        assert reply.text("ETag") == f'"{md5(data)}"'
    assert bench.store.calls == []
    parts = await bench.catalog.all_parts(bytes.fromhex(upload))
    assert [part.size for part in parts] == [5, 5, FIVE, 9]
    assert all(part.checksum.startswith("CRC64NVME:") for part in parts)
    for text in (None, f"bytes=1-{FIVE - 1}", f"bytes=0-{FIVE}", f"bytes=0-{FIVE - 2}", f"bytes={FIVE}-{FIVE + 7}"):
        bench.store.calls.clear()
        given = {} if text is None else {"x_amz_copy_source_range": text}
        await copy(bench, "/box/multi", f"/box/big?partNumber=1&uploadId={upload}", **given)
        assert "write" in bench.store.calls


async def test_another_checksum_of_something_whole_is_computed_by_reading(bench: Bench, no_md5: None) -> None:
    upload = await begin(bench, x_amz_checksum_algorithm="CRC32")
    reply = await copy(bench, target=f"/box/big?partNumber=1&uploadId={upload}")
    assert (reply.text("ChecksumCRC32"), reply.text("ETag")) == (crc32(b"hello"), f'"{md5(b"hello")}"')
    assert bench.store.calls == ["read"]


async def test_a_copy_of_an_object_with_parts_has_its_parts(bench: Bench) -> None:
    """It counts as one part, but its bytes are a content with several: copied whole they are read and written."""
    parts = [b"a" * FIVE, b"b" * 9]
    await multipart(bench, "multi", parts)
    await copy(bench, "/box/multi", "/box/src")
    upload = await begin(bench)
    bench.store.calls.clear()
    reply = await copy(bench, target=f"/box/big?partNumber=1&uploadId={upload}")
    assert reply.text("ETag") == f'"{md5(b"".join(parts))}"' and "write" in bench.store.calls
    bench.store.calls.clear()
    last = f"bytes={FIVE}-{FIVE + 8}"
    reply = await copy(bench, target=f"/box/big?partNumber=2&uploadId={upload}", x_amz_copy_source_range=last)
    assert reply.text("ETag") == f'"{md5(parts[1])}"' and bench.store.calls == []


async def test_a_parts_source_that_changes_is_looked_up_again(bench: Bench) -> None:
    upload = await begin(bench)
    target = f"/box/big?partNumber=1&uploadId={upload}"
    bench.catalog.fail["copy_part"] = SourceChanged()
    assert (await copy(bench, target=target)).status == 200
    bench.store.fail["read"] = ShardMissing()
    assert (await copy(bench, target=target, x_amz_copy_source_range="bytes=1-2")).status == 200
    bench.catalog.fail_on["copy_part"] = SourceChanged()
    assert await code(copy(bench, target=target)) == "OperationAborted"


@pytest.mark.parametrize(
    ("name", "failure", "error", "attempts"),
    [
        ("read", ShardMissing(), "InternalError", 3),
        ("read_on", ShardMissing(), "InternalError", 3),
        ("write", StoreUnavailable(), "ServiceUnavailable", 1),
    ],
)
async def test_part_copies_that_fail_are_discarded(
    bench: Bench, name: str, failure: Exception, error: str, attempts: int
) -> None:
    size = 3 * ROW_BYTES
    await bench.put("/box/src", b"x" * size)
    upload = await begin(bench)
    bench.store.fail_on[name] = failure
    target, all_but_one = f"/box/big?partNumber=1&uploadId={upload}", f"bytes=1-{size - 1}"
    assert await code(copy(bench, target=target, x_amz_copy_source_range=all_but_one)) == error
    assert len(bench.catalog.discarded) == attempts
    assert bench.gate.copies._value == 4
