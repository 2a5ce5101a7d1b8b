"""PutBucketVersioning: enabled or suspended; never again as if it had not been."""

from __future__ import annotations

from s3gate.catalog.errors import WrongBucketState
from s3gate.catalog.rows import ENABLED, SUSPENDED
from s3gate.operations._bucket import find_bucket
from s3gate.operations._configs import read_configuration
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import xml_versions
from s3gate.s3.errors import S3Error

_LOCKED = "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed."


async def put_bucket_versioning(call: Call) -> Response:
    """Commits that were decided before are refused from now on: no gate writes another state's versions."""
    data = await read_configuration(call, xml_versions.VERSIONING_LIMIT_BYTES)
    status = xml_versions.versioning_configuration(data)
    bucket = await find_bucket(call)
    try:
        state = ENABLED if status == xml_versions.ENABLED else SUSPENDED
        await call.gate.catalog.set_versioning(bucket.name, state)
    except WrongBucketState:
        raise S3Error.of("InvalidBucketState", _LOCKED) from None
    return Response()
