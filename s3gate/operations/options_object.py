"""OptionsObject: the preflight by which a browser asks whether a page of another origin may go on.

Nobody signs it. What it tells is what the bucket's owner configured for pages, and nothing of its objects.
"""

from __future__ import annotations

from s3gate.operations._cors import find_rules
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import cors


async def options_object(call: Call) -> Response:
    request = call.request
    rules = await find_rules(call.gate, request.bucket) if request.bucket else None
    return Response(headers=cors.preflight(rules, request.headers, "OBJECT" if request.key else "BUCKET"))
