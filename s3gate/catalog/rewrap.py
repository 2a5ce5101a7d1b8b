"""Envelopes by the page, and others put in their place: what the rotation of keys does to rows.

It refuses to know what an envelope says: whoever rotates reads a page, wraps anew what is due, and hands both back. A
row is changed only if its envelope is still the one that was read, under the lock of its key's head; what was missed
because it moved meanwhile is met by the next walk (law 10).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from s3gate.catalog.connection import Statement
from s3gate.catalog.limits import Limits
from s3gate.catalog.parameters import BYTEA, BYTEA_ARRAY, INT4, INT8, INT8_ARRAY
from s3gate.catalog.pool import Pool

PAGE_ROWS = 2000
"""Rows that one statement reads, the plain ones among them."""

HEADS, OLDER, UPLOADS = "heads", "older versions", "uploads"
KINDS: Final = (UPLOADS, HEADS, OLDER)
"""In the order in which a row may wander from one to the next: an upload becomes a head, a head an older version."""

_PAGES: Final = {
    HEADS: Statement(
        "rewrap_heads",
        """SELECT bucket_id, key, version, ''::bytea, sse FROM object
           WHERE (bucket_id, key) > ($2, $3) ORDER BY bucket_id, key LIMIT $1""",
        INT4,
        INT8,
        BYTEA,
    ),
    OLDER: Statement(
        "rewrap_older",
        """SELECT bucket_id, key, version, ''::bytea, sse FROM version
           WHERE (bucket_id, key) >= ($2, $3) AND ((bucket_id, key) > ($2, $3) OR version < $4)
           ORDER BY bucket_id, key, version DESC LIMIT $1""",
        INT4,
        INT8,
        BYTEA,
        INT8,
    ),
    UPLOADS: Statement(
        "rewrap_uploads",
        """SELECT bucket_id, key, 0::bigint, upload_id, sse FROM upload
           WHERE (bucket_id, key, upload_id) > ($2, $3, $4) AND key <> ''
           ORDER BY bucket_id, key, upload_id LIMIT $1""",
        INT4,
        INT8,
        BYTEA,
        BYTEA,
    ),
}
_NEW: Final = """
    WITH n AS MATERIALIZED (
        SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bytea[], $5::bytea[], $6::bytea[])
            AS n (bucket_id, key, version, upload_id, old, new)
    ), head AS MATERIALIZED (
        SELECT o.bucket_id, o.key
        FROM (SELECT DISTINCT bucket_id, key FROM n ORDER BY bucket_id, key) AS k
        CROSS JOIN LATERAL (
            SELECT bucket_id, key FROM object o WHERE o.bucket_id = k.bucket_id AND o.key = k.key FOR UPDATE
        ) AS o
    )
"""
_TYPES: Final = (INT8_ARRAY, BYTEA_ARRAY, INT8_ARRAY, BYTEA_ARRAY, BYTEA_ARRAY, BYTEA_ARRAY)
_CHANGES: Final = {
    HEADS: Statement(
        "rewrap_change_heads",
        _NEW
        + """UPDATE object o SET sse = n.new FROM n JOIN head USING (bucket_id, key)
           WHERE o.bucket_id = ANY (ARRAY[n.bucket_id]) AND o.key = ANY (ARRAY[n.key])
             AND o.version = ANY (ARRAY[n.version]) AND o.sse = n.old
           RETURNING 1""",
        *_TYPES,
    ),
    OLDER: Statement(
        "rewrap_change_older",
        _NEW
        + """UPDATE version v SET sse = n.new FROM n JOIN head USING (bucket_id, key)
           WHERE v.bucket_id = ANY (ARRAY[n.bucket_id]) AND v.key = ANY (ARRAY[n.key])
             AND v.version = ANY (ARRAY[n.version]) AND v.sse = n.old
           RETURNING 1""",
        *_TYPES,
    ),
    UPLOADS: Statement(
        "rewrap_change_uploads",
        """UPDATE upload u SET sse = n.new
           FROM unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bytea[], $5::bytea[], $6::bytea[])
               AS n (bucket_id, key, version, upload_id, old, new)
           WHERE u.bucket_id = ANY (ARRAY[n.bucket_id]) AND u.key = ANY (ARRAY[n.key])
             AND u.upload_id = ANY (ARRAY[n.upload_id]) AND u.sse = n.old RETURNING 1""",
        *_TYPES,
    ),
}


class Sealed(NamedTuple):
    """Where an envelope is, and the envelope; empty for a plain row."""

    bucket_id: int
    key: bytes
    version: int
    upload_id: bytes
    sse: bytes


START = Sealed(0, b"", 0, b"", b"")


class Rewrap:
    """One connection of its own, for as long as a rotation takes."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @classmethod
    async def open(cls, dsn: str) -> Rewrap:
        """Connect."""
        pool = Pool(dsn, Limits(), 1)
        await pool.open()
        return cls(pool)

    async def close(self) -> None:
        """Disconnect."""
        await self._pool.close()

    async def page(self, kind: str, after: Sealed) -> list[Sealed]:
        """The next rows behind one, encrypted or not."""
        last = {HEADS: (), OLDER: (after.version,), UPLOADS: (after.upload_id,)}[kind]
        rows = await self._pool.repeat(_PAGES[kind], PAGE_ROWS, after.bucket_id, after.key, *last)
        return [Sealed._make(row) for row in rows]

    async def change(self, kind: str, rows: Sequence[tuple[Sealed, bytes]]) -> int:
        """Puts each new envelope where the old one still is; how many that were."""
        found = [row for row, _ in rows]
        changed = await self._pool.repeat(
            _CHANGES[kind],
            [row.bucket_id for row in found],
            [row.key for row in found],
            [row.version for row in found],
            [row.upload_id for row in found],
            [row.sse for row in found],
            [new for _, new in rows],
        )
        return len(changed)
