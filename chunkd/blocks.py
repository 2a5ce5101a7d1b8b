"""Checksums of bodies: one crc32c for each block, so that a range is checked without the rest (law 7).

Pure. The tables lie beside the bodies, in a record's header or at the end of a file.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from awscrt import checksums

from chunkd.disk import Buffer
from chunkd.wire import BLOCK_BYTES

CRC_BYTES = 4
crc32c: Callable[..., int] = checksums.crc32c
"""crc32c(data, previous=0): 57 GB/s where the processor has the instruction."""


def table_bytes(length: int) -> int:
    """How long the table of a body is."""
    return CRC_BYTES * ((length + BLOCK_BYTES - 1) // BLOCK_BYTES)


def make_table(body: Buffer, crc: int) -> bytes:
    """The table of a body whose own checksum is known: one block has no other."""
    length = len(body)
    if length <= BLOCK_BYTES:
        return struct.pack("<I", crc) if length else b""
    view = memoryview(body)
    sums = [crc32c(view[at : at + BLOCK_BYTES]) for at in range(0, length, BLOCK_BYTES)]
    return struct.pack(f"<{len(sums)}I", *sums)


def matches(table: bytes, first_block: int, blocks: Buffer) -> bool:
    """Whether whole blocks, the first of which has this number, are what the table says."""
    length = len(blocks)
    if length <= BLOCK_BYTES:
        return not length or crc32c(blocks) == struct.unpack_from("<I", table, 4 * first_block)[0]
    view = memoryview(blocks)
    count = (length + BLOCK_BYTES - 1) // BLOCK_BYTES
    sums = struct.unpack_from(f"<{count}I", table, 4 * first_block)
    return all(
        crc32c(view[at : at + BLOCK_BYTES]) == wanted
        for at, wanted in zip(range(0, length, BLOCK_BYTES), sums, strict=True)
    )


def span(start: int, stop: int, length: int) -> tuple[int, int]:
    """The bytes [from, to) of the whole blocks that a range touches."""
    return start - start % BLOCK_BYTES, min(length, stop + -stop % BLOCK_BYTES)
