"""GetObjectRetention: until when a version is kept, and how strictly."""

from __future__ import annotations

from s3gate.operations._reading import find_object
from s3gate.operations._replies import xml
from s3gate.operations._traits import retention_of
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import lock, xml_lock


async def get_object_retention(call: Call) -> Response:
    bucket, row = await find_object(call)
    if not bucket.lock_enabled:
        raise lock.missing_configuration()
    retention = retention_of(row.lock, row.retain_until)
    if retention is None:
        raise lock.unlocked_object()
    return xml(xml_lock.retention_document(retention))
