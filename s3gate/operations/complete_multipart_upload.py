"""CompleteMultipartUpload: the parts become the object, in one commit that moves no byte.

A retry of what succeeded is a success: the upload is gone then, but its tombstone still says what was answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from s3gate.catalog.errors import UploadMissing
from s3gate.catalog.rows import Condition, Stored, UploadRow
from s3gate.operations._bucket import find_bucket
from s3gate.operations._replies import xml
from s3gate.operations._uploads import no_such_upload
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import checksums, listing, parts, xml_in, xml_out
from s3gate.s3.algorithms import DEFAULT, Algorithm
from s3gate.s3.conditions import write_condition
from s3gate.s3.errors import S3Error, invalid_argument
from s3gate.s3.parts import StoredPart
from s3gate.s3.request import Headers


async def complete_multipart_upload(call: Call) -> Response:
    """Another Complete may win between the look and the commit; then its tombstone answers for both."""
    request, body, catalog = call.request, call.body, call.gate.catalog
    condition = Condition(*write_condition(request.headers))
    body.want_md5 = False
    body.checksum_is_of_body = False  # it is the object's
    listed = xml_in.complete_multipart_upload(await body.read(xml_in.COMPLETE_LIMIT_BYTES))
    digest = parts.request_digest(listed)
    bucket = await find_bucket(call)
    upload_id = listing.upload_id(request.query.get("uploadId") or "")
    if upload_id is None:
        raise no_such_upload(call)
    upload = await catalog.find_upload(request.bucket, request.key, upload_id)
    if upload is None:
        return await _answer_again(call, bucket.bucket_id, upload_id, digest)
    stored_parts = await catalog.all_parts(upload_id)
    kind = f"{upload.checksum_algorithm}:{upload.checksum_type}"
    chosen = parts.choose(listed, stored_parts, kind)
    checksum = _checksum(upload, chosen)
    size = sum(part.size for part in chosen)
    _check_claims(request.headers, upload, size, checksum)
    etag = parts.multipart_etag(chosen)
    stored = Stored(upload_id, size, etag, chosen[0].layout_id, len(chosen), b"", upload.headers, checksum)
    ids = [(part.part_number, part.part_id) for part in chosen]
    try:
        await catalog.complete_upload(upload, ids, stored, condition, digest)
    except UploadMissing:
        return await _answer_again(call, bucket.bucket_id, upload_id, digest)
    return _answer(call, etag, checksum)


async def _answer_again(call: Call, bucket_id: int, upload_id: bytes, digest: bytes) -> Response:
    """The first answer, to whoever asks for the same parts of the same key; NoSuchUpload to everybody else."""
    done = await call.gate.catalog.find_completed(upload_id)
    if done is None or (done.bucket_id, done.key, done.request_digest) != (bucket_id, call.request.key, digest):
        raise no_such_upload(call)
    return _answer(call, done.etag, done.checksum)


def _answer(call: Call, etag: str, checksum: str) -> Response:
    request = call.request
    where = f"{request.scheme}://{request.host}/{request.bucket}/{quote(request.key, safe='/')}"
    return xml(xml_out.complete_multipart_upload(where, request.bucket, request.key, etag, checksum))


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
        message = "Value for x-amz-mp-object-size header is invalid."
        raise invalid_argument("x-amz-mp-object-size", text, message)
    if int(text) != size:
        message = "The provided 'x-amz-mp-object-size' header does not match what was computed."
        raise S3Error.of("InvalidRequest", message)
