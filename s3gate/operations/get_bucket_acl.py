"""GetBucketAcl: whose the bucket is, and to whom it is granted."""

from __future__ import annotations

from s3gate.iam import acl
from s3gate.operations._acl import access_of, answer_acl
from s3gate.operations._bucket import find_bucket
from s3gate.operations.exchange import Call, Response


async def get_bucket_acl(call: Call) -> Response:
    bucket = await find_bucket(call)
    return await answer_acl(call, bucket, access_of(bucket).acl or acl.private(bucket.owner), [])
