"""GetObjectTagging: no object has tags, for none can be given yet. The aws cli asks before it copies in parts."""

from __future__ import annotations

from s3gate.operations._reading import find_row
from s3gate.operations._replies import xml
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import xml_out


async def get_object_tagging(call: Call) -> Response:
    await find_row(call)
    return xml(xml_out.tagging())
