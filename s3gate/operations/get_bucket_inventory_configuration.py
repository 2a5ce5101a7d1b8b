"""GetBucketInventoryConfiguration: one configuration by its id."""

from __future__ import annotations

from s3gate.operations._named_configs import get_named
from s3gate.operations.exchange import Call, Response
from s3gate.s3.xml_configurations import INVENTORY


async def get_bucket_inventory_configuration(call: Call) -> Response:
    return await get_named(call, INVENTORY)
