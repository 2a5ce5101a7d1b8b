"""What GetObject and HeadObject have in common: everything but the bytes.

One lookup, then conditions, then which bytes, then the headers that go before them.
"""

from __future__ import annotations

from dataclasses import dataclass

from s3gate.catalog.rows import ObjectRow
from s3gate.operations._content import manifest_of
from s3gate.operations._failures import no_such_bucket, no_such_key
from s3gate.operations._replies import checksum_headers
from s3gate.operations.exchange import Call, RawHeaders
from s3gate.s3 import headers as object_headers
from s3gate.s3 import ranges
from s3gate.s3.conditions import check_expected_owner, check_read
from s3gate.s3.errors import invalid_argument

NULL_VERSION = "null"


@dataclass(slots=True)
class Selected:
    """The object, the half-open range of it that was asked for, and the answer's status and headers."""

    row: ObjectRow
    start: int
    stop: int
    status: int
    headers: RawHeaders


async def select(call: Call) -> Selected:
    """What is to be answered, or the S3Error that is the answer (304 included)."""
    headers, query = call.request.headers, call.request.query
    row = await find_row(call)
    check_read(headers, row.etag, row.modified_at)
    answer = object_headers.of_object(row.headers, row.etag, row.modified_at)
    selected = Selected(row, 0, row.size, 200, answer)
    number = query.get("partNumber") if query.raw else None
    if number is not None:
        await _narrow_to_part(call, selected, number)
    else:
        window = ranges.resolve(headers.get("range"), row.size)
        if window is not None:
            _narrow(selected, *window)
    if selected.stop - selected.start == row.size and _wants_checksum(headers.get("x-amz-checksum-mode")):
        answer += checksum_headers(row.checksum)
    selected.headers = object_headers.override(answer, query)
    return selected


async def find_row(call: Call) -> ObjectRow:
    """The object that the request names: one lookup."""
    request = call.request
    if request.query.raw:
        check_version(request.query.get("versionId"))
    bucket, row = await call.gate.catalog.find_object(request.bucket, request.key)
    if bucket is None:
        raise no_such_bucket(request.bucket)
    check_expected_owner(request.headers, bucket.owner)
    if row is None:
        raise no_such_key(request.key)
    return row


def check_version(version_id: str | None) -> None:
    """Without versioning an object is its own null version, and no other was ever given out."""
    if version_id not in (None, NULL_VERSION):
        raise invalid_argument("versionId", version_id or "", "Invalid version id specified")


def is_multipart(row: ObjectRow) -> bool:
    """Whether the object counts as made of parts. A copy of one does not, though it shares the content."""
    return "-" in row.etag


async def _narrow_to_part(call: Call, selected: Selected, text: str) -> None:
    """partNumber: the bytes of one part. A plain object is its own part 1, and has no parts to count."""
    row = selected.row
    number = ranges.part_number(text, call.request.headers.get("range"))
    if not is_multipart(row):
        _narrow(selected, *ranges.part_window(number, (1,), (row.size,)))
        return
    manifest = await manifest_of(call.gate, row)
    _narrow(selected, *ranges.part_window(number, manifest.part_numbers, manifest.part_ends))
    selected.headers.append((b"x-amz-mp-parts-count", b"%d" % len(manifest.part_numbers)))


def _narrow(selected: Selected, start: int, stop: int) -> None:
    selected.start, selected.stop, selected.status = start, stop, 206
    selected.headers.append((b"content-range", ranges.content_range(start, stop, selected.row.size)))


def _wants_checksum(mode: str | None) -> bool:
    return mode is not None and mode.upper() == "ENABLED"
