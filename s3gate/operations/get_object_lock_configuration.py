"""GetObjectLockConfiguration: that a bucket has object lock, and what its new objects get of it."""

from __future__ import annotations

from s3gate.operations._bucket import find_bucket
from s3gate.operations._replies import xml
from s3gate.operations._traits import LOCK_SETTING
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import xml_lock
from s3gate.s3.errors import S3Error


async def get_object_lock_configuration(call: Call) -> Response:
    bucket = await find_bucket(call)
    if not bucket.lock_enabled:
        raise S3Error.of("ObjectLockConfigurationNotFoundError", BucketName=bucket.name)
    return xml(bucket.settings.get(LOCK_SETTING) or xml_lock.configuration_document(None))
