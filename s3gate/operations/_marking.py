"""Changing what a version has beside its bytes: shared by the operations on tags, retention and legal hold."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from s3gate.catalog.errors import BucketChanged
from s3gate.catalog.rows import BucketRow, Committed, VersionRef
from s3gate.operations._commit import commit_again
from s3gate.operations._reading import asked_version, find_object
from s3gate.operations.exchange import Call
from s3gate.s3.lock import missing_configuration

Change = Callable[[BucketRow, VersionRef | None], Awaitable[Committed]]


async def mark(call: Call, change: Change, *, needs_lock: bool = False) -> tuple[BucketRow, Committed]:
    """The bucket, and the version as the change left it.

    The look before tells a delete marker from a missing version; the change itself names what the client named, so
    that "current" is what is current in its commit.
    """
    bucket, _ = await find_object(call, sees_markers=True)
    if needs_lock and not bucket.lock_enabled:
        raise missing_configuration()
    version = asked_version(call)
    try:
        return bucket, await change(bucket, version)
    except BucketChanged:
        return await commit_again(call, lambda found: change(found, version))
