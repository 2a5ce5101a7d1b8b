"""UploadPartCopy without copying: a part that is another reference to segments that are there already (law 5).

Taking a reference locks an existing one, in the same statement: the version that is copied from, wherever it is. Who
removes or replaces that version waits, and queues its garbage only after the new reference is there to be seen. The
part names the segments by the first of them (`source_id`), as whoever wrote them does, whether the source is that one
itself or has them by reference, too. Not batched.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from s3gate.catalog.batcher import AGAIN, Again
from s3gate.catalog.connection import Row, Statement
from s3gate.catalog.errors import SourceChanged, Unavailable, UploadMissing
from s3gate.catalog.parameters import BYTEA, INT4, INT8, TEXT
from s3gate.catalog.parts import ASK, DONE
from s3gate.catalog.pieces import HELD
from s3gate.catalog.rows import ObjectRow, UploadRow
from s3gate.catalog.transactions import FencedChanges

UPLOAD_MISSING: Final = 2
SOURCE_CHANGED: Final = 8

# (IS TRUE: as in copies.py.)
_IS_SOURCE: Final = """ x
        WHERE x.bucket_id = $4 AND x.key = $5 AND x.version = $6 AND x.version_id = $7 AND (x.content_id = $8) IS TRUE
          AND x.sse = '' AND EXISTS (SELECT FROM up) FOR SHARE"""
# The parts that a content lists are immutable, so what the snapshot shows of them is what they are. FOR SHARE: the
# parts of one upload are often copied from one object, many at once, and the source is not changed.
COPY = Statement(
    "part_copy",
    HELD
    + """, up AS MATERIALIZED (
        SELECT FROM upload WHERE upload_id = $3 AND sse = '' AND EXISTS (SELECT FROM s) FOR SHARE
    ), head AS MATERIALIZED (
        SELECT x.content_id, x.part_count, x.size, x.layout_id, x.extents FROM object"""
    + _IS_SOURCE
    + """
    ), older AS MATERIALIZED (
        SELECT x.content_id, x.part_count, x.size, x.layout_id, x.extents FROM version"""
    + _IS_SOURCE
    + """
    ), source AS MATERIALIZED (
        SELECT * FROM head UNION ALL SELECT * FROM older
    ), segments AS MATERIALIZED (
        SELECT content_id AS source_id, size, layout_id, extents FROM source
        WHERE $9 = 0 AND part_count = 0 AND length(extents) > 0
        UNION ALL
        SELECT p.source_id, p.size, p.layout_id, p.extents
        FROM source JOIN content c ON c.content_id = ANY (ARRAY[source.content_id]) AND $9 = ANY (c.part_numbers)
        CROSS JOIN LATERAL (
            SELECT coalesce(source_id, part_id) AS source_id, size, layout_id, extents, sse FROM part
            WHERE upload_id = source.content_id AND part_number = $9 LIMIT 1
        ) AS p
        WHERE source.part_count > 0 AND p.sse = '' AND length(p.extents) > 0
    ), old AS MATERIALIZED (
        SELECT p.part_id, coalesce(p.source_id, p.part_id) AS first_id, p.layout_id, p.extents
        FROM part p WHERE p.upload_id = $3 AND p.part_number = $10 AND EXISTS (SELECT FROM segments) FOR UPDATE
    ), u AS (
        UPDATE part p
        SET part_id = $11, size = segments.size, etag = $12, checksum = $13, modified_at = now(),
            layout_id = segments.layout_id, extents = segments.extents, sse = '', source_id = segments.source_id
        FROM segments CROSS JOIN old
        WHERE p.upload_id = $3 AND p.part_number = $10 AND p.part_id = ANY (ARRAY[old.part_id])
        RETURNING p.modified_at
    ), i AS (
        INSERT INTO part (upload_id, part_number, part_id, size, etag, checksum, modified_at, layout_id, extents,
                          source_id)
        SELECT $3, $10, $11, size, $12, $13, now(), layout_id, extents, source_id
        FROM segments WHERE NOT EXISTS (SELECT FROM old)
        ON CONFLICT (upload_id, part_number) DO NOTHING
        RETURNING modified_at
    ), done AS (
        SELECT * FROM u UNION ALL SELECT * FROM i
    ), g AS (
        INSERT INTO garbage (kind, content_id, part_count, layout_id, extents)
        SELECT 'content', old.first_id, 0, old.layout_id, old.extents FROM u CROSS JOIN old
        WHERE length(old.extents) > 0
    )
    SELECT CASE WHEN EXISTS (SELECT FROM done) THEN 1 WHEN NOT EXISTS (SELECT FROM up) THEN 2
                WHEN NOT EXISTS (SELECT FROM segments) THEN 8 ELSE 0 END,
           done.modified_at
    FROM s LEFT JOIN done ON true
    """,
    INT8,
    INT8,
    BYTEA,
    INT8,
    BYTEA,
    INT8,
    BYTEA,
    BYTEA,
    INT4,
    INT4,
    BYTEA,
    TEXT,
    TEXT,
)


class PartCopies(FencedChanges):
    """copy_part."""

    async def copy(
        self, source: ObjectRow, source_part: int, upload: UploadRow, number: int, etag: str, checksum: str
    ) -> datetime:
        """Make the segments of a source's part (0: of the whole source, which has no parts) a part of the upload."""
        if source.sse or upload.traits.sse:
            raise ValueError("encrypted bytes are no other object's")
        part_id = self._session.ids.next()
        place = source.bucket_id, source.key, source.version, source.version_id, source.content_id, source_part
        values = (upload.upload_id, *place, number, part_id, etag, checksum)

        async def attempt(session_id: int, fence: int) -> datetime | Again | None:
            return _judge(await self._pool.fetch(COPY, session_id, fence, *values))

        async def ask() -> list[datetime | Exception]:
            # One that was replaced since is not found (its garbage has the source's name): its caller comes back.
            rows = await self._pool.repeat(ASK, [part_id])
            return [rows[0][1] if rows else Unavailable("a commit was cut off")]

        return await self._run(attempt, ask)


def _judge(rows: list[Row]) -> datetime | Again | None:
    if not rows:
        return None
    verdict, modified_at = rows[0]
    if verdict == DONE:
        moment: datetime = modified_at
        return moment
    if verdict == UPLOAD_MISSING:
        raise UploadMissing
    if verdict == SOURCE_CHANGED:
        raise SourceChanged
    return AGAIN
