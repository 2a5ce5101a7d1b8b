"""Finding the bucket that a request names, and who owns it. Shared by every operation below a bucket."""

from __future__ import annotations

import hashlib

from s3gate.catalog.rows import BucketRow
from s3gate.operations._failures import no_such_bucket
from s3gate.operations.exchange import Call
from s3gate.s3.conditions import check_expected_owner

ROOT_ACCOUNT = hashlib.sha256(b"s3gate account: root").hexdigest()
"""The canonical id of the one account there is. It outlives a change of the root's keys."""


async def find_bucket(call: Call, *, fresh: bool = False) -> BucketRow:
    """The request's bucket, or NoSuchBucket. A remembered row will do wherever a commit looks again."""
    name = call.request.bucket
    row = await call.gate.catalog.find_bucket(name, fresh=fresh)
    if row is None:
        raise no_such_bucket(name)
    check_expected_owner(call.request.headers, row.owner)
    return row
