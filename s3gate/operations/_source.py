"""The source of a copy: named by a header, looked up, and judged by its own conditions.

Shared by CopyObject and UploadPartCopy, which both may have to look at the source's bytes.
"""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import aclosing

from s3gate.catalog.rows import ObjectRow
from s3gate.operations._content import Piece, read_content
from s3gate.operations._digests import INLINE_BYTES, POOL
from s3gate.operations._failures import no_such_bucket, no_such_key
from s3gate.operations._reading import check_version
from s3gate.operations.exchange import Call
from s3gate.s3 import checksums
from s3gate.s3.algorithms import Algorithm
from s3gate.s3.conditions import check_copy_source, check_expected_owner
from s3gate.s3.errors import S3Error, invalid_argument
from s3gate.s3.names import parse_copy_source


async def find_source(call: Call) -> ObjectRow:
    """The object that x-amz-copy-source names, if the copy's conditions hold for it."""
    headers = call.request.headers
    text = headers.get("x-amz-copy-source")
    if text is None:
        message = "Copy Source must mention the source bucket and key: sourcebucket/sourcekey"
        raise invalid_argument("x-amz-copy-source", "", message)
    bucket_name, key, version_id = parse_copy_source(text)
    check_version(version_id)
    bucket, row = await call.gate.catalog.find_object(bucket_name, key)
    if bucket is None:
        raise no_such_bucket(bucket_name)
    check_expected_owner(headers, bucket.owner, "x-amz-source-expected-bucket-owner")
    if row is None:
        raise no_such_key(key)
    check_copy_source(headers, row.etag, row.modified_at)
    return row


def too_large(limit: int) -> S3Error:
    return S3Error.of(
        "InvalidRequest",
        f"The specified copy source is larger than the maximum allowable size for a copy source: {limit}",
    )


class Digesting:
    """Bytes on their way through MD5 and one checksum, in the threads beside the event loop."""

    __slots__ = ("_algorithm", "_hashers")

    def __init__(self, algorithm: Algorithm) -> None:
        self._algorithm = algorithm
        self._hashers = (hashlib.md5(usedforsecurity=False), checksums.new(algorithm))

    async def take(self, piece: Piece) -> None:
        """Returns when the piece may be forgotten."""
        if len(piece) <= INLINE_BYTES:
            for hasher in self._hashers:
                hasher.update(piece)
            return
        loop = asyncio.get_running_loop()
        await asyncio.gather(*[loop.run_in_executor(POOL, hasher.update, piece) for hasher in self._hashers])

    @property
    def etag(self) -> str:
        return self._hashers[0].digest().hex()

    @property
    def checksum(self) -> str:
        return checksums.Checksum.full(self._algorithm, self._hashers[1].digest()).text()


async def digest_source(call: Call, row: ObjectRow, algorithm: Algorithm) -> Digesting:
    """Reads the whole object for its MD5 and checksum; nothing is written."""
    digesting = Digesting(algorithm)
    async with aclosing(read_content(call.gate, row, 0, row.size)) as pieces:
        async for piece in pieces:
            await digesting.take(piece)
    return digesting
