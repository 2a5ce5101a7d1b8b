"""GetBucketLifecycleConfiguration: the rules as they were put, each with its id."""

from __future__ import annotations

from s3gate.operations._bucket import find_bucket
from s3gate.operations._replies import xml
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import xml_lifecycle
from s3gate.s3.errors import S3Error


async def get_bucket_lifecycle_configuration(call: Call) -> Response:
    bucket = await find_bucket(call)
    kept = bucket.settings.get("lifecycle")
    if kept is None:
        raise S3Error.of("NoSuchLifecycleConfiguration", BucketName=bucket.name)
    return xml(*xml_lifecycle.opened(kept))
