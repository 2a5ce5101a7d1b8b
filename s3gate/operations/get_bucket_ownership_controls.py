"""GetBucketOwnershipControls: who owns what others write here, and whether ACLs say anything."""

from __future__ import annotations

from s3gate.iam.decide import OWNERSHIP
from s3gate.operations._configs import answer_setting
from s3gate.operations.exchange import Call, Response


async def get_bucket_ownership_controls(call: Call) -> Response:
    return await answer_setting(call, OWNERSHIP, "OwnershipControlsNotFoundError")
