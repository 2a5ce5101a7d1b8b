"""A body on its way to the nodes: shared by PutObject, UploadPart and UploadPartCopy.

Bytes first, pointer last (law 4). When something fails before the catalog was given the pointer, the bytes are
handed to the collector at once. From then on they are the catalog's, who alone knows whether a commit that names
them may still happen (law 6).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from s3gate.catalog.errors import CatalogError
from s3gate.operations.exchange import Call
from s3gate.store.errors import WriteFailed

if TYPE_CHECKING:
    from s3gate.gate import Gate
    from s3gate.operations.body import Digests
    from s3gate.store.writer import Written

GIB = 1 << 30
SINGLE_WRITE_LIMIT_BYTES = 5 * GIB
"""The most that one PUT, one part or the source of one copy may have, at AWS and here."""


def body_length(call: Call) -> int:
    """How long the body will be once decoded: it has to be known before the first byte."""
    return call.body.required_length(SINGLE_WRITE_LIMIT_BYTES)


async def write_body(call: Call, length: int, group_id: int | None = None) -> tuple[Written, Digests]:
    """The body as durable shards, and what it hashes to: every check of law 12 has passed."""
    gate = call.gate
    if length > gate.row_bytes:
        return await _write_rows(call, length, group_id)
    budget = gate.budget
    if not budget.try_acquire(length):
        await budget.acquire(length)
    try:
        data = await call.body.read(length)
        digests = call.body.digests()
        request = call.request
        written = await gate.store.write_small(bucket=request.bucket, key=request.key, data=data, group_id=group_id)
    except WriteFailed as failed:
        await discard(gate, failed.written)
        raise
    finally:
        budget.release(length)
    if written.abandoned:
        await discard(gate, written.abandoned)
    return written, digests


async def _write_rows(call: Call, length: int, group_id: int | None) -> tuple[Written, Digests]:
    gate, request, body = call.gate, call.request, call.body
    blocks = body.blocks(gate.row_bytes, gate.budget)
    try:
        written = await gate.store.write(
            bucket=request.bucket, key=request.key, length=length, blocks=blocks, group_id=group_id
        )
    except WriteFailed as failed:
        await discard(gate, failed.written)
        raise
    if written.abandoned:
        await discard(gate, written.abandoned)
    return written, body.digests()


async def discard(gate: Gate, content: Sequence[tuple[int, bytes]]) -> None:
    """Hands shards that nothing will ever name to the collector, even while this request is being cancelled.

    Should the catalog be away, they stay what they are: orphans of this session, swept once it is closed.
    """
    lying = [(layout_id, extents) for layout_id, extents in content if extents]
    if lying:
        with suppress(CatalogError):
            await asyncio.shield(gate.catalog.discard(lying))
