"""CompleteMultipartUpload: one transaction, one round trip, a handful of rows whatever the number of parts.

Its first statement locks session, bucket, upload and the head of the key; the second has a snapshot of its own, taken
when no UploadPart is under way any more. Its own tombstone is looked for before anything is judged: a retry of what
succeeded is a success.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from s3gate.catalog.batcher import AGAIN, Again
from s3gate.catalog.bucket_writes import Write, config_numbers, place_of, refusal, write_values
from s3gate.catalog.connection import Row, Statement
from s3gate.catalog.errors import CatalogError, PartMissing, Unavailable, UploadMissing
from s3gate.catalog.parameters import BYTEA, BYTEA_ARRAY, INT4_ARRAY, INT8, INT8_ARRAY
from s3gate.catalog.pieces import BUCKETS, HELD
from s3gate.catalog.rows import BucketRow, Committed, Condition, Stored, UploadRow
from s3gate.catalog.transactions import BucketChanges
from s3gate.catalog.versions import BUCKET_CHANGED, DONE, writing

PART_MISSING: Final = 9
UPLOAD_MISSING: Final = 13

# Places of the rows that say more than what became of the write.
TOMBSTONE: Final = -1
MISSING: Final = -2

LOCK = Statement(
    "complete_lock",
    HELD
    + BUCKETS
    + """, up AS MATERIALIZED (
        SELECT FROM upload WHERE upload_id = $5 AND EXISTS (SELECT FROM b) FOR UPDATE
    ), head AS MATERIALIZED (
        SELECT FROM object WHERE bucket_id = $6 AND key = $7 AND EXISTS (SELECT FROM up) FOR UPDATE
    )
    SELECT (SELECT count(*) FROM up), (SELECT count(*) FROM head)
    """,
    INT8,
    INT8,
    INT8_ARRAY,
    INT8_ARRAY,
    BYTEA,
    INT8,
    BYTEA,
)
# What is deleted and made beside the object depends on `done`: a lost race leaves everything as it was.
COMPLETE = writing(
    "complete",
    BYTEA,
    INT4_ARRAY,
    BYTEA_ARRAY,
    BYTEA,
    before=""", listed AS MATERIALIZED (
        SELECT * FROM unnest($28::integer[], $29::bytea[]) AS l (part_number, part_id)
    ), found AS MATERIALIZED (
        SELECT p.part_number, p.size FROM listed l CROSS JOIN LATERAL (
            SELECT part_number, size FROM part
            WHERE upload_id = $27 AND part_number = l.part_number AND part_id = l.part_id LIMIT 1) AS p
    ), missing AS MATERIALIZED (
        SELECT min(part_number) AS part_number FROM (
            SELECT part_number FROM listed EXCEPT SELECT part_number FROM found) AS m
    )""",
    refused="""CASE WHEN NOT EXISTS (SELECT FROM upload WHERE upload_id = $27) THEN 13
                    WHEN (SELECT part_number FROM missing) IS NOT NULL THEN 9 ELSE 0 END""",
    after=""", gone AS (
        DELETE FROM upload USING done WHERE upload_id = $27
    ), c AS (
        INSERT INTO content (content_id, part_numbers, part_sizes)
        SELECT $27, sorted.numbers, sorted.sizes
        FROM done CROSS JOIN (SELECT array_agg(part_number ORDER BY part_number) AS numbers,
                                     array_agg(size ORDER BY part_number) AS sizes FROM found) AS sorted
    ), t AS (
        INSERT INTO completed_upload (upload_id, bucket_id, key, etag, checksum, version, version_id, request_digest)
        SELECT $27, j.bucket_id, j.key, j.etag, j.checksum, done.version, done.version_id, $30 FROM done CROSS JOIN j
    ), unlisted AS (
        INSERT INTO garbage (kind, content_id, part_count, layout_id, extents)
        SELECT 'unlisted', $27, 1, 0, '' FROM done
        WHERE (SELECT count(*) FROM part p WHERE p.upload_id = $27) > cardinality($28)
    )""",
    answer="""
    UNION ALL SELECT -1, 0, t.version, t.completed_at, t.version_id
              FROM completed_upload t WHERE t.upload_id = $27 AND t.request_digest = $30
    UNION ALL SELECT -2, 0, part_number, NULL, NULL FROM missing WHERE part_number IS NOT NULL""",
)
ASK = Statement(
    "complete_ask",
    "SELECT version, completed_at, version_id FROM completed_upload WHERE upload_id = $1 AND request_digest = $2",
    BYTEA,
    BYTEA,
)


class Completions(BucketChanges):
    """complete_upload."""

    async def complete(
        self,
        bucket: BucketRow,
        upload: UploadRow,
        parts: Sequence[tuple[int, bytes]],
        stored: Stored,
        condition: Condition,
        request_digest: bytes,
    ) -> Committed:
        """Make the upload's listed parts the content of its key, if each is still the attempt that was listed."""
        if stored.content_id != upload.upload_id or stored.part_count != len(parts) or stored.extents:
            raise ValueError("a completed upload stores its own parts")
        if upload.bucket_id != bucket.bucket_id:
            raise UploadMissing
        write = Write(bucket, upload.key, stored, condition, self._session.ids.next())
        locked = (*config_numbers([write]), upload.upload_id, *place_of(write))
        written = (
            *write_values([write]),
            upload.upload_id,
            [number for number, _ in parts],
            [part_id for _, part_id in parts],
            request_digest,
        )

        async def attempt(session_id: int, fence: int) -> Committed | Again | None:
            _, rows = await self._pool.transact(
                (LOCK, (session_id, fence, *locked)), (COMPLETE, (session_id, fence, *written))
            )
            return self._judge(bucket, {row[0]: row for row in rows})

        async def ask() -> list[Committed | Exception]:
            rows = await self._pool.repeat(ASK, upload.upload_id, request_digest)
            return [Committed(*rows[0]) if rows else Unavailable("a commit was cut off")]

        return await self._run(attempt, ask)

    def _judge(self, bucket: BucketRow, rows: dict[int, Row]) -> Committed | Again | None:
        if tombstone := rows.get(TOMBSTONE):
            return Committed(*tombstone[2:])
        if not (held := rows.get(0)):
            return None
        if not (row := rows.get(1)):
            return AGAIN
        _, verdict, version, _, version_id = row
        if verdict == DONE:
            return Committed(version, held[3], version_id)
        raise self._refusal(bucket, verdict, rows)

    def _refusal(self, bucket: BucketRow, verdict: int, rows: dict[int, Row]) -> CatalogError:
        if verdict == PART_MISSING:
            return PartMissing(rows[MISSING][2])
        if verdict == UPLOAD_MISSING:
            return UploadMissing()
        if verdict == BUCKET_CHANGED:
            self._buckets.forget(bucket.name)
        return refusal(verdict)
