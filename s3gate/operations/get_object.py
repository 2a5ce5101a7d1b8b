"""GetObject: one lookup, then the bytes: at once when they are few, else as they come from the nodes."""

from __future__ import annotations

from s3gate.operations._content import opened, read_content, read_small, unless_gone
from s3gate.operations._reading import select
from s3gate.operations.exchange import Call, Response

KIB = 1024
WHOLE_BODY_BYTES = 256 * KIB
"""Up to here an answer is one piece of memory; beyond, it flows through the budget (law 9)."""


async def get_object(call: Call) -> Response:
    return await unless_gone(lambda: _get(call))


async def _get(call: Call) -> Response:
    found = await select(call)
    row, start, stop = found.row, found.start, found.stop
    gate = call.gate
    if start == stop:
        return Response(found.status, found.headers)
    key = None if found.opened is None else await found.opened.data_key(gate)
    if row.size <= WHOLE_BODY_BYTES and not row.part_count and row.size <= gate.row_bytes:
        data = await read_small(gate, row, start, stop, key)
        return Response(found.status, found.headers, data)
    found.headers.append((b"content-length", b"%d" % (stop - start)))
    # The first piece is read before the status is sent: a lost shard is then a 500 and not a broken 200.
    pieces = await opened(read_content(gate, row, start, stop, key))
    return Response(found.status, found.headers, pieces)
