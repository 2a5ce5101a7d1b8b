"""PutBucketPolicy: who else may do what here, and who may not. It is read whole before it is kept."""

from __future__ import annotations

from dataclasses import replace

from s3gate.catalog.rows import BucketRow
from s3gate.iam.actions import asks
from s3gate.iam.decide import POLICY
from s3gate.iam.policy import check_keys, parse
from s3gate.iam.public import is_public
from s3gate.operations._access import ask
from s3gate.operations._acl import access_of
from s3gate.operations._bucket import find_own_bucket
from s3gate.operations._configs import read_configuration
from s3gate.operations._principals import with_principals
from s3gate.operations.exchange import Call, Response
from s3gate.s3.errors import S3Error

CONFIRM = "x-amz-confirm-remove-self-bucket-access"


async def put_bucket_policy(call: Call) -> Response:
    bucket = await find_own_bucket(call)
    document = await read_configuration(call)
    policy = parse(document, "bucket", bucket.name)
    check_keys(document)
    kept = await with_principals(call, document, policy)
    if access_of(bucket).block.block_policy and is_public(policy):
        raise S3Error.of("AccessDenied")
    await _check_not_locked_out(call, bucket, kept)
    await call.gate.catalog.put_setting(bucket.name, POLICY, kept)
    return Response(204)


async def _check_not_locked_out(call: Call, bucket: BucketRow, kept: bytes) -> None:
    """Who would take away their own right to change the policy has to say that they mean it."""
    if (call.request.headers.get(CONFIRM) or "").lower() == "true":
        return
    then = replace(bucket, settings={**bucket.settings, POLICY: kept})
    try:
        await ask(call, asks(call.operation, call.request, bucket.owner), then)
    except S3Error as error:
        message = f"This policy will not allow you to change it in the future. Confirm it by {CONFIRM}: true."
        raise S3Error.of("InvalidRequest", message) from error
