"""AbortMultipartUpload: the upload is gone, and its parts are garbage."""

from __future__ import annotations

from s3gate.operations._uploads import find_upload
from s3gate.operations.exchange import Call, Response


async def abort_multipart_upload(call: Call) -> Response:
    upload = await find_upload(call)
    await call.gate.catalog.abort_upload(upload)
    return Response(204)
