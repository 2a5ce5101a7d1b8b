"""PutBucketIntelligentTieringConfiguration: one configuration, kept under its id."""

from __future__ import annotations

from s3gate.operations._named_configs import put_named
from s3gate.operations.exchange import Call, Response
from s3gate.s3.xml_configurations import TIERING


async def put_bucket_intelligent_tiering_configuration(call: Call) -> Response:
    return await put_named(call, TIERING)
