"""PutObjectLockConfiguration: gives a versioned bucket object lock, for ever, and new objects a default retention."""

from __future__ import annotations

from s3gate.catalog.errors import WrongBucketState
from s3gate.operations._bucket import find_bucket
from s3gate.operations._configs import read_configuration
from s3gate.operations._traits import LOCK_SETTING
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import xml_lock
from s3gate.s3.errors import S3Error

_UNVERSIONED = "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration"


async def put_object_lock_configuration(call: Call) -> Response:
    """The lock first: a default retention without it would promise what nobody keeps."""
    rule = xml_lock.lock_configuration(await read_configuration(call, xml_lock.LOCK_LIMIT_BYTES))
    bucket = await find_bucket(call)
    catalog = call.gate.catalog
    if not bucket.lock_enabled:
        try:
            await catalog.enable_lock(bucket.name)
        except WrongBucketState:
            raise S3Error.of("InvalidBucketState", _UNVERSIONED) from None
    await catalog.put_setting(bucket.name, LOCK_SETTING, xml_lock.configuration_document(rule))
    return Response()
