"""PutBucketAcl: other grants in place of those that there were. The owner stays."""

from __future__ import annotations

from s3gate.operations._acl import asked_acl, keep_acl
from s3gate.operations._bucket import find_bucket
from s3gate.operations.exchange import Call, Response


async def put_bucket_acl(call: Call) -> Response:
    bucket = await find_bucket(call)
    await keep_acl(call, bucket, await asked_acl(call, bucket, bucket.owner, on_bucket=True))
    return Response()
