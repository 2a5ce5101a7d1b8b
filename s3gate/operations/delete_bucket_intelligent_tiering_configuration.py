"""DeleteBucketIntelligentTieringConfiguration: the configuration of this id goes."""

from __future__ import annotations

from s3gate.operations._named_configs import delete_named
from s3gate.operations.exchange import Call, Response
from s3gate.s3.xml_configurations import TIERING


async def delete_bucket_intelligent_tiering_configuration(call: Call) -> Response:
    return await delete_named(call, TIERING)
