"""ListObjectVersions on a bucket without versioning: every object is its own null version."""

from __future__ import annotations

from s3gate.operations._pages import page_of_keys
from s3gate.operations._replies import xml
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import listing, xml_pages


async def list_object_versions(call: Call) -> Response:
    asked = listing.list_object_versions(call.request.query)
    page = await page_of_keys(call, asked.selection)
    bucket, last = page.bucket, None
    if page.last is not None:
        ends_in_key = bool(page.keys) and page.keys[-1].key == page.last
        last = (page.last, "null" if ends_in_key else "")
    return xml(xml_pages.list_object_versions(asked, bucket.name, bucket.owner, page.keys, page.prefixes, last))
