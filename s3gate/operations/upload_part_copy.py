"""UploadPartCopy: a part whose bytes come from an object instead of a body.

Where the range is one whole part of the source, or a whole source without parts, and both are plain, no byte moves: the
part is another reference to the same segments. Bytes are then only read, and only where the source has no checksum of
the kind that the upload wants. Whatever else is asked for is read and written afresh.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import datetime
from typing import NamedTuple

from s3gate.catalog.errors import SourceChanged
from s3gate.catalog.rows import ObjectRow, UploadRow
from s3gate.operations._content import ContentGone, manifest_of, read_content
from s3gate.operations._encryption import Sealing, confirmed, sealed_part
from s3gate.operations._parts import part_row
from s3gate.operations._reading import is_multipart
from s3gate.operations._replies import source_version, xml
from s3gate.operations._source import ATTEMPTS, Digesting, Source, digest_source, find_source, too_large
from s3gate.operations._uploads import find_upload
from s3gate.operations._writing import SINGLE_WRITE_LIMIT_BYTES, write_pieces
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import ranges, xml_out
from s3gate.s3.algorithms import DEFAULT, Algorithm
from s3gate.s3.parts import FULL_OBJECT
from s3gate.store.errors import ShardMissing


class _Copied(NamedTuple):
    """The part as it was committed."""

    etag: str
    checksum: str
    modified_at: datetime


class _Whole(NamedTuple):
    """What a range is, when it is something whole: the number of a part (0: a source without parts), and its row's."""

    source_part: int
    etag: str
    checksum: str


async def upload_part_copy(call: Call) -> Response:
    """A source that is replaced and collected meanwhile is copied as it is then, if the conditions still hold."""
    request = call.request
    number = ranges.part_number(request.query.get("partNumber") or "")
    upload = await find_upload(call)
    sealing = await sealed_part(call, upload)
    for attempt in range(1, ATTEMPTS + 1):
        source = await find_source(call)
        start, stop = ranges.copy_range(request.headers.get("x-amz-copy-source-range"), source.row.size)
        if stop - start > SINGLE_WRITE_LIMIT_BYTES:
            raise too_large(SINGLE_WRITE_LIMIT_BYTES)
        try:
            part = await _copied(call, upload, number, sealing, source, start, stop)
        except (SourceChanged, ShardMissing):
            if attempt == ATTEMPTS:
                raise
        else:
            checksum = part.checksum if upload.checksum_algorithm else ""
            document = xml_out.copy_result("CopyPartResult", part.etag, part.modified_at, checksum)
            return xml(document, source_version(source.bucket, source.row) + confirmed(sealing))
    raise AssertionError("unreachable")


async def _copied(
    call: Call, upload: UploadRow, number: int, sealing: Sealing | None, source: Source, start: int, stop: int
) -> _Copied:
    algorithm = Algorithm(upload.checksum_algorithm) if upload.checksum_algorithm else DEFAULT
    whole = None if sealing is not None else await _whole(call, source.row, start, stop)
    if whole is None:
        return await _rewritten(call, upload, number, sealing, source, start, stop, algorithm)
    source_part, etag, checksum = whole
    if not checksum.startswith(f"{algorithm.value}:{FULL_OBJECT}:"):
        checksum = (await digest_source(call, source, start, stop, algorithm, False)).checksum
    modified_at = await call.gate.catalog.copy_part(source.row, source_part, upload, number, etag, checksum)
    return _Copied(etag, checksum, modified_at)


async def _whole(call: Call, row: ObjectRow, start: int, stop: int) -> _Whole | None:
    """Something whole and plain, whose ETag is the MD5 of its bytes; None: the bytes have to be written again."""
    if row.sse or start == stop:
        return None
    if not row.part_count:
        is_all = (start, stop) == (0, row.size) and not is_multipart(row)
        return _Whole(0, row.etag, row.checksum) if is_all else None
    manifest = await manifest_of(call.gate, row)
    ends = manifest.part_ends
    index = bisect_left(ends, stop)
    if (ends[index - 1] if index else 0, ends[index]) != (start, stop):
        return None
    part_number = manifest.part_numbers[index]
    parts = await call.gate.catalog.part_extents(row.content_id, part_number, part_number)
    if not parts:
        raise ContentGone(f"part {part_number} of content {row.content_id.hex()} is not there")
    return _Whole(part_number, parts[0].etag, parts[0].checksum)


async def _rewritten(
    call: Call,
    upload: UploadRow,
    number: int,
    sealing: Sealing | None,
    source: Source,
    start: int,
    stop: int,
    algorithm: Algorithm,
) -> _Copied:
    gate, digesting = call.gate, Digesting(algorithm)
    pieces = read_content(gate, source.row, start, stop, await source.key(gate))
    written = await write_pieces(call, pieces, stop - start, digesting.take, upload.group_id or None, sealing)
    part = part_row(upload, number, written, stop - start, digesting.digests(), sealing, call.now)
    return _Copied(part.etag, part.checksum, (await gate.catalog.put_part(upload, part)).modified_at)
