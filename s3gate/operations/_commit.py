"""Committing what was decided from a bucket's row that turned out to be an old one.

A write is decided (versioning, default encryption, default retention ...) from a row that may be a remembered one, and
the catalog refuses it as BucketChanged when the bucket is another by then. Here the bucket is found anew and the write
decided and committed again. That happens to few requests: the first attempt is the operation's own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from s3gate.catalog.errors import BucketChanged
from s3gate.catalog.rows import BucketRow
from s3gate.operations._bucket import find_bucket
from s3gate.operations._failures import RETRY_AFTER_SECONDS
from s3gate.operations._writing import discard
from s3gate.operations.exchange import Call
from s3gate.s3.errors import S3Error

ATTEMPTS = 3
"""How often a write is decided anew while somebody keeps changing the bucket."""

T = TypeVar("T")


async def commit_again(
    call: Call, attempt: Callable[[BucketRow], Awaitable[T]], lying: Sequence[tuple[int, bytes]] = ()
) -> tuple[BucketRow, T]:
    """The bucket as it is now, and what the attempt with it came to; 409 if it never stood still.

    An attempt that raises an S3Error has not handed anything to the catalog: then the bytes that lie on the nodes
    (`lying`: layout and extents) are nobody's, and are discarded.
    """
    try:
        for _ in range(ATTEMPTS):
            bucket = await find_bucket(call, again=True)
            try:
                return bucket, await attempt(bucket)
            except BucketChanged:
                continue
        raise _conflict(call)
    except S3Error:
        await discard(call.gate, lying)
        raise


def _conflict(call: Call) -> S3Error:
    headers = call.request.headers
    conditional = "if-match" in headers or "if-none-match" in headers
    error = S3Error.of("ConditionalRequestConflict" if conditional else "OperationAborted")
    return error.with_headers(retry_after=RETRY_AFTER_SECONDS)
