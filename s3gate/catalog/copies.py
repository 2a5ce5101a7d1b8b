"""CopyObject without copying: another reference to the same content (law 5).

Taking a reference locks an existing one: the source's row is held while the new row is written, so that its content
cannot lose its last reference meanwhile. Both rows are locked in key order. One autocommit statement, not batched.
"""

from __future__ import annotations

from s3gate.catalog.batcher import AGAIN, Again
from s3gate.catalog.buckets import Buckets
from s3gate.catalog.commits import (
    BUCKET_CHANGED,
    CONDITIONS,
    DONE,
    MUST_BE_ABSENT,
    encode_if_match,
    refusal,
)
from s3gate.catalog.connection import Row, Statement
from s3gate.catalog.errors import BucketMissing, SourceChanged
from s3gate.catalog.limits import Limits
from s3gate.catalog.parameters import BYTEA, BYTEA_ARRAY, INT2, INT4, INT8, INT8_ARRAY, TEXT
from s3gate.catalog.pool import Pool
from s3gate.catalog.rows import BucketRow, Committed, Condition, ObjectRow, Stored
from s3gate.catalog.sessions import Session
from s3gate.catalog.settlement import Settlement, never_happened
from s3gate.catalog.transactions import run_fenced

SOURCE_CHANGED = 8

COPY = Statement(
    "object_copy",
    """
    WITH s AS MATERIALIZED (
        SELECT FROM session WHERE session_id = $1 AND fence = $2 AND closed_at IS NULL FOR KEY SHARE
    ), b AS MATERIALIZED (
        SELECT FROM bucket WHERE bucket_id = $3 AND config_number = $4 AND EXISTS (SELECT FROM s) FOR SHARE
    ), n AS MATERIALIZED (
        SELECT $3::bigint AS bucket_id, $5::bytea AS key, $6::smallint AS flags, $7::bytea AS if_match,
               EXISTS (SELECT FROM b) AS allowed
        FROM s
    ), locked AS MATERIALIZED (
        SELECT o.*
        FROM unnest($8::bigint[], $9::bytea[]) AS k (bucket_id, key)
        CROSS JOIN LATERAL (
            SELECT bucket_id, key, version, content_id, part_count, layout_id, extents, etag
            FROM object o
            WHERE o.bucket_id = k.bucket_id AND o.key = k.key AND EXISTS (SELECT FROM n WHERE n.allowed) FOR UPDATE
        ) AS o
    ), old AS (
        SELECT l.* FROM locked l JOIN n ON l.bucket_id = n.bucket_id AND l.key = n.key
    ), j AS MATERIALIZED (
        SELECT n.*, old.version AS seen, old.content_id AS old_content_id, old.part_count AS old_part_count,
               old.layout_id AS old_layout_id, old.extents AS old_extents,
               CASE WHEN NOT n.allowed THEN 3
                    WHEN NOT EXISTS (SELECT FROM locked l WHERE l.bucket_id = $10 AND l.key = $11
                                     AND l.version = $12 AND l.content_id = $13) THEN 8 """
    + CONDITIONS
    + """ ELSE 0 END AS refusal
        FROM n LEFT JOIN old ON true
    ), u AS (
        UPDATE object o
        SET version = o.version + 1, content_id = $13, size = $14, etag = $15, modified_at = now(),
            layout_id = $16, part_count = $17, extents = $18, headers = $19, checksum = $20
        FROM j
        WHERE j.refusal = 0 AND o.bucket_id = j.bucket_id AND o.key = j.key AND o.version = j.seen
        RETURNING o.version
    ), i AS (
        INSERT INTO object (bucket_id, key, version, content_id, size, etag, modified_at, layout_id, part_count,
                            extents, headers, checksum)
        SELECT bucket_id, key, 1, $13, $14, $15, now(), $16, $17, $18, $19, $20
        FROM j WHERE refusal = 0 AND seen IS NULL
        ON CONFLICT (bucket_id, key) DO NOTHING
        RETURNING version
    ), g AS (
        INSERT INTO garbage (kind, content_id, part_count, layout_id, extents)
        SELECT 'content', j.old_content_id, j.old_part_count, j.old_layout_id, j.old_extents
        FROM j JOIN u ON true
        WHERE j.old_content_id <> $13 AND (j.old_part_count > 0 OR length(j.old_extents) > 0)
    )
    SELECT 0, 0::bigint, now() FROM s
    UNION ALL SELECT 1, version, now() FROM u
    UNION ALL SELECT 1, version, now() FROM i
    UNION ALL SELECT refusal, 0, now() FROM j WHERE refusal > 0
    """,
    INT8,
    INT8,
    INT8,
    INT8,
    BYTEA,
    INT2,
    BYTEA,
    INT8_ARRAY,
    BYTEA_ARRAY,
    INT8,
    BYTEA,
    INT8,
    BYTEA,
    INT8,
    TEXT,
    INT2,
    INT4,
    BYTEA,
    BYTEA,
    TEXT,
)


class Copies:
    """copy_object."""

    def __init__(self, pool: Pool, session: Session, settlement: Settlement, limits: Limits, buckets: Buckets) -> None:
        self._pool = pool
        self._session = session
        self._settlement = settlement
        self._limits = limits
        self._buckets = buckets

    async def copy(self, source: ObjectRow, name: str, key: bytes, stored: Stored, condition: Condition) -> Committed:
        """Make the key another reference to the source's content, if the source is still what was read."""
        if stored.content_id != source.content_id:
            raise ValueError("a copy stores its source's content")

        async def attempt(session_id: int, fence: int) -> Committed | Again | None:
            bucket = await self._buckets.find(name)
            if bucket is None:
                raise BucketMissing
            values = _values(source, bucket, key, stored, condition)
            rows = await self._pool.fetch(COPY, session_id, fence, *values)
            return self._judge(name, rows)

        # A copy leaves nothing of its own to look for when it was cut off, and no bytes: its caller comes back.
        return await run_fenced(self._session, self._settlement, self._limits, attempt, never_happened)

    def _judge(self, name: str, rows: list[Row]) -> Committed | Again | None:
        if not rows:
            return None
        verdicts = [row for row in rows if row[0]]
        if not verdicts:
            return AGAIN
        verdict, version, now = verdicts[0]
        if verdict == DONE:
            return Committed(version, now)
        if verdict == BUCKET_CHANGED:
            self._buckets.forget(name)
            return AGAIN
        raise SourceChanged if verdict == SOURCE_CHANGED else refusal(verdict)


def _values(
    source: ObjectRow, bucket: BucketRow, key: bytes, stored: Stored, condition: Condition
) -> tuple[object, ...]:
    both = sorted({(source.bucket_id, source.key), (bucket.bucket_id, key)})
    return (
        bucket.bucket_id,
        bucket.config_number,
        key,
        MUST_BE_ABSENT if condition.if_none_match else 0,
        encode_if_match(condition),
        [bucket_id for bucket_id, _ in both],
        [each for _, each in both],
        source.bucket_id,
        source.key,
        source.version,
        stored.content_id,
        stored.size,
        stored.etag,
        stored.layout_id,
        stored.part_count,
        stored.extents,
        stored.headers,
        stored.checksum,
    )
