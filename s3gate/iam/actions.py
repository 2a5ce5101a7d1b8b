"""What an operation asks leave for: AWS's actions and the resources they act on.

The dispatch table names one action of each operation; this file knows the rest: versions have their own actions, and
headers that ask for more than the operation's name says ask leave for that too. What a body asks for (the keys of
DeleteObjects) and what a copy reads is asked by those who know it, with the functions below.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from s3gate.iam import acl
from s3gate.s3.lock import bypasses
from s3gate.s3.operation import BUCKET, MAKERS, OBJECT, Operation
from s3gate.s3.request import Headers, Request

ARN = "arn:aws:s3:::"
LIST = "s3:ListBucket"
BYPASS = "s3:BypassGovernanceRetention"

_OF_A_VERSION = {
    "s3:DeleteObject": "s3:DeleteObjectVersion",
    "s3:DeleteObjectTagging": "s3:DeleteObjectVersionTagging",
    "s3:GetObject": "s3:GetObjectVersion",
    "s3:GetObjectAcl": "s3:GetObjectVersionAcl",
    "s3:GetObjectAttributes": "s3:GetObjectVersionAttributes",
    "s3:GetObjectTagging": "s3:GetObjectVersionTagging",
    "s3:GetObjectTorrent": "s3:GetObjectVersionTorrent",
    "s3:PutObjectAcl": "s3:PutObjectVersionAcl",
    "s3:PutObjectTagging": "s3:PutObjectVersionTagging",
}
# Operations that AWS asks for a second action: the attributes are of an object that may be read.
_BESIDES = {"GetObjectAttributes": "s3:GetObject"}
_BYPASSING = frozenset(("DeleteObject", "PutObjectRetention"))
# Answered key by key (DeleteObjects), or to everybody and granting nothing (a preflight).
ASKED_ELSEWHERE = frozenset(("DeleteObjects", "OptionsObject"))


class Ask(NamedTuple):
    """Leave for one action on one resource. `bucket` is the one that the resource is or is in."""

    action: str
    arn: str
    bucket: str = ""
    on_object: bool = False
    creates: bool = False
    """It belongs to making an object, which whoever may write into the bucket will own."""


def asks(operation: Operation, request: Request, bucket_owner: str) -> tuple[Ask, ...]:
    """Everything that the request's line and headers ask leave for: all of it must be given.

    `bucket_owner` is a canonical id: an ACL for nobody but the bucket's owner takes no leave beside that of writing.
    """
    if operation.name in ASKED_ELSEWHERE:
        return ()
    if operation.level == OBJECT or operation.name == "PostObject":
        return tuple(_of_object(operation, request, bucket_owner))
    if operation.level == BUCKET:
        return tuple(_of_bucket(operation, request))
    return (Ask(operation.action, ARN + "*"),)


def _of_object(operation: Operation, request: Request, bucket_owner: str) -> Iterator[Ask]:
    bucket, arn = request.bucket, object_arn(request.bucket, request.key)
    headers, name = request.headers, operation.name
    versioned = "versionId" in request.query
    creates = name in MAKERS
    for action in (operation.action, _BESIDES.get(name)):
        if action is not None:
            yield Ask(_OF_A_VERSION.get(action, action) if versioned else action, arn, bucket, True, creates)
    if name in _BYPASSING and bypasses(headers):
        yield Ask(BYPASS, arn, bucket, True)
    if creates:
        for action in _of_maker(headers, bucket_owner, copies=name == "CopyObject"):
            yield Ask(action, arn, bucket, True, True)


def _of_maker(headers: Headers, bucket_owner: str, *, copies: bool) -> Iterator[str]:
    """What the headers want the new object to have."""
    if acl.asks(headers) and _gives_away(headers, bucket_owner):
        yield "s3:PutObjectAcl"
    if headers.get("x-amz-tagging") and (not copies or replaces_tags(headers)):
        yield "s3:PutObjectTagging"
    if "x-amz-object-lock-mode" in headers or "x-amz-object-lock-retain-until-date" in headers:
        yield "s3:PutObjectRetention"
    if "x-amz-object-lock-legal-hold" in headers:
        yield "s3:PutObjectLegalHold"


def _gives_away(headers: Headers, bucket_owner: str) -> bool:
    """Whether the ACL grants anything to others than the bucket's owner and the one who writes."""
    asked = acl.of_headers(headers, "", bucket_owner, on_bucket=False)
    return asked is not None and any(grant.grantee not in ("", bucket_owner) for grant in asked.grants)


def _of_bucket(operation: Operation, request: Request) -> Iterator[Ask]:
    bucket, arn = request.bucket, bucket_arn(request.bucket)
    yield Ask(operation.action, arn, bucket)
    if operation.name != "CreateBucket":
        return
    headers = request.headers
    if acl.asks(headers) and headers.get(acl.CANNED_HEADER) != "private":
        yield Ask("s3:PutBucketAcl", arn, bucket)
    if (headers.get("x-amz-bucket-object-lock-enabled") or "").lower() == "true":
        yield Ask("s3:PutBucketObjectLockConfiguration", arn, bucket)
        yield Ask("s3:PutBucketVersioning", arn, bucket)
    if "x-amz-object-ownership" in headers:
        yield Ask("s3:PutBucketOwnershipControls", arn, bucket)


def asks_of_deletion(bucket: str, key: bytes, *, versioned: bool, bypass: bool) -> tuple[Ask, ...]:
    """For one entry of DeleteObjects."""
    arn = object_arn(bucket, key)
    action = "s3:DeleteObjectVersion" if versioned else "s3:DeleteObject"
    found = (Ask(action, arn, bucket, True),)
    return (*found, Ask(BYPASS, arn, bucket, True)) if bypass else found


def asks_of_source(bucket: str, key: bytes, *, versioned: bool) -> tuple[Ask, ...]:
    """For reading what is copied."""
    return (Ask("s3:GetObjectVersion" if versioned else "s3:GetObject", object_arn(bucket, key), bucket, True),)


def asks_of_copied_tags(
    request: Request, bucket: str, key: bytes, *, versioned: bool
) -> tuple[tuple[Ask, ...], tuple[Ask, ...]]:
    """Of the source, and of the copy that the request makes, when CopyObject takes the source's tags along."""
    action = "s3:GetObjectVersionTagging" if versioned else "s3:GetObjectTagging"
    made = Ask("s3:PutObjectTagging", object_arn(request.bucket, request.key), request.bucket, True, True)
    return (Ask(action, object_arn(bucket, key), bucket, True),), (made,)


def replaces_tags(headers: Headers) -> bool:
    """Whether a copy has tags of its own."""
    return (headers.get("x-amz-tagging-directive") or "").upper() == "REPLACE"


def ask_to_tag(bucket: str) -> Ask:
    """For tags in the body of CreateBucket."""
    return Ask("s3:TagResource", bucket_arn(bucket), bucket)


def ask_to_change_acl(bucket: str) -> Ask:
    """For making a bucket again, which makes its ACL anew."""
    return Ask("s3:PutBucketAcl", bucket_arn(bucket), bucket)


def ask_to_list(bucket: str) -> Ask:
    """Who may not list a bucket is not told whether a key exists: 403 in place of 404."""
    return Ask(LIST, bucket_arn(bucket), bucket)


def ask_to_see(request: Request, action: str) -> Ask:
    """For one thing that is known of the version which the request reads."""
    named = _OF_A_VERSION.get(action, action) if "versionId" in request.query else action
    return Ask(named, object_arn(request.bucket, request.key), request.bucket, True)


def bucket_arn(bucket: str) -> str:
    return ARN + bucket


def object_arn(bucket: str, key: bytes) -> str:
    return f"{ARN}{bucket}/{key.decode('utf-8', 'replace')}"
