"""CopyObject without copying: another reference to the same content (law 5).

Taking a reference locks an existing one. The source may be any version, in either table: the head of its key is
locked, and with it all its versions stay what they are; then the source's own row is held while the new row is
written, so that its content cannot lose its last reference meanwhile. Not batched.
"""

from __future__ import annotations

from typing import Final

from s3gate.catalog.batcher import AGAIN, Again
from s3gate.catalog.bucket_writes import Write, lock_values, place_of, refusal, write_values
from s3gate.catalog.connection import Row
from s3gate.catalog.errors import CatalogError, SourceChanged
from s3gate.catalog.parameters import BYTEA, INT8
from s3gate.catalog.rows import BucketRow, Committed, Condition, ObjectRow, Stored
from s3gate.catalog.settlement import never_happened
from s3gate.catalog.transactions import BucketChanges
from s3gate.catalog.versions import BUCKET_CHANGED, DONE, LOCK, writing

SOURCE_CHANGED: Final = 8

# (IS TRUE: a content may have a great many versions, so the row is to be found by its key, and not by its content.)
_IS_SOURCE: Final = """
        WHERE x.bucket_id = $27 AND x.key = $28 AND x.version = $29 AND x.version_id = $30
          AND (x.content_id = $31) IS TRUE
          AND EXISTS (SELECT FROM b) FOR UPDATE"""
COPY = writing(
    "object_copy",
    INT8,
    BYTEA,
    INT8,
    BYTEA,
    BYTEA,
    before=", source AS MATERIALIZED (SELECT FROM object x "
    + _IS_SOURCE
    + "), older_source AS MATERIALIZED (SELECT FROM version x "
    + _IS_SOURCE
    + ")",
    refused="CASE WHEN EXISTS (SELECT FROM source) OR EXISTS (SELECT FROM older_source) THEN 0 ELSE 8 END",
)


class Copies(BucketChanges):
    """copy_object."""

    async def copy(
        self, source: ObjectRow, bucket: BucketRow, key: bytes, stored: Stored, condition: Condition
    ) -> Committed:
        """Make the key another reference to the source's content, if that version is still there."""
        if stored.content_id != source.content_id:
            raise ValueError("a copy stores its source's content")
        write = Write(bucket, key, stored, condition, self._session.ids.next())
        locked = lock_values([write], [place_of(write), (source.bucket_id, source.key)])
        written = (
            *write_values([write]),
            source.bucket_id,
            source.key,
            source.version,
            source.version_id,
            source.content_id,
        )

        async def attempt(session_id: int, fence: int) -> Committed | Again | None:
            _, rows = await self._pool.transact(
                (LOCK, (session_id, fence, *locked)), (COPY, (session_id, fence, *written))
            )
            return self._judge(bucket, rows)

        # A copy leaves nothing of its own to look for when it was cut off, and no bytes: its caller comes back.
        return await self._run(attempt, never_happened)

    def _judge(self, bucket: BucketRow, rows: list[Row]) -> Committed | Again | None:
        if not rows:
            return None
        now = next(row[3] for row in rows if row[0] == 0)
        for place, verdict, version, _, version_id in rows:
            if place and verdict == DONE:
                return Committed(version, now, version_id)
            if place:
                raise self._refusal(bucket, verdict)
        return AGAIN

    def _refusal(self, bucket: BucketRow, verdict: int) -> CatalogError:
        if verdict == BUCKET_CHANGED:
            self._buckets.forget(bucket.name)
        return SourceChanged() if verdict == SOURCE_CHANGED else refusal(verdict)
