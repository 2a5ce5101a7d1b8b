"""PutObjectLegalHold: nobody removes the version until the hold is taken off again."""

from __future__ import annotations

from s3gate.iam.context import said_hold
from s3gate.operations._configs import read_configuration
from s3gate.operations._marking import mark
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import lock, xml_lock


async def put_object_legal_hold(call: Call) -> Response:
    hold = xml_lock.legal_hold(await read_configuration(call, xml_lock.LOCK_LIMIT_BYTES))
    call.said = said_hold(lock.ON if hold else lock.OFF)
    request, catalog = call.request, call.gate.catalog
    await mark(
        call, lambda bucket, version: catalog.put_legal_hold(bucket, request.key, version, hold), needs_lock=True
    )
    return Response()
