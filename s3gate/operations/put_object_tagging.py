"""PutObjectTagging: these tags, instead of those that the object's version had."""

from __future__ import annotations

from s3gate.iam.context import said_tags
from s3gate.operations._configs import read_configuration
from s3gate.operations._marking import mark
from s3gate.operations._replies import marked_version
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import tags, xml_tagging


async def put_object_tagging(call: Call) -> Response:
    given = xml_tagging.object_tags(await read_configuration(call, xml_tagging.TAGGING_LIMIT_BYTES))
    call.said = said_tags(given)
    kept = tags.pack(given)
    catalog = call.gate.catalog
    bucket, done = await mark(call, lambda bucket, version: catalog.put_tags(bucket, call.request.key, version, kept))
    return Response(headers=marked_version(bucket, done))
