"""ListObjectVersions: every version of every key, delete markers among them, the newest of a key first."""

from __future__ import annotations

from s3gate.catalog.rows import CommonPrefix
from s3gate.operations._acl import shown
from s3gate.operations._pages import classes_of_versions, owners_of_versions, page_of_versions
from s3gate.operations._replies import xml
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import listing, versions, xml_versions


async def list_object_versions(call: Call) -> Response:
    asked = listing.list_object_versions(call.request.query)
    page = await page_of_versions(call, asked)
    bucket, last, behind = page.bucket, page.last, None
    if isinstance(last, CommonPrefix):
        behind = (last.prefix, "")
    elif last is not None:
        behind = (last.key, versions.encode(last.version, last.version_id))
    classes, owners = await classes_of_versions(call, page), await owners_of_versions(call, page)
    owner = await shown(call, bucket.owner, bucket.identity_number)
    document = xml_versions.list_object_versions(
        asked, bucket.name, owner, page.entries, page.prefixes, behind, classes, owners
    )
    return xml(document)
