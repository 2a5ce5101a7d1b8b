"""ListBuckets: one page of the account's buckets by name."""

from __future__ import annotations

from s3gate.operations._access import account_of_caller
from s3gate.operations._acl import shown
from s3gate.operations._replies import xml
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import listing, xml_out


async def list_buckets(call: Call) -> Response:
    """One row more than asked for tells whether there is a next page."""
    asked = listing.list_buckets(call.request.query)
    owner = account_of_caller(call)
    number = 0 if call.identity is None else call.identity.number
    rows = await call.gate.catalog.list_buckets(owner, asked.prefix or "", asked.after, asked.limit + 1)
    page = rows[: asked.limit]
    token = listing.encode_token(page[-1].name.encode()) if len(rows) > asked.limit else None
    buckets = [(row.name, row.created_at, row.region) for row in page if asked.region in (None, "", row.region)]
    return xml(xml_out.list_buckets(await shown(call, owner, number), buckets, asked.prefix, token))
