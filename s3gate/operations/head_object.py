"""HeadObject: what GetObject would say, without the bytes."""

from __future__ import annotations

from s3gate.operations._content import unless_gone
from s3gate.operations._reading import select
from s3gate.operations.exchange import Call, Response


async def head_object(call: Call) -> Response:
    found = await unless_gone(lambda: select(call))
    found.headers.append((b"content-length", b"%d" % (found.stop - found.start)))
    return Response(found.status, found.headers)
