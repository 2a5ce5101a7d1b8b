"""Checksums: known values, combination, and what a request may say of them."""

from __future__ import annotations

import contextlib
import zlib
from base64 import b64encode
from hashlib import md5, sha1, sha256, sha512

import pytest
from awscrt.checksums import XXHash
from botocore.session import get_session
from hypothesis import given, settings
from hypothesis import strategies as st

from s3gate.s3 import algorithms, checksums
from s3gate.s3.algorithms import Algorithm, ChecksumType
from s3gate.s3.checksums import Checksum
from s3gate.s3.credentials import PayloadMode
from s3gate.s3.errors import S3Error
from s3gate.s3.request import Headers

CHECK = b"123456789"
KNOWN = {  # the check values of the catalogue of parametrised CRCs, hashlib's own, and what AWS's own clients compute
    Algorithm.CRC32: bytes.fromhex("cbf43926"),
    Algorithm.CRC32C: bytes.fromhex("e3069283"),
    Algorithm.CRC64NVME: bytes.fromhex("ae8b14860a799888"),
    Algorithm.SHA1: sha1(CHECK).digest(),
    Algorithm.SHA256: sha256(CHECK).digest(),
    Algorithm.SHA512: sha512(CHECK).digest(),
    Algorithm.MD5: md5(CHECK).digest(),
    Algorithm.XXHASH64: XXHash.compute_xxhash64(CHECK),
    Algorithm.XXHASH3: XXHash.compute_xxhash3_64(CHECK),
    Algorithm.XXHASH128: XXHash.compute_xxhash3_128(CHECK),
}
CRCS = [algorithm for algorithm in Algorithm if algorithm.is_crc]
PLAIN, TRAILER = PayloadMode.UNSIGNED, PayloadMode.STREAMING_UNSIGNED_TRAILER


def digest_of(algorithm: Algorithm, *pieces: bytes) -> bytes:
    hasher = algorithms.new(algorithm)
    for piece in pieces:
        hasher.update(piece)
    return hasher.digest()


def request(mode=PLAIN, **headers: str):
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return checksums.parse_request(Headers(raw), mode)


def refusal(mode=PLAIN, **headers: str) -> S3Error:
    with pytest.raises(S3Error) as caught:
        request(mode, **headers)
    return caught.value


@pytest.mark.parametrize("algorithm", Algorithm)
def test_known_values(algorithm):
    assert digest_of(algorithm, CHECK) == KNOWN[algorithm]
    assert digest_of(algorithm, CHECK[:4], b"", memoryview(CHECK)[4:]) == KNOWN[algorithm]
    assert len(digest_of(algorithm)) == algorithm.digest_bytes
    assert algorithm.header == f"x-amz-checksum-{algorithm.name.lower()}"


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(CRCS), st.lists(st.binary(max_size=300), max_size=5))
def test_combination_is_the_checksum_of_the_whole(algorithm, parts):
    combined = algorithms.combine(algorithm, [(digest_of(algorithm, part), len(part)) for part in parts])
    assert combined == digest_of(algorithm, b"".join(parts))


def test_combination_of_large_lengths():
    """5 GiB of zeros, by squaring: nothing is read."""
    digest, length = digest_of(Algorithm.CRC32, bytes(1 << 20)), 1 << 20
    while length < 1 << 32:
        digest = algorithms.combine(Algorithm.CRC32, [(digest, length), (digest, length)])
        length *= 2
    assert algorithms.combine(Algorithm.CRC32, [(digest, length), (KNOWN[Algorithm.CRC32], 9)]) != digest
    crc = 0
    for _ in range(8):
        crc = zlib.crc32(bytes(1 << 20), crc)
    eight = algorithms.combine(Algorithm.CRC32, [(digest_of(Algorithm.CRC32, bytes(1 << 20)), 1 << 20)] * 8)
    assert int.from_bytes(eight, "big") == crc


def test_hashes_do_not_combine():
    with pytest.raises(ValueError):
        algorithms.combine(Algorithm.SHA1, [])


def test_composite():
    parts = [sha256(b"one").digest(), sha256(b"two").digest()]
    wanted = b64encode(sha256(b"".join(parts)).digest()).decode() + "-2"
    assert algorithms.composite(Algorithm.SHA256, parts) == wanted
    crc = [KNOWN[Algorithm.CRC32]] * 3
    wanted = b64encode(zlib.crc32(b"".join(crc)).to_bytes(4, "big")).decode() + "-3"
    assert algorithms.composite(Algorithm.CRC32, crc) == wanted


def test_text_form():
    kept = Checksum.full(Algorithm.CRC32, KNOWN[Algorithm.CRC32])
    assert kept.text() == "CRC32:FULL_OBJECT:y/Q5Jg=="
    composite = Checksum(Algorithm.SHA1, ChecksumType.COMPOSITE, "AAAA-2")
    assert composite.text() == "SHA1:COMPOSITE:AAAA-2"


def test_nothing_sent_means_the_default():
    found = request()
    assert (found.algorithm, found.digest, found.trailer, found.md5) == (Algorithm.CRC64NVME, None, None, None)
    assert not found.is_given


@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_header_or_a_trailer(algorithm):
    value = b64encode(KNOWN[algorithm]).decode()
    found = request(**{algorithm.header: value})
    assert (found.algorithm, found.digest, found.is_given) == (algorithm, KNOWN[algorithm], True)
    found = request(**{algorithm.header: value, "x-amz-sdk-checksum-algorithm": algorithm.value})
    assert found.digest == KNOWN[algorithm]
    found = request(TRAILER, **{"x-amz-trailer": algorithm.header})
    assert (found.algorithm, found.digest, found.trailer) == (algorithm, None, algorithm.header)
    found = (
        request(TRAILER, **{"x-amz-trailer": algorithm.header.title(), "x-amz-sdk-checksum-algorithm": "sha1"})
        if algorithm is Algorithm.SHA1
        else found
    )
    assert found.trailer == algorithm.header


GOOD = "y/Q5Jg=="


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-checksum-crc32": GOOD, "x-amz-checksum-crc32c": GOOD},
        {"x-amz-checksum-crc32": "y/Q5Jg"},
        {"x-amz-checksum-crc32": "!!!"},
        {"x-amz-checksum-crc32": ""},
        {"x-amz-checksum-crc32": b64encode(b"12345").decode()},
        {"x-amz-checksum-sha256": GOOD},
        {"x-amz-checksum-crc32": "\u00e4\u00e4\u00e4\u00e4"},
        {"x-amz-checksum-crc33": GOOD},
        {"x-amz-checksum-": GOOD},
        {"x-amz-sdk-checksum-algorithm": "CRC32"},
        {"x-amz-sdk-checksum-algorithm": "CRC32C", "x-amz-checksum-crc32": GOOD},
        {"x-amz-sdk-checksum-algorithm": "CRC33", "x-amz-checksum-crc32": GOOD},
        {"x-amz-trailer": "x-amz-checksum-crc32"},
    ],
)
def test_invalid_requests(headers):
    error = refusal(**headers)
    assert (error.code, error.status) == ("InvalidRequest", 400)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-trailer": "x-amz-checksum-crc32", "x-amz-checksum-crc32": GOOD},
        {"x-amz-trailer": "x-amz-meta-a"},
        {"x-amz-trailer": ""},
        {"x-amz-trailer": "x-amz-checksum-crc32,x-amz-checksum-crc32c"},
        {"x-amz-trailer": "x-amz-checksum-crc32", "x-amz-sdk-checksum-algorithm": "SHA1"},
    ],
)
def test_invalid_trailers(headers):
    assert refusal(TRAILER, **headers).code == "InvalidRequest"


def test_what_is_said_of_trailers():
    unknown = refusal(TRAILER, **{"x-amz-trailer": "x-amz-checksum-crc33"})
    assert unknown.message == "The value specified in the x-amz-trailer header is not supported"
    twice = refusal(TRAILER, **{"x-amz-trailer": "x-amz-checksum-crc32", "x-amz-checksum-crc32": GOOD})
    assert twice.message == "Expecting a single x-amz-checksum- header"


@pytest.mark.parametrize("algorithm", Algorithm)
def test_every_algorithm_comes_in_a_header_or_in_a_trailer(algorithm):
    digest = KNOWN[algorithm]
    assert request(**{algorithm.header: b64encode(digest).decode()}).digest == digest
    assert refusal(**{algorithm.header: b64encode(digest + b"0").decode()}).code == "InvalidRequest"
    announced = {"x-amz-trailer": algorithm.header, "x-amz-sdk-checksum-algorithm": algorithm.value}
    expected = request(TRAILER, **announced)
    assert (expected.algorithm, expected.trailer, expected.is_given) == (algorithm, algorithm.header, True)
    assert checksums.parse_algorithm(algorithm.value.lower()) is algorithm


def test_the_algorithms_are_those_of_the_model():
    shape = get_session().get_service_model("s3").shape_for("ChecksumAlgorithm")
    assert set(shape.enum) == {algorithm.value for algorithm in Algorithm}


def test_modes_and_types_are_not_values():
    found = request(**{"x-amz-checksum-mode": "ENABLED", "x-amz-checksum-algorithm": "SHA1"})
    assert not found.is_given


def test_content_md5():
    digest = md5(b"hello").digest()
    assert request(content_md5=b64encode(digest).decode()).md5 == digest
    for bad in ("", "x", b64encode(b"short").decode(), "XUFAKrxLKna5cZ2REBfFk", "\u00e4"):
        error = refusal(content_md5=bad)
        assert (error.code, error.status) == ("InvalidDigest", 400)
        assert error.extra["Content-MD5"] == bad or not bad.isascii()


def test_mismatches():
    assert (
        checksums.mismatch(Algorithm.CRC32).message == "The CRC32 you specified did not match the calculated checksum."
    )
    error = checksums.md5_mismatch(b"\0" * 16, b"\1" * 16)
    assert error.code == "BadDigest"
    # As AWS answers: https://github.com/versity/versitygw/issues/2034, https://github.com/dandi/dandi-cli/issues/1257
    assert error.extra == {"ExpectedDigest": "00" * 16, "CalculatedDigest": b64encode(b"\1" * 16).decode()}


@pytest.mark.parametrize(
    ("value", "algorithm", "wanted"),
    [
        (None, Algorithm.CRC64NVME, ChecksumType.FULL_OBJECT),
        (None, Algorithm.CRC32, ChecksumType.COMPOSITE),
        (None, Algorithm.SHA256, ChecksumType.COMPOSITE),
        ("FULL_OBJECT", Algorithm.CRC32C, ChecksumType.FULL_OBJECT),
        ("COMPOSITE", Algorithm.CRC32C, ChecksumType.COMPOSITE),
        ("FULL_OBJECT", Algorithm.SHA1, None),
        ("COMPOSITE", Algorithm.CRC64NVME, None),
        ("HALF", Algorithm.CRC32, None),
    ],
)
def test_types(value, algorithm, wanted):
    if wanted is not None:
        assert checksums.parse_type(value, algorithm) is wanted
        return
    with pytest.raises(S3Error) as caught:
        checksums.parse_type(value, algorithm)
    assert caught.value.code == "InvalidRequest"


def test_algorithm_names():
    assert checksums.parse_algorithm("crc64nvme") is Algorithm.CRC64NVME
    for header in ("x-amz-checksum-algorithm", "x-amz-sdk-checksum-algorithm"):
        with pytest.raises(S3Error) as caught:
            checksums.parse_algorithm("CRC33", header)
        assert caught.value.code == "InvalidRequest"


def test_checksum_of_a_completed_object():
    def parse(**headers):
        raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        return checksums.parse_object_checksum(Headers(raw))

    assert parse() is None
    assert parse(x_amz_checksum_crc32=GOOD) == (Algorithm.CRC32, GOOD)
    assert parse(x_amz_checksum_crc32=GOOD + "-12") == (Algorithm.CRC32, GOOD + "-12")
    bad_ones = [{"x-amz-checksum-crc32": "x"}, {"x-amz-checksum-crc32": GOOD + "-x"}]
    bad_ones.append({"x-amz-checksum-crc32": GOOD, "x-amz-checksum-crc32c": GOOD})
    for bad in bad_ones:
        with pytest.raises(S3Error) as caught:
            parse(**bad)
        assert caught.value.code == "InvalidRequest"


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([PLAIN, TRAILER]),
    st.dictionaries(
        st.sampled_from(
            [
                b"content-md5",
                b"x-amz-trailer",
                b"x-amz-sdk-checksum-algorithm",
                b"x-amz-checksum-crc32",
                b"x-amz-checksum-x",
            ]
        ),
        st.one_of(st.binary(max_size=30), st.sampled_from([b"CRC32", GOOD.encode(), b"x-amz-checksum-crc32"])),
    ),
)
def test_only_s3_errors_escape(mode, headers):
    with contextlib.suppress(S3Error):
        checksums.parse_request(Headers(list(headers.items())), mode)
