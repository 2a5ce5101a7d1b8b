"""A multipart upload from Create to Complete, its retries, and every documented way to be refused."""

from __future__ import annotations

import base64
import hashlib
import threading
import zlib

import pytest

from s3gate.catalog.errors import ObjectMissing, UploadMissing
from s3gate.operations import _content
from s3gate.operations._replies import url_of
from s3gate.s3 import parts, xml_in
from s3gate.s3.errors import S3Error
from s3gate.s3.request import Request
from s3gate.store.errors import ShardMissing
from tests.operations.bench import Bench, code, md5
from tests.operations.fake_store import ROW_BYTES

FIVE = 5 << 20
UNKNOWN = "0" * 32


def crc32(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(4, "big")


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Upload:
    """One upload of `/box/big`, driven through the operations."""

    def __init__(self, bench: Bench, upload_id: str) -> None:
        self.bench = bench
        self.id = upload_id
        self.etags: dict[int, str] = {}

    @classmethod
    async def create(cls, bench: Bench, headers: dict[str, str] | None = None) -> Upload:
        reply = await bench.ask("POST", "/box/big?uploads=", headers=headers)
        return cls(bench, reply.text("UploadId") or "")

    async def part(self, number: int, data: bytes, headers: dict[str, str] | None = None):
        reply = await self.bench.put(f"/box/big?partNumber={number}&uploadId={self.id}", data, headers)
        self.etags[number] = reply.headers["etag"]
        return reply

    def document(self, numbers: list[int] | None = None, extra: dict[int, str] | None = None) -> bytes:
        listed = sorted(self.etags) if numbers is None else numbers
        inner = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{self.etags.get(number, 'x')}</ETag>"
            f"{(extra or {}).get(number, '')}</Part>"
            for number in listed
        )
        return f"<CompleteMultipartUpload>{inner}</CompleteMultipartUpload>".encode()

    async def complete(self, body: bytes | None = None, headers: dict[str, str] | None = None):
        document = self.document() if body is None else body
        return await self.bench.ask("POST", f"/box/big?uploadId={self.id}", document, headers)


@pytest.fixture
async def upload(bench: Bench) -> Upload:
    return await Upload.create(bench, {"content-type": "a/b", "x-amz-meta-m": "1"})


@pytest.mark.parametrize(
    ("target", "host"), [("/box/a/b%20%C3%A4", "gate:9000"), ("/a/b%20%C3%A4", "box.gate:9000")], ids=["path", "host"]
)
def test_where_an_object_is_found(target: str, host: str) -> None:
    """In the style of the request, its slashes escaped as S3 does it; a space is no plus, which a path would keep."""
    raw = [(b"host", host.encode())]
    request = Request.parse("POST", target.encode(), b"uploadId=u", raw, base_domains=("gate",))
    expected = f"http://{host}{'' if host.startswith('box.') else '/box'}/a%2Fb%20%C3%A4"
    assert (request.bucket, url_of(request, request.key)) == ("box", expected)


async def test_parts_become_the_object(bench: Bench, upload: Upload) -> None:
    parts = {1: b"a" * FIVE, 3: b"b" * (FIVE + 1), 7: b"c" * 10}
    for number in (7, 1, 3):
        await upload.part(number, parts[number])
    reply = await upload.complete()
    joined = b"".join(hashlib.md5(data).digest() for data in parts.values())
    etag = f'"{md5(joined)}-3"'
    assert reply.text("ETag") == etag
    assert reply.text("Location") == "http://gate:9000/box/big"
    assert reply.text("ChecksumType") == "FULL_OBJECT"
    assert reply.text("ChecksumCRC64NVME")
    data = b"".join(parts.values())
    got = await bench.ask("GET", "/box/big", headers={"x-amz-checksum-mode": "ENABLED"})
    assert (got.headers["etag"], got.headers["content-type"], got.headers["x-amz-meta-m"]) == (etag, "a/b", "1")
    assert got.body == data
    assert got.headers["x-amz-checksum-crc64nvme"] == reply.text("ChecksumCRC64NVME")
    for start, stop in [(0, 1), (FIVE - 1, FIVE + 1), (FIVE, FIVE), (2 * FIVE, len(data) - 1), (len(data) - 1,) * 2]:
        ranged = await bench.ask("GET", "/box/big", headers={"range": f"bytes={start}-{stop}"})
        assert ranged.body == data[start : stop + 1]
    for number, part in parts.items():
        one = await bench.ask("GET", f"/box/big?partNumber={number}")
        assert (one.status, one.body, one.headers["x-amz-mp-parts-count"]) == (206, part, "3")
    head = await bench.ask("HEAD", "/box/big?partNumber=3")
    assert head.headers["content-range"] == f"bytes {FIVE}-{2 * FIVE}/{len(data)}"
    assert await code(bench.ask("GET", "/box/big?partNumber=2")) == "InvalidPartNumber"


async def test_parts_keep_the_group_of_their_upload(bench: Bench, upload: Upload) -> None:
    await upload.part(1, b"x")
    await upload.part(2, b"x" * 3 * ROW_BYTES)
    assert bench.store.groups == [3, 3]


async def test_completing_again_is_a_success(bench: Bench, upload: Upload) -> None:
    await upload.part(1, b"x")
    first = await upload.complete(headers={"if-none-match": "*"})
    again = await upload.complete(headers={"if-none-match": "*"})
    unquoted = await upload.complete(upload.document().replace(b'"', b""))
    assert first.body == again.body == unquoted.body
    other = upload.document([1]).replace(b"<PartNumber>1", b"<PartNumber>2")
    assert await code(upload.complete(other)) == "NoSuchUpload"
    elsewhere = bench.ask("POST", f"/box/other?uploadId={upload.id}", upload.document())
    assert await code(elsewhere) == "NoSuchUpload"


async def test_losing_to_another_complete_is_a_success_too(bench: Bench, upload: Upload) -> None:
    await upload.part(1, b"x")
    kept = bench.catalog.uploads.copy()
    first = await upload.complete()
    bench.catalog.uploads = kept
    bench.catalog.fail["complete_upload"] = UploadMissing()
    assert (await upload.complete()).body == first.body


async def test_an_empty_part_makes_an_empty_object(bench: Bench, upload: Upload) -> None:
    await upload.part(1, b"")
    await upload.complete()
    got = await bench.ask("GET", "/box/big")
    assert (got.status, got.body, got.headers["etag"][-3:]) == (200, b"", '-1"')


async def test_sending_a_part_again_replaces_it(bench: Bench, upload: Upload) -> None:
    await upload.part(1, b"old")
    old = upload.document()
    await upload.part(1, b"new")
    assert await code(upload.complete(old)) == "InvalidPart"
    await upload.complete()
    assert (await bench.ask("GET", "/box/big")).body == b"new"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "MalformedXML"),
        (b"<CompleteMultipartUpload/>", "MalformedXML"),
        (
            b"<CompleteMultipartUpload><Part><PartNumber>2</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>",
            "InvalidPart",
        ),
        (
            b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>",
            "InvalidPart",
        ),
        (
            b"<CompleteMultipartUpload><Part><PartNumber>-1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>",
            "InvalidArgument",
        ),
        (
            b"<CompleteMultipartUpload><Part><PartNumber>0</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>",
            "InvalidArgument",
        ),
        (
            b"<CompleteMultipartUpload><Part><PartNumber>10001</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>",
            "InvalidArgument",
        ),
        (b" " * (5 << 20), "MaxMessageLengthExceeded"),
    ],
)
async def test_lists_that_are_refused(upload: Upload, body: bytes, error: str) -> None:
    await upload.part(1, b"x")
    assert await code(upload.complete(body)) == error


async def test_order_and_size(upload: Upload) -> None:
    await upload.part(1, b"x")
    await upload.part(2, b"y")
    assert await code(upload.complete(upload.document([2, 1]))) == "InvalidPartOrder"
    assert await code(upload.complete(upload.document([1, 1]))) == "InvalidPartOrder"
    with pytest.raises(S3Error) as caught:
        await upload.complete()
    assert caught.value.code == "EntityTooSmall"
    assert caught.value.extra["PartNumber"] == "1"
    with pytest.raises(S3Error) as absent:
        await upload.complete(upload.document([2, 5]))
    assert absent.value.extra == {"UploadId": upload.id, "PartNumber": "5", "ETag": "x"}
    assert (await upload.complete(upload.document([2]))).status == 200


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({"x-amz-mp-object-size": "1"}, None),
        ({"x-amz-mp-object-size": "2"}, "InvalidRequest"),
        ({"x-amz-mp-object-size": "-1"}, "InvalidRequest"),
        ({"x-amz-checksum-type": "FULL_OBJECT"}, None),
        ({"x-amz-checksum-type": "COMPOSITE"}, "InvalidRequest"),
        ({"x-amz-checksum-crc64nvme": "AAAAAAAAAAA="}, "BadDigest"),
        ({"x-amz-checksum-crc32": "AAAAAA=="}, "InvalidRequest"),
        ({"x-amz-checksum-crc32": "junk"}, "InvalidRequest"),
        ({"if-match": "*"}, "NoSuchKey"),
        ({"if-none-match": "*"}, None),
        ({"if-none-match": "x"}, "NotImplemented"),
    ],
)
async def test_claims_about_the_whole(upload: Upload, headers: dict[str, str], error: str | None) -> None:
    await upload.part(1, b"x")
    if error is None:
        assert (await upload.complete(headers=headers)).status == 200
    else:
        assert await code(upload.complete(headers=headers)) == error


@pytest.mark.parametrize(("text", "wrong"), [("-1", "less than zero"), ("many", "invalid"), ("", "invalid")])
async def test_a_size_that_is_none(upload: Upload, text: str, wrong: str) -> None:
    await upload.part(1, b"x")
    with pytest.raises(S3Error) as caught:
        await upload.complete(headers={"x-amz-mp-object-size": text})
    assert caught.value.message == f"Value for x-amz-mp-object-size header is {wrong}: '{text}'"


async def test_a_condition_that_fails_keeps_the_upload(bench: Bench, upload: Upload) -> None:
    await bench.put("/box/big")
    await upload.part(1, b"x")
    assert await code(upload.complete(headers={"if-none-match": "*"})) == "PreconditionFailed"
    assert (await upload.complete()).status == 200


async def test_composite_checksums(bench: Bench) -> None:
    upload = await Upload.create(bench, {"x-amz-checksum-algorithm": "CRC32"})
    one, two = b"a" * FIVE, b"b"
    await upload.part(1, one, {"x-amz-checksum-crc32": b64(crc32(one))})
    sent = await upload.part(2, two, {"x-amz-checksum-crc32": b64(crc32(two))})
    assert sent.headers["x-amz-checksum-crc32"] == b64(crc32(two))
    assert await code(upload.complete()) == "InvalidRequest"
    lines = {
        1: f"<ChecksumCRC32>{b64(crc32(one))}</ChecksumCRC32>",
        2: f"<ChecksumCRC32>{b64(crc32(two))}</ChecksumCRC32>",
    }
    wrong = {**lines, 2: "<ChecksumCRC32>AAAAAA==</ChecksumCRC32>"}
    assert await code(upload.complete(upload.document(extra=wrong))) == "InvalidPart"
    reply = await upload.complete(upload.document(extra=lines))
    assert reply.text("ChecksumCRC32") == b64(crc32(crc32(one) + crc32(two))) + "-2"
    assert reply.text("ChecksumType") == "COMPOSITE"


@pytest.mark.parametrize(("kind", "wanted"), [("COMPOSITE", "InvalidPartOrder"), ("FULL_OBJECT", "")])
async def test_parts_whose_checksums_make_the_objects_have_no_gaps(bench: Bench, kind: str, wanted: str) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompletedPart.html"""
    headers = {"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": kind}
    for numbers in ([2], [1, 3]):
        upload = await Upload.create(bench, headers)
        data, lines = b"a" * FIVE, {}
        for number in numbers:
            await upload.part(number, data, {"x-amz-checksum-crc32": b64(crc32(data))})
            lines[number] = f"<ChecksumCRC32>{b64(crc32(data))}</ChecksumCRC32>"
        if wanted:
            assert await code(upload.complete(upload.document(extra=lines))) == wanted
        else:
            assert (await upload.complete(upload.document(extra=lines))).status == 200


async def test_full_object_checksums_are_combined(bench: Bench) -> None:
    headers = {"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": "FULL_OBJECT"}
    upload = await Upload.create(bench, headers)
    one, two = b"a" * FIVE, b"b" * 77
    await upload.part(1, one)
    await upload.part(2, two)
    whole = b64(crc32(one + two))
    reply = await upload.complete(headers={"x-amz-checksum-crc32": whole})
    assert reply.text("ChecksumCRC32") == whole
    assert reply.text("ChecksumType") == "FULL_OBJECT"


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({"x-amz-checksum-algorithm": "MD4"}, "InvalidRequest"),
        ({"x-amz-checksum-type": "COMPOSITE"}, "InvalidRequest"),
        ({"x-amz-checksum-algorithm": "SHA1", "x-amz-checksum-type": "FULL_OBJECT"}, "InvalidRequest"),
        ({"x-amz-checksum-algorithm": "CRC64NVME", "x-amz-checksum-type": "COMPOSITE"}, "InvalidRequest"),
        ({"if-none-match": "*"}, "NotImplemented"),
        ({"x-amz-server-side-encryption": "aws:kms"}, "NotImplemented"),
    ],
)
async def test_creates_that_are_refused(bench: Bench, headers: dict[str, str], error: str) -> None:
    assert await code(Upload.create(bench, headers)) == error


async def test_what_was_chosen_is_echoed(bench: Bench) -> None:
    reply = await bench.ask("POST", "/box/k?uploads", headers={"x-amz-checksum-algorithm": "sha256"})
    assert reply.headers["x-amz-checksum-algorithm"] == "SHA256"
    assert reply.headers["x-amz-checksum-type"] == "COMPOSITE"


# "This will only be present if the checksum was provided in the request", and of copies: "if the multipart upload
# request was created with the … checksum algorithm" (API_UploadPart.html and API_CopyPartResult.html)
async def test_whose_checksum_a_part_is_answered_with(bench: Bench) -> None:
    await bench.put("/box/source", b"data")
    plain = await Upload.create(bench)
    sent = await plain.part(1, b"data")
    assert not any(name.startswith("x-amz-checksum-") for name in sent.headers)
    given = await plain.part(2, b"data", {"x-amz-checksum-crc32": b64(crc32(b"data"))})
    assert [name for name in given.headers if name.startswith("x-amz-checksum-")] == ["x-amz-checksum-crc32"]
    listed = await bench.ask("GET", f"/box/big?uploadId={plain.id}")
    assert (listed.text("ChecksumCRC64NVME") is not None, listed.text("ChecksumCRC32")) == (True, b64(crc32(b"data")))
    source = {"x-amz-copy-source": "/box/source"}
    copied = await bench.ask("PUT", f"/box/big?partNumber=3&uploadId={plain.id}", headers=source)
    assert (copied.text("ETag"), copied.text("ChecksumCRC64NVME")) == (f'"{md5(b"data")}"', None)
    summed = await Upload.create(bench, {"x-amz-checksum-algorithm": "CRC64NVME"})
    copied = await bench.ask("PUT", f"/box/big?partNumber=1&uploadId={summed.id}", headers=source)
    assert copied.text("ChecksumCRC64NVME") == listed.text("ChecksumCRC64NVME")


async def test_parts_that_are_refused(bench: Bench, upload: Upload) -> None:
    for number in ("0", "10001", "-1", "x", ""):
        assert await code(bench.put(f"/box/big?partNumber={number}&uploadId={upload.id}")) == "InvalidArgument"
    for target in (
        f"/box/big?partNumber=1&uploadId={UNKNOWN}",
        "/box/big?partNumber=1&uploadId=junk",
        f"/box/other?partNumber=1&uploadId={upload.id}",
    ):
        assert await code(bench.put(target)) == "NoSuchUpload"
    target = f"/box/big?partNumber=1&uploadId={upload.id}"
    assert await code(bench.put(target, b"x", {"content-md5": b64(b"\0" * 16)})) == "BadDigest"
    assert await code(bench.put(target, b"x", {"if-match": "*"})) == "NotImplemented"
    checked = await Upload.create(bench, {"x-amz-checksum-algorithm": "CRC32"})
    sha1 = {"x-amz-checksum-sha1": b64(hashlib.sha1(b"x").digest())}
    assert await code(checked.part(1, b"x", sha1)) == "InvalidRequest"
    with pytest.raises(S3Error) as bare:  # a composite checksum is made of what clients computed
        await checked.part(1, b"x")
    assert bare.value.message.endswith("expected checksum Type: crc32, actual checksum Type: null")
    assert await code(bench.put(f"/none-such/big?partNumber=1&uploadId={upload.id}")) == "NoSuchBucket"


async def test_an_upload_that_vanishes_while_a_part_is_sent(bench: Bench, upload: Upload) -> None:
    bench.catalog.fail["put_part"] = UploadMissing()
    assert await code(upload.part(1, b"x")) == "NoSuchUpload"


async def test_abort(bench: Bench, upload: Upload) -> None:
    target = f"/box/big?uploadId={upload.id}"
    assert (await bench.ask("DELETE", target)).status == 204
    assert await code(bench.ask("DELETE", target)) == "NoSuchUpload"
    assert await code(upload.part(1, b"x")) == "NoSuchUpload"
    assert (
        await code(
            upload.complete(
                b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>"
            )
        )
        == "NoSuchUpload"
    )


async def test_list_parts_in_pages(bench: Bench, upload: Upload) -> None:
    for number in (1, 2, 5):
        await upload.part(number, b"x" * number)
    target = f"/box/big?uploadId={upload.id}"
    page = await bench.ask("GET", f"{target}&max-parts=2")
    assert page.texts("PartNumber") == ["1", "2"]
    assert page.texts("ETag") == [upload.etags[1], upload.etags[2]]
    assert (page.text("IsTruncated"), page.text("NextPartNumberMarker")) == ("true", "2")
    page = await bench.ask("GET", f"{target}&max-parts=2&part-number-marker=2")
    assert (page.texts("PartNumber"), page.texts("Size"), page.text("IsTruncated")) == (["5"], ["5"], "false")
    assert (await bench.ask("GET", f"{target}&max-parts=0")).text("IsTruncated") == "false"
    assert await code(bench.ask("GET", f"/box/big?uploadId={UNKNOWN}")) == "NoSuchUpload"


async def test_list_uploads_in_pages(bench: Bench) -> None:
    ids: dict[str, list[str]] = {}
    for key in ("a/1", "a/2", "b", "b", "c"):
        reply = await bench.ask("POST", f"/box/{key}?uploads")
        ids.setdefault(key, []).append(reply.text("UploadId") or "")
    seen: list[tuple[str, str]] = []
    target = "/box?uploads&max-uploads=2"
    markers = ""
    while True:
        page = await bench.ask("GET", target + markers)
        seen += zip(page.texts("Key"), page.texts("UploadId"), strict=True)
        assert page.text("NextKeyMarker") == page.texts("Key")[-1]
        if page.text("IsTruncated") == "false":
            break
        markers = f"&key-marker={page.text('NextKeyMarker')}&upload-id-marker={page.text('NextUploadIdMarker')}"
    assert seen == [(key, upload) for key in sorted(ids) for upload in sorted(ids[key])]
    folded = await bench.ask("GET", "/box?uploads&delimiter=/")
    assert folded.texts("Key") == ["b", "b", "c"]
    assert folded.texts("Prefix") == ["", "a/"]
    assert (await bench.ask("GET", "/box?uploads&max-uploads=0")).texts("Key") == []
    assert await code(bench.ask("GET", "/none-such?uploads")) == "NoSuchBucket"


async def test_a_manifest_that_does_not_fit_is_never_a_short_body(bench: Bench, upload: Upload) -> None:
    await upload.part(1, b"x" * FIVE)
    await upload.part(2, b"y")
    await upload.complete()
    del bench.catalog.parts[bytes.fromhex(upload.id), 2]
    with pytest.raises((ShardMissing, S3Error)):
        await bench.ask("GET", "/box/big")


async def test_a_content_that_is_collected_under_a_read_is_looked_up_anew(bench: Bench, upload: Upload) -> None:
    await upload.part(1, b"x" * FIVE)
    await upload.part(2, b"y")
    await upload.complete()
    for target in ("/box/big", "/box/big?partNumber=2"):
        bench.catalog.fail["manifest"] = ObjectMissing()
        assert (await bench.ask("GET", target)).body.endswith(b"y")
    bench.catalog.fail_on["manifest"] = ObjectMissing()
    for method in ("GET", "HEAD"):
        assert await code(bench.ask(method, "/box/big?partNumber=2")) == "InternalError"


async def test_parts_that_were_not_listed_are_skipped(bench: Bench, upload: Upload) -> None:
    await upload.part(1, b"x" * FIVE)
    await upload.part(2, b"never listed")
    await upload.part(3, b"z")
    await upload.complete(upload.document([1, 3]))
    assert (await bench.ask("GET", "/box/big")).body == b"x" * FIVE + b"z"


async def test_more_parts_than_one_lookup_holds(bench: Bench, upload: Upload, monkeypatch) -> None:
    monkeypatch.setattr(parts, "MIN_PART_BYTES", 1)
    monkeypatch.setattr(_content, "PARTS_PER_LOOKUP", 4)
    data = b""
    for number in range(1, 12):
        data += bytes([number]) * number
        await upload.part(number, bytes([number]) * number)
    await upload.complete()
    for start in (0, 1, 20, 65):
        ranged = await bench.ask("GET", "/box/big", headers={"range": f"bytes={start}-"})
        assert ranged.body == data[start:]


async def test_long_lists_of_parts_are_read_beside_the_loop(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """And short ones at once."""
    threads = []
    parse, choose = xml_in.complete_multipart_upload, parts.choose

    def noted(work):
        def run(*given):
            threads.append(threading.current_thread() is threading.main_thread())
            return work(*given)

        return run

    monkeypatch.setattr(xml_in, "complete_multipart_upload", noted(parse))
    monkeypatch.setattr(parts, "choose", noted(choose))
    upload = await Upload.create(bench)
    await upload.part(1, b"x")
    assert await code(upload.complete(upload.document(list(range(1, 10_001))))) == "InvalidPart"
    assert (await upload.complete()).status == 200
    assert threads == [False, False, True, True]
