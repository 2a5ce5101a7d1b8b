"""PutObjectRetention: keeps a version longer, or (governance, with the bypass) shorter or not at all."""

from __future__ import annotations

from s3gate.iam.context import said_retention
from s3gate.operations._configs import read_configuration
from s3gate.operations._marking import mark
from s3gate.operations._traits import mode_bits
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import lock, xml_lock


async def put_object_retention(call: Call) -> Response:
    """Whether the retention that stands may be changed so is decided in the commit, by Postgres' clock."""
    request, catalog = call.request, call.gate.catalog
    wanted = xml_lock.retention(await read_configuration(call, xml_lock.LOCK_LIMIT_BYTES))
    call.said = {} if wanted is None else said_retention(wanted.mode, wanted.until, call.now)
    if wanted is not None:
        lock.check_future(wanted.until, call.now)
    bits, until = mode_bits(wanted), None if wanted is None else wanted.until
    bypass = lock.bypasses(request.headers)
    await mark(
        call,
        lambda bucket, version: catalog.put_retention(bucket, request.key, version, bits, until, bypass=bypass),
        needs_lock=True,
    )
    return Response()
