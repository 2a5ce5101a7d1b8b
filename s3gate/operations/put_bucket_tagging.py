"""PutBucketTagging: these tags, instead of those that the bucket had. No tags: it has no set of them any more."""

from __future__ import annotations

from s3gate.operations._bucket import find_bucket
from s3gate.operations._configs import read_configuration
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import xml_tagging


async def put_bucket_tagging(call: Call) -> Response:
    tags = xml_tagging.bucket_tags(await read_configuration(call, xml_tagging.TAGGING_LIMIT_BYTES))
    bucket = await find_bucket(call)
    if tags:
        await call.gate.catalog.put_setting(bucket.name, "tagging", xml_tagging.tagging(tags))
    else:
        await call.gate.catalog.delete_setting(bucket.name, "tagging")
    return Response(204)
