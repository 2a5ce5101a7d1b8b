"""ListObjectsV2: the listing that resumes behind an opaque token."""

from __future__ import annotations

from s3gate.operations._acl import shown
from s3gate.operations._pages import classes_of_keys, owners_of_keys, page_of_keys
from s3gate.operations._replies import xml
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import listing, xml_pages
from s3gate.s3.xml_out import NO_OWNERS


async def list_objects_v2(call: Call) -> Response:
    asked = listing.list_objects_v2(call.request.query)
    page = await page_of_keys(call, asked.selection)
    bucket = page.bucket
    token = None if page.last_key is None else listing.encode_token(page.last_key)
    classes = await classes_of_keys(call, page)
    owner = await shown(call, bucket.owner, bucket.identity_number)
    owners = await owners_of_keys(call, page) if asked.fetch_owner else NO_OWNERS
    return xml(
        xml_pages.list_objects_v2(asked, bucket.name, owner, page.entries, page.prefixes, token, classes, owners)
    )
