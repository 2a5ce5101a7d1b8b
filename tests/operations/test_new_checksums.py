"""Every checksum algorithm on every way into the store and out of it."""

from __future__ import annotations

from base64 import b64encode

import pytest

from s3gate.s3.algorithms import Algorithm, composite, new
from tests.operations.bench import Bench, code

MIB = 1 << 20
COMPOSITES = [each for each in Algorithm if each is not Algorithm.CRC64NVME]


def value(algorithm: Algorithm, data: bytes) -> str:
    return b64encode(digest(algorithm, data)).decode()


def digest(algorithm: Algorithm, data: bytes) -> bytes:
    hasher = new(algorithm)
    hasher.update(data)
    return hasher.digest()


@pytest.mark.parametrize("size", [5, 200_000])
@pytest.mark.parametrize("algorithm", Algorithm)
async def test_put_and_get(bench: Bench, algorithm: Algorithm, size: int) -> None:
    data = b"x" * size
    sent = {algorithm.header: value(algorithm, data)}
    put = await bench.put("/box/k", data, sent)
    assert put.headers[algorithm.header] == sent[algorithm.header]
    assert put.headers["x-amz-checksum-type"] == "FULL_OBJECT"
    got = await bench.ask("GET", "/box/k", headers={"x-amz-checksum-mode": "ENABLED"})
    assert got.headers[algorithm.header] == sent[algorithm.header]
    assert algorithm.header not in (await bench.ask("GET", "/box/k")).headers
    assert await code(bench.put("/box/k", data + b"y", sent)) == "BadDigest"
    assert f"<ChecksumAlgorithm>{algorithm.value}</".encode() in (await bench.ask("GET", "/box")).body


@pytest.mark.parametrize("algorithm", Algorithm)
async def test_a_copy_may_have_another(bench: Bench, algorithm: Algorithm) -> None:
    await bench.put("/box/k", b"hello")
    headers = {"x-amz-copy-source": "/box/k", "x-amz-checksum-algorithm": algorithm.value}
    copied = await bench.ask("PUT", "/box/copy", headers=headers)
    assert copied.text(f"Checksum{algorithm.value}") == value(algorithm, b"hello")


@pytest.mark.parametrize("algorithm", COMPOSITES)
async def test_composite_uploads(bench: Bench, algorithm: Algorithm) -> None:
    name = algorithm.value
    begun = await bench.ask("POST", "/box/k?uploads", headers={"x-amz-checksum-algorithm": name})
    assert begun.headers["x-amz-checksum-type"] == "COMPOSITE"
    upload = begun.text("UploadId")
    pieces = [b"a" * 5 * MIB, b"tail"]
    lines = []
    for number, data in enumerate(pieces, 1):
        sent = {algorithm.header: value(algorithm, data)}
        part = await bench.put(f"/box/k?partNumber={number}&uploadId={upload}", data, sent)
        assert part.headers[algorithm.header] == value(algorithm, data)
        lines.append(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{part.headers['etag']}</ETag>"
            f"<Checksum{name}>{value(algorithm, data)}</Checksum{name}></Part>"
        )
    document = f"<CompleteMultipartUpload>{''.join(lines)}</CompleteMultipartUpload>".encode()
    whole = composite(algorithm, [digest(algorithm, data) for data in pieces])
    wrong = {algorithm.header: value(algorithm, b"other") + "-2"}
    assert await code(bench.ask("POST", f"/box/k?uploadId={upload}", document, wrong)) == "BadDigest"
    done = await bench.ask("POST", f"/box/k?uploadId={upload}", document, {algorithm.header: whole})
    assert (done.text(f"Checksum{name}"), done.text("ChecksumType")) == (whole, "COMPOSITE")
    asked = {"x-amz-checksum-mode": "ENABLED"}
    assert (await bench.ask("HEAD", "/box/k", headers=asked)).headers[algorithm.header] == whole
    part = await bench.ask("GET", "/box/k?partNumber=2", headers=asked)
    assert (part.headers[algorithm.header], part.headers["x-amz-checksum-type"]) == (
        value(algorithm, b"tail"),
        "COMPOSITE",
    )


@pytest.mark.parametrize("algorithm", [each for each in Algorithm if not each.is_crc])
async def test_only_a_crc_is_a_checksum_of_the_whole_in_a_multipart_upload(bench: Bench, algorithm: Algorithm) -> None:
    headers = {"x-amz-checksum-algorithm": algorithm.value, "x-amz-checksum-type": "FULL_OBJECT"}
    assert await code(bench.ask("POST", "/box/k?uploads", headers=headers)) == "InvalidRequest"


@pytest.mark.parametrize("algorithm", [Algorithm.SHA512, Algorithm.MD5, Algorithm.XXHASH3])
async def test_a_newer_one_has_to_be_declared_first(bench: Bench, algorithm: Algorithm) -> None:
    upload = (await bench.ask("POST", "/box/k?uploads")).text("UploadId")
    sent = {algorithm.header: value(algorithm, b"x")}
    assert await code(bench.put(f"/box/k?partNumber=1&uploadId={upload}", b"x", sent)) == "InvalidRequest"


@pytest.mark.parametrize("algorithm", Algorithm)
async def test_delete_objects_takes_any(bench: Bench, algorithm: Algorithm) -> None:
    document = b"<Delete><Object><Key>k</Key></Object></Delete>"
    sent = {algorithm.header: value(algorithm, document)}
    assert (await bench.ask("POST", "/box?delete", document, sent)).status == 200
    assert await code(bench.ask("POST", "/box?delete", document + b" ", sent)) == "BadDigest"
    assert await code(bench.ask("POST", "/box?delete", document)) == "InvalidRequest"
