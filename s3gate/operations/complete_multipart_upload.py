"""CompleteMultipartUpload: the parts become the object, in one commit that moves no byte.

A retry of what succeeded is a success: the upload is gone then, but its tombstone still says what was answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from s3gate.catalog.errors import BucketChanged, UploadMissing
from s3gate.catalog.rows import BucketRow, Committed, Condition, PartRow, Stored, UploadRow
from s3gate.operations._bucket import find_bucket
from s3gate.operations._commit import commit_again
from s3gate.operations._digests import INLINE_BYTES, POOL
from s3gate.operations._encryption import check_upload_key, completed_headers
from s3gate.operations._expiry import expiration_of_written
from s3gate.operations._replies import made_version, url_of, version_header, xml
from s3gate.operations._traits import with_default_retention
from s3gate.operations._uploads import no_such_upload
from s3gate.operations.exchange import Call, RawHeaders, Response
from s3gate.s3 import checksums, listing, parts, xml_in, xml_out
from s3gate.s3 import headers as object_headers
from s3gate.s3.algorithms import DEFAULT, Algorithm
from s3gate.s3.conditions import write_condition
from s3gate.s3.errors import S3Error
from s3gate.s3.parts import StoredPart
from s3gate.s3.request import Headers
from s3gate.s3.xml_in import CompletedPart

INLINE_PARTS = 500
"""Up to here putting them together costs less than handing it to a thread."""

T = TypeVar("T")


async def complete_multipart_upload(call: Call) -> Response:
    """Another Complete may win between the look and the commit; then its tombstone answers for both."""
    request, body, catalog = call.request, call.body, call.gate.catalog
    condition = Condition(*write_condition(request.headers))
    body.want_md5 = False
    body.checksum_is_of_body = False  # it is the object's
    data = await body.read(xml_in.COMPLETE_LIMIT_BYTES)
    listed, digest = await _aside(len(data) > INLINE_BYTES, partial(_parse, data))
    bucket = await find_bucket(call)
    upload_id = listing.upload_id(request.query.get("uploadId") or "")
    if upload_id is None:
        raise no_such_upload(call)
    upload = await catalog.find_upload(request.bucket, request.key, upload_id)
    if upload is None:
        return await _answer_again(call, bucket, upload_id, digest)
    check_upload_key(call, upload)
    stored_parts = await catalog.all_parts(upload_id)
    assembled = partial(_assemble, upload, listed, stored_parts, request.headers)
    stored, ids = await _aside(len(listed) > INLINE_PARTS, assembled)

    async def attempt(found: BucketRow) -> Committed:
        anew = replace(stored, traits=with_default_retention(upload.traits, found, call.now))
        return await catalog.complete_upload(found, upload, ids, anew, condition, digest)

    try:
        done = await attempt(bucket)
    except UploadMissing:
        return await _answer_again(call, bucket, upload_id, digest)
    except BucketChanged:
        try:
            bucket, done = await commit_again(call, attempt)
        except UploadMissing:
            return await _answer_again(call, bucket, upload_id, digest)
    said = made_version(done) + completed_headers(call.gate, upload)
    said += expiration_of_written(call, bucket, replace(stored, traits=upload.traits), done)
    return _answer(call, stored.etag, stored.checksum, said)


async def _aside(is_long: bool, work: Callable[[], T]) -> T:
    """Ten thousand parts take a tenth of a second: in a thread, so that nobody else waits for it."""
    return await asyncio.get_running_loop().run_in_executor(POOL, work) if is_long else work()


def _parse(data: bytes) -> tuple[list[CompletedPart], bytes]:
    listed = xml_in.complete_multipart_upload(data)
    return listed, parts.request_digest(listed)


def _assemble(
    upload: UploadRow, listed: Sequence[CompletedPart], there: Sequence[PartRow], asked: Headers
) -> tuple[Stored, list[tuple[int, bytes]]]:
    """What the listed parts make, if they are there and what the client says of the whole is true; and their ids."""
    kind = f"{upload.checksum_algorithm}:{upload.checksum_type}"
    chosen = parts.choose(listed, there, kind, upload.upload_id.hex())
    checksum = _checksum(upload, chosen)
    size = sum(part.size for part in chosen)
    _check_claims(asked, upload, size, checksum)
    etag = parts.multipart_etag(chosen)
    headers = object_headers.completed(upload.headers)
    stored = Stored(upload.upload_id, size, etag, chosen[0].layout_id, len(chosen), b"", headers, checksum)
    return stored, [(part.part_number, part.part_id) for part in chosen]


async def _answer_again(call: Call, bucket: BucketRow, upload_id: bytes, digest: bytes) -> Response:
    """The first answer, to whoever asks for the same parts of the same key; NoSuchUpload to everybody else."""
    done = await call.gate.catalog.find_completed(upload_id)
    if done is None or (done.bucket_id, done.key, done.request_digest) != (bucket.bucket_id, call.request.key, digest):
        raise no_such_upload(call)
    version = [version_header(done.version, done.version_id)] if done.version_id else []
    return _answer(call, done.etag, done.checksum, version)


def _answer(call: Call, etag: str, checksum: str, version: RawHeaders) -> Response:
    request = call.request
    where = url_of(request, request.key)
    return xml(xml_out.complete_multipart_upload(where, request.bucket, request.key, etag, checksum), version)


def _checksum(upload: UploadRow, chosen: Sequence[StoredPart]) -> str:
    """As the upload was created; else the default, which every part has unless its client sent another one."""
    if upload.checksum_algorithm:
        algorithm = Algorithm(upload.checksum_algorithm)
        return parts.object_checksum(algorithm, upload.checksum_type, chosen)
    sent = chosen[0].checksum.partition(":")[0]
    algorithm = Algorithm(sent) if sent else DEFAULT
    return parts.object_checksum(algorithm, parts.FULL_OBJECT, chosen) if algorithm.is_crc else ""


def _check_claims(headers: Headers, upload: UploadRow, size: int, checksum: str) -> None:
    """What the client says of the whole object, against what its parts make."""
    _check_size(headers.get("x-amz-mp-object-size"), size)
    kind = headers.get(checksums.TYPE_HEADER)
    actual = upload.checksum_type or parts.FULL_OBJECT
    if kind is not None and kind.upper() != actual:
        raise S3Error.of(
            "InvalidRequest",
            f"The upload was created using the {actual} checksum mode. The complete request must use the same "
            "checksum mode.",
        )
    claimed = checksums.parse_object_checksum(headers)
    if claimed is None:
        return
    algorithm, value = claimed
    name, _, rest = checksum.partition(":")
    if algorithm.value != name:
        raise S3Error.of(
            "InvalidRequest",
            f"Checksum Type mismatch occurred, expected checksum Type: {name.lower() or 'null'}, "
            f"actual checksum Type: {algorithm.value.lower()}",
        )
    computed = rest.partition(":")[2]
    if value not in (computed, computed.partition("-")[0]):
        raise checksums.mismatch(algorithm)


def _check_size(text: str | None, size: int) -> None:
    if text is None:
        return
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        wrong = "less than zero" if text.startswith("-") and text[1:].isdecimal() else "invalid"
        raise S3Error.of("InvalidRequest", f"Value for x-amz-mp-object-size header is {wrong}: '{text}'")
    if int(text) != size:
        message = "The provided 'x-amz-mp-object-size' header does not match what was computed."
        raise S3Error.of("InvalidRequest", message)
