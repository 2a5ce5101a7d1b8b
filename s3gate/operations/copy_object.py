"""CopyObject: another reference to the same content. No byte of it is written again, unless it is encrypted or
decrypted on the way: between two encrypted objects only the key is wrapped anew.

Bytes are read, and only read, where the answer needs what the row does not know: the MD5 of a source that
was uploaded in parts (a copy counts as one part, and its ETag is that of one), or another checksum.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from s3gate.catalog.errors import BucketChanged, SourceChanged
from s3gate.catalog.rows import BucketRow, Committed, Condition, ObjectRow, Stored, Traits
from s3gate.operations._access import ask_copied_tags
from s3gate.operations._acl import with_acl
from s3gate.operations._bucket import find_bucket
from s3gate.operations._commit import commit_again
from s3gate.operations._content import read_content
from s3gate.operations._encryption import (
    Decision,
    Sealing,
    confirmed,
    decide,
    etag_of,
    is_still_decided,
    sealed_anew,
    sealed_as_source,
    with_envelope,
)
from s3gate.operations._expiry import expiration_of_written
from s3gate.operations._reading import is_multipart
from s3gate.operations._replies import made_version, source_version, xml
from s3gate.operations._source import ATTEMPTS, Digesting, Source, digest_source, find_source, too_large
from s3gate.operations._traits import asked_traits, with_default_retention
from s3gate.operations._writing import SINGLE_WRITE_LIMIT_BYTES, write_pieces
from s3gate.operations.body import Digests
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import headers as object_headers
from s3gate.s3 import xml_out
from s3gate.s3.algorithms import DEFAULT, Algorithm
from s3gate.s3.checksums import ALGORITHM_HEADER, parse_algorithm
from s3gate.s3.conditions import write_condition
from s3gate.s3.errors import S3Error, invalid_argument
from s3gate.s3.request import Headers
from s3gate.s3.sse import names_encryption
from s3gate.store.errors import ShardMissing

_OWN = (object_headers.REDIRECT, object_headers.STORAGE_CLASS)
_SELF_COPY = (
    "This copy request is illegal because it is trying to copy an object to itself without changing the object's "
    "metadata, storage class, website redirect location or encryption attributes."
)


async def copy_object(call: Call) -> Response:
    """A source that changes meanwhile is copied as it is then: the conditions are judged again with it."""
    asked = call.request.headers
    condition = Condition(*write_condition(asked))
    replaces = _replaces(asked, "x-amz-metadata-directive")
    retags = _replaces(asked, "x-amz-tagging-directive")
    bucket = await find_bucket(call)
    for attempt in range(1, ATTEMPTS + 1):
        decision = await decide(call, bucket)
        source = await find_source(call)
        row = source.row
        if row.size > SINGLE_WRITE_LIMIT_BYTES:
            raise too_large(SINGLE_WRITE_LIMIT_BYTES)
        headers = _headers(asked, row, replaces, _in_place(call, source, bucket))
        kept_tags = None if retags else row.tags
        if kept_tags:
            await ask_copied_tags(call, bucket, source.bucket, row, named=source.named)
        traits = await _traits(call, bucket, kept_tags)
        try:
            copy = await _copied(call, source, decision, headers, traits)
            bucket, done = await _commit(call, bucket, source, copy, condition, kept_tags)
        except (SourceChanged, ShardMissing):
            if attempt == ATTEMPTS:
                raise
        except _NotAsDecided:
            if attempt == ATTEMPTS:
                raise
            bucket = await find_bucket(call, again=True)
        else:
            return _answer(call, source, bucket, copy, done)
    raise AssertionError("unreachable")


class _NotAsDecided(S3Error):
    """The bucket as it is now wants the copy encrypted otherwise."""


@dataclass(frozen=True, slots=True)
class _Copy:
    """What is to be committed, and what it is sealed with. `rewritten`: its bytes are its own, not the source's."""

    stored: Stored
    sealing: Sealing | None
    rewritten: bool


async def _commit(
    call: Call, bucket: BucketRow, source: Source, copy: _Copy, condition: Condition, kept_tags: bytes | None
) -> tuple[BucketRow, Committed]:
    catalog, key, stored = call.gate.catalog, call.request.key, copy.stored

    async def put(found: BucketRow, version: Stored) -> Committed:
        if copy.rewritten:
            return await catalog.put_object(found, key, version, condition)
        return await catalog.copy_object(source.row, found, key, version, condition)

    try:
        return bucket, await put(bucket, stored)
    except BucketChanged:

        async def attempt(found: BucketRow) -> Committed:
            if not await is_still_decided(call, found, copy.sealing):
                raise _NotAsDecided.of("OperationAborted")
            traits = with_envelope(await _traits(call, found, kept_tags), copy.sealing)
            return await put(found, replace(stored, traits=traits))

        lying = [(stored.layout_id, stored.extents)] if copy.rewritten else []
        return await commit_again(call, attempt, lying)


async def _traits(call: Call, bucket: BucketRow, kept_tags: bytes | None) -> Traits:
    """Tags come with the source unless they are replaced; a lock and an ACL never do."""
    traits = with_default_retention(asked_traits(call, bucket, kept_tags), bucket, call.now)
    return await with_acl(call, bucket, traits)


def _answer(call: Call, source: Source, bucket: BucketRow, copy: _Copy, done: Committed) -> Response:
    stored = copy.stored
    document = xml_out.copy_result("CopyObjectResult", stored.etag, done.modified_at, stored.checksum)
    versions = source_version(source.bucket, source.row) + made_version(done)
    return xml(document, versions + confirmed(copy.sealing) + expiration_of_written(call, bucket, stored, done))


def _in_place(call: Call, source: Source, bucket: BucketRow) -> bool:
    """Whether the copy would be what it is made from. To copy a named version over the current one restores it."""
    if source.row.key != call.request.key or source.row.bucket_id != bucket.bucket_id:
        return False
    return not (source.named and bucket.versioning)


def _replaces(headers: Headers, name: str) -> bool:
    directive = headers.get(name)
    if directive not in (None, "COPY", "REPLACE"):
        raise invalid_argument(name, directive or "", f"Unknown {name.split('-')[2]} directive.")
    return directive == "REPLACE"


async def _copied(call: Call, source: Source, decision: Decision | None, headers: bytes, traits: Traits) -> _Copy:
    """The row of the copy: the source's content under the copy's own headers, ETag and checksum."""
    row = source.row
    wanted = _algorithm(call.request.headers)
    kept = row.checksum.partition(":")[0]
    algorithm = wanted or (Algorithm(kept) if kept else DEFAULT)
    if (source.opened is None) != (decision is None):
        return await _rewritten(call, source, decision, algorithm, headers, traits)
    sealing = None
    if source.opened is not None and decision is not None:
        sealing = await sealed_as_source(call, decision, source.opened)
    if is_multipart(row) or (wanted is not None and wanted.value != kept):
        # One read of at most 5 GiB, without a write: the price of the exact ETag and checksum.
        read = await digest_source(call, source, 0, row.size, algorithm, is_multipart(row))
        digests = Digests(read.md5 or await source.md5(call.gate), read.checksum)
    else:
        digests = Digests(await source.md5(call.gate), row.checksum)
    stored = Stored(
        row.content_id,
        row.size,
        etag_of(digests.md5, sealing),
        row.layout_id,
        row.part_count,
        row.extents,
        headers,
        digests.checksum,
        with_envelope(traits, sealing),
    )
    return _Copy(stored, sealing, False)


async def _rewritten(
    call: Call, source: Source, decision: Decision | None, algorithm: Algorithm, headers: bytes, traits: Traits
) -> _Copy:
    """A plain object encrypted, or an encrypted one made plain: other bytes."""
    gate, size = call.gate, source.row.size
    sealing = None if decision is None else await sealed_anew(call, decision)
    digesting = Digesting(algorithm)
    pieces = read_content(gate, source.row, 0, size, await source.key(gate))
    written = await write_pieces(call, pieces, size, digesting.take, None, sealing)
    digests = digesting.digests()
    stored = Stored(
        written.content_id,
        size,
        etag_of(digests.md5, sealing),
        written.layout_id,
        0,
        written.extents,
        headers,
        digests.checksum,
        with_envelope(traits, sealing),
    )
    return _Copy(stored, sealing, True)


def _algorithm(headers: Headers) -> Algorithm | None:
    text = headers.get(ALGORITHM_HEADER)
    return None if text is None else parse_algorithm(text)


def _headers(asked: Headers, source: ObjectRow, replace_them: bool, in_place: bool) -> bytes:
    """The copy's headers as stored. Under COPY redirect and storage class are the request's: AWS never copies them."""
    given = object_headers.stored(asked)
    if replace_them:
        return given
    own = [pair for pair in object_headers.pairs(given) if pair[0] in _OWN]
    changed = own or "x-amz-storage-class" in asked or names_encryption(asked)
    if in_place and not changed:
        raise S3Error.of("InvalidRequest", _SELF_COPY)
    kept = [pair for pair in object_headers.pairs(source.headers) if pair[0] not in _OWN]
    return b"\0".join([text for pair in kept + own for text in pair])
