"""UploadPartCopy: a part whose bytes come from an object instead of a body. They are read and written afresh."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

from s3gate.catalog.rows import ObjectRow
from s3gate.operations._content import read_content
from s3gate.operations._parts import part_row
from s3gate.operations._replies import xml
from s3gate.operations._source import Digesting, find_source, too_large
from s3gate.operations._uploads import find_upload
from s3gate.operations._writing import SINGLE_WRITE_LIMIT_BYTES, discard
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import ranges, xml_out
from s3gate.s3.algorithms import DEFAULT, Algorithm
from s3gate.store.budget import Block
from s3gate.store.errors import WriteFailed


async def upload_part_copy(call: Call) -> Response:
    """Copies wait for one another a few at a time: the rows they fill are beside the budget of the reader."""
    gate, request = call.gate, call.request
    number = ranges.part_number(request.query.get("partNumber") or "")
    upload = await find_upload(call)
    source = await find_source(call)
    start, stop = ranges.copy_range(request.headers.get("x-amz-copy-source-range"), source.size)
    if stop - start > SINGLE_WRITE_LIMIT_BYTES:
        raise too_large(SINGLE_WRITE_LIMIT_BYTES)
    digests = Digesting(Algorithm(upload.checksum_algorithm) if upload.checksum_algorithm else DEFAULT)
    async with gate.copies:
        try:
            written = await gate.store.write(
                bucket=request.bucket,
                key=request.key,
                length=stop - start,
                blocks=_rows(call, source, start, stop, digests),
                group_id=upload.group_id or None,
            )
        except WriteFailed as failed:
            await discard(gate, failed.written)
            raise
    if written.abandoned:
        await discard(gate, written.abandoned)
    part = part_row(upload, number, written, stop - start, digests.etag, digests.checksum, call.now)
    committed = await gate.catalog.put_part(upload, part)
    return xml(xml_out.copy_result("CopyPartResult", part.etag, committed.modified_at, part.checksum))


async def _rows(call: Call, source: ObjectRow, start: int, stop: int, digests: Digesting) -> AsyncIterator[Block]:
    """The source's pieces, digested and gathered into rows, the last one shorter."""
    row_bytes, left = call.gate.row_bytes, stop - start
    row, filled = bytearray(min(left, row_bytes)), 0
    async with aclosing(read_content(call.gate, source, start, stop)) as pieces:
        async for piece in pieces:
            await digests.take(piece)
            rest = memoryview(piece)
            while rest:
                taken = min(len(rest), len(row) - filled)
                row[filled : filled + taken] = rest[:taken]
                filled += taken
                rest = rest[taken:]
                if filled == len(row):
                    yield Block(memoryview(row))
                    left -= filled
                    row, filled = bytearray(min(left, row_bytes)), 0
