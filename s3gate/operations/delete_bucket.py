"""DeleteBucket: an empty bucket disappears."""

from __future__ import annotations

from s3gate.operations._bucket import find_bucket
from s3gate.operations.exchange import Call, Response


async def delete_bucket(call: Call) -> Response:
    """That it is empty is judged inside the commit; the look before is for its owner."""
    await find_bucket(call)
    await call.gate.catalog.delete_bucket(call.request.bucket)
    return Response(status=204)
