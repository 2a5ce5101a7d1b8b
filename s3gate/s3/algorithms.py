"""The checksum algorithms of S3: hashers for them, and the checksum of an object from those of its parts.

Bytes in, digest out; headers and requests are not known here.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable, Iterable
from enum import Enum
from functools import partial
from typing import Protocol

import xxhash
from awscrt import checksums as crt

PREFIX = "x-amz-checksum-"


class Algorithm(Enum):
    """Every algorithm of S3, by the names that headers and XML use."""

    CRC32 = "CRC32"
    CRC32C = "CRC32C"
    CRC64NVME = "CRC64NVME"
    SHA1 = "SHA1"
    SHA256 = "SHA256"
    SHA512 = "SHA512"
    MD5 = "MD5"
    XXHASH64 = "XXHASH64"
    XXHASH3 = "XXHASH3"
    XXHASH128 = "XXHASH128"

    header: str
    """The header, trailer and (in its own spelling) XML element that carries the value."""
    digest_bytes: int
    is_crc: bool


for _algorithm, _bytes in zip(Algorithm, (4, 4, 8, 20, 32, 64, 16, 8, 8, 16), strict=True):
    _algorithm.header = PREFIX + _algorithm.value.lower()
    _algorithm.digest_bytes = _bytes
    _algorithm.is_crc = _algorithm.value.startswith("CRC")

DECLARED = frozenset((Algorithm.SHA512, Algorithm.MD5, Algorithm.XXHASH64, Algorithm.XXHASH3, Algorithm.XXHASH128))
"""A part may bring these only where its upload was created with them, as AWS documents of the newer ones."""

DEFAULT = Algorithm.CRC64NVME
"""What is computed and kept when a client sends no checksum, as AWS does."""

_CRC = {
    Algorithm.CRC32: (crt.crc32, crt.combine_crc32),
    Algorithm.CRC32C: (crt.crc32c, crt.combine_crc32c),
    Algorithm.CRC64NVME: (crt.crc64nvme, crt.combine_crc64nvme),
}


class ChecksumType(Enum):
    """Of a multipart object: over all its bytes, or over its parts' checksums."""

    FULL_OBJECT = "FULL_OBJECT"
    COMPOSITE = "COMPOSITE"


class Hasher(Protocol):
    """What hashlib's objects can do, as far as it is needed here."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None: ...

    def digest(self) -> bytes: ...


class _Crc:
    __slots__ = ("_bytes", "_function", "_value")

    def __init__(self, function: Callable[[bytes | bytearray | memoryview, int], int], size: int) -> None:
        self._function = function
        self._bytes = size
        self._value = 0

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        self._value = self._function(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._bytes, "big")


_HASHES: dict[Algorithm, Callable[[], Hasher]] = {
    Algorithm.SHA1: partial(hashlib.sha1, usedforsecurity=False),
    Algorithm.SHA256: hashlib.sha256,
    Algorithm.SHA512: hashlib.sha512,
    Algorithm.MD5: partial(hashlib.md5, usedforsecurity=False),
    Algorithm.XXHASH64: xxhash.xxh64,
    Algorithm.XXHASH3: xxhash.xxh3_64,
    Algorithm.XXHASH128: xxhash.xxh3_128,
}


def new(algorithm: Algorithm) -> Hasher:
    """A fresh hasher."""
    if algorithm.is_crc:
        return _Crc(_CRC[algorithm][0], algorithm.digest_bytes)
    return _HASHES[algorithm]()


def combine(algorithm: Algorithm, parts: Iterable[tuple[bytes, int]]) -> bytes:
    """The digest of all bytes, from the digest and the length of each part. Only a CRC can do this."""
    if not algorithm.is_crc:
        raise ValueError(f"{algorithm.value} cannot be combined")
    join = _CRC[algorithm][1]
    value = 0
    for digest, length in parts:
        value = join(value, int.from_bytes(digest, "big"), length)
    return value.to_bytes(algorithm.digest_bytes, "big")


def composite(algorithm: Algorithm, digests: Iterable[bytes]) -> str:
    """The checksum of the parts' checksums: base64, a dash and their number."""
    hasher = new(algorithm)
    count = 0
    for digest in digests:
        hasher.update(digest)
        count += 1
    return f"{b64encode(hasher.digest()).decode()}-{count}"
