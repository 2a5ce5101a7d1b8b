"""Taking an object or one version of it away: shared by DeleteObject and DeleteObjects."""

from __future__ import annotations

from s3gate.catalog.errors import ObjectMissing
from s3gate.catalog.rows import BucketRow, Condition, Deleted, VersionRef
from s3gate.operations.exchange import Call
from s3gate.s3.lock import bypasses


async def remove(
    call: Call, bucket: BucketRow, key: bytes, version: VersionRef | None, condition: Condition
) -> Deleted | None:
    """What was made or removed; None where there was nothing. Without a version: the current one, or a marker over it.

    Of a key without an object AWS says NoSuchKey to If-Match, and is content where only size or date were named.
    """
    catalog = call.gate.catalog
    try:
        if version is None:
            return await catalog.delete_object(bucket, key, condition)
        return await catalog.delete_version(bucket, key, version, condition, bypass=bypasses(call.request.headers))
    except ObjectMissing:
        if condition.if_match is not None:
            raise
        return None
