"""PutBucketLifecycleConfiguration: the rules by which the worker ends objects and uploads. They replace those before.

The older PutBucketLifecycle is the same request with an older document, and is read here too.
"""

from __future__ import annotations

from s3gate.operations._bucket import find_bucket
from s3gate.operations._configs import read_configuration
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import xml_lifecycle


async def put_bucket_lifecycle_configuration(call: Call) -> Response:
    bucket = await find_bucket(call)
    data = await read_configuration(call, xml_lifecycle.LIMIT_BYTES)
    document = xml_lifecycle.canonical(data, call.gate.settings.storage_classes)
    kept = xml_lifecycle.sealed(document, call.request.headers)
    await call.gate.catalog.put_setting(bucket.name, "lifecycle", kept)
    return Response(headers=xml_lifecycle.opened(kept)[1])
