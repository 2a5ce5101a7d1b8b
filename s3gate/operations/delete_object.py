"""DeleteObject: the key has no object any more, whether it had one or not."""

from __future__ import annotations

from contextlib import suppress

from s3gate.catalog.errors import ObjectMissing
from s3gate.catalog.rows import Condition
from s3gate.operations._bucket import find_bucket
from s3gate.operations._reading import NULL_VERSION, check_version
from s3gate.operations.exchange import Call, Response
from s3gate.s3.conditions import delete_condition


async def delete_object(call: Call) -> Response:
    """If-Match is judged in the commit; for a key without an object there is nothing left to protect."""
    request = call.request
    version_id = request.query.get("versionId") if request.query.raw else None
    check_version(version_id)
    condition = Condition(*delete_condition(request.headers))
    await find_bucket(call)
    with suppress(ObjectMissing):
        await call.gate.catalog.delete_object(request.bucket, request.key, condition)
    return Response(204, [(b"x-amz-version-id", NULL_VERSION.encode())] if version_id else [])
