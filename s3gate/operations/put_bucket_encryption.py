"""PutBucketEncryption: how objects are encrypted whose requests do not say."""

from __future__ import annotations

from s3gate.operations._bucket import find_bucket
from s3gate.operations._configs import read_configuration
from s3gate.operations._encryption import keeper
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import xml_encryption


async def put_bucket_encryption(call: Call) -> Response:
    """A key's id is not looked up here, as AWS does not either; but somebody has to keep keys."""
    bucket = await find_bucket(call)
    document = xml_encryption.canonical(await read_configuration(call))
    if xml_encryption.default_of(document).algorithm:
        keeper(call)
    await call.gate.catalog.put_setting(bucket.name, "encryption", document)
    return Response()
