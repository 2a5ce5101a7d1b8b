"""DeletePublicAccessBlock: policies and ACLs alone say who is let in."""

from __future__ import annotations

from s3gate.iam.decide import PUBLIC_ACCESS_BLOCK
from s3gate.operations._configs import remove_setting
from s3gate.operations.exchange import Call, Response


async def delete_public_access_block(call: Call) -> Response:
    return await remove_setting(call, PUBLIC_ACCESS_BLOCK)
