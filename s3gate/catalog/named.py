"""Which segments rows name, for the sweep of a closed session (law 4): of versions, of parts, and of garbage.

The first segment of a content is its id, and indexes lead to it; the others are unpacked from the few rows that have
several. Every question is one statement over all tables, so that what wanders from one to another is in one of them: of
a closed session, what no row names now no row will name. It refuses to know what becomes of the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

from s3gate.catalog.connection import Row, Statement
from s3gate.catalog.parameters import BYTEA, BYTEA_ARRAY, INT4
from s3gate.catalog.pieces import named_by_part
from s3gate.catalog.pool import Pool

# (No EXISTS: that may be planned as a hash of the whole table.)
FIRST = Statement(
    "segment_first",
    """
    SELECT n.id FROM unnest($1::bytea[]) AS n (id)
    WHERE (SELECT true FROM object o WHERE o.content_id = n.id LIMIT 1) IS NOT NULL
       OR (SELECT true FROM version v WHERE v.content_id = n.id LIMIT 1) IS NOT NULL
       OR (SELECT true FROM garbage g WHERE g.content_id = n.id LIMIT 1) IS NOT NULL
       OR """
    + named_by_part("n.id"),
    BYTEA_ARRAY,
)
SEVERAL = Statement(
    "segment_several",
    """
    (SELECT DISTINCT content_id AS id, extents FROM object
     WHERE content_id >= $1 AND content_id < $2 AND length(extents) > 20 ORDER BY 1 LIMIT $3)
    UNION
    (SELECT DISTINCT content_id, extents FROM version
     WHERE content_id >= $1 AND content_id < $2 AND length(extents) > 20 ORDER BY 1 LIMIT $3)
    UNION
    (SELECT DISTINCT part_id, extents FROM part
     WHERE part_id >= $1 AND part_id < $2 AND length(extents) > 20 ORDER BY 1 LIMIT $3)
    UNION
    (SELECT DISTINCT source_id, extents FROM part
     WHERE source_id >= $1 AND source_id < $2 AND length(extents) > 20 ORDER BY 1 LIMIT $3)
    UNION
    (SELECT DISTINCT content_id, extents FROM garbage
     WHERE content_id >= $1 AND content_id < $2 AND length(extents) > 20 ORDER BY 1 LIMIT $3)
    ORDER BY 1 LIMIT $3
    """,
    BYTEA,
    BYTEA,
    INT4,
)


async def first_segments(pool: Pool, segments: Sequence[bytes]) -> list[bytes]:
    """Those of these segments that are the first one of what a row names."""
    return [row[0] for row in await pool.repeat(FIRST, segments)]


async def several_segments(pool: Pool, first: bytes, below: bytes, limit: int) -> tuple[list[bytes], bytes]:
    """Extents of rows of several segments the first of which lies within these bounds: all below the id beside them."""
    rows, below = whole(await pool.repeat(SEVERAL, first, below, limit), below, limit)
    return [row[1] for row in rows], below


def whole(rows: list[Row], below: bytes, limit: int) -> tuple[list[Row], bytes]:
    """A page as far as it is complete: several rows may have one first segment."""
    if len(rows) < limit:
        return rows, below
    last: bytes = rows[-1][0]
    return [row for row in rows if row[0] < last], last
