"""A bundle: several small shards in one request, and what the node says of each of them.

Pure: bytes in, shards out. Messages of the contract in `wire.py`, whose limits hold here too.

    request   how many (2 bytes) · for each its id (17), length (4) and crc32c (4) · the bytes of all, in that order
    answer    for each a status as that of its own PUT would be (2 bytes) and the crc32c that is stored (4)

The crc32c that the signature covers is that of the table, which holds those of the shards: nothing in a bundle can
be exchanged, and a shard that was spoilt on its way is refused alone.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from chunkd.wire import SMALL_SHARD_BYTES, WireError

MAX_SHARDS = 256
MAX_BYTES = 1024 * 1024
"""Of all shards of a bundle together."""

Buffer = bytes | bytearray | memoryview

_COUNT = struct.Struct(">H")
_ENTRY = struct.Struct(">17sII")
_SAID = struct.Struct(">HI")
MAX_TABLE_BYTES = _COUNT.size + MAX_SHARDS * _ENTRY.size


class Packed(NamedTuple):
    """One shard of a bundle."""

    shard_id: bytes
    body: Buffer
    crc: int


class Said(NamedTuple):
    """What became of it: `crc` is that of what is stored, and means something only if the status is 200 or 201."""

    status: int
    crc: int


def encode_table(shards: Sequence[Packed]) -> bytes:
    """What the bytes of the shards follow."""
    entries = [_ENTRY.pack(one.shard_id, len(one.body), one.crc) for one in shards]
    return b"".join((_COUNT.pack(len(shards)), *entries))


def split_table(request: Buffer) -> tuple[memoryview, memoryview]:
    """The table of a request, and the bytes that follow it."""
    view = memoryview(request)
    if len(view) < _COUNT.size:
        raise WireError("a bundle begins with its table")
    end = _COUNT.size + _COUNT.unpack_from(view)[0] * _ENTRY.size
    if len(view) < end:
        raise WireError("a table that is cut off")
    return view[:end], view[end:]


def decode_table(table: memoryview, data: memoryview) -> list[Packed]:
    """The shards of a request; their checksums are not looked at. Every byte belongs to one of them."""
    shards = []
    at = 0
    for shard_id, length, crc in _ENTRY.iter_unpack(table[_COUNT.size :]):
        if not 0 < length <= SMALL_SHARD_BYTES:
            raise WireError(f"a shard in a bundle has 1 to {SMALL_SHARD_BYTES} bytes")
        shards.append(Packed(shard_id, data[at : at + length], crc))
        at += length
    if not 0 < len(shards) <= MAX_SHARDS or not at == len(data) <= MAX_BYTES:
        raise WireError(f"a bundle has 1 to {MAX_SHARDS} shards of at most {MAX_BYTES} bytes, and nothing else")
    if len({one.shard_id for one in shards}) != len(shards):
        raise WireError("a shard twice in a bundle")
    return shards


def encode_answer(said: Iterable[tuple[int, int]]) -> bytes:
    """Status and crc32c of each shard, in the order of the request."""
    return b"".join([_SAID.pack(status, crc) for status, crc in said])


def decode_answer(body: Buffer, count: int) -> list[Said]:
    """The reverse, for a request with so many shards."""
    if len(body) != count * _SAID.size:
        raise WireError(f"not an answer to {count} shards: {len(body)} bytes")
    return [Said(status, crc) for status, crc in _SAID.iter_unpack(body)]
