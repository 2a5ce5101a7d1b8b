"""The source of a copy: named by a header, looked up, and judged by its own conditions.

Shared by CopyObject and UploadPartCopy, which both may have to look at the source's bytes.
"""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from s3gate.catalog.rows import BucketRow, ObjectRow
from s3gate.operations._access import ask_source
from s3gate.operations._bucket import check_owner
from s3gate.operations._content import Piece, read_content
from s3gate.operations._digests import INLINE_BYTES, POOL
from s3gate.operations._encryption import Opened, opened_source
from s3gate.operations._reading import look_up, missing
from s3gate.operations.body import Digests
from s3gate.operations.exchange import Call
from s3gate.s3 import checksums, versions
from s3gate.s3.algorithms import Algorithm, new
from s3gate.s3.conditions import check_copy_source
from s3gate.s3.errors import S3Error, invalid_argument
from s3gate.s3.names import parse_copy_source

if TYPE_CHECKING:
    from s3gate.crypto.blocks import DataKey
    from s3gate.gate import Gate


@dataclass(frozen=True, slots=True)
class Source:
    """What is copied: an object's version in its bucket, and whether it was named by its version id."""

    bucket: BucketRow
    row: ObjectRow
    named: bool
    opened: Opened | None
    """Of an encrypted one: what it takes to read it."""

    async def key(self, gate: Gate) -> DataKey | None:
        """With which its bytes are read."""
        return None if self.opened is None else await self.opened.data_key(gate)

    async def md5(self, gate: Gate) -> bytes:
        """Of a source in one piece, from its ETag."""
        etag = self.row.etag
        return bytes.fromhex(etag) if self.opened is None else await self.opened.md5(gate, etag)


async def find_source(call: Call) -> Source:
    """The version that x-amz-copy-source names, if the copy's conditions hold for it."""
    headers = call.request.headers
    text = headers.get("x-amz-copy-source")
    if text is None:
        message = "Copy Source must mention the source bucket and key: sourcebucket/sourcekey"
        raise invalid_argument("x-amz-copy-source", "", message)
    bucket_name, key, version_id = parse_copy_source(text)
    version = None if version_id is None else versions.decode(version_id)
    bucket, row = await look_up(call, bucket_name, key, version)
    await ask_source(call, bucket, key, row, version_id)
    await check_owner(call, bucket, "x-amz-source-expected-bucket-owner")
    if row is not None and row.marker and version is not None:
        message = "The source of a copy request may not specifically refer to a delete marker by version id."
        raise S3Error.of("InvalidRequest", message)
    if row is None or row.marker:
        raise missing(key, row, version_id, call.request.method)
    opened = opened_source(call, row)
    check_copy_source(headers, row.etag, row.modified_at, call.now)
    return Source(bucket, row, version is not None, opened)


def too_large(limit: int) -> S3Error:
    return S3Error.of(
        "InvalidRequest",
        f"The specified copy source is larger than the maximum allowable size for a copy source: {limit}",
    )


ATTEMPTS = 3
"""How often a source that is overwritten while it is being copied is looked up anew."""


class Digesting:
    """Bytes on their way through MD5, where it is wanted, and one checksum, in the threads beside the event loop."""

    __slots__ = ("_algorithm", "_checksum", "_hashers", "_md5")

    def __init__(self, algorithm: Algorithm, want_md5: bool = True) -> None:
        self._algorithm = algorithm
        self._md5 = hashlib.md5(usedforsecurity=False) if want_md5 else None
        self._checksum = new(algorithm)
        self._hashers = (self._checksum,) if self._md5 is None else (self._md5, self._checksum)

    async def take(self, piece: Piece) -> None:
        """Returns when the piece may be forgotten."""
        if len(piece) <= INLINE_BYTES:
            for hasher in self._hashers:
                hasher.update(piece)
            return
        loop = asyncio.get_running_loop()
        await asyncio.gather(*[loop.run_in_executor(POOL, hasher.update, piece) for hasher in self._hashers])

    def digests(self) -> Digests:
        """Of what was taken; the MD5 is empty unless it was wanted."""
        checksum = checksums.Checksum.full(self._algorithm, self._checksum.digest())
        return Digests(b"" if self._md5 is None else self._md5.digest(), checksum.text())


async def digest_source(
    call: Call, source: Source, start: int, stop: int, algorithm: Algorithm, want_md5: bool
) -> Digests:
    """Reads these bytes of the object for their checksum and, where it is wanted, MD5; nothing is written."""
    digesting = Digesting(algorithm, want_md5)
    key = await source.key(call.gate)
    async with aclosing(read_content(call.gate, source.row, start, stop, key)) as pieces:
        async for piece in pieces:
            await digesting.take(piece)
    return digesting.digests()
