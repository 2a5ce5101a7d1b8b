"""What the operations on an existing object have in common: which version of it the request names, and its headers.

One lookup, then conditions, then which bytes, then the headers that go before them.
"""

from __future__ import annotations

from dataclasses import dataclass

from s3gate.catalog.rows import BucketRow, ObjectRow, VersionRef
from s3gate.operations._access import admit_to_object, may_list, may_see
from s3gate.operations._bucket import check_owner
from s3gate.operations._content import manifest_of
from s3gate.operations._encryption import Opened, opened_reading
from s3gate.operations._expiry import expiration_of_read
from s3gate.operations._failures import no_such_bucket, no_such_key
from s3gate.operations._replies import checksum_headers, version_header
from s3gate.operations._traits import hold_headers, retention_headers
from s3gate.operations.exchange import Call, RawHeaders
from s3gate.s3 import headers as object_headers
from s3gate.s3 import ranges, tags, versions
from s3gate.s3.conditions import check_read, range_counts
from s3gate.s3.dates import http_date
from s3gate.s3.errors import S3Error
from s3gate.s3.parts import COMPOSITE


@dataclass(slots=True)
class Selected:
    """The object, the half-open range of it that was asked for, and the answer's status and headers."""

    bucket: BucketRow
    row: ObjectRow
    start: int
    stop: int
    status: int
    headers: RawHeaders
    opened: Opened | None
    """Of an encrypted object: what it takes to read it."""


async def select(call: Call) -> Selected:
    """What is to be answered, or the S3Error that is the answer (304 included)."""
    headers, query = call.request.headers, call.request.query
    bucket, row = await find_object(call)
    encryption = opened_reading(call, row)
    check_conditions(call, bucket, row)
    answer = object_headers.of_object(row.headers, row.etag, row.modified_at)
    selected = Selected(bucket, row, 0, row.size, 200, answer, encryption)
    number = query.get("partNumber") if query.raw else None
    if number is not None:
        await _narrow_to_part(call, selected, number)
    else:
        counts = range_counts(headers, row.etag, row.modified_at)
        window = ranges.resolve(headers.get("range"), row.size) if counts else None
        if window is not None:
            _narrow(selected, *window)
    if _wants_checksum(headers.get("x-amz-checksum-mode")):
        answer += await _checksum(call, selected, number)
    if bucket.versioning:
        answer.append(version_header(row.version, row.version_id))
    if asked_version(call) is None:
        answer += expiration_of_read(call, bucket, row)
    if encryption is not None:
        answer += encryption.headers
    if row.tags or row.lock:
        answer += await _details(call, bucket, row)
    selected.headers = object_headers.override(answer, query, signed=not call.auth.is_anonymous)
    return selected


def check_conditions(call: Call, bucket: BucketRow, row: ObjectRow) -> None:
    """PreconditionFailed, or NotModified with what a cache has to hear again, unless the read may go on."""
    try:
        check_read(call.request.headers, row.etag, row.modified_at, call.now)
    except S3Error as error:
        if bucket.versioning:
            error.with_headers(x_amz_version_id=versions.encode(row.version, row.version_id))
        if error.status == 304:
            error.headers.update(object_headers.of_not_modified(row.headers))
        raise


async def find_object(call: Call, *, sees_markers: bool = False) -> tuple[BucketRow, ObjectRow]:
    """The bucket and the version of the object that the request names: one lookup. A delete marker is an error.

    `sees_markers`: a current one as if it had been named. AWS has that so where something is said of a version.
    """
    request = call.request
    asked = asked_version(call)
    found, row = await call.gate.catalog.find_object(request.bucket, request.key, asked)
    if found is None:
        raise no_such_bucket(request.bucket)
    await admit_to_object(call, found, row)
    await check_owner(call, found)
    if row is None or row.marker:
        if not await may_list(call, found):
            raise S3Error.of("AccessDenied")
        is_named = asked is not None or (sees_markers and row is not None)
        raise missing(request.key, row, request.query.get("versionId") or "" if is_named else None, request.method)
    return found, row


async def look_up(
    call: Call, bucket: str, key: bytes, version: VersionRef | None
) -> tuple[BucketRow, ObjectRow | None]:
    """Another object than the request's: the source of a copy, the place behind which a page begins."""
    found, row = await call.gate.catalog.find_object(bucket, key, version)
    if found is None:
        raise no_such_bucket(bucket)
    return found, row


def asked_version(call: Call) -> VersionRef | None:
    """The version that versionId names, or None: the current one."""
    query = call.request.query
    text = query.get("versionId") if query.raw else None
    return None if text is None else versions.decode(text)


def missing(key: bytes, marker: ObjectRow | None, version_id: str | None, method: str) -> S3Error:
    """Why there is nothing to read: no such key or version, or a delete marker in its place."""
    if marker is None:
        return no_such_key(key) if version_id is None else versions.no_such_version(key, version_id)
    shown = versions.encode(marker.version, marker.version_id)
    if version_id is None:
        return no_such_key(key).with_headers(x_amz_delete_marker="true", x_amz_version_id=shown)
    error = S3Error.of("MethodNotAllowed", Method=method, ResourceType="DeleteMarker")
    return error.with_headers(
        x_amz_delete_marker="true",
        x_amz_version_id=shown,
        allow="DELETE",
        last_modified=http_date(marker.modified_at).decode(),
    )


async def _details(call: Call, bucket: BucketRow, row: ObjectRow) -> RawHeaders:
    """How many tags there are and what locks the version: each said to those who could ask for it by itself."""
    shown: RawHeaders = []
    if row.tags and await may_see(call, bucket, row, "s3:GetObjectTagging"):
        shown.append((b"x-amz-tagging-count", b"%d" % tags.count(row.tags)))
    retention, hold = retention_headers(row.lock, row.retain_until), hold_headers(row.lock)
    if retention and await may_see(call, bucket, row, "s3:GetObjectRetention"):
        shown += retention
    if hold and await may_see(call, bucket, row, "s3:GetObjectLegalHold"):
        shown += hold
    return shown


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


async def _checksum(call: Call, selected: Selected, part: str | None) -> RawHeaders:
    """The checksum of the bytes that are sent, if one is known: of the whole, or of a part that has its own."""
    row = selected.row
    if part is not None and row.checksum.split(":", 2)[1:2] == [COMPOSITE]:
        rows = await call.gate.catalog.part_extents(row.content_id, int(part), int(part))
        return [pair for each in rows for pair in checksum_headers(each.checksum, COMPOSITE)]
    return checksum_headers(row.checksum) if selected.stop - selected.start == row.size else []


def _narrow(selected: Selected, start: int, stop: int) -> None:
    selected.start, selected.stop, selected.status = start, stop, 206
    selected.headers.append((b"content-range", ranges.content_range(start, stop, selected.row.size)))


def _wants_checksum(mode: str | None) -> bool:
    return mode is not None and mode.upper() == "ENABLED"
