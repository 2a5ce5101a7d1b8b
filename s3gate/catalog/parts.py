"""UploadPart: many parts in one autocommit statement, under the same rules as the commit of objects.

The upload's row is held FOR SHARE, so that no part slips in behind a Complete or an Abort. A part that is sent again
replaces the row of the earlier attempt, whose segments become garbage in the same statement.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from datetime import datetime
from typing import Final

from s3gate.catalog.batcher import Outcome
from s3gate.catalog.connection import Row, Statement, Step
from s3gate.catalog.errors import Unavailable, UploadMissing
from s3gate.catalog.parameters import BYTEA, BYTEA_ARRAY, INT2_ARRAY, INT4, INT4_ARRAY, INT8, INT8_ARRAY, TEXT_ARRAY
from s3gate.catalog.pool import Pool
from s3gate.catalog.rows import PartRow
from s3gate.catalog.writes import FencedWrites

COLUMNS: Final = "upload_id, part_number, part_id, size, etag, checksum, modified_at, layout_id, extents, sse"
DONE: Final = 1
MAX_PARTS: Final = 10_000

WRITE = Statement(
    "part_write",
    """
    WITH s AS MATERIALIZED (
        SELECT FROM session WHERE session_id = $1 AND fence = $2 AND closed_at IS NULL FOR KEY SHARE
    ), up AS MATERIALIZED (
        SELECT u.upload_id FROM unnest($3::bytea[]) AS w (upload_id)
        JOIN upload u ON u.upload_id = ANY (ARRAY[w.upload_id])
        WHERE EXISTS (SELECT FROM s)
        ORDER BY w.upload_id FOR SHARE OF u
    ), n AS MATERIALIZED (
        SELECT n.*, n.upload_id = ANY (ARRAY(SELECT up.upload_id FROM up)) AS allowed
        FROM unnest($4::bytea[], $5::integer[], $6::bytea[], $7::bigint[], $8::text[], $9::text[], $10::smallint[],
                    $11::bytea[], $12::bytea[])
             WITH ORDINALITY AS n (upload_id, part_number, part_id, size, etag, checksum, layout_id, extents, sse,
                                   place)
        WHERE EXISTS (SELECT FROM s)
        ORDER BY place
    ), j AS MATERIALIZED (
        SELECT n.*, old.part_id AS old_part_id, old.first_id AS old_first_id, old.layout_id AS old_layout_id,
               old.extents AS old_extents
        FROM n LEFT JOIN LATERAL (
            SELECT p.part_id, coalesce(p.source_id, p.part_id) AS first_id, p.layout_id, p.extents
            FROM part p WHERE n.allowed AND p.upload_id = n.upload_id AND p.part_number = n.part_number FOR UPDATE
        ) AS old ON true
    ), u AS (
        UPDATE part p
        SET part_id = j.part_id, size = j.size, etag = j.etag, checksum = j.checksum, modified_at = now(),
            layout_id = j.layout_id, extents = j.extents, sse = j.sse, source_id = NULL
        FROM j
        WHERE p.upload_id = ANY (ARRAY[j.upload_id]) AND p.part_number = ANY (ARRAY[j.part_number])
          AND p.part_id = ANY (ARRAY[j.old_part_id])
        RETURNING j.place, j.old_first_id, j.old_layout_id, j.old_extents
    ), i AS (
        INSERT INTO part (upload_id, part_number, part_id, size, etag, checksum, modified_at, layout_id, extents, sse)
        SELECT upload_id, part_number, part_id, size, etag, checksum, now(), layout_id, extents, sse
        FROM j WHERE allowed AND old_part_id IS NULL
        ORDER BY place
        ON CONFLICT (upload_id, part_number) DO NOTHING
        RETURNING part_id
    ), g AS (
        INSERT INTO garbage (kind, content_id, part_count, layout_id, extents)
        SELECT 'content', old_first_id, 0, old_layout_id, old_extents FROM u WHERE length(old_extents) > 0
    )
    SELECT 0::bigint, 0, 0::bigint, now() FROM s
    UNION ALL SELECT place, 1, 0, NULL FROM u
    UNION ALL SELECT array_position($6, part_id), 1, 0, NULL FROM i
    UNION ALL SELECT place, 2, 0, NULL FROM j WHERE NOT allowed
    """,
    INT8,
    INT8,
    BYTEA_ARRAY,
    BYTEA_ARRAY,
    INT4_ARRAY,
    BYTEA_ARRAY,
    INT8_ARRAY,
    TEXT_ARRAY,
    TEXT_ARRAY,
    INT2_ARRAY,
    BYTEA_ARRAY,
    BYTEA_ARRAY,
)
ASK = Statement(
    "part_ask",
    """
    SELECT n.place, coalesce(p.modified_at, g.queued_at)
    FROM unnest($1::bytea[]) WITH ORDINALITY AS n (part_id, place)
    LEFT JOIN LATERAL (SELECT modified_at FROM part p WHERE p.part_id = n.part_id LIMIT 1) AS p ON true
    LEFT JOIN LATERAL (SELECT queued_at FROM garbage g WHERE g.content_id = n.part_id LIMIT 1) AS g ON true
    WHERE p.modified_at IS NOT NULL OR g.queued_at IS NOT NULL
    """,
    BYTEA_ARRAY,
)
LIST = Statement(
    "part_list",
    "SELECT " + COLUMNS + " FROM part WHERE upload_id = $1 AND part_number > $2 ORDER BY part_number LIMIT $3",
    BYTEA,
    INT4,
    INT4,
)


class Parts(FencedWrites[PartRow, PartRow]):
    """put_part, batched."""

    def key(self, item: PartRow) -> Hashable:
        return item.upload_id, item.part_number

    def order(self, item: PartRow) -> tuple[bytes, int]:
        return item.upload_id, item.part_number

    def own_id(self, item: PartRow) -> bytes:
        return item.part_id

    def step(self, items: Sequence[PartRow]) -> Step:
        return WRITE, (
            sorted({item.upload_id for item in items}),
            [item.upload_id for item in items],
            [item.part_number for item in items],
            [item.part_id for item in items],
            [item.size for item in items],
            [item.etag for item in items],
            [item.checksum for item in items],
            [item.layout_id for item in items],
            [item.extents for item in items],
            [item.sse for item in items],
        )

    def judge(self, item: PartRow, row: Row, now: datetime) -> Outcome[PartRow]:
        return item._replace(modified_at=now) if row[1] == DONE else UploadMissing()

    async def ask(self, items: Sequence[PartRow]) -> list[PartRow | Exception]:
        answers: list[PartRow | Exception] = [Unavailable("a commit was cut off") for _ in items]
        for place, moment in await self._pool.repeat(ASK, [item.part_id for item in items]):
            answers[place - 1] = items[place - 1]._replace(modified_at=moment)
        return answers


async def list_parts(pool: Pool, upload_id: bytes, after: int, limit: int) -> tuple[list[PartRow], bool]:
    """Parts in order of their numbers, after a number; whether more follow."""
    rows = await pool.repeat(LIST, upload_id, after, min(limit, MAX_PARTS) + 1)
    return [PartRow._make(row) for row in rows[:limit]], len(rows) > limit
