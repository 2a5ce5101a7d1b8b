"""DeleteBucketAnalyticsConfiguration: the configuration of this id goes."""

from __future__ import annotations

from s3gate.operations._named_configs import delete_named
from s3gate.operations.exchange import Call, Response
from s3gate.s3.xml_configurations import ANALYTICS


async def delete_bucket_analytics_configuration(call: Call) -> Response:
    return await delete_named(call, ANALYTICS)
