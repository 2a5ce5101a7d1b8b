"""DeleteObjects: up to a thousand keys or versions in one request, each with an answer of its own."""

from __future__ import annotations

import asyncio

from s3gate.catalog.errors import BucketChanged, BucketMissing, CatalogError
from s3gate.catalog.rows import NO_CONDITION, BucketRow, Condition, Deleted, VersionRef
from s3gate.iam.actions import asks_of_deletion
from s3gate.operations._access import ask
from s3gate.operations._bucket import find_bucket
from s3gate.operations._commit import commit_again
from s3gate.operations._configs import require_digest
from s3gate.operations._failures import as_s3_error
from s3gate.operations._removing import remove
from s3gate.operations._replies import xml
from s3gate.operations.exchange import Call, Removal, Response
from s3gate.s3 import versions, xml_in, xml_out
from s3gate.s3.conditions import parse_etags
from s3gate.s3.errors import S3Error
from s3gate.s3.lock import bypasses
from s3gate.s3.names import check_key
from s3gate.s3.xml_in import DeleteEntry

KEYS_AT_ONCE = 250
"""How many keys of one request wait in the catalog's batches at a time (law 9)."""

Outcome = S3Error | Deleted | None


async def delete_objects(call: Call) -> Response:
    """The list must come with a digest: a body that lost half of itself could still be valid."""
    require_digest(call)
    body = call.body
    body.want_md5 = False
    entries, quiet = xml_in.delete(await body.read(xml_in.DELETE_LIMIT_BYTES))
    bucket = await find_bucket(call)
    outcomes: dict[DeleteEntry, Outcome] = {}
    distinct = list(dict.fromkeys(entries))  # named twice is deleted once: the second would wait for the first's commit
    for first in range(0, len(distinct), KEYS_AT_ONCE):
        together = distinct[first : first + KEYS_AT_ONCE]
        results = await asyncio.gather(*[_delete(call, bucket, entry) for entry in together])
        outcomes.update(zip(together, results, strict=True))
    call.removed = [_removal(entry, outcome) for entry, outcome in outcomes.items()]
    deleted, failed = [], []
    for entry in entries:
        outcome = outcomes[entry]
        if isinstance(outcome, S3Error):
            failed.append((entry.key, entry.version_id, outcome.code, outcome.message))
        elif not quiet:
            deleted.append((entry.key, entry.version_id or None, _marker(entry, outcome)))
    return xml(xml_out.delete_result(deleted, failed))


def _removal(entry: DeleteEntry, outcome: Outcome) -> Removal:
    return Removal(entry.key, entry.version_id or "", outcome if isinstance(outcome, S3Error) else None)


async def _delete(call: Call, bucket: BucketRow, entry: DeleteEntry) -> Outcome:
    """What became of one entry. Only a vanished bucket fails the whole request."""
    try:
        check_key(entry.key)
        version = _version(entry)
        condition = _condition(entry)

        async def attempt(found: BucketRow) -> Deleted | None:
            await _ask(call, found, entry)
            return await remove(call, found, entry.key, version, condition)

        try:
            return await attempt(bucket)
        except BucketChanged:
            return (await commit_again(call, attempt))[1]
    except BucketMissing:
        raise
    except S3Error as error:
        if error.code == "NoSuchBucket":
            raise
        return error
    except CatalogError as error:
        return as_s3_error(error, call.request)


async def _ask(call: Call, bucket: BucketRow, entry: DeleteEntry) -> None:
    """Leave is asked for every entry by itself."""
    asked = asks_of_deletion(
        bucket.name, entry.key, versioned=bool(entry.version_id), bypass=bypasses(call.request.headers)
    )
    await ask(call, asked, bucket, key=entry.key, version_id=entry.version_id or "")


def _version(entry: DeleteEntry) -> VersionRef | None:
    """The version that is named. In a list, one that cannot be is a version that is not there."""
    try:
        return versions.decode(entry.version_id) if entry.version_id else None
    except S3Error:
        raise S3Error.of("NoSuchVersion") from None


def _condition(entry: DeleteEntry) -> Condition:
    if entry.etag is None and entry.size is None and entry.modified_at is None:
        return NO_CONDITION
    return Condition(None if entry.etag is None else parse_etags(entry.etag), False, entry.size, entry.modified_at)


def _marker(entry: DeleteEntry, deleted: Deleted | None) -> str | None:
    """The delete marker that was made, or removed: then it is the version that was named."""
    if deleted is None or not deleted.marker:
        return None
    return entry.version_id or versions.encode(deleted.version, deleted.version_id)
