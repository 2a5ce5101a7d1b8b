"""CompleteMultipartUpload: one transaction, one round trip, a handful of rows whatever the number of parts.

Its first statement locks session, bucket and upload; the second has a snapshot of its own, taken when no UploadPart
is under way any more. It looks for its own tombstone before any condition: a retry of what succeeded is a success.
"""

from __future__ import annotations

from collections.abc import Sequence

from s3gate.catalog.batcher import AGAIN, Again
from s3gate.catalog.commits import CONDITIONS, MUST_BE_ABSENT, encode_if_match, refusal
from s3gate.catalog.connection import Row, Statement
from s3gate.catalog.errors import PartMissing, Unavailable, UploadMissing
from s3gate.catalog.limits import Limits
from s3gate.catalog.parameters import BYTEA, BYTEA_ARRAY, INT2, INT4_ARRAY, INT8, TEXT
from s3gate.catalog.pool import Pool
from s3gate.catalog.rows import Committed, Condition, Stored, UploadRow
from s3gate.catalog.sessions import Session
from s3gate.catalog.settlement import Settlement
from s3gate.catalog.transactions import run_fenced

PART_MISSING = 9

LOCK = Statement(
    "complete_lock",
    """
    WITH s AS MATERIALIZED (
        SELECT FROM session WHERE session_id = $1 AND fence = $2 AND closed_at IS NULL FOR KEY SHARE
    ), b AS MATERIALIZED (
        SELECT FROM bucket WHERE bucket_id = $3 AND EXISTS (SELECT FROM s) FOR SHARE
    ), up AS MATERIALIZED (
        SELECT FROM upload WHERE upload_id = $4 AND EXISTS (SELECT FROM b) FOR UPDATE
    )
    SELECT (SELECT count(*) FROM s), (SELECT count(*) FROM up)
    """,
    INT8,
    INT8,
    INT8,
    BYTEA,
)
# What is deleted and made beside the object hangs on `done`: a lost race leaves everything as it was.
COMPLETE = Statement(
    "complete",
    """
    WITH n AS MATERIALIZED (
        SELECT u.bucket_id, u.key, $5::smallint AS flags, $6::bytea AS if_match
        FROM upload u
        WHERE u.upload_id = $3 AND u.bucket_id = $4
          AND EXISTS (SELECT FROM session WHERE session_id = $1 AND fence = $2 AND closed_at IS NULL)
    ), listed AS MATERIALIZED (
        SELECT * FROM unnest($7::integer[], $8::bytea[]) AS l (part_number, part_id)
    ), found AS MATERIALIZED (
        SELECT p.part_number, p.size FROM listed l
        JOIN part p ON p.upload_id = $3 AND p.part_number = l.part_number AND p.part_id = l.part_id
    ), missing AS MATERIALIZED (
        SELECT min(part_number) AS part_number FROM (
            SELECT part_number FROM listed EXCEPT SELECT part_number FROM found) AS m
    ), old AS MATERIALIZED (
        SELECT o.* FROM n CROSS JOIN LATERAL (
            SELECT version, content_id, part_count, layout_id, extents, etag
            FROM object o WHERE o.bucket_id = n.bucket_id AND o.key = n.key FOR UPDATE
        ) AS o
    ), j AS MATERIALIZED (
        SELECT n.*, old.version AS seen, old.content_id AS old_content_id, old.part_count AS old_part_count,
               old.layout_id AS old_layout_id, old.extents AS old_extents, missing.part_number AS missing,
               CASE WHEN missing.part_number IS NOT NULL THEN 9 """
    + CONDITIONS
    + """ ELSE 0 END AS refusal
        FROM n CROSS JOIN missing LEFT JOIN old ON true
    ), u AS (
        UPDATE object o
        SET version = o.version + 1, content_id = $3, size = $9, etag = $10, modified_at = now(),
            layout_id = $11, part_count = cardinality($7), extents = '', headers = $12, checksum = $13
        FROM j
        WHERE j.refusal = 0 AND o.bucket_id = j.bucket_id AND o.key = j.key AND o.version = j.seen
        RETURNING o.version
    ), i AS (
        INSERT INTO object (bucket_id, key, version, content_id, size, etag, modified_at, layout_id, part_count,
                            extents, headers, checksum)
        SELECT bucket_id, key, 1, $3, $9, $10, now(), $11, cardinality($7), '', $12, $13
        FROM j WHERE refusal = 0 AND seen IS NULL
        ON CONFLICT (bucket_id, key) DO NOTHING
        RETURNING version
    ), done AS MATERIALIZED (
        SELECT version FROM u UNION ALL SELECT version FROM i
    ), x AS (
        DELETE FROM upload USING done WHERE upload_id = $3
    ), c AS (
        INSERT INTO content (content_id, part_numbers, part_sizes)
        SELECT $3, sorted.numbers, sorted.sizes
        FROM done CROSS JOIN (SELECT array_agg(part_number ORDER BY part_number) AS numbers,
                                     array_agg(size ORDER BY part_number) AS sizes FROM found) AS sorted
    ), t AS (
        INSERT INTO completed_upload (upload_id, bucket_id, key, etag, checksum, version, request_digest)
        SELECT $3, j.bucket_id, j.key, $10, $13, done.version, $14 FROM done CROSS JOIN j
    ), g AS (
        INSERT INTO garbage (kind, content_id, part_count, layout_id, extents)
        SELECT 'content', j.old_content_id, j.old_part_count, j.old_layout_id, j.old_extents
        FROM j CROSS JOIN u WHERE j.old_part_count > 0 OR length(j.old_extents) > 0
        UNION ALL
        SELECT 'unlisted', $3, 1, 0, '' FROM done
        WHERE (SELECT count(*) FROM part p WHERE p.upload_id = $3) > cardinality($7)
    )
    SELECT (SELECT count(*) FROM n), (SELECT refusal FROM j), (SELECT missing FROM j), (SELECT version FROM done),
           now(), t.version, t.completed_at
    FROM (VALUES (0)) AS one (row)
    LEFT JOIN completed_upload t ON t.upload_id = $3 AND t.request_digest = $14
    """,
    INT8,
    INT8,
    BYTEA,
    INT8,
    INT2,
    BYTEA,
    INT4_ARRAY,
    BYTEA_ARRAY,
    INT8,
    TEXT,
    INT2,
    BYTEA,
    TEXT,
    BYTEA,
)
ASK = Statement(
    "complete_ask",
    "SELECT version, completed_at FROM completed_upload WHERE upload_id = $1 AND request_digest = $2",
    BYTEA,
    BYTEA,
)


class Completions:
    """complete_upload."""

    def __init__(self, pool: Pool, session: Session, settlement: Settlement, limits: Limits) -> None:
        self._pool = pool
        self._session = session
        self._settlement = settlement
        self._limits = limits

    async def complete(
        self,
        upload: UploadRow,
        parts: Sequence[tuple[int, bytes]],
        stored: Stored,
        condition: Condition,
        request_digest: bytes,
    ) -> Committed:
        """Make the upload's listed parts the content of its key, if each is still the attempt that was listed."""
        if stored.content_id != upload.upload_id or stored.part_count != len(parts) or stored.extents:
            raise ValueError("a completed upload stores its own parts")
        values = (
            upload.upload_id,
            upload.bucket_id,
            MUST_BE_ABSENT if condition.if_none_match else 0,
            encode_if_match(condition),
            [number for number, _ in parts],
            [part_id for _, part_id in parts],
            stored.size,
            stored.etag,
            stored.layout_id,
            stored.headers,
            stored.checksum,
            request_digest,
        )

        async def attempt(session_id: int, fence: int) -> Committed | Again | None:
            locked, completed = await self._pool.transact(
                (LOCK, (session_id, fence, upload.bucket_id, upload.upload_id)),
                (COMPLETE, (session_id, fence, *values)),
            )
            return _judge(held=bool(locked[0][0]), row=completed[0])

        async def ask() -> list[Committed | Exception]:
            rows = await self._pool.repeat(ASK, upload.upload_id, request_digest)
            return [Committed(*rows[0]) if rows else Unavailable("a commit was cut off")]

        return await run_fenced(self._session, self._settlement, self._limits, attempt, ask)


def _judge(held: bool, row: Row) -> Committed | Again | None:
    there, verdict, missing, version, now, old_version, completed_at = row
    if old_version is not None:
        return Committed(old_version, completed_at)
    if not held:
        return None
    if not there:
        raise UploadMissing
    if verdict == PART_MISSING:
        raise PartMissing(missing)
    if verdict:
        raise refusal(verdict)
    return AGAIN if version is None else Committed(version, now)
