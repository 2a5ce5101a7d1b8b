"""The bucket that a request names. Shared by every operation below a bucket."""

from __future__ import annotations

import re

from s3gate.catalog.rows import BucketRow
from s3gate.operations._access import account_of_caller, admit
from s3gate.operations._failures import no_such_bucket
from s3gate.operations.exchange import Call
from s3gate.s3.errors import S3Error

EXPECTED_OWNER = "x-amz-expected-bucket-owner"
_ACCOUNT = re.compile("[0-9]{12}|[0-9a-f]{64}")


async def find_bucket(call: Call, *, again: bool = False) -> BucketRow:
    """The request's bucket, as the request was let into it, or NoSuchBucket.

    It is as old as the request, or a remembered one where a commit or a lookup compares it; `again` asks anew.
    """
    row = call.bucket
    if row is None or again:
        row = await call.gate.catalog.find_bucket(call.request.bucket, fresh=again)
        if row is None:
            raise no_such_bucket(call.request.bucket)
        await admit(call, row)
    await check_owner(call, row)
    return row


async def find_own_bucket(call: Call) -> BucketRow:
    """The same for what the owner's account alone may do, whoever else was allowed it: MethodNotAllowed to others."""
    row = await find_bucket(call)
    if account_of_caller(call) != row.owner:
        raise S3Error.of("MethodNotAllowed", Method=call.request.method, ResourceType="BUCKETPOLICY")
    return row


async def check_owner(call: Call, row: BucketRow, name: str = EXPECTED_OWNER) -> None:
    """AccessDenied when the client expects the bucket to be another account's: by its number or its canonical id."""
    expected = call.request.headers.get(name)
    if expected is None or expected == row.owner:
        return
    if not _ACCOUNT.fullmatch(expected):
        raise S3Error.of("InvalidBucketOwnerAWSAccountID")
    if expected != await call.gate.identities.account_of(row.owner, row.identity_number):
        raise S3Error.of("AccessDenied")
