"""Looking up objects: the visible version of a key, asked of Postgres every time (law 1), many in one statement.

It refuses to cache objects. The statement says which bucket of this name there is now and how its configuration is
numbered; a remembered row only saves making the same value again.
"""

from __future__ import annotations

from collections.abc import Sequence

from s3gate.catalog.batcher import Batcher
from s3gate.catalog.buckets import Buckets, is_storable
from s3gate.catalog.connection import Statement
from s3gate.catalog.limits import Limits
from s3gate.catalog.parameters import BYTEA_ARRAY, TEXT_ARRAY
from s3gate.catalog.pool import Pool
from s3gate.catalog.rows import BucketRow, ObjectRow

FIND = Statement(
    "object_find",
    """SELECT n.idx, b.config_number, b.owner, b.region, b.created_at, b.bucket_id, o.key, o.version, o.content_id,
              o.size, o.etag, o.modified_at, o.layout_id, o.part_count, o.extents, o.headers, o.checksum
       FROM unnest($1::text[], $2::bytea[]) WITH ORDINALITY n (name, key, idx)
       JOIN bucket b ON b.name = n.name
       LEFT JOIN LATERAL (
           SELECT * FROM object o WHERE o.bucket_id = b.bucket_id AND o.key = n.key LIMIT 1) AS o ON true""",
    TEXT_ARRAY,
    BYTEA_ARRAY,
)

Asked = tuple[str, bytes]
Found = tuple[BucketRow | None, ObjectRow | None]


class Lookups:
    """find_object, batched."""

    def __init__(self, pool: Pool, buckets: Buckets, limits: Limits) -> None:
        self._pool = pool
        self._buckets = buckets
        self._batcher: Batcher[Asked, Found] = Batcher(
            self._run,
            lanes=limits.lookup_connections,
            rows=limits.batch_rows,
            waiting=limits.waiting_requests,
        )

    async def find(self, bucket: str, key: bytes) -> Found:
        """The bucket and the object, each None when there is none."""
        if not is_storable(bucket):
            return None, None
        return await self._batcher.submit((bucket, key))

    async def _run(self, asked: list[Asked]) -> Sequence[Found]:
        rows = await self._pool.repeat(FIND, [name for name, _ in asked], [key for _, key in asked])
        found: list[Found] = [(None, None)] * len(asked)
        remembered = self._buckets.remembered
        for row in rows:
            place = row[0] - 1
            name = asked[place][0]
            bucket = remembered(name)
            if bucket is None or bucket.bucket_id != row[5] or bucket.config_number != row[1]:
                bucket = self._buckets.remember(BucketRow(row[5], name, *row[1:5]))
            found[place] = (bucket, None if row[7] is None else ObjectRow._make(row[5:]))
        return found
