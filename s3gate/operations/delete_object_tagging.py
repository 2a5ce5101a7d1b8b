"""DeleteObjectTagging: the object's version has no tags any more."""

from __future__ import annotations

from s3gate.operations._marking import mark
from s3gate.operations._replies import marked_version
from s3gate.operations.exchange import Call, Response


async def delete_object_tagging(call: Call) -> Response:
    catalog = call.gate.catalog
    bucket, done = await mark(call, lambda bucket, version: catalog.put_tags(bucket, call.request.key, version, b""))
    return Response(204, marked_version(bucket, done))
