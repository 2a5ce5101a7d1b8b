"""GetBucketPolicyStatus: whether the policy lets in whoever comes."""

from __future__ import annotations

from s3gate.operations._acl import access_of
from s3gate.operations._bucket import find_bucket
from s3gate.operations._replies import xml
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import xml_access
from s3gate.s3.errors import S3Error


async def get_bucket_policy_status(call: Call) -> Response:
    bucket = await find_bucket(call)
    access = access_of(bucket)
    if access.policy is None:
        raise S3Error.of("NoSuchBucketPolicy", BucketName=bucket.name)
    return xml(xml_access.policy_status(access.policy_is_public))
