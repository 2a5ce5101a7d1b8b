"""GetBucketRequestPayment: the owner pays unless it was said otherwise."""

from __future__ import annotations

from s3gate.operations._bucket import find_bucket
from s3gate.operations._replies import xml
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import xml_configurations


async def get_bucket_request_payment(call: Call) -> Response:
    bucket = await find_bucket(call)
    return xml(bucket.settings.get("request-payment") or xml_configurations.default_request_payment())
