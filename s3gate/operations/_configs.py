"""The documents by which a bucket or an object is configured: how they come in, are answered and go.

Shared by every configuration operation. It knows bodies, digests and settings by kind, and no document's meaning:
what a PUT stores is what its GET answers, byte for byte.
"""

from __future__ import annotations

from s3gate.operations._bucket import find_bucket
from s3gate.operations._replies import xml
from s3gate.operations.exchange import Call, Response
from s3gate.s3.checksums import parse_request
from s3gate.s3.errors import S3Error

CONFIGURATION_LIMIT_BYTES = 256 * 1024
"""The longest configuration, where an operation knows no limit of its own."""

DIGEST_DEMANDED = frozenset(
    (
        "DeleteObjects",
        "PutBucketCors",
        "PutBucketLifecycleConfiguration",
        "PutBucketReplication",
        "PutBucketTagging",
        "PutObjectLegalHold",
        "PutObjectLockConfiguration",
        "PutObjectRetention",
    )
)
"""Refused without Content-MD5 or a checksum. AWS's model says so of more operations (the SDKs always send one), but
AWS takes those without, and clients count on it: s3cmd's policies, ACLs and websites come bare."""


def require_digest(call: Call) -> None:
    """A body that lost half of itself could still be valid: where S3 insists on a digest of it, so do we."""
    if call.operation.name not in DIGEST_DEMANDED:
        return
    if not parse_request(call.request.headers, call.auth.payload).is_given:
        message = "Missing required header for this request: Content-MD5 OR x-amz-checksum-*"
        raise S3Error.of("InvalidRequest", message)


async def read_configuration(call: Call, limit: int = CONFIGURATION_LIMIT_BYTES) -> bytes:
    """The body, verified by whatever digest came with it. Nothing at all is MissingRequestBodyError."""
    require_digest(call)
    call.body.want_md5 = False
    data = await call.body.read(limit)
    if not data:
        raise S3Error.of("MissingRequestBodyError")
    return data


async def answer_setting(call: Call, kind: str, missing: str) -> Response:
    """The document of this kind as it stands now, or the error with the code `missing`."""
    bucket = await find_bucket(call)
    document = bucket.settings.get(kind)
    if document is None:
        raise S3Error.of(missing, BucketName=bucket.name)
    return xml(document)


async def remove_setting(call: Call, kind: str) -> Response:
    """Gone, or never there: both are 204."""
    bucket = await find_bucket(call)
    await call.gate.catalog.delete_setting(bucket.name, kind)
    return Response(204)
