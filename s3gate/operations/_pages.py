"""Asking the catalog for one page of keys: shared by the three listings of objects."""

from __future__ import annotations

from dataclasses import dataclass

from s3gate.catalog.rows import BucketRow, CommonPrefix, ListEntry
from s3gate.operations._bucket import find_bucket
from s3gate.operations.exchange import Call
from s3gate.s3.listing import Selection


@dataclass(slots=True)
class Page:
    """Keys and common prefixes of a bucket; `last` is the last entry of either kind if more follow it."""

    bucket: BucketRow
    keys: list[ListEntry]
    prefixes: list[bytes]
    last: bytes | None


async def page_of_keys(call: Call, asked: Selection) -> Page:
    """The page, of the bucket that has this name now.

    The remembered bucket row is proved by any entry, for a bucket is empty before it can go. Only a page
    without entries has to look again whether its bucket went, or went and came back.
    """
    bucket = await find_bucket(call)
    page = await _read(call, bucket, asked)
    if page.keys or page.prefixes:
        return page
    current = await find_bucket(call, fresh=True)
    return page if current.bucket_id == bucket.bucket_id else await _read(call, current, asked)


async def _read(call: Call, bucket: BucketRow, asked: Selection) -> Page:
    if not asked.limit:  # max-keys=0 is an empty page and never truncated
        return Page(bucket, [], [], None)
    found = await call.gate.catalog.list_objects(
        bucket.bucket_id,
        prefix=asked.prefix,
        delimiter=asked.delimiter,
        after=asked.after,
        inclusive=False,
        limit=asked.limit,
    )
    entries = found.entries
    keys = [entry for entry in entries if isinstance(entry, ListEntry)]
    prefixes = [entry.prefix for entry in entries if isinstance(entry, CommonPrefix)]
    last = entries[-1] if found.truncated and entries else None
    return Page(bucket, keys, prefixes, last.prefix if isinstance(last, CommonPrefix) else last and last.key)
