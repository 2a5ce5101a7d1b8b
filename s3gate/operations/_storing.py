"""A new object out of headers and a body: shared by PutObject and PostObject, whose form says the same in fields.

Check the headers, write the shards, commit the row, say so.
"""

from __future__ import annotations

from dataclasses import replace

from s3gate.catalog.errors import BucketChanged
from s3gate.catalog.rows import BucketRow, Committed, Condition, Stored, Traits
from s3gate.operations._acl import with_acl
from s3gate.operations._bucket import find_bucket
from s3gate.operations._commit import commit_again
from s3gate.operations._content import read_again
from s3gate.operations._encryption import (
    Sealing,
    confirmed,
    etag_of,
    is_still_decided,
    sealed_writing,
    with_envelope,
)
from s3gate.operations._expiry import expiration_of_written
from s3gate.operations._replies import checksum_headers, etag_header, made_version
from s3gate.operations._traits import asked_traits, check_digest_of_locked, with_default_retention
from s3gate.operations._writing import body_length, discard, write_body, write_pieces
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import headers as object_headers
from s3gate.s3.conditions import write_condition
from s3gate.store.writer import Written


async def store_object(call: Call) -> Response:
    """The bucket may be a remembered one: the commit looks at the real row."""
    gate, request = call.gate, call.request
    headers = object_headers.stored(request.headers)
    condition = Condition(*write_condition(request.headers))
    length = body_length(call)
    bucket = await find_bucket(call)
    sealing = await sealed_writing(call, bucket)
    traits = with_envelope(await _traits(call, bucket), sealing)

    def stored_as(written: Written) -> Stored:
        digests = call.body.digests()
        content_id, layout_id, extents = written.content_id, written.layout_id, written.extents
        etag = etag_of(digests.md5, sealing)
        return Stored(content_id, length, etag, layout_id, 0, extents, headers, digests.checksum, traits)

    def placed(written: Written) -> None:
        gate.catalog.expect_put(bucket, request.key, stored_as(written), condition)

    written, digests = await write_body(call, length, sealing=sealing, placed=placed)
    stored = stored_as(written)
    try:
        done = await gate.catalog.put_object(bucket, request.key, stored, condition)
    except BucketChanged:
        lying = [(written.layout_id, written.extents)]

        async def attempt(found: BucketRow) -> Committed:
            nonlocal stored, sealing
            if not await is_still_decided(call, found, sealing):
                stored, sealing = await _sealed_otherwise(call, found, stored, sealing, digests.md5)
                lying[:] = [(stored.layout_id, stored.extents)]
            anew = replace(stored, traits=with_envelope(await _traits(call, found), sealing))
            return await gate.catalog.put_object(found, request.key, anew, condition)

        bucket, done = await commit_again(call, attempt, lying)
    answer = [etag_header(stored.etag), *checksum_headers(digests.checksum), *confirmed(sealing)]
    answer += expiration_of_written(call, bucket, stored, done)
    return Response(headers=answer + made_version(done))


async def _sealed_otherwise(
    call: Call, bucket: BucketRow, stored: Stored, sealing: Sealing | None, md5: bytes
) -> tuple[Stored, Sealing | None]:
    """The object once more, as its bucket's default encryption wants it by now: the client cannot send it again."""
    fresh = await sealed_writing(call, bucket)
    key = None if sealing is None else sealing.content
    pieces = read_again(call.gate, stored.layout_id, stored.extents, stored.size, key)
    written = await write_pieces(call, pieces, stored.size, sealing=fresh)
    await discard(call.gate, [(stored.layout_id, stored.extents)])
    anew = replace(
        stored,
        content_id=written.content_id,
        layout_id=written.layout_id,
        extents=written.extents,
        etag=etag_of(md5, fresh),
    )
    return anew, fresh


async def _traits(call: Call, bucket: BucketRow) -> Traits:
    traits = with_default_retention(asked_traits(call, bucket), bucket, call.now)
    check_digest_of_locked(call, traits, "Put Object")
    return await with_acl(call, bucket, traits)
