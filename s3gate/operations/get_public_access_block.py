"""GetPublicAccessBlock: what of the public is kept out, whatever policies and ACLs say."""

from __future__ import annotations

from s3gate.iam.decide import PUBLIC_ACCESS_BLOCK
from s3gate.operations._configs import answer_setting
from s3gate.operations.exchange import Call, Response


async def get_public_access_block(call: Call) -> Response:
    return await answer_setting(call, PUBLIC_ACCESS_BLOCK, "NoSuchPublicAccessBlockConfiguration")
