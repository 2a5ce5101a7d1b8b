"""Buckets: made, found, listed, deleted; their versioning and object lock.

Found buckets are remembered for a moment, missing ones never. A remembered row may be old: that is harmless,
because every lookup and every commit compares its bucket id and configuration number with the row that is there.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Mapping
from typing import Final

from s3gate.catalog.connection import ConnectionLost, Row, Statement
from s3gate.catalog.errors import BucketMissing, BucketNotEmpty, BucketTaken, Unavailable, WrongBucketState
from s3gate.catalog.limits import Limits
from s3gate.catalog.parameters import BOOL, BYTEA_ARRAY, INT2, INT4, TEXT, TEXT_ARRAY
from s3gate.catalog.pieces import CONFIG_NUMBER, DROP_OLD_UPLOADS, IDENTITY_NUMBER, has_no
from s3gate.catalog.pool import Pool
from s3gate.catalog.rows import BucketEntry, BucketRow

_OWN_COLUMNS: Final = (
    "b.bucket_id, b.name, "
    + CONFIG_NUMBER
    + ", b.owner, b.region, b.created_at, b.versioning, b.lock_enabled, "
    + IDENTITY_NUMBER
    + ", "
)
COLUMNS: Final = (
    _OWN_COLUMNS
    + """ARRAY(SELECT s.kind FROM bucket_setting s
               WHERE s.bucket_id = b.bucket_id AND s.setting_id = '' ORDER BY s.kind),
         ARRAY(SELECT s.document FROM bucket_setting s
               WHERE s.bucket_id = b.bucket_id AND s.setting_id = '' ORDER BY s.kind)"""
)
"""What `bucket_row` is made of: everything about a bucket that requests are decided from, in one look."""

FIND = Statement("bucket_find", "SELECT " + COLUMNS + " FROM bucket b WHERE b.name = ANY ($1)", TEXT_ARRAY)
# What was inserted beside the bucket is not seen in the same statement: the settings that were given are given back.
CREATE = Statement(
    "bucket_create",
    """
    WITH b AS (
        INSERT INTO bucket (name, owner, region, versioning, lock_enabled)
        VALUES ($1, $2, $3, CASE WHEN $4 THEN 1 ELSE 0 END, $4)
        ON CONFLICT (name) DO NOTHING
        RETURNING *
    ), s AS (
        INSERT INTO bucket_setting (bucket_id, kind, setting_id, document)
        SELECT b.bucket_id, n.kind, '', n.document
        FROM b CROSS JOIN unnest($5::text[], $6::bytea[]) AS n (kind, document)
    )
    SELECT """
    + _OWN_COLUMNS
    + "$5, $6 FROM b",
    TEXT,
    TEXT,
    TEXT,
    BOOL,
    TEXT_ARRAY,
    BYTEA_ARRAY,
)
SET_VERSIONING = Statement(
    "bucket_set_versioning",
    """UPDATE bucket SET versioning = $2, config_number = config_number + 1
       WHERE name = $1 AND (versioning = $2 OR NOT lock_enabled)
       RETURNING bucket_id""",
    TEXT,
    INT2,
)
ENABLE_LOCK = Statement(
    "bucket_enable_lock",
    """UPDATE bucket SET lock_enabled = true, config_number = config_number + 1
       WHERE name = $1 AND versioning = 1
       RETURNING bucket_id""",
    TEXT,
)
LOCK = Statement("bucket_lock", "SELECT bucket_id FROM bucket WHERE name = $1 FOR UPDATE", TEXT)
# Statements behind the lock have snapshots of their own: they see what committed while it was waited for.
# Uploads do not keep a bucket that has no object: at AWS they go with it. They become garbage as an abort makes them.
CLEAR = Statement(
    "bucket_clear",
    """
    WITH old AS MATERIALIZED (
        SELECT u.bucket_id, u.key, u.upload_id FROM upload u
        WHERE u.bucket_id = (SELECT b.bucket_id FROM bucket b WHERE b.name = $1 AND """
    + has_no("object", "b.bucket_id")
    + """) AND u.key <> ''
        ORDER BY u.key, u.upload_id LIMIT $2 FOR UPDATE OF u
    ), gone AS ("""
    + DROP_OLD_UPLOADS
    + """)
    INSERT INTO garbage (kind, content_id, part_count, layout_id, extents)
    SELECT 'upload', upload_id, 1, 0, '' FROM gone
    RETURNING content_id
    """,
    TEXT,
    INT4,
)
DELETE = Statement(
    "bucket_delete",
    """
    WITH gone AS (
        DELETE FROM bucket b WHERE b.name = $1 AND """
    + has_no("object", "b.bucket_id")
    + " AND "
    + has_no("upload", "b.bucket_id")
    + """
        RETURNING b.bucket_id
    ), s AS (
        DELETE FROM bucket_setting s USING gone WHERE s.bucket_id = ANY (ARRAY[gone.bucket_id])
    ), p AS (
        DELETE FROM lifecycle_progress p USING gone WHERE p.bucket_id = ANY (ARRAY[gone.bucket_id])
    )
    SELECT bucket_id FROM gone
    """,
    TEXT,
)
# $2 as text compares in the column's collation "C": byte order.
LIST = Statement(
    "bucket_list",
    """SELECT bucket_id, name, owner, region, created_at FROM bucket
       WHERE owner = $1 AND name > $3 AND starts_with(name, $2) ORDER BY name LIMIT $4""",
    TEXT,
    TEXT,
    TEXT,
    INT4,
)


_UPLOADS_AT_ONCE: Final = 1000


class Buckets:
    """The table of buckets and what is remembered of it."""

    def __init__(self, pool: Pool, limits: Limits) -> None:
        self._pool = pool
        self._most = limits.bucket_cache_rows
        self._most_bytes = limits.bucket_cache_bytes
        self._bytes = 0
        self._seconds = limits.bucket_cache_seconds
        self._loop = asyncio.get_running_loop()
        self._known: OrderedDict[str, tuple[float, BucketRow]] = OrderedDict()

    def remembered(self, name: str) -> BucketRow | None:
        """The row as it was a moment ago, without asking."""
        known = self._known.get(name)
        if known is None or known[0] < self._loop.time():
            return None
        return known[1]

    def confirmed(self, name: str, bucket_id: int, config_number: int) -> BucketRow | None:
        """The remembered row, however old, if it is the one that a statement has just seen."""
        known = self._known.get(name)
        if known is None or known[1].config_number != config_number or known[1].bucket_id != bucket_id:
            return None
        if known[0] < self._loop.time():
            self.remember(known[1])
        return known[1]

    async def find(self, name: str, *, fresh: bool = False) -> BucketRow | None:
        """The row of this name; `fresh` asks Postgres in any case."""
        if not fresh and (row := self.remembered(name)) is not None:
            return row
        return (await self.find_many([name])).get(name)

    async def find_many(self, names: Collection[str]) -> dict[str, BucketRow]:
        """The rows of these names, as Postgres has them now."""
        storable = [name for name in names if is_storable(name)]
        rows = [bucket_row(row) for row in await self._pool.repeat(FIND, storable)] if storable else []
        found = {row.name: self.remember(row) for row in rows}
        for name in names:
            if name not in found:
                self.forget(name)
        return found

    def forget(self, name: str) -> None:
        """What was remembered turned out to be old."""
        known = self._known.pop(name, None)
        if known is not None:
            self._bytes -= _told_bytes(known[1])

    async def create(
        self, name: str, owner: str, region: str, *, lock_enabled: bool, settings: Mapping[str, bytes]
    ) -> BucketRow:
        """A new bucket, or BucketTaken."""
        kinds, documents = list(settings), list(settings.values())
        for _ in range(3):
            rows = await self._pool.once(CREATE, name, owner, region, lock_enabled, kinds, documents)
            if rows:
                return self.remember(bucket_row(rows[0]))
            existing = await self.find(name, fresh=True)
            if existing is not None:
                raise BucketTaken(existing.owner)
        raise Unavailable("the bucket comes and goes")

    async def set_versioning(self, name: str, state: int) -> None:
        """ENABLED or SUSPENDED, seen by every commit from now on; WrongBucketState: object lock needs it enabled."""
        await self._change(name, SET_VERSIONING, name, state)

    async def enable_lock(self, name: str) -> None:
        """Object lock, for ever; WrongBucketState: versioning is not enabled."""
        await self._change(name, ENABLE_LOCK, name)

    async def _change(self, name: str, statement: Statement, *values: object) -> None:
        try:
            changed = is_storable(name) and await self._pool.once(statement, *values)
        finally:
            self.forget(name)
        if not changed:
            raise BucketMissing if await self.find(name, fresh=True) is None else WrongBucketState

    async def delete(self, name: str) -> None:
        """Remove an empty bucket. Commits hold its row, so none of them can slip in between looking and deleting."""
        while not await self._deleted(name):
            pass  # it had more uploads than a batch takes

    async def _deleted(self, name: str) -> bool:
        self.forget(name)
        steps = (LOCK, (name,)), (CLEAR, (name, _UPLOADS_AT_ONCE)), (DELETE, (name,))
        try:
            locked, aborted, deleted = await self._pool.transact(*steps)
        except ConnectionLost as lost:
            raise Unavailable("the connection to Postgres was lost") from lost
        finally:
            self.forget(name)
        if not locked:
            raise BucketMissing
        if not deleted and len(aborted) < _UPLOADS_AT_ONCE:
            raise BucketNotEmpty
        return bool(deleted)

    async def list(self, owner: str, prefix: str, after: str, limit: int) -> list[BucketEntry]:
        """An owner's buckets in byte order of their names, after a name."""
        if not (is_storable(prefix) and is_storable(after)):
            return []
        return [BucketEntry._make(row) for row in await self._pool.repeat(LIST, owner, prefix, after, limit)]

    def remember(self, row: BucketRow) -> BucketRow:
        """Keep a row that a statement has just seen."""
        self.forget(row.name)
        self._known[row.name] = (self._loop.time() + self._seconds, row)
        self._bytes += _told_bytes(row)
        while len(self._known) > self._most or self._bytes > self._most_bytes:
            self.forget(next(iter(self._known)))
        return row


def bucket_row(row: Row) -> BucketRow:
    """The bucket of COLUMNS."""
    *own, kinds, documents = row
    return BucketRow(*(*own, dict(zip(kinds, documents, strict=True))))


def _told_bytes(row: BucketRow) -> int:
    return sum(map(len, row.settings.values()))


def is_storable(name: str) -> bool:
    """Whether Postgres' text can hold this at all; no bucket has another name."""
    return name.isascii() and "\0" not in name
