"""DeleteBucketCors: no page of another origin is let in any more."""

from __future__ import annotations

from s3gate.operations._configs import remove_setting
from s3gate.operations.exchange import Call, Response


async def delete_bucket_cors(call: Call) -> Response:
    return await remove_setting(call, "cors")
