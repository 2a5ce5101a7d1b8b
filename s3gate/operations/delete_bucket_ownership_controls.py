"""DeleteBucketOwnershipControls: objects belong to their writers again, as they did before there was a choice."""

from __future__ import annotations

from s3gate.iam.decide import OWNERSHIP
from s3gate.operations._configs import remove_setting
from s3gate.operations.exchange import Call, Response


async def delete_bucket_ownership_controls(call: Call) -> Response:
    return await remove_setting(call, OWNERSHIP)
