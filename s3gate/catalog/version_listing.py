"""Listing versions: keys in byte order, the versions of a key from the newest on, a page in one statement.

The order is that of two indexes: heads by key, older versions by key and falling counter. Each is read in order for as
many rows as the page may have, and what was read is merged: nothing but a page is ever sorted, however many versions a
key has. With a delimiter it is the skip-scan of `listing.ROLLED` over what is merged in this way.
"""

from __future__ import annotations

from typing import Final

from s3gate.catalog.connection import Row, Statement
from s3gate.catalog.listing import ABOVE, above, lower_bound
from s3gate.catalog.parameters import BYTEA, INT4, INT8
from s3gate.catalog.pool import Pool
from s3gate.catalog.rows import CommonPrefix, VersionEntry, VersionPage

_HEADS: Final = """(SELECT key, version, version_id, marker, true AS is_latest, size, etag, modified_at, checksum
        FROM object WHERE bucket_id = $1 AND """
_OLDER: Final = """(SELECT key, version, version_id, marker, false AS is_latest, size, etag, modified_at, checksum
        FROM version WHERE bucket_id = $1 AND """
# $5: below this counter versions of the key $2 come first, or NULL. Its head may be among them: what was above it may
# have been removed since the page before.
FLAT = Statement(
    "version_list",
    "SELECT * FROM ("
    + _HEADS
    + "key = $2 AND version < $5) UNION ALL "
    + _OLDER
    + "key = $2 AND version < $5 ORDER BY version DESC LIMIT $4) UNION ALL "
    + _HEADS
    + "key > $2 AND key < $3 ORDER BY key LIMIT $4) UNION ALL "
    + _OLDER
    + "key > $2 AND key < $3 ORDER BY key, version DESC LIMIT $4)) AS merged ORDER BY key, version DESC LIMIT $4",
    INT8,
    BYTEA,
    BYTEA,
    INT4,
    INT8,
)
# $6, $7, $8: as $5, $6, $7 of `listing.ROLLED`. A step begins below (bound, version), which is the last row before it.
ROLLED = Statement(
    "version_list_rolled",
    """
    WITH RECURSIVE walk (n, reads, bound, key, version, version_id, marker, is_latest,
                         size, etag, modified_at, checksum) AS (
        SELECT 0::bigint, 4, $2::bytea, NULL::bytea, $5::bigint, NULL::bytea, NULL::boolean, NULL::boolean,
               NULL::bigint, NULL::text, NULL::timestamptz, NULL::text
        UNION ALL
        SELECT w.n + o.place, CASE WHEN o.at > 0 THEN 1 ELSE least(w.reads * 4, 256) END,
               CASE WHEN o.at > 0 THEN o.rolled || $8 WHEN o.place = w.reads THEN o.key END,
               CASE WHEN o.at > 0 THEN o.rolled ELSE o.key END,
               CASE WHEN o.at = 0 THEN o.version END, o.version_id, o.marker, o.is_latest,
               o.size, o.etag, o.modified_at, o.checksum
        FROM walk w CROSS JOIN LATERAL (
            SELECT c.*, CASE WHEN c.at > 0 THEN substring(c.key FOR $6 + c.at + length($7) - 2) END AS rolled
            FROM (
                SELECT f.*, row_number() OVER (ORDER BY f.key, f.version DESC) AS place,
                       count(*) FILTER (WHERE f.at > 0)
                           OVER (ORDER BY f.key, f.version DESC
                                 ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS rolled_before
                FROM (
                    SELECT merged.*, position($7 IN substring(merged.key FROM $6)) AS at FROM ("""
    + _HEADS
    + "key = w.bound AND version < w.version) UNION ALL "
    + _OLDER
    + "key = w.bound AND version < w.version ORDER BY version DESC LIMIT w.reads) UNION ALL "
    + _HEADS
    + "key > w.bound AND key < $3 ORDER BY key LIMIT w.reads) UNION ALL "
    + _OLDER
    + """key > w.bound AND key < $3 ORDER BY key, version DESC LIMIT w.reads)) AS merged
                    ORDER BY merged.key, merged.version DESC LIMIT w.reads) AS f
            ) AS c
            WHERE c.rolled_before = 0
        ) AS o
        WHERE w.bound IS NOT NULL AND w.n < $4
    )
    SELECT key, version, version_id, marker, is_latest, size, etag, modified_at, checksum
    FROM walk WHERE n > 0 ORDER BY n LIMIT $4
    """,
    INT8,
    BYTEA,
    BYTEA,
    INT4,
    INT8,
    INT4,
    BYTEA,
    BYTEA,
)


async def list_versions(
    pool: Pool, bucket_id: int, prefix: bytes, delimiter: bytes, after: bytes, after_version: int | None, limit: int
) -> VersionPage:
    """Versions by key, newest first, after a key (or common prefix), or after a version of that key."""
    if limit <= 0:
        return VersionPage([], False)
    lower = lower_bound(prefix, delimiter, after, inclusive=False)
    below_version = after_version if lower == after and after.startswith(prefix) else None
    bounds = (bucket_id, lower, above(prefix), limit + 1, below_version)
    if delimiter:
        rows = await pool.repeat(ROLLED, *bounds, len(prefix) + 1, delimiter, ABOVE)
    else:
        rows = await pool.repeat(FLAT, *bounds)
    return VersionPage(list(map(_entry, rows[:limit])), len(rows) > limit)


def _entry(row: Row) -> VersionEntry | CommonPrefix:
    return CommonPrefix(row[0]) if row[1] is None else VersionEntry._make(row)
