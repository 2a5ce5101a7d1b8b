"""Finding the multipart upload that a request names. Shared by the operations on uploads and their parts."""

from __future__ import annotations

from s3gate.catalog.rows import BucketRow, UploadRow
from s3gate.iam.principal import Kind
from s3gate.operations._access import bearer_of
from s3gate.operations._acl import owner_of, shown
from s3gate.operations._bucket import find_bucket
from s3gate.operations.exchange import Call
from s3gate.s3 import headers, listing
from s3gate.s3.algorithms import DECLARED
from s3gate.s3.checksums import parse_request
from s3gate.s3.errors import S3Error
from s3gate.s3.parts import COMPOSITE
from s3gate.s3.xml_out import Owner


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


def with_initiator(call: Call, bucket: BucketRow, stored: bytes) -> bytes:
    """The headers of an upload that is begun now. The root of the bucket's owner, and nobody, are not named."""
    who = bearer_of(call).principal
    name = who.canonical_id if who.kind is Kind.ROOT else who.arn
    return headers.begun_by(stored, name) if name and name != bucket.owner else stored


async def people_of(call: Call, bucket: BucketRow, upload: UploadRow) -> tuple[Owner, Owner]:
    """Who began the upload, and whose it is. An account's root is the account; others are shown by ARN and name."""
    number = bucket.identity_number
    owner = await shown(call, owner_of(bucket, upload.traits.acl), number)
    initiator = headers.initiator_of(upload.headers)
    if not initiator.startswith("arn:"):
        return await shown(call, initiator or bucket.owner, number), owner
    return Owner(initiator, initiator.rpartition("/")[2]), owner


def no_such_upload(call: Call) -> S3Error:
    return S3Error.of("NoSuchUpload", UploadId=call.request.query.get("uploadId") or "")


def check_part_algorithm(call: Call, upload: UploadRow) -> bool:
    """A part brings no other checksum than its upload was created with; to a composite upload it brings one.

    Whether it does.
    """
    expected = parse_request(call.request.headers, call.auth.payload)
    if expected.digest is None and expected.trailer is None:
        if upload.checksum_type == COMPOSITE:
            raise _mismatch(upload, "null")
        return False
    open_to = () if expected.algorithm in DECLARED else ("",)
    if upload.checksum_algorithm not in (*open_to, expected.algorithm.value):
        raise _mismatch(upload, expected.algorithm.value.lower())
    return True


def _mismatch(upload: UploadRow, actual: str) -> S3Error:
    wanted = upload.checksum_algorithm.lower() or "null"
    message = f"Checksum Type mismatch occurred, expected checksum Type: {wanted}, actual checksum Type: {actual}"
    return S3Error.of("InvalidRequest", message)
