"""A bucket's policy names nobody who does not exist, and is kept with whom it means."""

from __future__ import annotations

import json

from s3gate.iam.statement import Policy
from s3gate.identity.existence import UnknownPrincipal, as_kept
from s3gate.operations.exchange import Call
from s3gate.s3.errors import S3Error


async def with_principals(call: Call, document: bytes, policy: Policy) -> bytes:
    """The document as it is to be kept. MalformedPolicy naming the first that does not exist."""
    try:
        return await as_kept(call.gate.identities, document, policy)
    except UnknownPrincipal as unknown:
        detail = " : ".join(map(json.dumps, (unknown.listed_as, unknown.name)))
        raise S3Error.of("MalformedPolicy", "Invalid principal in policy", Detail=detail) from None
