"""THE commit: puts and deletes of many keys in one autocommit statement (DESIGN, section 7; laws 1, 4, 5, 6).

It locks in the common order: the session's row, the buckets' rows, the objects' rows in the order of the batch, which
is sorted. It judges the row that it saw and writes only over that one: an update names the version it saw, an insert
does nothing on a conflict, and what did not come back joins the next batch. (A plain upsert would lose the replaced
version's garbage when two gates race.) What a replaced or removed version pointed to becomes garbage in the same
statement.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from datetime import datetime
from typing import Final

from s3gate.catalog.batcher import AGAIN, Outcome
from s3gate.catalog.buckets import Buckets
from s3gate.catalog.connection import Row, Statement
from s3gate.catalog.errors import BucketMissing, ConditionFailed, ObjectMissing, Unavailable
from s3gate.catalog.limits import Limits
from s3gate.catalog.parameters import BYTEA_ARRAY, INT2_ARRAY, INT4_ARRAY, INT8, INT8_ARRAY, TEXT_ARRAY
from s3gate.catalog.pool import Pool
from s3gate.catalog.rows import BucketRow, Committed, Condition, Stored
from s3gate.catalog.sessions import Session
from s3gate.catalog.settlement import Settlement
from s3gate.catalog.writes import FencedWrites

# Flags of a write, as the statement reads them.
DELETE: Final = 1
MUST_BE_ABSENT: Final = 2

# Verdicts, as the statement writes them.
DONE: Final = 1
ABSENT: Final = 2
BUCKET_CHANGED: Final = 3
IF_MATCH_FAILED: Final = 4
IF_NONE_MATCH_FAILED: Final = 5
OBJECT_MISSING: Final = 6

# The conditions of a write `n` judged on the row `old` that was seen: for the CASE of every statement that writes.
CONDITIONS: Final = """
    WHEN n.flags & 2 <> 0 AND old.version IS NOT NULL THEN 5
    WHEN n.if_match IS NOT NULL AND old.version IS NULL THEN 6
    WHEN n.if_match <> '*' AND position(convert_to(E'\\n' || old.etag || E'\\n', 'UTF8') IN n.if_match) = 0 THEN 4"""

WRITE = Statement(
    "object_write",
    """
    WITH s AS MATERIALIZED (
        SELECT FROM session WHERE session_id = $1 AND fence = $2 AND closed_at IS NULL FOR KEY SHARE
    ), b AS MATERIALIZED (
        SELECT b.bucket_id
        FROM unnest($3::bigint[], $4::bigint[]) AS w (bucket_id, config_number)
        JOIN bucket b ON b.bucket_id = w.bucket_id AND b.config_number = w.config_number
        WHERE EXISTS (SELECT FROM s)
        ORDER BY b.bucket_id FOR SHARE OF b
    ), n AS MATERIALIZED (
        SELECT n.*, n.bucket_id = ANY (ARRAY(SELECT b.bucket_id FROM b)) AS allowed
        FROM unnest($5::smallint[], $6::bigint[], $7::bytea[], $8::bytea[], $9::bigint[], $10::text[],
                    $11::smallint[], $12::integer[], $13::bytea[], $14::bytea[], $15::text[], $16::bytea[])
             WITH ORDINALITY AS n (flags, bucket_id, key, content_id, size, etag,
                                   layout_id, part_count, extents, headers, checksum, if_match, place)
        WHERE EXISTS (SELECT FROM s)
        ORDER BY place
    ), j AS MATERIALIZED (
        SELECT n.*, old.version AS seen, old.content_id AS old_content_id, old.part_count AS old_part_count,
               old.layout_id AS old_layout_id, old.extents AS old_extents,
               CASE WHEN NOT n.allowed THEN 3 """
    + CONDITIONS
    + """ WHEN n.flags & 1 <> 0 AND old.version IS NULL THEN 2 ELSE 0 END AS refusal
        FROM n LEFT JOIN LATERAL (
            SELECT o.version, o.content_id, o.part_count, o.layout_id, o.extents, o.etag
            FROM object o WHERE n.allowed AND o.bucket_id = n.bucket_id AND o.key = n.key FOR UPDATE
        ) AS old ON true
    ), u AS (
        UPDATE object o
        SET version = o.version + 1, content_id = j.content_id, size = j.size, etag = j.etag, modified_at = now(),
            layout_id = j.layout_id, part_count = j.part_count, extents = j.extents, headers = j.headers,
            checksum = j.checksum
        FROM j
        WHERE j.refusal = 0 AND j.flags & 1 = 0 AND o.bucket_id = j.bucket_id AND o.key = j.key
          AND o.version = j.seen
        RETURNING j.place, o.version, j.old_content_id, j.old_part_count, j.old_layout_id, j.old_extents
    ), d AS (
        DELETE FROM object o USING j
        WHERE j.refusal = 0 AND j.flags & 1 <> 0 AND o.bucket_id = j.bucket_id AND o.key = j.key
          AND o.version = j.seen
        RETURNING j.place, o.version, j.old_content_id, j.old_part_count, j.old_layout_id, j.old_extents
    ), i AS (
        INSERT INTO object (bucket_id, key, version, content_id, size, etag, modified_at, layout_id, part_count,
                            extents, headers, checksum)
        SELECT bucket_id, key, 1, content_id, size, etag, now(), layout_id, part_count, extents, headers, checksum
        FROM j WHERE refusal = 0 AND flags & 1 = 0 AND seen IS NULL
        ORDER BY place
        ON CONFLICT (bucket_id, key) DO NOTHING
        RETURNING content_id
    ), g AS (
        INSERT INTO garbage (kind, content_id, part_count, layout_id, extents)
        SELECT 'content', old_content_id, old_part_count, old_layout_id, old_extents
        FROM (SELECT * FROM u UNION ALL SELECT * FROM d) AS gone
        WHERE old_part_count > 0 OR length(old_extents) > 0
    )
    SELECT 0::bigint, 0, 0::bigint, now() FROM s
    UNION ALL SELECT place, 1, version, NULL FROM u
    UNION ALL SELECT place, 1, version, NULL FROM d
    UNION ALL SELECT array_position($8, content_id), 1, 1, NULL FROM i
    UNION ALL SELECT place, refusal, 0, NULL FROM j WHERE refusal > 0
    """,
    INT8,
    INT8,
    INT8_ARRAY,
    INT8_ARRAY,
    INT2_ARRAY,
    INT8_ARRAY,
    BYTEA_ARRAY,
    BYTEA_ARRAY,
    INT8_ARRAY,
    TEXT_ARRAY,
    INT2_ARRAY,
    INT4_ARRAY,
    BYTEA_ARRAY,
    BYTEA_ARRAY,
    TEXT_ARRAY,
    BYTEA_ARRAY,
)
# Asked after the fence was raised. Content ids are used once, so finding one says that its commit happened.
ASK = Statement(
    "object_ask",
    """
    SELECT n.place, o.bucket_id, o.key, o.version, coalesce(o.modified_at, g.queued_at)
    FROM unnest($1::bytea[]) WITH ORDINALITY AS n (content_id, place)
    LEFT JOIN LATERAL (SELECT bucket_id, key, version, modified_at FROM object o
                       WHERE o.content_id = n.content_id ORDER BY modified_at LIMIT 1) AS o ON true
    LEFT JOIN LATERAL (SELECT queued_at FROM garbage g
                       WHERE g.content_id = n.content_id ORDER BY queued_at LIMIT 1) AS g ON true
    WHERE o.key IS NOT NULL OR g.queued_at IS NOT NULL
    """,
    BYTEA_ARRAY,
)
NOTHING = Stored(b"", 0, "", 0, 0, b"", b"", "")


class Write:
    """A put (with what it stores) or a delete (without) of one key."""

    __slots__ = ("bucket", "flags", "if_match", "key", "name", "stored")

    def __init__(self, name: str, key: bytes, stored: Stored | None, condition: Condition) -> None:
        self.name = name
        self.key = key
        self.stored = stored
        self.flags = (0 if stored else DELETE) | (MUST_BE_ABSENT if condition.if_none_match else 0)
        self.if_match = encode_if_match(condition)
        self.bucket: BucketRow | None = None


def encode_if_match(condition: Condition) -> bytes | None:
    """Etags between newlines, so that the statement can look for one; bytes, for clients send anything."""
    etags = condition.if_match
    if etags is None:
        return None
    if "*" in etags:
        return b"*"
    # No etag of ours has a newline: one that does matches nothing.
    mine = [etag.encode("utf-8", "surrogatepass") for etag in etags if "\n" not in etag]
    return b"\n" + b"".join([etag + b"\n" for etag in mine])


class Commits(FencedWrites[Write, Committed | None]):
    """put_object and delete_object, batched. The answer None: there was nothing to delete."""

    statement = WRITE

    def __init__(
        self,
        pool: Pool,
        session: Session,
        settlement: Settlement,
        limits: Limits,
        refused: Callable[[Write], None],
        buckets: Buckets,
    ) -> None:
        super().__init__(pool, session, settlement, limits, refused)
        self._buckets = buckets

    def key(self, item: Write) -> Hashable:
        return item.name, item.key

    def order(self, item: Write) -> tuple[int, bytes]:
        assert item.bucket is not None
        return item.bucket.bucket_id, item.key

    def own_id(self, item: Write) -> bytes | None:
        return item.stored.content_id if item.stored else None

    async def admit(self, item: Write) -> Exception | None:
        item.bucket = self._buckets.remembered(item.name) or await self._buckets.find(item.name)
        return None if item.bucket else BucketMissing()

    def values(self, items: Sequence[Write]) -> tuple[object, ...]:
        buckets = {item.bucket.bucket_id: item.bucket.config_number for item in items if item.bucket}
        stored = [item.stored or NOTHING for item in items]
        return (
            list(buckets),
            list(buckets.values()),
            [item.flags for item in items],
            [item.bucket.bucket_id for item in items if item.bucket],
            [item.key for item in items],
            [each.content_id for each in stored],
            [each.size for each in stored],
            [each.etag for each in stored],
            [each.layout_id for each in stored],
            [each.part_count for each in stored],
            [each.extents for each in stored],
            [each.headers for each in stored],
            [each.checksum for each in stored],
            [item.if_match for item in items],
        )

    def judge(self, item: Write, row: Row, now: datetime) -> Outcome[Committed | None]:
        verdict = row[1]
        if verdict == DONE:
            return Committed(row[2], now)
        if verdict == ABSENT:
            return None
        if verdict == BUCKET_CHANGED:
            self._buckets.forget(item.name)
            return AGAIN
        return refusal(verdict)

    async def ask(self, items: Sequence[Write]) -> list[Committed | Exception | None]:
        answers: list[Committed | Exception | None] = [Unavailable("a commit was cut off") for _ in items]
        # A delete leaves nothing of its own to look for: its caller is told to come back.
        rows = await self._pool.repeat(ASK, [item.stored.content_id if item.stored else None for item in items])
        for place, bucket_id, key, version, moment in rows:
            item = items[place - 1]
            here = item.bucket is not None and (item.bucket.bucket_id, item.key) == (bucket_id, key)
            answers[place - 1] = Committed(version if here else 0, moment)
        return answers


def refusal(verdict: int) -> ConditionFailed | ObjectMissing:
    """What a condition's verdict is called."""
    if verdict == OBJECT_MISSING:
        return ObjectMissing()
    return ConditionFailed("If-Match" if verdict == IF_MATCH_FAILED else "If-None-Match")
