"""What the answers say of an object's end: by which of its bucket's rules, and when. Rules end nothing here."""

from __future__ import annotations

from datetime import datetime

from s3gate.catalog.rows import BucketRow, Committed, ObjectRow, Stored, UploadRow
from s3gate.operations.exchange import Call, RawHeaders
from s3gate.s3 import lifecycle


def expiration_of_read(call: Call, bucket: BucketRow, row: ObjectRow) -> RawHeaders:
    """x-amz-expiration of a current version that is read."""
    return _expiration(call, bucket, row.size, row.tags, row.modified_at)


def expiration_of_written(call: Call, bucket: BucketRow, stored: Stored, done: Committed) -> RawHeaders:
    """The same of one that has just been made."""
    return _expiration(call, bucket, stored.size, stored.traits.tags, done.modified_at)


def abortion_of_upload(call: Call, bucket: BucketRow, upload: UploadRow) -> RawHeaders:
    """x-amz-abort-date and the rule's id, of an upload that nobody may finish."""
    kept = bucket.settings.get("lifecycle")
    if kept is None:
        return []
    return lifecycle.abort_headers(kept, upload.key, upload.initiated_at, call.gate.settings.lifecycle_day_seconds)


def _expiration(call: Call, bucket: BucketRow, size: int, tags: bytes, modified_at: datetime) -> RawHeaders:
    kept = bucket.settings.get("lifecycle")
    if kept is None:
        return []
    day_seconds = call.gate.settings.lifecycle_day_seconds
    value = lifecycle.expiration_header(kept, call.request.key, size, tags, modified_at, day_seconds)
    return [] if value is None else [(b"x-amz-expiration", value)]
