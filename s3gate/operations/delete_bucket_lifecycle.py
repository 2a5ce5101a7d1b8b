"""DeleteBucketLifecycle: nothing ends any more by rules."""

from __future__ import annotations

from s3gate.operations._configs import remove_setting
from s3gate.operations.exchange import Call, Response


async def delete_bucket_lifecycle(call: Call) -> Response:
    return await remove_setting(call, "lifecycle")
