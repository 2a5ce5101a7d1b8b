"""HeadBucket: whether the bucket is there, and where."""

from __future__ import annotations

from s3gate.operations._bucket import find_bucket
from s3gate.operations.exchange import Call, Response


async def head_bucket(call: Call) -> Response:
    """Asks the database and not the memory: clients poll this to see a bucket come and go."""
    row = await find_bucket(call)
    return Response(
        headers=[
            (b"x-amz-bucket-region", row.region.encode()),
            (b"x-amz-access-point-alias", b"false"),
            (b"content-type", b"application/xml"),
        ]
    )
