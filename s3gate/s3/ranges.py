"""Which bytes of an object are meant: Range, partNumber and x-amz-copy-source-range.

All answers are half-open: (start, stop). It knows sizes, not objects.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from s3gate.s3.errors import S3Error, invalid_argument

MAX_PART_NUMBER = 10_000

# More digits than any position has are still a number, behind the end; int() would take any number of them.
_RANGE = re.compile(r"bytes=[ \t]*([0-9]{0,1000})[ \t]*-[ \t]*([0-9]{0,1000})[ \t]*", re.IGNORECASE).fullmatch
_COPY_RANGE = re.compile(r"bytes=([0-9]{1,1000})-([0-9]{1,1000})").fullmatch


def resolve(value: str | None, size: int) -> tuple[int, int] | None:
    """The bytes that a Range header asks for; None when all are to be sent with a 200.

    That is the answer to a malformed header and to several ranges as well. Raises InvalidRange.
    """
    if value is None:
        return None
    match = _RANGE(value)
    if match is None:
        return None
    first, last = match.groups()
    if not first and not last:
        return None
    if not first:
        start, stop = max(0, size - int(last)), size
    elif last and int(last) < int(first):
        return None
    else:
        start = int(first)
        stop = min(size, int(last) + 1) if last else size
    if start >= size:
        raise S3Error.of("InvalidRange", RangeRequested=value, ActualObjectSize=str(size)).with_headers(
            content_range=f"bytes */{size}"
        )
    return start, stop


def content_range(start: int, stop: int, size: int) -> bytes:
    """The Content-Range of a 206. A part without bytes has none to name and says so as `*`."""
    if start == stop:
        return b"bytes */%d" % size
    return b"bytes %d-%d/%d" % (start, stop - 1, size)


def part_number(value: str, range_header: str | None = None) -> int:
    """The value of ?partNumber, which excludes a Range."""
    number = int(value) if value.isascii() and value.isdecimal() and len(value) <= 9 else 0
    if not 1 <= number <= MAX_PART_NUMBER:
        message = f"Part number must be an integer between 1 and {MAX_PART_NUMBER}, inclusive"
        raise invalid_argument("partNumber", value, message)
    if range_header is not None:
        raise S3Error.of("InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
    return number


def part_window(number: int, part_numbers: Sequence[int], part_ends: Sequence[int]) -> tuple[int, int]:
    """The bytes of one part, whose parts end at `part_ends`. A plain object is its own part 1."""
    try:
        index = part_numbers.index(number)
    except ValueError:
        raise S3Error.of(
            "InvalidPartNumber", PartNumberRequested=str(number), ActualPartCount=str(len(part_numbers))
        ) from None
    return (part_ends[index - 1] if index else 0), part_ends[index]


def copy_range(value: str | None, size: int) -> tuple[int, int]:
    """The bytes that x-amz-copy-source-range names, all of them if it is absent. It is never clamped."""
    if value is None:
        return 0, size
    match = _COPY_RANGE(value)
    if match is None:
        raise invalid_argument(
            "x-amz-copy-source-range",
            value,
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are "
            "the zero-based offsets of the first and last bytes to copy",
        )
    start, stop = int(match[1]), int(match[2]) + 1
    if start >= stop or stop > size:
        message = f"Range specified is not valid for source object of size: {size}"
        raise invalid_argument("x-amz-copy-source-range", value, message)
    return start, stop
