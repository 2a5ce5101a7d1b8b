"""ListObjects: the first version of the listing, which resumes behind a marker."""

from __future__ import annotations

from s3gate.operations._pages import page_of_keys
from s3gate.operations._replies import xml
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import listing, xml_pages


async def list_objects(call: Call) -> Response:
    asked = listing.list_objects(call.request.query)
    page = await page_of_keys(call, asked.selection)
    bucket = page.bucket
    return xml(xml_pages.list_objects(asked, bucket.name, bucket.owner, page.keys, page.prefixes, page.last))
