"""ListBucketAnalyticsConfigurations: a page of them by id."""

from __future__ import annotations

from s3gate.operations._named_configs import list_named
from s3gate.operations.exchange import Call, Response
from s3gate.s3.xml_configurations import ANALYTICS


async def list_bucket_analytics_configurations(call: Call) -> Response:
    return await list_named(call, ANALYTICS)
