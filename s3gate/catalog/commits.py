"""THE commit: puts and deletes of many keys in one autocommit statement (laws 1, 4, 5, 6).

It locks in the common order: the session's row, the buckets' rows, the objects' rows in the order of the batch, which
is sorted. It judges the row that it saw and writes only over that one: an update names the version it saw, an insert
does nothing on a conflict, and what did not come back joins the next batch. (A plain upsert would lose the replaced
version's garbage when two gates race.) What a replaced or removed version pointed to becomes garbage in the same
statement.

The statements here are for buckets that were never versioned and for versions that have nothing but their bytes: the
fast path. A batch that has anything else goes as a whole through the statement that knows all of it (versions.py).

Most objects are written once, so a batch of puts is first taken for a batch of new keys, while that has been right: it
has nothing to look for and nothing to replace, and costs Postgres a third less. A key that is there already joins the
next batch, whose statement judges and replaces. A new key that goes alone has a statement without arrays, which costs
Postgres a quarter less again, and it is the one that its client waits for.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from datetime import datetime
from typing import Final, LiteralString

from s3gate.catalog.ahead import WritesAhead
from s3gate.catalog.batcher import Outcome
from s3gate.catalog.bucket_writes import (
    BucketWrites,
    Write,
    delete_values,
    lock_values,
    lone_values,
    place_of,
    write_values,
    written_values,
)
from s3gate.catalog.connection import Row, Statement, Step
from s3gate.catalog.errors import Unavailable
from s3gate.catalog.parameters import BYTEA, BYTEA_ARRAY, INT2, INT4, INT8, INT8_ARRAY, TEXT
from s3gate.catalog.pieces import BUCKETS, CONFIG_NUMBER, HELD
from s3gate.catalog.rows import SUSPENDED, Committed, Stored
from s3gate.catalog.versions import ABSENT, DONE, GENERAL, LOCK, WRITTEN

# If-Match and If-None-Match of a write `n`, judged on the row `old` that was locked.
_CONDITIONS: Final = """
    WHEN n.flags & 2 <> 0 AND old.version IS NOT NULL THEN 5
    WHEN n.if_match IS NOT NULL AND old.version IS NULL THEN 6
    WHEN n.if_match <> '*' AND position(convert_to(E'\\n' || old.etag || E'\\n', 'UTF8') IN n.if_match) = 0 THEN 4"""

# What is locked and judged before anything is written: j has a row for each write, refused (and why) or not.
_JUDGED: Final = (
    HELD
    + BUCKETS
    + """, n AS MATERIALIZED (
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
    + _CONDITIONS
    + """ WHEN n.flags & 1 <> 0 AND old.version IS NULL THEN 2 ELSE 0 END AS refusal
        FROM n LEFT JOIN LATERAL (
            SELECT o.version, o.content_id, o.part_count, o.layout_id, o.extents, o.etag
            FROM object o WHERE n.allowed AND o.bucket_id = n.bucket_id AND o.key = n.key FOR UPDATE
        ) AS old ON true
    )"""
)
_PUT: Final = """, u AS (
        UPDATE object o
        SET version = o.version + 1, content_id = j.content_id, size = j.size, etag = j.etag, modified_at = now(),
            layout_id = j.layout_id, part_count = j.part_count, extents = j.extents, headers = j.headers,
            checksum = j.checksum, tags = '', sse = '', acl = ''
        FROM j
        WHERE j.refusal = 0 AND j.flags & 1 = 0 AND o.bucket_id = ANY (ARRAY[j.bucket_id])
          AND o.key = ANY (ARRAY[j.key])
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
    )"""
_DELETE: Final = """, d AS (
        DELETE FROM object o USING j
        WHERE j.refusal = 0 AND j.flags & 1 <> 0 AND o.bucket_id = ANY (ARRAY[j.bucket_id])
          AND o.key = ANY (ARRAY[j.key])
          AND o.version = j.seen
        RETURNING j.place, o.version, j.old_content_id, j.old_part_count, j.old_layout_id, j.old_extents
    )"""


_QUEUE: Final = """, g AS (
        INSERT INTO garbage (kind, content_id, part_count, layout_id, extents)
        SELECT 'content', old_content_id, old_part_count, old_layout_id, old_extents
        FROM gone
        WHERE old_part_count > 0 OR length(old_extents) > 0
    )
    SELECT 0::bigint, 0, 0::bigint, now() FROM s"""


def _write(name: LiteralString, steps: LiteralString, gone: LiteralString, done: LiteralString) -> Statement:
    """The statement that takes these steps; what they replaced or removed, as `gone` selects it, becomes garbage."""
    refused = "\n    UNION ALL SELECT place, refusal, 0, NULL FROM j WHERE refusal > 0"
    return Statement(
        name, _JUDGED + steps + ", gone AS (" + gone + ")" + _QUEUE + refused + done, *WRITTEN, BYTEA_ARRAY
    )


_PUT_DONE: Final = """
    UNION ALL SELECT place, 1, version, NULL FROM u
    UNION ALL SELECT array_position($8, content_id), 1, 1, NULL FROM i"""
_DELETE_DONE: Final = """
    UNION ALL SELECT place, 1, version, NULL FROM d"""

# One statement does both. Most batches are of one kind, and the steps that would find nothing to do are a third of what
# Postgres spends on a small batch, setting them up and taking them down.
WRITE = _write("object_write", _PUT + _DELETE, "SELECT * FROM u UNION ALL SELECT * FROM d", _PUT_DONE + _DELETE_DONE)
PUT = _write("object_put", _PUT, "SELECT * FROM u", _PUT_DONE)
# Puts of keys that are not there. What does not come back, whatever the reason, is judged by PUT. (Rows are inserted in
# the order of the arrays, which is that of locking.)
CREATE = Statement(
    "object_create",
    HELD
    + BUCKETS
    + """, i AS (
        INSERT INTO object (bucket_id, key, version, content_id, size, etag, modified_at, layout_id, part_count,
                            extents, headers, checksum)
        SELECT bucket_id, key, 1, content_id, size, etag, now(), layout_id, part_count, extents, headers, checksum
        FROM unnest($5::smallint[], $6::bigint[], $7::bytea[], $8::bytea[], $9::bigint[], $10::text[],
                    $11::smallint[], $12::integer[], $13::bytea[], $14::bytea[], $15::text[], $16::bytea[])
             AS n (flags, bucket_id, key, content_id, size, etag,
                   layout_id, part_count, extents, headers, checksum, if_match)
        WHERE n.bucket_id = ANY (ARRAY(SELECT b.bucket_id FROM b))
        ON CONFLICT (bucket_id, key) DO NOTHING
        RETURNING content_id
    )
    SELECT 0::bigint, 0, 0::bigint, now() FROM s
    UNION ALL SELECT array_position($8, content_id), 1, 1, NULL FROM i""",
    *WRITTEN,
    BYTEA_ARRAY,
)
# The same for one key. Both locks are taken by one step, in the order of their clauses. It answers when it has written:
# when it has not, PUT says why.
CREATE_LONE = Statement(
    "object_create_lone",
    """
    INSERT INTO object (bucket_id, key, version, content_id, size, etag, modified_at, layout_id, part_count,
                        extents, headers, checksum)
    SELECT $3, $5, 1, $6, $7, $8, now(), $9, $10, $11, $12, $13
    FROM session s, bucket b
    WHERE s.session_id = $1 AND s.fence = $2 AND s.closed_at IS NULL
      AND b.bucket_id = $3 AND """
    + CONFIG_NUMBER
    + """ = $4
    FOR KEY SHARE OF s FOR SHARE OF b
    ON CONFLICT (bucket_id, key) DO NOTHING
    RETURNING 1::bigint, 1, 1::bigint, modified_at""",
    INT8,
    INT8,
    INT8,
    INT8,
    BYTEA,
    BYTEA,
    INT8,
    TEXT,
    INT2,
    INT4,
    BYTEA,
    BYTEA,
    TEXT,
)
# Deletes without a condition have nothing to judge: whatever version is there when its lock is had, goes.
DELETE = Statement(
    "object_delete",
    HELD
    + BUCKETS
    + """, n AS MATERIALIZED (
        SELECT n.*, n.bucket_id = ANY (ARRAY(SELECT b.bucket_id FROM b)) AS allowed
        FROM unnest($5::bigint[], $6::bytea[]) WITH ORDINALITY AS n (bucket_id, key, place)
        WHERE EXISTS (SELECT FROM s)
        ORDER BY place
    ), gone AS (
        DELETE FROM object o USING n
        WHERE n.allowed AND o.bucket_id = ANY (ARRAY[n.bucket_id]) AND o.key = ANY (ARRAY[n.key])
        RETURNING n.place, o.version, o.content_id AS old_content_id, o.part_count AS old_part_count,
                  o.layout_id AS old_layout_id, o.extents AS old_extents
    )"""
    + _QUEUE
    + """
    UNION ALL SELECT place, CASE WHEN allowed THEN 2 ELSE 3 END, 0, NULL FROM n
              WHERE place <> ALL (ARRAY(SELECT place FROM gone))
    UNION ALL SELECT place, 1, version, NULL FROM gone""",
    INT8,
    INT8,
    INT8_ARRAY,
    INT8_ARRAY,
    INT8_ARRAY,
    BYTEA_ARRAY,
)
# Asked after the fence was raised. Content ids are used once, so finding one says that its commit happened. (OFFSET 0:
# else the oldest of a content's garbage might be looked for in the order of all garbage.)
ASK = Statement(
    "object_ask",
    """
    SELECT n.place, o.bucket_id, o.key, o.version, coalesce(o.modified_at, g.queued_at)
    FROM unnest($1::bytea[]) WITH ORDINALITY AS n (content_id, place)
    LEFT JOIN LATERAL (SELECT bucket_id, key, version, modified_at FROM object o WHERE o.content_id = n.content_id
                       UNION ALL
                       SELECT bucket_id, key, version, modified_at FROM version v WHERE v.content_id = n.content_id
                       ORDER BY modified_at LIMIT 1) AS o ON true
    LEFT JOIN LATERAL (SELECT min(queued_at) AS queued_at
                       FROM (SELECT queued_at FROM garbage g
                             WHERE g.content_id = ANY (ARRAY[n.content_id]) OFFSET 0) AS all_of_it) AS g ON true
    WHERE o.key IS NOT NULL OR g.queued_at IS NOT NULL
    """,
    BYTEA_ARRAY,
)
_NOTHING: Final = Stored(b"", 0, "", 0, 0, b"", b"", "")
MOST_REPLACED = 1 / 32
"""Where more of the puts than this replace something, nearly every batch has one that would have to go twice."""
USUAL_PUTS = 64
"""Over about so many puts that part is taken."""


def _judged_values(items: Sequence[Write]) -> tuple[object, ...]:
    """The parameters of `_JUDGED`, and of CREATE, after the session's."""
    stored = [item.stored or _NOTHING for item in items]
    return *written_values(items, stored), [item.if_match for item in items]


class Commits(WritesAhead[Write, Committed | None], BucketWrites[Write, Committed | None]):
    """put_object and delete_object, batched. The answer None: there was nothing to delete."""

    silent = frozenset({CREATE_LONE})
    _replaced = 0.0  # the part of the plain puts that found something there, the latest ones weighing most

    async def put(self, item: Write) -> Committed:
        """A put, whose answer is never None."""
        committed = await self.submit(item)
        assert committed is not None
        return committed

    def key(self, item: Write) -> Hashable:
        return place_of(item)

    def own_id(self, item: Write) -> bytes | None:
        return item.stored.content_id if item.stored else None

    def step(self, items: Sequence[Write]) -> Step:
        if not all(item.is_plain for item in items):
            return GENERAL, write_values(items)
        if all(item.is_bare_delete for item in items):
            return DELETE, delete_values(items)
        if any(item.stored is None for item in items):
            return WRITE, _judged_values(items)
        if self._replaced > MOST_REPLACED or any(item.tried or item.if_match is not None for item in items):
            return PUT, _judged_values(items)
        for item in items:
            item.tried = True
        if len(items) == 1:
            return CREATE_LONE, lone_values(items[0])
        return CREATE, _judged_values(items)

    def step_ahead(self, item: Write) -> Step | None:
        """A key that is there already would be locked for nothing: it is judged in a batch."""
        step = self.step([item])
        return step if step[0] is CREATE_LONE else None

    def before(self, items: Sequence[Write]) -> Step | None:
        """The null version that a suspended write replaces may be an older one."""
        if not any(item.bucket.versioning == SUSPENDED for item in items):
            return None
        return LOCK, lock_values(items, map(place_of, items))

    def judge(self, item: Write, row: Row, now: datetime) -> Outcome[Committed | None]:
        verdict = row[1]
        if verdict == DONE:
            if item.is_plain and item.stored is not None:
                self._replaced += ((row[2] > 1) - self._replaced) / USUAL_PUTS
            return Committed(row[2], now, item.made_id)
        return None if verdict == ABSENT else self.refuse(item, verdict)

    async def ask(self, items: Sequence[Write]) -> list[Committed | Exception | None]:
        answers: list[Committed | Exception | None] = [Unavailable("a commit was cut off") for _ in items]
        # A delete that made no marker leaves nothing of its own to look for: its caller is told to come back.
        rows = await self._pool.repeat(ASK, [item.content_id for item in items])
        for place, bucket_id, key, version, moment in rows:
            item = items[place - 1]
            here = place_of(item) == (bucket_id, key)
            answers[place - 1] = Committed(version if here else 0, moment, item.made_id)
        return answers
