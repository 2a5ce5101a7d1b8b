"""CreateBucket: a name, for whoever comes first."""

from __future__ import annotations

from s3gate.catalog.errors import BucketTaken
from s3gate.operations._bucket import ROOT_ACCOUNT
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import xml_in
from s3gate.s3.errors import S3Error

CLASSIC_REGION = "us-east-1"


async def create_bucket(call: Call) -> Response:
    """Making a bucket again is a success in the classic region only, as at AWS: there it changes nothing."""
    request, settings = call.request, call.gate.settings
    wanted = xml_in.create_bucket_configuration(await call.body.read(xml_in.CREATE_BUCKET_LIMIT_BYTES))
    if wanted.location not in ("", settings.region):
        raise S3Error.of("InvalidLocationConstraint", LocationConstraint=wanted.location)
    try:
        await call.gate.catalog.create_bucket(request.bucket, ROOT_ACCOUNT, settings.region)
    except BucketTaken as taken:
        if taken.owner != ROOT_ACCOUNT:
            raise S3Error.of("BucketAlreadyExists", BucketName=request.bucket) from taken
        if settings.region != CLASSIC_REGION:
            raise S3Error.of("BucketAlreadyOwnedByYou", BucketName=request.bucket) from taken
    return Response(headers=[(b"location", b"/" + request.bucket.encode())])
