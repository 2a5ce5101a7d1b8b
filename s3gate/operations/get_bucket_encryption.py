"""GetBucketEncryption: the default encryption as it was set. None is set by itself."""

from __future__ import annotations

from s3gate.operations._configs import answer_setting
from s3gate.operations.exchange import Call, Response


async def get_bucket_encryption(call: Call) -> Response:
    return await answer_setting(call, "encryption", "ServerSideEncryptionConfigurationNotFoundError")
