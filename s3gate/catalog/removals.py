"""Removing single versions of keys: the other half of the state machine (versions.py), batched.

LOCK has locked the heads of all the keys; the statement's own snapshot then shows everything that those locks
protect. Several versions of one key may go in one batch. When its current version is among them, the newest of those
that stay becomes the head, under its own counter, delete marker or not; when none stays, the head goes. What is moved
or removed is what was deleted or returned here, never what was only seen.

A retention or a legal hold is judged by Postgres' clock; a governance retention gives way to `bypass`.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from datetime import datetime
from typing import Final

from s3gate.catalog.batcher import Outcome
from s3gate.catalog.bucket_writes import BucketWrites, condition_values, config_numbers, lock_values, place_of
from s3gate.catalog.connection import Row, Statement, Step
from s3gate.catalog.errors import Unavailable
from s3gate.catalog.parameters import (
    BYTEA_ARRAY,
    INT2_ARRAY,
    INT8,
    INT8_ARRAY,
    INT8_OR_NULL_ARRAY,
    TIMESTAMPTZ_OR_NULL_ARRAY,
)
from s3gate.catalog.pieces import BUCKETS, CONDITIONS, HELD, MADE_OF, as_head, made_of, names, protected
from s3gate.catalog.rows import BucketRow, Condition, Deleted, VersionRef
from s3gate.catalog.versions import ABSENT, DONE, LOCK, MUST_BE_ABSENT

BYPASS: Final = 4
MUST_BE_OLDER: Final = 8
REMOVED_MARKER: Final = 14

# head: the heads as they are locked; `lost`: the snapshot shows another one. old: the version that is asked for, in
# either table.
_FOUND: Final = (
    """, asked AS MATERIALIZED (
        SELECT n.*, b.bucket_id IS NOT NULL AS allowed
        FROM unnest($5::smallint[], $6::bigint[], $7::bytea[], $8::bigint[], $9::bytea[],
                    $10::bytea[], $11::bigint[], $12::timestamptz[], $13::bigint[], $14::bytea[])
             WITH ORDINALITY AS n (flags, bucket_id, key, counter, version_id,
                                   if_match, if_size, if_modified, if_version, if_version_id, place)
        LEFT JOIN b ON b.bucket_id = n.bucket_id
        WHERE EXISTS (SELECT FROM s)
    ), head AS MATERIALIZED (
        SELECT k.bucket_id, k.key, locked.row, locked.row IS DISTINCT FROM
               (SELECT o FROM object o WHERE o.bucket_id = k.bucket_id AND o.key = k.key) AS lost
        FROM (SELECT DISTINCT bucket_id, key FROM asked WHERE allowed ORDER BY bucket_id, key) AS k
        LEFT JOIN LATERAL (
            SELECT o AS row FROM object o WHERE o.bucket_id = k.bucket_id AND o.key = k.key FOR UPDATE
        ) AS locked ON true
    ), found AS MATERIALIZED (
        SELECT a.*, head.row AS head, head.lost, target.is_head, target.old
        FROM asked a
        LEFT JOIN head ON head.bucket_id = a.bucket_id AND head.key = a.key
        LEFT JOIN LATERAL (
            SELECT true AS is_head, head.row AS old WHERE """
    + names("head.row", "a.counter", "a.version_id")
    + """
            UNION ALL
            SELECT false, """
    + as_head("v")
    + """ FROM version v
            WHERE v.bucket_id = a.bucket_id AND v.key = a.key AND a.version_id <> ''
              AND v.version = a.counter AND v.version_id = a.version_id
            UNION ALL
            SELECT false, """
    + as_head("v")
    + """ FROM version v
            WHERE v.bucket_id = a.bucket_id AND v.key = a.key AND a.version_id = '' AND v.version_id = ''
              AND (a.counter = 0 OR v.version = a.counter)
        ) AS target ON true
    ), j AS MATERIALIZED (
        SELECT n.*, CASE WHEN NOT n.allowed THEN 3 WHEN n.lost THEN -1"""
    + CONDITIONS
    + """
               WHEN n.is_head IS NULL THEN 2
               WHEN n.is_head AND n.flags & 8 <> 0 THEN 12
               WHEN """
    + protected("n.old")
    + """ AND NOT (n.flags & 4 <> 0 AND (n.old).lock & 6 = 0) THEN 7
               ELSE 0 END AS refusal
        FROM found n
    )"""
)
# older: versions that go. next: who follows a head that goes, and is moved to its place; last: heads without one.
_REMOVED: Final = (
    """, older AS (
        DELETE FROM version v USING j
        WHERE j.refusal = 0 AND NOT j.is_head
          AND v.bucket_id = ANY (ARRAY[j.bucket_id]) AND v.key = ANY (ARRAY[j.key])
          AND v.version = ANY (ARRAY[(j.old).version])
        RETURNING j.place
    ), next AS MATERIALIZED (
        SELECT j.place, j.bucket_id, j.key, follower.version
        FROM j CROSS JOIN LATERAL (
            SELECT v.version FROM version v
            WHERE v.bucket_id = j.bucket_id AND v.key = j.key
              AND NOT EXISTS (SELECT FROM j AS too WHERE too.refusal = 0 AND NOT too.is_head
                              AND too.bucket_id = v.bucket_id AND too.key = v.key AND (too.old).version = v.version)
            ORDER BY v.version DESC LIMIT 1
        ) AS follower
        WHERE j.refusal = 0 AND j.is_head
    ), moved AS (
        DELETE FROM version v USING next
        WHERE v.bucket_id = ANY (ARRAY[next.bucket_id]) AND v.key = ANY (ARRAY[next.key])
          AND v.version = ANY (ARRAY[next.version])
        RETURNING next.place, v.*
    ), promoted AS (
        UPDATE object o SET version = m.version, modified_at = m.modified_at, ("""
    + MADE_OF
    + ") = ROW ("
    + made_of("m")
    + """)
        FROM moved m WHERE o.bucket_id = ANY (ARRAY[m.bucket_id]) AND o.key = ANY (ARRAY[m.key])
        RETURNING m.place
    ), last AS (
        DELETE FROM object o USING j
        WHERE j.refusal = 0 AND j.is_head AND NOT EXISTS (SELECT FROM next WHERE next.place = j.place)
          AND o.bucket_id = ANY (ARRAY[j.bucket_id]) AND o.key = ANY (ARRAY[j.key])
          AND o.version = (j.old).version
        RETURNING j.place
    ), done AS MATERIALIZED (
        SELECT place FROM older UNION ALL SELECT place FROM promoted UNION ALL SELECT place FROM last
    ), g AS (
        INSERT INTO garbage (kind, content_id, part_count, layout_id, extents)
        SELECT 'content', (old).content_id, (old).part_count, (old).layout_id, (old).extents
        FROM j JOIN done ON done.place = j.place
        WHERE (old).part_count > 0 OR length((old).extents) > 0
    )
    SELECT 0::bigint, 0, 0::bigint, now() FROM s
    UNION ALL SELECT done.place, CASE WHEN (j.old).marker THEN 14 ELSE 1 END, (j.old).version, NULL
              FROM done JOIN j ON j.place = done.place
    UNION ALL SELECT place, refusal, 0, NULL FROM j WHERE refusal > 0
    """
)
REMOVE = Statement(
    "version_remove",
    HELD + BUCKETS + _FOUND + _REMOVED,
    INT8,
    INT8,
    INT8_ARRAY,
    INT8_ARRAY,
    INT2_ARRAY,
    INT8_ARRAY,
    BYTEA_ARRAY,
    INT8_ARRAY,
    BYTEA_ARRAY,
    BYTEA_ARRAY,
    INT8_OR_NULL_ARRAY,
    TIMESTAMPTZ_OR_NULL_ARRAY,
    INT8_OR_NULL_ARRAY,
    BYTEA_ARRAY,
)


class Removal:
    """The removal of one version of a key, decided on this row of its bucket."""

    __slots__ = ("bucket", "condition", "flags", "key", "ref")

    def __init__(self, bucket: BucketRow, key: bytes, ref: VersionRef, condition: Condition, bypass: bool) -> None:
        self.bucket = bucket
        self.key = key
        self.ref = ref
        self.condition = condition
        self.flags = (
            (BYPASS if bypass else 0)
            | (MUST_BE_ABSENT if condition.if_none_match else 0)
            | (MUST_BE_OLDER if condition.older else 0)
        )


class Removals(BucketWrites[Removal, Deleted | None]):
    """delete_version, batched. The answer None: there is no such version."""

    def key(self, item: Removal) -> Hashable:
        return place_of(item), item.ref

    def own_id(self, item: Removal) -> bytes | None:
        return None

    def before(self, items: Sequence[Removal]) -> Step:
        return LOCK, lock_values(items, map(place_of, items))

    def step(self, items: Sequence[Removal]) -> Step:
        return REMOVE, (
            *config_numbers(items),
            [item.flags for item in items],
            [item.bucket.bucket_id for item in items],
            [item.key for item in items],
            [item.ref[0] for item in items],
            [item.ref[1] for item in items],
            *condition_values([item.condition for item in items]),
        )

    def judge(self, item: Removal, row: Row, now: datetime) -> Outcome[Deleted | None]:
        verdict = row[1]
        if verdict in (DONE, REMOVED_MARKER):
            return Deleted(verdict == REMOVED_MARKER, row[2], item.ref[1])
        return None if verdict == ABSENT else self.refuse(item, verdict)

    async def ask(self, items: Sequence[Removal]) -> list[Deleted | Exception | None]:
        # What is gone leaves nothing to look for: its caller is told to come back.
        return [Unavailable("a commit was cut off") for _ in items]
