"""ListObjects: the first version of the listing, which resumes behind a marker."""

from __future__ import annotations

from s3gate.operations._acl import shown
from s3gate.operations._pages import classes_of_keys, owners_of_keys, page_of_keys
from s3gate.operations._replies import xml
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import listing, xml_pages


async def list_objects(call: Call) -> Response:
    asked = listing.list_objects(call.request.query)
    page = await page_of_keys(call, asked.selection)
    bucket = page.bucket
    classes, owners = await classes_of_keys(call, page), await owners_of_keys(call, page)
    owner = await shown(call, bucket.owner, bucket.identity_number)
    last = page.last_key
    return xml(xml_pages.list_objects(asked, bucket.name, owner, page.entries, page.prefixes, last, classes, owners))
