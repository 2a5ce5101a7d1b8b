"""What the lifecycle worker reads, a bounded page at a time, and how far it has come.

Nothing here decides: rules are the worker's, and what it removes goes through `delete_object` (with the condition that
the current version is still the one that was judged) and `delete_version`, which know locks. Uploads are aborted here.

A walk over a bucket is taken for a while (a lease by time), a page of it is worked, and its new position is saved,
which gives it back: whoever comes next goes on there, also after a kill (law 10). The bucket that waited longest is
taken first, so that a big one does not hold up the others.
"""

from __future__ import annotations

from datetime import datetime

from s3gate.catalog.buckets import COLUMNS, bucket_row
from s3gate.catalog.connection import Statement
from s3gate.catalog.listing import above, below
from s3gate.catalog.parameters import BOOL, BYTEA, FLOAT8, INT4, INT8, TIMESTAMPTZ
from s3gate.catalog.pieces import DROP_OLD_UPLOADS
from s3gate.catalog.pool import Pool
from s3gate.catalog.rows import HeadRow, LifecycleWalk, NoncurrentRow

NOW = Statement("lifecycle_now", "SELECT now()")
# A bucket is due when it has rules and its walk was for an earlier day or has not come to its end, whatever day it was
# for: a walk that takes longer than a day still ends. (Tomorrow is another worker's today. What is further ahead was
# counted by a clock that was wrong, and is not waited for.) Two who choose the same bucket: one of them gets nothing.
TAKE = Statement(
    "lifecycle_take",
    """
    WITH due AS MATERIALIZED (
        SELECT s.bucket_id
        FROM bucket_setting s LEFT JOIN lifecycle_progress p ON p.bucket_id = ANY (ARRAY[s.bucket_id])
        WHERE s.kind = 'lifecycle'
          AND (p.bucket_id IS NULL OR (p.leased_until <= now() AND (NOT p.done OR p.day NOT BETWEEN $1 AND $1 + 1)))
        ORDER BY p.leased_until NULLS FIRST, s.bucket_id LIMIT 1
    ), taken AS (
        INSERT INTO lifecycle_progress AS p (bucket_id, day, position, done, leased_until)
        SELECT bucket_id, $1, '', false, now() + make_interval(secs => $2) FROM due
        ON CONFLICT (bucket_id) DO UPDATE
        SET day = CASE WHEN p.done THEN $1 ELSE p.day END, position = CASE WHEN p.done THEN '' ELSE p.position END,
            done = false, leased_until = now() + make_interval(secs => $2)
        WHERE p.leased_until <= now() AND (NOT p.done OR p.day NOT BETWEEN $1 AND $1 + 1)
        RETURNING bucket_id, day, position
    )
    SELECT taken.day, taken.position, """
    + COLUMNS
    + """ FROM taken JOIN bucket b ON b.bucket_id = ANY (ARRAY[taken.bucket_id])
    """,
    INT8,
    FLOAT8,
)
# Whoever took longer than its lease finds the position moved, and moves nothing.
SAVE = Statement(
    "lifecycle_save",
    """UPDATE lifecycle_progress SET position = $4, done = $5, leased_until = now()
       WHERE bucket_id = $1 AND day = $2 AND position = $3
       RETURNING bucket_id""",
    INT8,
    INT8,
    BYTEA,
    BYTEA,
    BOOL,
)
HEADS = Statement(
    "lifecycle_heads",
    """SELECT o.key, o.version, o.version_id, o.marker,
              o.marker AND NOT EXISTS (SELECT FROM version v WHERE v.bucket_id = $1 AND v.key = o.key),
              o.size, o.tags, o.modified_at
       FROM object o WHERE o.bucket_id = $1 AND o.key > $2 AND o.key < $3 ORDER BY o.key LIMIT $4""",
    INT8,
    BYTEA,
    BYTEA,
    INT4,
)
# The page's first key may have begun on an earlier page: what is newer there is counted, as far as anybody asks.
NONCURRENT = Statement(
    "lifecycle_noncurrent",
    """
    SELECT key, version, version_id, marker, size, tags, superseded_at,
           row_number() OVER (PARTITION BY key ORDER BY version DESC)
           + CASE WHEN key = $2 THEN (SELECT count(*) FROM (
                 SELECT FROM version v WHERE v.bucket_id = $1 AND v.key = $2 AND v.version >= $3
                 ORDER BY v.version DESC LIMIT 100) AS newer) ELSE 0 END
    FROM (
        SELECT * FROM (
            SELECT key, version, version_id, marker, size, tags, superseded_at FROM version
            WHERE bucket_id = $1 AND key = $2 AND version < $3 ORDER BY version DESC LIMIT $6) AS rest
        UNION ALL
        SELECT * FROM (
            SELECT key, version, version_id, marker, size, tags, superseded_at FROM version
            WHERE bucket_id = $1 AND key > $4 AND key < $5 ORDER BY key, version DESC LIMIT $6) AS following
        ORDER BY key, version DESC LIMIT $6
    ) AS page
    ORDER BY key, version DESC
    """,
    INT8,
    BYTEA,
    INT8,
    BYTEA,
    BYTEA,
    INT4,
)
# An upload that is being completed or written to right now is passed over: the next walk finds it.
ABORT = Statement(
    "lifecycle_abort",
    """
    WITH old AS MATERIALIZED (
        SELECT bucket_id, key, upload_id FROM upload
        WHERE bucket_id = $1 AND key > $2 AND key < $3 AND initiated_at < $4 AND key <> ''
        ORDER BY key, upload_id LIMIT $5 FOR UPDATE SKIP LOCKED
    ), gone AS ("""
    + DROP_OLD_UPLOADS
    + """)
    INSERT INTO garbage (kind, content_id, part_count, layout_id, extents)
    SELECT 'upload', upload_id, 1, 0, '' FROM gone
    RETURNING content_id
    """,
    INT8,
    BYTEA,
    BYTEA,
    TIMESTAMPTZ,
    INT4,
)


class Lifecycle:
    """For the lifecycle worker only."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def now(self) -> datetime:
        """What time it is by the clock that dated the versions."""
        moment: datetime = (await self._pool.repeat(NOW))[0][0]
        return moment

    async def take(self, day: int, lease_seconds: float) -> LifecycleWalk | None:
        """A bucket with rules that are due on this day, nobody else's for `lease_seconds`; None: nothing is due now.

        `day` is whatever number the worker counts (shortened) days by. The walk's own day may be an earlier one: then
        it was not finished. The bucket's row is fresh: its document is `walk.bucket.settings["lifecycle"]`.
        """
        rows = await self._pool.repeat(TAKE, day, lease_seconds)
        return LifecycleWalk(bucket_row(rows[0][2:]), rows[0][0], rows[0][1]) if rows else None

    async def save(self, walk: LifecycleWalk, position: bytes, *, done: bool) -> bool:
        """Give the bucket back at this position, or as done for the walk's day; False: another took it over.

        Save after the page's work, never before: a killed worker's page is done again.
        """
        return bool(await self._pool.repeat(SAVE, walk.bucket.bucket_id, walk.day, walk.position, position, done))

    async def heads(self, bucket_id: int, prefix: bytes, after: bytes, limit: int) -> list[HeadRow]:
        """Current versions (delete markers too) of keys with this prefix, after a key; fewer than `limit`: the last."""
        lower = max(after, below(prefix))
        return [HeadRow._make(row) for row in await self._pool.repeat(HEADS, bucket_id, lower, above(prefix), limit)]

    async def noncurrent(
        self, bucket_id: int, prefix: bytes, after: bytes, after_version: int | None, limit: int
    ) -> list[NoncurrentRow]:
        """Older versions by key, newest first, after a key, or (with `after_version`) after that version of it.

        Fewer than `limit`: the last. Ranks are as the rows are now, also on a page that begins inside a key.
        """
        lower = max(after, below(prefix))
        version = after_version if after.startswith(prefix) else None
        rows = await self._pool.repeat(NONCURRENT, bucket_id, after, version, lower, above(prefix), limit)
        return [NoncurrentRow._make(row) for row in rows]

    async def abort_uploads(self, bucket_id: int, prefix: bytes, initiated_before: datetime, limit: int) -> int:
        """Abort uploads of keys with this prefix that were begun before a moment; fewer than `limit`: the last."""
        rows = await self._pool.repeat(ABORT, bucket_id, below(prefix), above(prefix), initiated_before, limit)
        return len(rows)
