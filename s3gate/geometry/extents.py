"""Extents: the segments of one object or part, in order, packed as they are stored in its row.

It knows nothing of lengths: all segments of a part are as long as the layout's segment, but the last
one, which has the rest. An empty object has no segments and an empty packing.
"""

import struct
from collections.abc import Iterable
from typing import NamedTuple

EXTENT_BYTES = 20
_EXTENT = struct.Struct(">16si")


class Extent(NamedTuple):
    """A segment and the group whose nodes hold its shards."""

    segment_id: bytes
    group_id: int


def pack(extents: Iterable[Extent]) -> bytes:
    """20 bytes each: segment id and group id (int32, big endian)."""
    return b"".join([_EXTENT.pack(segment_id, group_id) for segment_id, group_id in extents])


def unpack(packed: bytes | bytearray | memoryview) -> list[Extent]:
    """The inverse of `pack`; a truncated packing raises ValueError."""
    if len(packed) % EXTENT_BYTES:
        raise ValueError("a packed list of extents is a multiple of 20 bytes")
    return [Extent(segment_id, group_id) for segment_id, group_id in _EXTENT.iter_unpack(packed)]


def pack_one(segment_id: bytes, group_id: int) -> bytes:
    """The packing of a single extent."""
    return _EXTENT.pack(segment_id, group_id)
