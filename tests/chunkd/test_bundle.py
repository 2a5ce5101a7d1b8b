"""Bundles on the wire: what is written is read, and nothing else is."""

from __future__ import annotations

import random

import pytest
from awscrt.checksums import crc32c

from chunkd import bundle
from chunkd.bundle import Packed
from chunkd.wire import SMALL_SHARD_BYTES, WireError


def sid(number: int) -> bytes:
    return number.to_bytes(17, "big")


def packed(*bodies: bytes) -> list[Packed]:
    return [Packed(sid(number), body, crc32c(body)) for number, body in enumerate(bodies)]


def encode(shards: list[Packed]) -> bytes:
    return bundle.encode_table(shards) + b"".join([bytes(one.body) for one in shards])


def decode(request: bytes) -> list[Packed]:
    return bundle.decode_table(*bundle.split_table(request))


@pytest.mark.parametrize(
    "shards", [packed(b"x"), packed(b"a", b"bc", bytes(70_000)), packed(*[b"y"] * bundle.MAX_SHARDS)]
)
def test_a_request_round_trips(shards: list[Packed]) -> None:
    request = encode(shards)
    assert [(one.shard_id, bytes(one.body), one.crc) for one in decode(request)] == shards
    assert len(bundle.split_table(request)[0]) <= bundle.MAX_TABLE_BYTES


def test_a_request_that_is_cut_or_goes_on_is_refused() -> None:
    request = encode(packed(b"a", b"bc", b"def"))
    for end in range(len(request)):
        with pytest.raises(WireError):
            decode(request[:end])
    with pytest.raises(WireError):
        decode(request + b"x")


def test_malformed_requests_are_refused() -> None:
    twice = [Packed(sid(1), b"a", 1), Packed(sid(2), b"b", 2), Packed(sid(1), b"c", 3)]
    too_many = packed(*[b"y"] * (bundle.MAX_SHARDS + 1))
    too_long = packed(*[bytes(bundle.MAX_BYTES // 2 + 1)] * 2)
    for shards in ([], twice, too_many, too_long, packed(b"a", b"", b"c"), packed(bytes(SMALL_SHARD_BYTES + 1))):
        with pytest.raises(WireError):
            decode(encode(shards))


def test_any_bytes_are_a_request_or_refused() -> None:
    random_ = random.Random(7)
    good = encode(packed(b"a", b"bc", b"def" * 100))
    for _ in range(2000):
        spoilt = bytearray(good)
        for _ in range(random_.randrange(1, 4)):
            spoilt[random_.randrange(min(len(spoilt), 90))] = random_.randrange(256)
        for request in (bytes(spoilt), random_.randbytes(random_.randrange(200))):
            try:
                shards = decode(request)
            except WireError:
                continue
            assert encode(shards) == request


def test_an_answer_round_trips_and_has_one_length() -> None:
    said = [(201, 0), (200, 2**32 - 1), (409, 5)]
    answer = bundle.encode_answer(said)
    assert bundle.decode_answer(answer, 3) == said
    for body, count in ((answer[:-1], 3), (answer + b"x", 3), (answer, 2), (answer, 4), (b"", 1)):
        with pytest.raises(WireError):
            bundle.decode_answer(body, count)
