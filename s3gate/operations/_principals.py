"""A bucket's policy names nobody who does not exist."""

from __future__ import annotations

import json

from s3gate.iam.statement import Policy
from s3gate.identity.existence import unknown_principal
from s3gate.operations.exchange import Call
from s3gate.s3.errors import S3Error


async def check_principals(call: Call, policy: Policy) -> None:
    """MalformedPolicy naming the first that does not exist."""
    unknown = await unknown_principal(call.gate.identities, policy)
    if unknown is not None:
        detail = " : ".join(map(json.dumps, unknown))
        raise S3Error.of("MalformedPolicy", "Invalid principal in policy", Detail=detail)
