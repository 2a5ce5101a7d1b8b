"""Looking up objects: versions of keys, asked of Postgres every time (law 1), many in one statement.

It refuses to cache objects. The statement says which bucket of this name there is now and how its configuration is
numbered; the remembered row of this number is the bucket's row, and where there is none it is fetched.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias, TypeVar

from s3gate.catalog.batcher import AGAIN, Batcher, Outcome
from s3gate.catalog.buckets import Buckets, is_storable
from s3gate.catalog.connection import Row, Statement
from s3gate.catalog.limits import Limits
from s3gate.catalog.parameters import BYTEA_ARRAY, INT8_ARRAY, TEXT_ARRAY
from s3gate.catalog.pieces import CONFIG_NUMBER
from s3gate.catalog.pool import Pool
from s3gate.catalog.rows import BucketRow, ObjectRow, VersionRef

_COLUMNS: Final = """key, version, content_id, size, etag, modified_at, layout_id, part_count, extents, headers,
                     checksum, version_id, marker, tags, lock, retain_until, sse, acl"""
_SELECT: Final = "SELECT n.idx, " + CONFIG_NUMBER + ", b.bucket_id, o.* "
FIND = Statement(
    "object_find",
    _SELECT
    + """
       FROM unnest($1::text[], $2::bytea[]) WITH ORDINALITY n (name, key, idx)
       JOIN bucket b ON b.name = ANY (ARRAY[n.name])
       LEFT JOIN LATERAL (SELECT """
    + _COLUMNS
    + " FROM object h WHERE h.bucket_id = b.bucket_id AND h.key = n.key LIMIT 1) AS o ON true",
    TEXT_ARRAY,
    BYTEA_ARRAY,
)
# A version is the head of its key or one of the older ones. The null version is found by having no id.
FIND_VERSION = Statement(
    "version_find",
    _SELECT
    + """
       FROM unnest($1::text[], $2::bytea[], $3::bigint[], $4::bytea[])
            WITH ORDINALITY n (name, key, version, version_id, idx)
       JOIN bucket b ON b.name = ANY (ARRAY[n.name])
       LEFT JOIN LATERAL (
           SELECT """
    + _COLUMNS
    + """ FROM object h
           WHERE h.bucket_id = b.bucket_id AND h.key = n.key AND h.version_id = n.version_id
             AND (h.version = n.version OR n.version_id = '')
           UNION ALL
           SELECT """
    + _COLUMNS
    + """ FROM version v
           WHERE v.bucket_id = b.bucket_id AND v.key = n.key AND v.version = n.version
             AND v.version_id = n.version_id AND n.version_id <> ''
           UNION ALL
           SELECT """
    + _COLUMNS
    + """ FROM version v
           WHERE v.bucket_id = b.bucket_id AND v.key = n.key AND v.version_id = '' AND n.version_id = ''
           LIMIT 1) AS o ON true""",
    TEXT_ARRAY,
    BYTEA_ARRAY,
    INT8_ARRAY,
    BYTEA_ARRAY,
)

Head: TypeAlias = tuple[str, bytes]
Version: TypeAlias = tuple[str, bytes, int, bytes]
Asked = TypeVar("Asked", Head, Version)
Found: TypeAlias = tuple[BucketRow | None, ObjectRow | None]
_NOTHING: Final[Found] = (None, None)


class Lookups:
    """find_object, batched: the heads of keys, and apart from them versions that are named."""

    def __init__(self, pool: Pool, buckets: Buckets, limits: Limits) -> None:
        self._pool = pool
        self._buckets = buckets
        self._limits = limits
        self.heads: Batcher[Head, Found] = self._batcher(self._find_heads)
        self._versions: Batcher[Version, Found] = self._batcher(self._find_versions)

    def _batcher(self, run: Callable[[list[Asked]], Awaitable[Sequence[Outcome[Found]]]]) -> Batcher[Asked, Found]:
        limits = self._limits
        return Batcher(
            run,
            lanes=limits.lookup_connections,
            rows=limits.batch_rows,
            waiting=limits.waiting_requests,
            lost_races=limits.lost_races,
        )

    async def find(self, bucket: str, key: bytes, version: VersionRef | None) -> Found:
        """The bucket, and the head of the key or the version, each None when there is none."""
        if not is_storable(bucket):
            return _NOTHING
        if version is None:
            return await self.heads.submit((bucket, key))
        return await self._versions.submit((bucket, key, *version))

    async def _find_heads(self, asked: list[Head]) -> Sequence[Outcome[Found]]:
        rows = await self._pool.repeat(FIND, [each[0] for each in asked], [each[1] for each in asked])
        return await self._match(asked, rows)

    async def _find_versions(self, asked: list[Version]) -> Sequence[Outcome[Found]]:
        rows = await self._pool.repeat(
            FIND_VERSION,
            [each[0] for each in asked],
            [each[1] for each in asked],
            [each[2] for each in asked],
            [each[3] for each in asked],
        )
        return await self._match(asked, rows)

    async def _match(self, asked: Sequence[Head | Version], rows: Sequence[Row]) -> Sequence[Outcome[Found]]:
        """Put each object beside the row of its bucket that was there in the same moment."""
        found: list[Outcome[Found]] = [_NOTHING] * len(asked)
        confirmed = self._buckets.confirmed
        others = []
        for row in rows:
            place = row[0] - 1
            bucket = confirmed(asked[place][0], row[2], row[1])
            if bucket is None:
                others.append((place, row))
            else:
                found[place] = (bucket, None if row[4] is None else ObjectRow._make(row[2:]))
        known = await self._buckets.find_many({asked[place][0] for place, _ in others}) if others else {}
        for place, row in others:
            bucket = known.get(asked[place][0])
            if bucket is None or (bucket.bucket_id, bucket.config_number) != (row[2], row[1]):
                # It changed in between: no object is judged by what its bucket was told later.
                found[place] = AGAIN
            else:
                found[place] = (bucket, None if row[4] is None else ObjectRow._make(row[2:]))
        return found
