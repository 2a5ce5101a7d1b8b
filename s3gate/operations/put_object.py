"""PutObject: the body becomes the current version of the key. The story is told in `_storing.py`."""

from __future__ import annotations

from s3gate.operations._storing import store_object
from s3gate.operations.exchange import Call, Response


async def put_object(call: Call) -> Response:
    return await store_object(call)
