"""PutBucketAccelerateConfiguration: kept and shown; there is no other network to be quicker through."""

from __future__ import annotations

from s3gate.operations._bucket import find_bucket
from s3gate.operations._configs import read_configuration
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import xml_configurations
from s3gate.s3.errors import S3Error


async def put_bucket_accelerate_configuration(call: Call) -> Response:
    """The accelerated endpoint has the bucket's name before its own: a dot in it would not fit the certificate."""
    bucket = await find_bucket(call)
    if "." in bucket.name:
        message = "S3 Transfer Acceleration is not supported for buckets with periods (.) in their names"
        raise S3Error.of("InvalidRequest", message)
    document = xml_configurations.acceleration(await read_configuration(call))
    await call.gate.catalog.put_setting(bucket.name, "accelerate", document)
    return Response()
