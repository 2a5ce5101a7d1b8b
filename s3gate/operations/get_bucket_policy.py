"""GetBucketPolicy: the document as it was put, with the names that those whom it means have now."""

from __future__ import annotations

from s3gate.iam.decide import POLICY
from s3gate.identity.existence import as_shown
from s3gate.operations._bucket import find_own_bucket
from s3gate.operations.exchange import Call, Response
from s3gate.s3.errors import S3Error


async def get_bucket_policy(call: Call) -> Response:
    bucket = await find_own_bucket(call)
    kept = bucket.settings.get(POLICY)
    if kept is None:
        raise S3Error.of("NoSuchBucketPolicy", BucketName=bucket.name)
    document = await as_shown(call.gate.identities, kept)
    return Response(headers=[(b"content-type", b"application/json")], body=document)
