"""PutObjectAcl: other grants on an object's version in place of those that there were. The owner stays."""

from __future__ import annotations

from s3gate.catalog.errors import AclChanged
from s3gate.iam import acl
from s3gate.operations._acl import asked_acl
from s3gate.operations._failures import RETRY_AFTER_SECONDS
from s3gate.operations._marking import mark
from s3gate.operations._reading import find_object
from s3gate.operations._replies import marked_version
from s3gate.operations.exchange import Call, Response
from s3gate.s3.errors import S3Error


async def put_object_acl(call: Call) -> Response:
    """Leave was given by the ACL that was seen, and the owner is in it: an object that took its place keeps its own."""
    bucket, row = await find_object(call)
    kept = await asked_acl(call, bucket, acl.owner_of(row.acl, bucket.owner), on_bucket=False)
    catalog, key = call.gate.catalog, call.request.key
    try:
        bucket, done = await mark(call, lambda bucket, version: catalog.put_acl(bucket, key, version, kept, row.acl))
    except AclChanged as error:
        raise S3Error.of("OperationAborted").with_headers(retry_after=RETRY_AFTER_SECONDS) from error
    return Response(headers=marked_version(bucket, done))
