"""GetObjectAttributes: what is known of an object and its parts, without the bytes."""

from __future__ import annotations

from bisect import bisect_right

from s3gate.catalog.rows import ObjectRow
from s3gate.operations._content import manifest_of, unless_gone
from s3gate.operations._encryption import opened_reading
from s3gate.operations._reading import check_conditions, find_object, is_multipart
from s3gate.operations._replies import row_version, xml
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import attributes, storage_class, xml_attributes
from s3gate.s3.attributes import Wanted
from s3gate.s3.dates import http_date
from s3gate.s3.parts import COMPOSITE
from s3gate.s3.xml_attributes import PartsPage


async def get_object_attributes(call: Call) -> Response:
    return await unless_gone(lambda: _attributes(call))


async def _attributes(call: Call) -> Response:
    asked = attributes.wanted(call.request.headers)
    bucket, row = await find_object(call)
    opened_reading(call, row)  # which insists on a customer's key
    check_conditions(call, bucket, row)
    parts = None
    if attributes.OBJECT_PARTS in asked.names and is_multipart(row):
        parts = await _parts(call, row, asked)
    label = storage_class.label_of(row.headers)
    document = xml_attributes.object_attributes(asked, row.etag, row.checksum, parts, label, row.size)
    return xml(document, [(b"last-modified", http_date(row.modified_at)), *row_version(bucket, row)])


async def _parts(call: Call, row: ObjectRow, asked: Wanted) -> PartsPage:
    """One page of the parts; only how many there are where the checksum is not made of theirs, as AWS answers."""
    manifest = await manifest_of(call.gate, row)
    numbers = manifest.part_numbers
    if row.checksum.split(":", 2)[1:2] != [COMPOSITE]:
        return PartsPage(len(numbers), (), False, False)
    first = bisect_right(numbers, asked.after)
    page = numbers[first : first + asked.limit]
    rows = await call.gate.catalog.part_extents(row.content_id, page[0], page[-1]) if page else []
    shown = [(part.part_number, part.size, part.checksum) for part in rows]
    return PartsPage(len(numbers), shown, bool(page) and page[-1] < numbers[-1], True)
