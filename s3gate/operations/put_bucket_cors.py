"""PutBucketCors: the rules by which browsers let pages of other origins in. They replace those that were there."""

from __future__ import annotations

from s3gate.operations._bucket import find_bucket
from s3gate.operations._configs import read_configuration
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import xml_cors


async def put_bucket_cors(call: Call) -> Response:
    bucket = await find_bucket(call)
    document = xml_cors.canonical(await read_configuration(call, xml_cors.LIMIT_BYTES))
    await call.gate.catalog.put_setting(bucket.name, "cors", document)
    return Response()
