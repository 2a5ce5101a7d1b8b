"""DeleteObjects: up to a thousand keys in one request, each with an answer of its own."""

from __future__ import annotations

import asyncio

from s3gate.catalog.errors import BucketMissing, CatalogError, ObjectMissing
from s3gate.catalog.rows import NO_CONDITION, Condition
from s3gate.operations._bucket import find_bucket
from s3gate.operations._failures import as_s3_error
from s3gate.operations._reading import NULL_VERSION
from s3gate.operations._replies import xml
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import xml_in, xml_out
from s3gate.s3.checksums import parse_request
from s3gate.s3.conditions import parse_etags
from s3gate.s3.errors import S3Error
from s3gate.s3.names import check_key
from s3gate.s3.xml_in import DeleteEntry

KEYS_AT_ONCE = 250
"""How many keys of one request wait in the catalog's batches at a time (law 9)."""


async def delete_objects(call: Call) -> Response:
    """The list must come with a digest: a body that lost half of itself could still be valid."""
    body = call.body
    if not parse_request(call.request.headers, call.auth.payload).is_given:
        message = "Missing required header for this request: Content-MD5 OR x-amz-checksum-*"
        raise S3Error.of("InvalidRequest", message)
    body.want_md5 = False
    entries, quiet = xml_in.delete(await body.read(xml_in.DELETE_LIMIT_BYTES))
    await find_bucket(call)
    outcomes: dict[DeleteEntry, S3Error | None] = {}
    distinct = list(dict.fromkeys(entries))  # named twice is deleted once: the second would wait for the first's commit
    for first in range(0, len(distinct), KEYS_AT_ONCE):
        together = distinct[first : first + KEYS_AT_ONCE]
        errors = await asyncio.gather(*[_delete(call, entry) for entry in together])
        outcomes.update(zip(together, errors, strict=True))
    answers = [(entry, outcomes[entry]) for entry in entries]
    deleted = [(entry.key, entry.version_id) for entry, error in answers if error is None and not quiet]
    failed = [(entry.key, entry.version_id, error.code, error.message) for entry, error in answers if error is not None]
    return xml(xml_out.delete_result(deleted, failed))


async def _delete(call: Call, entry: DeleteEntry) -> S3Error | None:
    """None when the key has no object now. Only a vanished bucket fails the whole request."""
    try:
        condition = _condition(entry)
        await call.gate.catalog.delete_object(call.request.bucket, entry.key, condition)
    except ObjectMissing:
        return None
    except BucketMissing:
        raise
    except S3Error as error:
        return error
    except CatalogError as error:
        return as_s3_error(error, call.request)
    return None


def _condition(entry: DeleteEntry) -> Condition:
    check_key(entry.key)
    if entry.version_id not in (None, "", NULL_VERSION):
        raise S3Error.of("NoSuchVersion", "Invalid version id specified")
    if entry.refused is not None:
        raise S3Error.of("NotImplemented", f"The condition {entry.refused} is not implemented")
    return NO_CONDITION if entry.etag is None else Condition(parse_etags(entry.etag), False)
