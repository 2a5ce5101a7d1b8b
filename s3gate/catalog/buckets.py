"""Buckets: made, found, listed, deleted.

Found buckets are remembered for a moment, missing ones never. A remembered row may be old: that is harmless,
because every lookup and every commit compares its bucket id and configuration number with the row that is there.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from s3gate.catalog.connection import ConnectionLost, Statement
from s3gate.catalog.errors import BucketMissing, BucketNotEmpty, BucketTaken, Unavailable
from s3gate.catalog.limits import Limits
from s3gate.catalog.parameters import INT4, TEXT
from s3gate.catalog.pool import Pool
from s3gate.catalog.rows import BucketRow

FIND = Statement(
    "bucket_find",
    "SELECT bucket_id, name, config_number, owner, region, created_at FROM bucket WHERE name = $1",
    TEXT,
)
CREATE = Statement(
    "bucket_create",
    """INSERT INTO bucket (name, owner, region) VALUES ($1, $2, $3)
       ON CONFLICT (name) DO NOTHING
       RETURNING bucket_id, name, config_number, owner, region, created_at""",
    TEXT,
    TEXT,
    TEXT,
)
LOCK = Statement("bucket_lock", "SELECT bucket_id FROM bucket WHERE name = $1 FOR UPDATE", TEXT)
# A second statement with a snapshot of its own: it sees what committed while the lock was waited for.
DELETE = Statement(
    "bucket_delete",
    """DELETE FROM bucket b WHERE b.name = $1
         AND NOT EXISTS (SELECT FROM object o WHERE o.bucket_id = b.bucket_id)
         AND NOT EXISTS (SELECT FROM upload u WHERE u.bucket_id = b.bucket_id)
       RETURNING b.bucket_id""",
    TEXT,
)
# $2 as text compares in the column's collation "C": byte order.
LIST = Statement(
    "bucket_list",
    """SELECT bucket_id, name, config_number, owner, region, created_at FROM bucket
       WHERE name > $2 AND starts_with(name, $1) ORDER BY name LIMIT $3""",
    TEXT,
    TEXT,
    INT4,
)


class Buckets:
    """The table of buckets and what is remembered of it."""

    def __init__(self, pool: Pool, limits: Limits) -> None:
        self._pool = pool
        self._most = limits.bucket_cache_rows
        self._seconds = limits.bucket_cache_seconds
        self._loop = asyncio.get_running_loop()
        self._known: OrderedDict[str, tuple[float, BucketRow]] = OrderedDict()

    def remembered(self, name: str) -> BucketRow | None:
        """The row as it was a moment ago, without asking."""
        known = self._known.get(name)
        if known is None or known[0] < self._loop.time():
            return None
        return known[1]

    async def find(self, name: str, *, fresh: bool = False) -> BucketRow | None:
        """The row of this name; `fresh` asks Postgres in any case."""
        if not fresh and (row := self.remembered(name)) is not None:
            return row
        if not is_storable(name):
            return None
        rows = await self._pool.repeat(FIND, name)
        if not rows:
            self.forget(name)
            return None
        return self.remember(BucketRow(*rows[0]))

    def forget(self, name: str) -> None:
        """What was remembered turned out to be old."""
        self._known.pop(name, None)

    async def create(self, name: str, owner: str, region: str) -> BucketRow:
        """A new bucket, or BucketTaken."""
        for _ in range(3):
            rows = await self._pool.once(CREATE, name, owner, region)
            if rows:
                return self.remember(BucketRow(*rows[0]))
            existing = await self.find(name, fresh=True)
            if existing is not None:
                raise BucketTaken(existing.owner)
        raise Unavailable("the bucket comes and goes")

    async def delete(self, name: str) -> None:
        """Remove an empty bucket. Commits hold its row, so none of them can slip in between looking and deleting."""
        self.forget(name)
        try:
            locked, deleted = await self._pool.transact((LOCK, (name,)), (DELETE, (name,)))
        except ConnectionLost as lost:
            raise Unavailable("the connection to Postgres was lost") from lost
        finally:
            self.forget(name)
        if not locked:
            raise BucketMissing
        if not deleted:
            raise BucketNotEmpty

    async def list(self, prefix: str, after: str, limit: int) -> list[BucketRow]:
        """Buckets in byte order of their names, after a name."""
        if not (is_storable(prefix) and is_storable(after)):
            return []
        return [BucketRow(*row) for row in await self._pool.repeat(LIST, prefix, after, limit)]

    def remember(self, row: BucketRow) -> BucketRow:
        """Keep a row that a statement has just seen."""
        self._known[row.name] = (self._loop.time() + self._seconds, row)
        self._known.move_to_end(row.name)
        if len(self._known) > self._most:
            self._known.popitem(last=False)
        return row


def is_storable(name: str) -> bool:
    """Whether Postgres' text can hold this at all; no bucket has another name."""
    return name.isascii() and "\0" not in name
