"""Buckets whose requesters pay: nobody is charged here, but others than the owner have to say that they would pay.

It knows who has to say so, and of which operations; not whether they may do what they want.
"""

from __future__ import annotations

from s3gate.catalog.rows import BucketRow
from s3gate.operations.exchange import Call, RawHeaders
from s3gate.s3.errors import S3Error
from s3gate.s3.xml_configurations import requester_pays

PAYER = "x-amz-request-payer"
REQUESTER = "requester"
PAID = frozenset(
    (
        "AbortMultipartUpload",
        "CompleteMultipartUpload",
        "CopyObject",
        "CreateMultipartUpload",
        "DeleteObject",
        "DeleteObjects",
        "GetObject",
        "GetObjectAcl",
        "GetObjectAttributes",
        "GetObjectLegalHold",
        "GetObjectRetention",
        "GetObjectTagging",
        "HeadObject",
        "ListMultipartUploads",
        "ListObjectVersions",
        "ListObjects",
        "ListObjectsV2",
        "ListParts",
        "PostObject",
        "PutObject",
        "PutObjectAcl",
        "PutObjectLegalHold",
        "PutObjectLockConfiguration",
        "PutObjectRetention",
        "PutObjectTagging",
        "UploadPart",
        "UploadPartCopy",
    )
)
"""The operations on objects that take the header, as AWS's model has them (a test compares), and the form, whose field
it is. GetBucketAccelerateConfiguration takes it too, and is nobody's but the owner's."""


def check_payer(call: Call, row: BucketRow) -> None:
    """AccessDenied for those who do not say that they pay. A form says it in its fields, which are read later."""
    if not _is_charged(call, row) or (call.operation.name == "PostObject" and call.said is None):
        return
    request = call.request
    if call.identity is None or (request.headers.get(PAYER) or request.query.get(PAYER)) != REQUESTER:
        raise S3Error.of("AccessDenied")


def charged(call: Call) -> RawHeaders:
    """What the answer says to those who pay."""
    row = call.bucket
    return [(b"x-amz-request-charged", REQUESTER.encode())] if row is not None and _is_charged(call, row) else []


def _is_charged(call: Call, row: BucketRow) -> bool:
    document = row.settings.get("request-payment")
    if document is None or call.operation.name not in PAID or not requester_pays(document):
        return False
    identity = call.identity
    return identity is None or identity.principal.canonical_id != row.owner
