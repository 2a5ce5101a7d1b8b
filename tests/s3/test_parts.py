"""Which parts a Complete may take, and what the whole is called and hashes to."""

from __future__ import annotations

import base64
import hashlib
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3gate.s3 import parts
from s3gate.s3.algorithms import Algorithm, new
from s3gate.s3.errors import S3Error
from s3gate.s3.xml_in import CompletedPart

MIB = 1 << 20


class Part(NamedTuple):
    part_number: int
    size: int = 5 * MIB
    etag: str = "0" * 32
    checksum: str = "CRC32:FULL_OBJECT:AAAAAA=="


def claim(number: int, etag: str = "0" * 32, **checksums: str) -> CompletedPart:
    return CompletedPart(number, etag, checksums)


def refused(listed: list[CompletedPart], stored: list[Part], kind: str = "") -> S3Error:
    with pytest.raises(S3Error) as caught:
        parts.choose(listed, stored, kind)
    return caught.value


def test_etags_with_and_without_quotes() -> None:
    stored = [Part(1), Part(2, 1)]
    assert parts.choose([claim(1, '"' + "0" * 32 + '"'), claim(2)], stored) == stored
    assert parts.choose([claim(2)], stored) == [stored[1]]


@pytest.mark.parametrize(
    ("listed", "error"),
    [
        ([claim(2), claim(1)], "InvalidPartOrder"),
        ([claim(1), claim(1)], "InvalidPartOrder"),
        ([claim(0)], "InvalidArgument"),
        ([claim(10_001)], "InvalidArgument"),
        ([claim(1), claim(3)], "InvalidPart"),
        ([claim(1, "1" * 32)], "InvalidPart"),
        ([claim(1, CRC32="BBBBBB==")], "InvalidPart"),
        ([claim(1, SHA1="AAAAAA==")], "InvalidPart"),
    ],
)
def test_lists_that_are_refused(listed: list[CompletedPart], error: str) -> None:
    assert refused(listed, [Part(1), Part(2)]).code == error


def test_all_but_the_last_part_have_five_mebibytes() -> None:
    small = Part(1, 5 * MIB - 1)
    error = refused([claim(1), claim(2)], [small, Part(2)])
    assert error.code == "EntityTooSmall"
    assert error.extra["ProposedSize"] == str(5 * MIB - 1)
    assert error.extra["MinSizeAllowed"] == str(5 * MIB)
    assert parts.choose([claim(1)], [small]) == [small]


def test_composite_lists_repeat_every_checksum() -> None:
    listed = [claim(1, CRC32="AAAAAA=="), claim(2)]
    error = refused(listed, [Part(1), Part(2)], "CRC32:COMPOSITE")
    assert error.code == "InvalidRequest"
    assert "part 2" in error.message
    assert len(parts.choose(listed, [Part(1), Part(2)], "CRC32:FULL_OBJECT")) == 2


def test_multipart_etag() -> None:
    digests = [hashlib.md5(bytes([n])).hexdigest() for n in range(3)]
    stored = [Part(n, etag=etag) for n, etag in enumerate(digests)]
    expected = hashlib.md5(b"".join(map(bytes.fromhex, digests))).hexdigest()
    assert parts.multipart_etag(stored) == f"{expected}-3"


def digest(algorithm: Algorithm, data: bytes) -> bytes:
    hasher = new(algorithm)
    hasher.update(data)
    return hasher.digest()


def with_checksums(algorithm: Algorithm, pieces: list[bytes]) -> list[Part]:
    values = [base64.b64encode(digest(algorithm, piece)).decode() for piece in pieces]
    return [
        Part(n, len(piece), checksum=f"{algorithm.value}:FULL_OBJECT:{value}")
        for n, (piece, value) in enumerate(zip(pieces, values, strict=True), 1)
    ]


@given(
    st.sampled_from([Algorithm.CRC32, Algorithm.CRC32C, Algorithm.CRC64NVME]),
    st.lists(st.binary(max_size=50), min_size=1, max_size=6),
)
def test_full_object_checksums_are_those_of_all_bytes(algorithm: Algorithm, pieces: list[bytes]) -> None:
    whole = base64.b64encode(digest(algorithm, b"".join(pieces))).decode()
    found = parts.object_checksum(algorithm, "FULL_OBJECT", with_checksums(algorithm, pieces))
    assert found == f"{algorithm.value}:FULL_OBJECT:{whole}"


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_composite_checksums_are_those_of_the_digests(algorithm: Algorithm) -> None:
    pieces = [b"one", b"two", b"three"]
    digests = b"".join(digest(algorithm, piece) for piece in pieces)
    whole = base64.b64encode(digest(algorithm, digests)).decode()
    found = parts.object_checksum(algorithm, "COMPOSITE", with_checksums(algorithm, pieces))
    assert found == f"{algorithm.value}:COMPOSITE:{whole}-3"


def test_parts_with_different_checksums_have_none_together() -> None:
    mixed = with_checksums(Algorithm.CRC32, [b"a"]) + with_checksums(Algorithm.SHA1, [b"b"])
    assert parts.object_checksum(Algorithm.CRC32, "FULL_OBJECT", mixed) == ""


def test_a_retry_has_the_same_digest_however_it_quotes() -> None:
    first = parts.request_digest([claim(1, '"a"'), claim(2, "b")])
    assert first == parts.request_digest([claim(1, "a", CRC32="x"), claim(2, '"b"')])
    assert first != parts.request_digest([claim(1, "a")])
    assert first != parts.request_digest([claim(1, "a"), claim(3, "b")])
    assert len(first) == 32
