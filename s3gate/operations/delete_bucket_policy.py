"""DeleteBucketPolicy: nobody is let in or kept out by it any more."""

from __future__ import annotations

from s3gate.iam.decide import POLICY
from s3gate.operations._bucket import find_own_bucket
from s3gate.operations._configs import remove_setting
from s3gate.operations.exchange import Call, Response


async def delete_bucket_policy(call: Call) -> Response:
    await find_own_bucket(call)
    return await remove_setting(call, POLICY)
