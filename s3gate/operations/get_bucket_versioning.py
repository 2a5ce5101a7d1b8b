"""GetBucketVersioning: whether a bucket keeps versions; nothing is said where that was never asked of it."""

from __future__ import annotations

from s3gate.catalog.rows import ENABLED, NEVER, SUSPENDED
from s3gate.operations._bucket import find_bucket
from s3gate.operations._replies import xml
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import xml_versions

_STATUS = {NEVER: "", ENABLED: xml_versions.ENABLED, SUSPENDED: xml_versions.SUSPENDED}


async def get_bucket_versioning(call: Call) -> Response:
    bucket = await find_bucket(call)
    return xml(xml_versions.versioning(_STATUS[bucket.versioning]))
