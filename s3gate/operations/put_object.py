"""PutObject: check the headers, write the shards, commit the row, say so."""

from __future__ import annotations

from s3gate.catalog.rows import Condition, Stored
from s3gate.operations._bucket import find_bucket
from s3gate.operations._replies import checksum_headers, etag_header
from s3gate.operations._writing import body_length, write_body
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import headers as object_headers
from s3gate.s3.conditions import write_condition


async def put_object(call: Call) -> Response:
    """The bucket may be a remembered one: the commit looks at the real row."""
    gate, request = call.gate, call.request
    headers = object_headers.stored(request.headers)
    condition = Condition(*write_condition(request.headers))
    length = body_length(call)
    await find_bucket(call)
    written, digests = await write_body(call, length)
    etag = digests.md5.hex()
    stored = Stored(written.content_id, length, etag, written.layout_id, 0, written.extents, headers, digests.checksum)
    await gate.catalog.put_object(request.bucket, request.key, stored, condition)
    return Response(headers=[etag_header(etag), *checksum_headers(digests.checksum)])
