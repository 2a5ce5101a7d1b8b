"""GetObjectTagging: the tags of an object's version."""

from __future__ import annotations

from s3gate.operations._reading import find_object
from s3gate.operations._replies import row_version, xml
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import tags, xml_tagging


async def get_object_tagging(call: Call) -> Response:
    bucket, row = await find_object(call, sees_markers=True)
    return xml(xml_tagging.tagging(tags.unpack(row.tags)), row_version(bucket, row))
