"""The form of a record in a pack. Pure: bytes in, records out; no file, no clock, no index.

    header   64 bytes: magic, kind, id, length, crc32c of the body, batch, time, reference,
             where its batch starts, where it stands itself, and the header's crc32c
    table    crc32c of each 64 KiB block of the body (covered by the header's checksum)
    body     the shard, nothing for TRASH and PURGE
    padding  zeros up to a multiple of 64

A header's checksum starts from a salt that belongs to the store and the pack, and names its own position: a body
that happens to hold a piece of some pack, or was made to look like one, is never taken for a record.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from chunkd.blocks import CRC_BYTES, crc32c, table_bytes
from chunkd.disk import Buffer
from chunkd.wire import BLOCK_BYTES

PUT, MOVED, TRASH, PURGE = 1, 2, 3, 4
"""A shard; a shard that compaction moved here (reference: from which pack); a shard goes to the trash; a shard
is gone (reference: the pack that still holds its bytes)."""

ALIGNMENT = 64
HEADER_BYTES = 64
MAGIC = b"sgR1"
MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_HEAD_BYTES = HEADER_BYTES + table_bytes(MAX_BODY_BYTES)

_HEADER = struct.Struct("<4sB17sxxIIQQIIII")
_FIELDS = struct.Struct("<4sB17sxxIIQQIII")
_CRC = struct.Struct("<I")
assert _HEADER.size == HEADER_BYTES and _FIELDS.size == HEADER_BYTES - 4


class Record(NamedTuple):
    """What a valid header says. `offset` and `batch_start` count bytes, `time` milliseconds."""

    kind: int
    shard_id: bytes
    length: int
    crc: int
    batch: int
    time: int
    reference: int
    batch_start: int
    offset: int
    table: bytes

    @property
    def is_shard(self) -> bool:
        """Whether it carries a body."""
        return self.kind <= MOVED

    @property
    def body_offset(self) -> int:
        """Where the body begins in the pack."""
        return self.offset + HEADER_BYTES + len(self.table)

    @property
    def end(self) -> int:
        """Where the next record begins."""
        return self.offset + record_bytes(self.length)


def record_bytes(length: int) -> int:
    """How much of a pack a record with such a body takes."""
    # (The middle is `table_bytes`, without the call: every write asks for this several times.)
    size = HEADER_BYTES + CRC_BYTES * ((length + BLOCK_BYTES - 1) // BLOCK_BYTES) + length
    return size + -size % ALIGNMENT


def pack_salt(store_salt: bytes, number: int) -> int:
    """Where the header checksums of one pack start from."""
    return crc32c(number.to_bytes(8, "big"), crc32c(store_salt))


def encode_head(
    salt: int,
    kind: int,
    shard_id: bytes,
    length: int,
    crc: int,
    batch: int,
    time: int,
    reference: int,
    batch_start: int,
    offset: int,
    table: bytes,
) -> bytes:
    """Header and table of the record with these fields; the body and the padding follow."""
    start, position = batch_start // ALIGNMENT, offset // ALIGNMENT
    fields = _FIELDS.pack(MAGIC, kind, shard_id, length, crc, batch, time, reference, start, position)
    return fields + _CRC.pack(crc32c(table, crc32c(fields, salt))) + table


def decode_head(buffer: Buffer, at: int, offset: int, salt: int) -> Record | None:
    """The record whose head stands at `at` in a buffer and at `offset` in its pack; None if there is none."""
    if len(buffer) - at < HEADER_BYTES:
        return None
    magic, kind, shard_id, length, crc, batch, time, reference, start, position, head_crc = _HEADER.unpack_from(
        buffer, at
    )
    if magic != MAGIC or position * ALIGNMENT != offset or length > MAX_BODY_BYTES or not PUT <= kind <= PURGE:
        return None
    head_end = at + HEADER_BYTES + table_bytes(length)
    if head_end > len(buffer):
        return None
    table = bytes(buffer[at + HEADER_BYTES : head_end])
    fields = memoryview(buffer)[at : at + HEADER_BYTES - 4]
    if crc32c(table, crc32c(fields, salt)) != head_crc:
        return None
    return Record(kind, shard_id, length, crc, batch, time, reference, start * ALIGNMENT, offset, table)
