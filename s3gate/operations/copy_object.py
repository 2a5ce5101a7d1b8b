"""CopyObject: another reference to the same content. No byte of it is written again.

Bytes are read, and only read, where the answer needs what the row does not know: the MD5 of a source that
was uploaded in parts (a copy counts as one part, and its ETag is that of one), or another checksum.
"""

from __future__ import annotations

from s3gate.catalog.errors import SourceChanged
from s3gate.catalog.rows import Committed, Condition, ObjectRow, Stored
from s3gate.operations._bucket import find_bucket
from s3gate.operations._reading import is_multipart
from s3gate.operations._replies import xml
from s3gate.operations._source import digest_source, find_source, too_large
from s3gate.operations._writing import SINGLE_WRITE_LIMIT_BYTES
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import headers as object_headers
from s3gate.s3 import xml_out
from s3gate.s3.algorithms import DEFAULT, Algorithm
from s3gate.s3.checksums import ALGORITHM_HEADER, parse_algorithm
from s3gate.s3.conditions import write_condition
from s3gate.s3.errors import S3Error, invalid_argument
from s3gate.s3.request import Headers
from s3gate.store.errors import ShardMissing

ATTEMPTS = 3
"""How often a source that is overwritten while it is being copied is looked up anew."""

_SELF_COPY = (
    "This copy request is illegal because it is trying to copy an object to itself without changing the object's "
    "metadata, storage class, website redirect location or encryption attributes."
)


async def copy_object(call: Call) -> Response:
    """A source that changes meanwhile is copied as it is then: the conditions are judged again with it."""
    asked = call.request.headers
    condition = Condition(*write_condition(asked))
    replace = _replaces(asked, "x-amz-metadata-directive")
    _replaces(asked, "x-amz-tagging-directive")
    bucket = await find_bucket(call)
    for attempt in range(1, ATTEMPTS + 1):
        source = await find_source(call)
        if source.size > SINGLE_WRITE_LIMIT_BYTES:
            raise too_large(SINGLE_WRITE_LIMIT_BYTES)
        in_place = source.key == call.request.key and source.bucket_id == bucket.bucket_id
        headers = _headers(call.request.headers, source, replace, in_place)
        try:
            stored = await _stored(call, source, headers)
            done = await call.gate.catalog.copy_object(source, call.request.bucket, call.request.key, stored, condition)
        except (SourceChanged, ShardMissing):
            if attempt == ATTEMPTS:
                raise
        else:
            return _answer(stored, done)
    raise AssertionError("unreachable")


def _answer(stored: Stored, done: Committed) -> Response:
    return xml(xml_out.copy_result("CopyObjectResult", stored.etag, done.modified_at, stored.checksum))


def _replaces(headers: Headers, name: str) -> bool:
    directive = headers.get(name)
    if directive not in (None, "COPY", "REPLACE"):
        raise invalid_argument(name, directive or "", f"Unknown {name.split('-')[2]} directive.")
    return directive == "REPLACE"


async def _stored(call: Call, source: ObjectRow, headers: bytes) -> Stored:
    """The row of the copy: the source's content under the copy's own headers, ETag and checksum."""
    wanted = _algorithm(call.request.headers)
    etag, checksum = source.etag, source.checksum
    kept = checksum.partition(":")[0]
    if is_multipart(source) or (wanted is not None and wanted.value != kept):
        # One read of at most 5 GiB, without a write: the price of the exact ETag and checksum.
        algorithm = wanted or (Algorithm(kept) if kept else DEFAULT)
        digests = await digest_source(call, source, algorithm)
        etag, checksum = digests.etag, digests.checksum
    return Stored(
        source.content_id,
        source.size,
        etag,
        source.layout_id,
        source.part_count,
        source.extents,
        headers,
        checksum,
    )


def _algorithm(headers: Headers) -> Algorithm | None:
    text = headers.get(ALGORITHM_HEADER)
    return None if text is None else parse_algorithm(text)


def _headers(asked: Headers, source: ObjectRow, replace: bool, in_place: bool) -> bytes:
    """The copy's headers as stored. Under COPY only the redirect is the request's: AWS never copies that."""
    given = object_headers.stored(asked)
    if replace:
        return given
    redirect = [pair for pair in object_headers.pairs(given) if pair[0] == object_headers.REDIRECT]
    if in_place and not redirect and "x-amz-storage-class" not in asked:
        raise S3Error.of("InvalidRequest", _SELF_COPY)
    kept = [pair for pair in object_headers.pairs(source.headers) if pair[0] != object_headers.REDIRECT]
    return b"\0".join([text for pair in kept + redirect for text in pair])
