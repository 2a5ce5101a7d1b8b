"""DeleteObject: the key has no object any more, whether it had one or not; or one version of it is gone for good."""

from __future__ import annotations

from s3gate.catalog.errors import BucketChanged
from s3gate.catalog.rows import NO_CONDITION, Condition, Deleted
from s3gate.operations._bucket import find_bucket
from s3gate.operations._commit import commit_again
from s3gate.operations._reading import asked_version
from s3gate.operations._removing import remove
from s3gate.operations._replies import deleted_version
from s3gate.operations.exchange import Call, RawHeaders, Response
from s3gate.s3.conditions import delete_condition
from s3gate.s3.lock import refuse_bypass


async def delete_object(call: Call) -> Response:
    """Conditions and locks are judged in the commit."""
    asked = asked_version(call)
    given = delete_condition(call.request.headers)
    condition = NO_CONDITION if given is None else Condition(*given)
    bucket = await find_bucket(call)
    if not bucket.lock_enabled:
        refuse_bypass(call.request.headers)
    try:
        deleted = await remove(call, bucket, call.request.key, asked, condition)
    except BucketChanged:
        _, deleted = await commit_again(call, lambda found: remove(call, found, call.request.key, asked, condition))
    return Response(204, deleted_version(deleted) if asked is None else _removed_version(call, deleted))


def _removed_version(call: Call, deleted: Deleted | None) -> RawHeaders:
    """The version as the client named it; whether it was a delete marker. One that was not there is gone, too."""
    named = (b"x-amz-version-id", (call.request.query.get("versionId") or "").encode())
    if deleted is None or not deleted.marker:
        return [named]
    return [(b"x-amz-delete-marker", b"true"), named]
