"""GetBucketWebsite: the configuration as it stands now."""

from __future__ import annotations

from s3gate.operations._configs import answer_setting
from s3gate.operations.exchange import Call, Response


async def get_bucket_website(call: Call) -> Response:
    return await answer_setting(call, "website", "NoSuchWebsiteConfiguration")
