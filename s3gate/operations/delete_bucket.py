"""DeleteBucket: an empty bucket disappears."""

from __future__ import annotations

from s3gate.catalog.errors import BucketNotEmpty
from s3gate.operations._bucket import find_bucket
from s3gate.operations.exchange import Call, Response
from s3gate.s3.errors import S3Error

_VERSIONS_LEFT = "The bucket you tried to delete is not empty. You must delete all versions in the bucket."


async def delete_bucket(call: Call) -> Response:
    """That it is empty is judged inside the commit; the look before is for its owner."""
    bucket = await find_bucket(call)
    try:
        await call.gate.catalog.delete_bucket(bucket.name)
    except BucketNotEmpty as error:
        message = _VERSIONS_LEFT if bucket.versioning else None
        raise S3Error.of("BucketNotEmpty", message, BucketName=bucket.name) from error
    return Response(status=204)
