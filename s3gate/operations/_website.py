"""Whether a bucket is a website, and what it is configured to be, as it stands now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3gate.catalog.errors import CatalogError
from s3gate.operations._failures import as_s3_error, no_such_bucket
from s3gate.s3.errors import S3Error
from s3gate.s3.names import check_bucket_name
from s3gate.s3.website import Website
from s3gate.s3.xml_website import website

if TYPE_CHECKING:
    from s3gate.gate import Gate
    from s3gate.s3.request import Request


async def find_website(gate: Gate, request: Request) -> Website:
    """NoSuchBucket or NoSuchWebsiteConfiguration where there is none."""
    check_bucket_name(request.bucket)
    try:
        bucket = await gate.catalog.find_bucket(request.bucket, fresh=True)
    except CatalogError as error:
        raise as_s3_error(error, request) from error
    if bucket is None:
        raise no_such_bucket(request.bucket)
    document = bucket.settings.get("website")
    if document is None:
        raise S3Error.of("NoSuchWebsiteConfiguration", BucketName=bucket.name)
    return website(document)
