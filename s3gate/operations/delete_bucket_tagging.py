"""DeleteBucketTagging: no tags any more, whether there were any or not."""

from __future__ import annotations

from s3gate.operations._configs import remove_setting
from s3gate.operations.exchange import Call, Response


async def delete_bucket_tagging(call: Call) -> Response:
    return await remove_setting(call, "tagging")
