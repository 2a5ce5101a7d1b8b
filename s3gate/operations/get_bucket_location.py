"""GetBucketLocation: the bucket's region."""

from __future__ import annotations

from s3gate.operations._bucket import find_bucket
from s3gate.operations._replies import xml
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import xml_out


async def get_bucket_location(call: Call) -> Response:
    row = await find_bucket(call)
    return xml(xml_out.location(row.region))
