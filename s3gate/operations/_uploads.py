"""Finding the multipart upload that a request names. Shared by the operations on uploads and their parts."""

from __future__ import annotations

from s3gate.catalog.rows import UploadRow
from s3gate.operations._bucket import find_bucket
from s3gate.operations.exchange import Call
from s3gate.s3 import listing
from s3gate.s3.algorithms import DECLARED
from s3gate.s3.checksums import parse_request
from s3gate.s3.errors import S3Error


async def find_upload(call: Call) -> UploadRow:
    """The upload under way, or NoSuchUpload."""
    request = call.request
    await find_bucket(call)
    upload_id = listing.upload_id(request.query.get("uploadId") or "")
    if upload_id is not None:
        upload = await call.gate.catalog.find_upload(request.bucket, request.key, upload_id)
        if upload is not None:
            return upload
    raise no_such_upload(call)


def no_such_upload(call: Call) -> S3Error:
    return S3Error.of("NoSuchUpload", UploadId=call.request.query.get("uploadId") or "")


def check_part_algorithm(call: Call, upload: UploadRow) -> None:
    """A part must not bring another checksum than its upload was created with."""
    expected = parse_request(call.request.headers, call.auth.payload)
    claims = expected.digest is not None or expected.trailer is not None
    open_to = () if expected.algorithm in DECLARED else ("",)
    if claims and upload.checksum_algorithm not in (*open_to, expected.algorithm.value):
        raise S3Error.of(
            "InvalidRequest",
            f"Checksum Type mismatch occurred, expected checksum Type: {upload.checksum_algorithm.lower() or 'null'}, "
            f"actual checksum Type: {expected.algorithm.value.lower()}",
        )
