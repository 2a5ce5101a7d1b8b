"""Multipart uploads: begun, found, listed, completed, aborted, expired.

The upload's row is what its writers meet at: UploadPart holds it FOR SHARE, Complete and Abort take it away, so that
one of them wins. An upload's id becomes its content's id at Complete; no row of a part is touched, whatever their
number. What an abort leaves and what a Complete did not list is one row of garbage, expanded by the collector.
"""

from __future__ import annotations

from typing import Final

from s3gate.catalog.buckets import Buckets, is_storable
from s3gate.catalog.connection import Row, Statement
from s3gate.catalog.errors import BucketChanged, UploadMissing
from s3gate.catalog.parameters import BYTEA, FLOAT8, INT2, INT4, INT8, TEXT, TIMESTAMPTZ
from s3gate.catalog.pieces import CONFIG_NUMBER, DROP_OLD_UPLOADS
from s3gate.catalog.pool import Pool
from s3gate.catalog.rows import BucketRow, CompletedRow, Traits, UploadRow
from s3gate.catalog.sessions import Session

COLUMNS: Final = """u.upload_id, u.bucket_id, u.key, u.initiated_at, u.headers, u.checksum_algorithm,
    u.checksum_type, u.group_id, u.tags, u.lock, u.retain_until, u.sse, u.acl"""
"""What `upload_row` is made of."""
CREATE = Statement(
    "upload_create",
    """
    WITH b AS MATERIALIZED (
        SELECT b.bucket_id FROM bucket b WHERE b.bucket_id = $2 AND $3 = """
    + CONFIG_NUMBER
    + """ FOR SHARE OF b
    )
    INSERT INTO upload AS u (upload_id, bucket_id, key, headers, checksum_algorithm, checksum_type, group_id,
                             tags, lock, retain_until, sse, acl)
    SELECT $1, b.bucket_id, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13 FROM b
    RETURNING """
    + COLUMNS,
    BYTEA,
    INT8,
    INT8,
    BYTEA,
    BYTEA,
    TEXT,
    TEXT,
    INT4,
    BYTEA,
    INT2,
    TIMESTAMPTZ,
    BYTEA,
    BYTEA,
)
FIND = Statement(
    "upload_find",
    "SELECT "
    + COLUMNS
    + """ FROM upload u
       WHERE u.upload_id = $1 AND u.bucket_id = (SELECT bucket_id FROM bucket WHERE name = $2) AND u.key = $3""",
    BYTEA,
    TEXT,
    BYTEA,
)
# The garbage is made without looking for parts: one may have been committed while the row was waited for.
ABORT = Statement(
    "upload_abort",
    """
    WITH gone AS (DELETE FROM upload WHERE upload_id = $1 RETURNING upload_id)
    INSERT INTO garbage (kind, content_id, part_count, layout_id, extents)
    SELECT 'upload', upload_id, 1, 0, '' FROM gone
    RETURNING content_id
    """,
    BYTEA,
)
# An upload that is being completed or written to right now is passed over: it is not abandoned.
EXPIRE = Statement(
    "upload_expire",
    """
    WITH old AS MATERIALIZED (
        SELECT bucket_id, key, upload_id FROM upload WHERE initiated_at < now() - make_interval(secs => $1)
        ORDER BY initiated_at LIMIT $2 FOR UPDATE SKIP LOCKED
    ), gone AS ("""
    + DROP_OLD_UPLOADS
    + """)
    INSERT INTO garbage (kind, content_id, part_count, layout_id, extents)
    SELECT 'upload', upload_id, 1, 0, '' FROM gone
    RETURNING content_id
    """,
    FLOAT8,
    INT4,
)
FIND_COMPLETED = Statement(
    "completed_find",
    """SELECT upload_id, bucket_id, key, etag, checksum, version, request_digest, completed_at, version_id
       FROM completed_upload WHERE upload_id = $1""",
    BYTEA,
)
FORGET_COMPLETED = Statement(
    "completed_forget",
    """
    WITH old AS MATERIALIZED (
        SELECT upload_id FROM completed_upload WHERE completed_at < now() - make_interval(secs => $1)
        ORDER BY completed_at LIMIT $2
    )
    DELETE FROM completed_upload c USING old WHERE c.upload_id = ANY (ARRAY[old.upload_id]) RETURNING c.upload_id
    """,
    FLOAT8,
    INT4,
)


def upload_row(row: Row) -> UploadRow:
    """The upload of COLUMNS."""
    return UploadRow(*(*row[:8], Traits._make(row[8:])))


class Uploads:
    """The table of uploads, and the tombstones of completed ones."""

    def __init__(self, pool: Pool, session: Session, buckets: Buckets) -> None:
        self._pool = pool
        self._session = session
        self._buckets = buckets

    async def create(
        self,
        bucket: BucketRow,
        key: bytes,
        headers: bytes,
        checksum_algorithm: str,
        checksum_type: str,
        group_id: int,
        traits: Traits,
    ) -> UploadRow:
        """Begin an upload, whose id is made here; BucketChanged when the bucket's row is an old one."""
        rows = await self._pool.once(
            CREATE,
            self._session.ids.next(),
            bucket.bucket_id,
            bucket.config_number,
            key,
            headers,
            checksum_algorithm,
            checksum_type,
            group_id,
            *traits,
        )
        if not rows:
            self._buckets.forget(bucket.name)
            raise BucketChanged
        return upload_row(rows[0])

    async def find(self, name: str, key: bytes, upload_id: bytes) -> UploadRow | None:
        """The upload, if it is one of this bucket and key."""
        if not is_storable(name):
            return None
        rows = await self._pool.repeat(FIND, upload_id, name, key)
        return upload_row(rows[0]) if rows else None

    async def find_completed(self, upload_id: bytes) -> CompletedRow | None:
        """What its Complete answered, for as long as that is remembered."""
        rows = await self._pool.repeat(FIND_COMPLETED, upload_id)
        return CompletedRow(*rows[0]) if rows else None

    async def abort(self, upload_id: bytes) -> None:
        """Take the upload away, with all its parts."""
        if not await self._pool.once(ABORT, upload_id):
            raise UploadMissing

    async def expire(self, older_than_seconds: float, limit: int) -> int:
        """Abort the oldest uploads; how many there were."""
        return len(await self._pool.repeat(EXPIRE, older_than_seconds, limit))

    async def forget_completed(self, older_than_seconds: float, limit: int) -> int:
        """Drop the oldest tombstones; how many there were."""
        return len(await self._pool.repeat(FORGET_COMPLETED, older_than_seconds, limit))
