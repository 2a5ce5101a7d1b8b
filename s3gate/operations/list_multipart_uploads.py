"""ListMultipartUploads: what was begun in a bucket and neither completed nor aborted."""

from __future__ import annotations

from s3gate.catalog.rows import BucketRow, CommonPrefix, UploadPage, UploadRow
from s3gate.operations._bucket import find_bucket
from s3gate.operations._replies import xml
from s3gate.operations._uploads import people_of
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import listing, xml_pages
from s3gate.s3.listing import ListUploads


async def list_multipart_uploads(call: Call) -> Response:
    """Ordered by key and then by upload; common prefixes as in the listings of objects."""
    asked = listing.list_multipart_uploads(call.request.query)
    bucket = await find_bucket(call)
    page = await _page(call, bucket, asked)
    uploads = [(one, *await people_of(call, bucket, one)) for one in page.entries if isinstance(one, UploadRow)]
    prefixes = [entry.prefix for entry in page.entries if isinstance(entry, CommonPrefix)]
    last = None
    if page.entries:
        final = page.entries[-1]
        last = (final.prefix, "") if isinstance(final, CommonPrefix) else (final.key, final.upload_id.hex())
    return xml(xml_pages.list_multipart_uploads(asked, bucket.name, uploads, prefixes, last, page.truncated))


async def _page(call: Call, bucket: BucketRow, asked: ListUploads) -> UploadPage:
    choice = asked.selection
    if not choice.limit:
        return UploadPage([], False)
    return await call.gate.catalog.list_uploads(
        bucket.bucket_id,
        prefix=choice.prefix,
        delimiter=choice.delimiter,
        after=choice.after,
        after_id=asked.after_upload,
        limit=choice.limit,
    )
