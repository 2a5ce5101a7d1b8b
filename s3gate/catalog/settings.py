"""What buckets were told (CORS rules, policies, tags ...): documents, opaque here, by kind, some by an id, too.

Every change bumps the bucket's configuration number in its transaction, which holds the bucket's row: commits that were
decided on what was said before are refused, and no gate goes on with what it remembers.
"""

from __future__ import annotations

from s3gate.catalog.buckets import LOCK, Buckets, is_storable
from s3gate.catalog.connection import ConnectionLost, Row, Statement
from s3gate.catalog.errors import BucketMissing, TooManySettings, Unavailable
from s3gate.catalog.parameters import BYTEA, INT4, INT8, TEXT
from s3gate.catalog.pool import Pool

# The bucket's row has been locked by the statement before, so that what is counted here cannot change.
PUT = Statement(
    "setting_put",
    """
    WITH b AS (
        UPDATE bucket SET config_number = config_number + 1
        WHERE name = $1 AND ($5 = 0 OR $5 > (
            SELECT count(*) FROM bucket_setting s
            WHERE s.bucket_id = bucket.bucket_id AND s.kind = $2 AND s.setting_id <> $3))
        RETURNING bucket_id
    )
    INSERT INTO bucket_setting (bucket_id, kind, setting_id, document) SELECT b.bucket_id, $2, $3, $4 FROM b
    ON CONFLICT (bucket_id, kind, setting_id) DO UPDATE SET document = excluded.document
    RETURNING bucket_id
    """,
    TEXT,
    TEXT,
    TEXT,
    BYTEA,
    INT4,
)
DELETE = Statement(
    "setting_delete",
    """
    WITH gone AS (
        DELETE FROM bucket_setting s
        WHERE s.bucket_id = (SELECT bucket_id FROM bucket WHERE name = $1) AND s.kind = $2 AND s.setting_id = $3
        RETURNING s.bucket_id
    )
    UPDATE bucket b SET config_number = config_number + 1 FROM gone WHERE b.bucket_id = ANY (ARRAY[gone.bucket_id])
    RETURNING b.bucket_id
    """,
    TEXT,
    TEXT,
    TEXT,
)
FIND = Statement(
    "setting_find",
    "SELECT document FROM bucket_setting WHERE bucket_id = $1 AND kind = $2 AND setting_id = $3",
    INT8,
    TEXT,
    TEXT,
)
LIST = Statement(
    "setting_list",
    """SELECT setting_id, document FROM bucket_setting
       WHERE bucket_id = $1 AND kind = $2 AND setting_id > $3 ORDER BY setting_id LIMIT $4""",
    INT8,
    TEXT,
    TEXT,
    INT4,
)


class BucketSettings:
    """The table of settings. Those without an id come with their bucket's row, too."""

    def __init__(self, pool: Pool, buckets: Buckets) -> None:
        self._pool = pool
        self._buckets = buckets

    async def put(self, name: str, kind: str, document: bytes, setting_id: str, most: int) -> None:
        """Make the document what the bucket is told; TooManySettings beyond `most` ids of the kind (0: any number)."""
        if not is_storable(setting_id):
            raise ValueError("an id that no other call would find")
        if not await self._change(name, PUT, name, kind, setting_id, document, most):
            raise TooManySettings

    async def delete(self, name: str, kind: str, setting_id: str) -> bool:
        """Unsay it; whether it had been said."""
        return bool(is_storable(setting_id) and await self._change(name, DELETE, name, kind, setting_id))

    async def find(self, bucket_id: int, kind: str, setting_id: str) -> bytes | None:
        """One document."""
        if not is_storable(setting_id):
            return None
        rows = await self._pool.repeat(FIND, bucket_id, kind, setting_id)
        return rows[0][0] if rows else None

    async def _change(self, name: str, statement: Statement, *values: object) -> list[Row]:
        """Run it behind the bucket's lock. Whoever is not told how it ended may say it again: it is what it says."""
        if not is_storable(name):
            raise BucketMissing
        try:
            locked, changed = await self._pool.transact((LOCK, (name,)), (statement, values))
        except ConnectionLost as lost:
            raise Unavailable("the connection to Postgres was lost") from lost
        finally:
            self._buckets.forget(name)
        if not locked:
            raise BucketMissing
        return changed

    async def list(self, bucket_id: int, kind: str, after: str, limit: int) -> list[tuple[str, bytes]]:
        """Ids and documents of one kind, in byte order of the ids, after an id."""
        if not is_storable(after):
            return []
        return [(row[0], row[1]) for row in await self._pool.repeat(LIST, bucket_id, kind, after, limit)]
