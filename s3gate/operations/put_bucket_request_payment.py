"""PutBucketRequestPayment: who is said to pay for requests (see `_paying.py`)."""

from __future__ import annotations

from s3gate.operations._bucket import find_bucket
from s3gate.operations._configs import read_configuration
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import xml_configurations


async def put_bucket_request_payment(call: Call) -> Response:
    bucket = await find_bucket(call)
    document = xml_configurations.request_payment(await read_configuration(call))
    await call.gate.catalog.put_setting(bucket.name, "request-payment", document)
    return Response()
