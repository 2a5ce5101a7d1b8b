"""How Python values become Postgres' binary parameters: a handful of types and one-dimensional arrays of them.

Pure bytes. It refuses to know statements and connections. psycopg's own dumpers choose a type for every single
value; here a statement names its types once, which makes a batch of sixteen rows five times cheaper.

    array:  int32 dimensions | int32 has nulls | uint32 element oid | int32 length | int32 first index | elements
             no dimensions: nothing after the element oid
    element: int32 length (-1 for NULL) | bytes
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

_HEADER = struct.Struct(">iiIii")
_EMPTY = struct.Struct(">iiI")
_LENGTH = struct.Struct(">i").pack
_NULL = _LENGTH(-1)


class Parameter(NamedTuple):
    """A Postgres type by its oid, and how a value of it is written."""

    oid: int
    encode: Callable[[Any], bytes]


def _fixed(oid: int, array_oid: int, code: str) -> tuple[Parameter, Parameter]:
    """A type whose values all have one length, and the array of it: packed in one call."""
    scalar = struct.Struct(">" + code)
    size = scalar.size

    def encode_array(values: Sequence[Any]) -> bytes:
        if not values:
            return _EMPTY.pack(0, 0, oid)
        count = len(values)
        flat = [size] * (2 * count)
        flat[1::2] = values
        return _HEADER.pack(1, 0, oid, count, 1) + struct.pack(f">{('i' + code) * count}", *flat)

    return Parameter(oid, scalar.pack), Parameter(array_oid, encode_array)


def _array_of_bytes(oid: int, values: Sequence[bytes | None]) -> bytes:
    if not values:
        return _EMPTY.pack(0, 0, oid)
    pieces = [_HEADER.pack(1, 1, oid, len(values), 1)]
    for value in values:
        if value is None:
            pieces.append(_NULL)
        else:
            pieces.append(_LENGTH(len(value)))
            pieces.append(value)
    return b"".join(pieces)


INT2, INT2_ARRAY = _fixed(21, 1005, "h")
INT4, INT4_ARRAY = _fixed(23, 1007, "i")
INT8, INT8_ARRAY = _fixed(20, 1016, "q")
FLOAT8, FLOAT8_ARRAY = _fixed(701, 1022, "d")
BOOL = Parameter(16, lambda value: b"\1" if value else b"\0")
BYTEA = Parameter(17, bytes)
BYTEA_ARRAY = Parameter(1001, lambda values: _array_of_bytes(17, values))
TEXT = Parameter(25, str.encode)
TEXT_ARRAY = Parameter(1009, lambda values: _array_of_bytes(25, [value.encode() for value in values]))
UUID = Parameter(2950, lambda value: value.bytes)
UUID_ARRAY = Parameter(2951, lambda values: _array_of_bytes(2950, [value.bytes for value in values]))


def _microseconds(moment: datetime) -> int:
    """Postgres counts from 2000-01-01 UTC; integers, so that a value read comes back as the same value."""
    elapsed = moment - _POSTGRES_EPOCH
    return (elapsed.days * 86_400 + elapsed.seconds) * 1_000_000 + elapsed.microseconds


_POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_TIMESTAMPTZ, _TIMESTAMPTZ_ARRAY = _fixed(1184, 1185, "q")
TIMESTAMPTZ = Parameter(1184, lambda value: _TIMESTAMPTZ.encode(_microseconds(value)))
TIMESTAMPTZ_ARRAY = Parameter(
    1185, lambda values: _TIMESTAMPTZ_ARRAY.encode([_microseconds(value) for value in values])
)


def _or_null(scalar: Parameter, array: Parameter) -> Parameter:
    """The array whose elements may be None."""

    def encode(values: Sequence[Any]) -> bytes:
        return _array_of_bytes(scalar.oid, [None if value is None else scalar.encode(value) for value in values])

    return Parameter(array.oid, encode)


INT8_OR_NULL_ARRAY = _or_null(INT8, INT8_ARRAY)
TIMESTAMPTZ_OR_NULL_ARRAY = _or_null(TIMESTAMPTZ, TIMESTAMPTZ_ARRAY)
