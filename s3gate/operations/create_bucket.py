"""CreateBucket: a name, for whoever comes first, and what the bucket is told from its beginning."""

from __future__ import annotations

import re

from s3gate.catalog.errors import BucketTaken
from s3gate.iam import acl as acls
from s3gate.iam import decide
from s3gate.iam.actions import ask_to_change_acl, ask_to_tag
from s3gate.iam.context import said_bucket
from s3gate.iam.public import acl_of_new_bucket
from s3gate.operations._access import account_of_caller, ask, ask_said
from s3gate.operations._acl import access_of, keep_acl, settled
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import xml_access, xml_in, xml_out, xml_tagging
from s3gate.s3.errors import S3Error, invalid_argument
from s3gate.s3.request import Headers

CLASSIC_REGION = "us-east-1"
OWNERSHIP = "x-amz-object-ownership"
LOCK = "x-amz-bucket-object-lock-enabled"

_REGION = re.compile(r"EU|[a-z]{2}(-[a-z]+)+-[0-9]+").fullmatch


async def create_bucket(call: Call) -> Response:
    """Making a bucket again is a success in the classic region only, and there makes its ACL anew."""
    request, settings = call.request, call.gate.settings
    lock_enabled = _wants_lock(request.headers)
    owner = account_of_caller(call)
    wanted = xml_in.create_bucket_configuration(await call.body.read(xml_in.CREATE_BUCKET_LIMIT_BYTES))
    await ask_said(call, said_bucket(wanted.location, wanted.tags))
    if wanted.tags:
        await ask(call, [ask_to_tag(request.bucket)], None)
    told = await _access(call, owner)
    if wanted.location not in ("", settings.region):
        raise _elsewhere(wanted.location, settings.region)
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
        await _make_acl_anew(call, owner)
    return Response(headers=[(b"location", b"/" + request.bucket.encode())])


def _elsewhere(location: str, region: str) -> S3Error:
    """Every region but the classic one makes buckets in itself only, and says so of those that there are at AWS."""
    if region == CLASSIC_REGION or _REGION(location) is None:
        return S3Error.of("InvalidLocationConstraint", LocationConstraint=location)
    message = (
        f"The {location} location constraint is incompatible for the region specific endpoint this request was sent to."
    )
    return S3Error.of("IllegalLocationConstraintException", message)


async def _make_acl_anew(call: Call, owner: str) -> None:
    """The ACL that the headers ask for, or none, in place of the one that there is. Changing it takes leave as ever."""
    bucket = await call.gate.catalog.find_bucket(call.request.bucket, fresh=True)
    if bucket is None or bucket.owner != owner:  # gone meanwhile
        raise S3Error.of("OperationAborted")
    access = access_of(bucket)
    asked = acl_of_new_bucket(call.request.headers, owner=owner, ownership=access.ownership, block=access.block)
    kept = acls.pack(await settled(call, asked), owner)
    if kept != bucket.settings.get(decide.ACL, b""):
        await ask(call, [ask_to_change_acl(bucket.name)], bucket)
        await keep_acl(call, bucket, kept)


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
