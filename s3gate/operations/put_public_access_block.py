"""PutPublicAccessBlock: four switches against the public, whatever policies and ACLs say."""

from __future__ import annotations

from s3gate.iam.decide import PUBLIC_ACCESS_BLOCK
from s3gate.operations._bucket import find_bucket
from s3gate.operations._configs import read_configuration
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import xml_access


async def put_public_access_block(call: Call) -> Response:
    bucket = await find_bucket(call)
    block = xml_access.public_access_block(await read_configuration(call, xml_access.LIMIT_BYTES))
    document = xml_access.public_access_block_document(block)
    await call.gate.catalog.put_setting(bucket.name, PUBLIC_ACCESS_BLOCK, document)
    return Response()
