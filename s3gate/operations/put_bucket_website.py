"""PutBucketWebsite: the bucket as a website; the configuration replaces the one that was there."""

from __future__ import annotations

from s3gate.operations._bucket import find_bucket
from s3gate.operations._configs import read_configuration
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import xml_website


async def put_bucket_website(call: Call) -> Response:
    bucket = await find_bucket(call)
    document = xml_website.canonical(await read_configuration(call, xml_website.LIMIT_BYTES))
    await call.gate.catalog.put_setting(bucket.name, "website", document)
    return Response()
