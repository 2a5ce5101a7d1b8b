"""Bytes on their way to the nodes: the body of a PutObject or UploadPart, or what a copy has read.

Bytes first, pointer last (law 4). When something fails before the catalog was given the pointer, the bytes are
handed to the collector at once. From then on they are the catalog's, who alone knows whether a commit that names
them may still happen (law 6). What is to be encrypted is sealed here, after it was digested and before it is cut
into shards.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

from s3gate.catalog.errors import CatalogError
from s3gate.crypto.blocks import SEALED_BLOCK_BYTES, ContentKey, Sealer, plain_rows, sealed_length
from s3gate.operations._content import Piece, Pieces
from s3gate.operations._digests import POOL
from s3gate.operations.exchange import Call
from s3gate.store.budget import Block
from s3gate.store.errors import ShardMissing, WriteFailed

if TYPE_CHECKING:
    from s3gate.gate import Gate
    from s3gate.operations._encryption import Sealing
    from s3gate.operations.body import Digests
    from s3gate.store.writer import Placed, Written

GIB = 1 << 30
SINGLE_WRITE_LIMIT_BYTES = 5 * GIB
"""The most that one PUT, one part or the source of one copy may have, at AWS and here."""

SEALED_INLINE_BYTES = 128 * 1024
"""Up to here sealing costs less than handing it to a thread."""

_NOTHING = memoryview(b"")


def body_length(call: Call) -> int:
    """How long the body will be once decoded: it has to be known before the first byte."""
    return call.body.required_length(SINGLE_WRITE_LIMIT_BYTES)


async def write_body(
    call: Call,
    length: int,
    group_id: int | None = None,
    sealing: Sealing | None = None,
    placed: Placed | None = None,
) -> tuple[Written, Digests]:
    """The body as durable shards, and what it hashes to: every check of law 12 has passed.

    `placed` may be called before, with what is durable only later; whatever is known of the body was checked by then.
    """
    gate, body = call.gate, call.body
    if sealing is not None:
        return await _write_sealed(call, length, group_id, sealing.content)
    if length > gate.row_bytes:
        written = await _write_rows(call, length, body.blocks(gate.row_bytes, gate.budget), group_id)
    else:
        written = await _write_small(call, length, None, group_id, placed)
    return written, body.digests()


async def write_pieces(
    call: Call,
    pieces: Pieces,
    length: int,
    take: Callable[[Piece], Awaitable[None]] | None = None,
    group_id: int | None = None,
    sealing: Sealing | None = None,
) -> Written:
    """What a copy reads, as durable shards; `take` sees every piece before.

    Copies wait for one another a few at a time: the rows they fill are beside the budget of the reader.
    """
    row_bytes = call.gate.row_bytes
    async with call.gate.copies:
        if sealing is None:
            sizes = [min(row_bytes, length - start) for start in range(0, length, row_bytes)]
            return await _write_rows(call, length, _gathered(pieces, sizes, take), group_id)
        rows = plain_rows(length, row_bytes)
        gathered = _gathered(pieces, [plain for _, plain in rows if plain], take)
        blocks = _sealed(gathered, rows, sealing.content, length)
        return await _write_rows(call, sealed_length(length), blocks, group_id)


async def _write_sealed(call: Call, length: int, group_id: int | None, key: ContentKey) -> tuple[Written, Digests]:
    gate, body = call.gate, call.body
    stored = sealed_length(length)
    if stored > gate.row_bytes:
        rows = plain_rows(length, gate.row_bytes)
        # A row takes its plain and its sealed form of the budget at once: nobody waits while he holds.
        plain = body.rows([size for _, size in rows if size], gate.budget, gate.row_bytes + SEALED_BLOCK_BYTES)
        written = await _write_rows(call, stored, _sealed(plain, rows, key, length), group_id)
    else:
        written = await _write_small(call, length, key, group_id)
    return written, body.digests()


async def _write_small(
    call: Call, length: int, key: ContentKey | None, group_id: int | None, placed: Placed | None = None
) -> Written:
    """A body of at most a row, at hand as a whole, and for a moment its sealed form beside it."""
    gate, request, budget = call.gate, call.request, call.gate.budget
    held = length if key is None else length + sealed_length(length)
    if not budget.try_acquire(held):
        await budget.acquire(held)
    try:
        data: bytes | memoryview = await call.body.read(length)
        if key is not None:
            data = await _sealed_row(Sealer(key, length), memoryview(data), sealed_length(length))
        written = await gate.store.write_small(
            bucket=request.bucket, key=request.key, data=data, group_id=group_id, placed=placed
        )
    except WriteFailed as failed:
        await discard(gate, failed.written)
        raise
    finally:
        budget.release(held)
    if written.abandoned:
        await discard(gate, written.abandoned)
    return written


async def _write_rows(call: Call, length: int, blocks: AsyncIterator[Block], group_id: int | None) -> Written:
    gate, request = call.gate, call.request
    try:
        written = await gate.store.write(
            bucket=request.bucket, key=request.key, length=length, blocks=blocks, group_id=group_id
        )
    except WriteFailed as failed:
        await discard(gate, failed.written)
        if isinstance(failed.cause, ShardMissing):  # a copy's source went away under it
            raise failed.cause from failed
        raise
    if written.abandoned:
        await discard(gate, written.abandoned)
    return written


async def _gathered(
    pieces: Pieces, sizes: Iterable[int], take: Callable[[Piece], Awaitable[None]] | None
) -> AsyncIterator[Block]:
    """The pieces in rows of these sizes, which are as long as the pieces together."""
    left = iter(sizes)
    row, filled = bytearray(next(left, 0)), 0
    async with aclosing(pieces):
        async for piece in pieces:
            if take is not None:
                await take(piece)
            rest = memoryview(piece)
            while rest and row:
                taken = min(len(rest), len(row) - filled)
                row[filled : filled + taken] = rest[:taken]
                filled += taken
                rest = rest[taken:]
                if filled == len(row):
                    yield Block(memoryview(row))
                    row, filled = bytearray(next(left, 0)), 0
            if rest:
                raise ValueError("a copy must not be longer than its source")


async def _sealed(
    plain: AsyncIterator[Block], rows: Iterable[tuple[int, int]], key: ContentKey, length: int
) -> AsyncIterator[Block]:
    """Plain rows as sealed ones. A plain row is given back with the sealed one that it became."""
    sealer = Sealer(key, length)
    for size, begins in rows:
        block = await anext(plain) if begins else Block(_NOTHING)
        try:  # only in blocks, which let go of their bytes, is a row named here
            block = Block(await _sealed_row(sealer, block.data, size), block.release)
        except BaseException:
            block.release()
            raise
        yield block
    async for _ in plain:  # its end is where it may still say what is wrong with it (law 12)
        raise ValueError("a body must not be longer than it was said to be")


async def discard(gate: Gate, content: Sequence[tuple[int, bytes]]) -> None:
    """Hands shards that nothing will ever name to the collector, even while this request is being cancelled.

    Should the catalog be away, they stay what they are: orphans of this session, swept once it is closed.
    """
    lying = [(layout_id, extents) for layout_id, extents in content if extents]
    if lying:
        with suppress(CatalogError):
            await asyncio.shield(gate.catalog.discard(lying))


async def _sealed_row(sealer: Sealer, plain: memoryview, size: int) -> memoryview:
    """Sealing lets go of the interpreter: in a thread a long row delays nobody else's request."""
    row = memoryview(bytearray(size))
    if size <= SEALED_INLINE_BYTES:
        sealer.fill(row, plain)
    else:
        await asyncio.get_running_loop().run_in_executor(POOL, sealer.fill, row, plain)
    return row
