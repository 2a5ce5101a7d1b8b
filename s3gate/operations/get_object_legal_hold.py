"""GetObjectLegalHold: whether a version is held, if anybody ever said."""

from __future__ import annotations

from s3gate.operations._reading import find_object
from s3gate.operations._replies import xml
from s3gate.operations._traits import hold_of
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import lock, xml_lock


async def get_object_legal_hold(call: Call) -> Response:
    bucket, row = await find_object(call)
    if not bucket.lock_enabled:
        raise lock.missing_configuration()
    hold = hold_of(row.lock)
    if hold is None:
        raise lock.unlocked_object()
    return xml(xml_lock.legal_hold_document(hold))
