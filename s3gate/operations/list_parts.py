"""ListParts: what of an upload has arrived, by which an interrupted client resumes."""

from __future__ import annotations

from s3gate.catalog.rows import PartRow
from s3gate.operations._bucket import find_bucket
from s3gate.operations._encryption import check_upload_key
from s3gate.operations._expiry import abortion_of_upload
from s3gate.operations._replies import xml
from s3gate.operations._uploads import find_upload, people_of
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import listing, xml_pages


async def list_parts(call: Call) -> Response:
    asked = listing.list_parts(call.request.query)
    upload = await find_upload(call)
    check_upload_key(call, upload)
    rows: list[PartRow] = []
    truncated = False
    if asked.limit:
        rows, truncated = await call.gate.catalog.list_parts(upload.upload_id, asked.after, asked.limit)
    bucket = await find_bucket(call)
    people = await people_of(call, bucket, upload)
    document = xml_pages.list_parts(asked, bucket.name, people, upload, rows, truncated)
    return xml(document, abortion_of_upload(call, bucket, upload))
