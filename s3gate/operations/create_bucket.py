"""CreateBucket: a name, for whoever comes first, and what the bucket is told from its beginning."""

from __future__ import annotations

from s3gate.catalog.errors import BucketTaken
from s3gate.iam import acl as acls
from s3gate.iam import decide
from s3gate.iam.actions import ask_to_tag
from s3gate.iam.context import said_bucket
from s3gate.iam.public import acl_of_new_bucket
from s3gate.operations._access import account_of_caller, ask, ask_said
from s3gate.operations._acl import settled
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import xml_access, xml_in, xml_out, xml_tagging
from s3gate.s3.errors import S3Error, invalid_argument
from s3gate.s3.request import Headers

CLASSIC_REGION = "us-east-1"
OWNERSHIP = "x-amz-object-ownership"
LOCK = "x-amz-bucket-object-lock-enabled"


async def create_bucket(call: Call) -> Response:
    """Making a bucket again is a success in the classic region only. There AWS makes its ACL anew; here all stays."""
    request, settings = call.request, call.gate.settings
    lock_enabled = _wants_lock(request.headers)
    owner = account_of_caller(call)
    wanted = xml_in.create_bucket_configuration(await call.body.read(xml_in.CREATE_BUCKET_LIMIT_BYTES))
    await ask_said(call, said_bucket(wanted.location, wanted.tags))
    if wanted.tags:
        await ask(call, [ask_to_tag(request.bucket)], None)
    told = await _access(call, owner)
    if wanted.location not in ("", settings.region):
        raise S3Error.of("InvalidLocationConstraint", LocationConstraint=wanted.location)
    if wanted.tags:
        told["tagging"] = xml_tagging.tagging(wanted.tags)
    try:
        await call.gate.catalog.create_bucket(
            request.bucket, owner, settings.region, lock_enabled=lock_enabled, settings=told
        )
    except BucketTaken as taken:
        if taken.owner != owner:
            raise S3Error.of("BucketAlreadyExists", BucketName=request.bucket) from taken
        if settings.region != CLASSIC_REGION:
            raise S3Error.of("BucketAlreadyOwnedByYou", BucketName=request.bucket) from taken
    return Response(headers=[(b"location", b"/" + request.bucket.encode())])


def _wants_lock(headers: Headers) -> bool:
    value = headers.get(LOCK)
    if value is not None and value.lower() not in ("true", "false"):
        raise invalid_argument(LOCK, value, f"Value for {LOCK} header is invalid.")
    return value is not None and value.lower() == "true"


async def _access(call: Call, owner: str) -> dict[str, bytes]:
    """Who may do what from the beginning: the headers' choice, or else the installation's."""
    headers, settings = call.request.headers, call.gate.settings
    ownership = headers.get(OWNERSHIP) or settings.object_ownership
    if ownership not in xml_access.OWNERSHIPS:
        raise invalid_argument(OWNERSHIP, ownership, f"Invalid {OWNERSHIP} header: {ownership}")
    block = xml_access.ALL_BLOCKED if settings.block_public_access else xml_access.NO_BLOCK
    acl = acl_of_new_bucket(headers, owner=owner, ownership=ownership, block=block)
    told = {decide.OWNERSHIP: xml_out.ownership_controls(ownership)}
    if settings.block_public_access:
        told[decide.PUBLIC_ACCESS_BLOCK] = xml_access.public_access_block_document(block)
    kept = acls.pack(await settled(call, acl), owner)
    if kept:
        told[decide.ACL] = kept
    return told
