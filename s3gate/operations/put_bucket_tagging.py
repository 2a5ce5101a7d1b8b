"""PutBucketTagging: these tags, instead of those that the bucket had."""

from __future__ import annotations

from s3gate.operations._bucket import find_bucket
from s3gate.operations._configs import read_configuration
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import xml_tagging


async def put_bucket_tagging(call: Call) -> Response:
    tags = xml_tagging.bucket_tags(await read_configuration(call, xml_tagging.TAGGING_LIMIT_BYTES))
    bucket = await find_bucket(call)
    await call.gate.catalog.put_setting(bucket.name, "tagging", xml_tagging.tagging(tags))
    return Response(204)
