"""What a write does to the versions of a key: the state machine, as one statement that many kinds of writes share.

The head of a key, a row of `object`, is its current version; the older ones are rows of `version`. By what the bucket
is, a put, a copy or a Complete makes a new head, and a delete makes one that is a delete marker:

    versioning   the new head's id   the old head               the null version in `version`
    never        empty: null         replaced: garbage          there is none
    enabled      a fresh id          kept: moves to `version`   stays
    suspended    empty: null         kept, unless it is null    replaced: garbage

Only where versioning was never enabled does a delete remove the head, and leave nothing. Removing one version of a key
is another statement (removals.py). A new head's counter is the old one's and one more; a key that has no head has no
versions, and begins again at 1.

Every change to any version of a key holds its head's lock. That is enough for whatever only touches the head: one
autocommit statement judges the row that it has locked. Whatever looks into `version` needs a snapshot that is younger
than the lock: there LOCK runs before, in the same transaction. A head that appeared between the two is not locked
for long enough: what was seen is compared with what was locked, and the write goes again.
"""

from __future__ import annotations

from typing import Final, LiteralString

from s3gate.catalog.connection import Statement
from s3gate.catalog.parameters import (
    BYTEA_ARRAY,
    INT2_ARRAY,
    INT4_ARRAY,
    INT8,
    INT8_ARRAY,
    INT8_OR_NULL_ARRAY,
    TEXT_ARRAY,
    TIMESTAMPTZ_OR_NULL_ARRAY,
    Parameter,
)
from s3gate.catalog.pieces import BUCKETS, CONDITIONS, HELD, MADE_OF, made_of, protected

# Flags of a write, as the statements read them.
DELETE: Final = 1
MUST_BE_ABSENT: Final = 2

# Verdicts, as the statements write them; -1 is never told: its write lost a race and goes again.
DONE: Final = 1
ABSENT: Final = 2
BUCKET_CHANGED: Final = 3
IF_MATCH_FAILED: Final = 4
IF_NONE_MATCH_FAILED: Final = 5
OBJECT_MISSING: Final = 6
LOCKED: Final = 7
IF_SIZE_FAILED: Final = 10
IF_MODIFIED_FAILED: Final = 11
IF_VERSION_FAILED: Final = 12

# Locks the heads of the keys $5, $6 in their order, so that the next statement's snapshot is younger than the locks.
LOCK = Statement(
    "versions_lock",
    HELD
    + BUCKETS
    + """
    SELECT count(*)
    FROM unnest($5::bigint[], $6::bytea[]) AS k (bucket_id, key)
    CROSS JOIN LATERAL (
        SELECT o.version FROM object o
        WHERE o.bucket_id = k.bucket_id AND o.key = k.key AND EXISTS (SELECT FROM b) FOR UPDATE
    ) AS head
    """,
    INT8,
    INT8,
    INT8_ARRAY,
    INT8_ARRAY,
    INT8_ARRAY,
    BYTEA_ARRAY,
)

# n: what is to be written. `versioning` is NULL when the bucket is not as its writer knew it.
_ASKED: Final = """
        FROM unnest($5::smallint[], $6::bigint[], $7::bytea[], $8::bytea[], $9::bigint[], $10::text[],
                    $11::smallint[], $12::integer[], $13::bytea[], $14::bytea[], $15::text[],
                    $16::bytea[], $17::bytea[], $18::smallint[], $19::timestamptz[], $20::bytea[], $21::bytea[],
                    $22::bytea[], $23::bigint[], $24::timestamptz[], $25::bigint[], $26::bytea[])
             WITH ORDINALITY AS n (flags, bucket_id, key, content_id, size, etag,
                                   layout_id, part_count, extents, headers, checksum,
                                   fresh_id, tags, lock, retain_until, sse, acl,
                                   if_match, if_size, if_modified, if_version, if_version_id, place)
        LEFT JOIN b ON b.bucket_id = n.bucket_id
        WHERE EXISTS (SELECT FROM s)
        ORDER BY n.place
    )"""
# What a batch of puts and deletes begins with, here and in the statements for plain buckets (commits.py): the session
# and its fence, the buckets and their numbers, and from $5 to $15 what is written where.
WRITTEN: Final = (
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
)
_PARAMETERS: Final = (
    *WRITTEN,
    BYTEA_ARRAY,
    BYTEA_ARRAY,
    INT2_ARRAY,
    TIMESTAMPTZ_OR_NULL_ARRAY,
    BYTEA_ARRAY,
    BYTEA_ARRAY,
    BYTEA_ARRAY,
    INT8_OR_NULL_ARRAY,
    TIMESTAMPTZ_OR_NULL_ARRAY,
    INT8_OR_NULL_ARRAY,
    BYTEA_ARRAY,
)
# j: each write with the head that it locked, the null version that it would replace, and why it is refused, if it is.
_JUDGED: Final = (
    """, seen AS MATERIALIZED (
        SELECT n.*, head.row AS head, head.row AS old, earlier.nil,
               CASE WHEN n.versioning = 1 THEN n.fresh_id ELSE '' END AS version_id,
               n.flags & 1 <> 0 AS marker,
               n.flags & 1 = 0 OR n.versioning > 0 AS makes,
               n.versioning = 1 OR n.versioning = 2 AND (head.row).version_id <> '' AS keeps
        FROM n
        LEFT JOIN LATERAL (
            SELECT o AS row FROM object o
            WHERE n.versioning IS NOT NULL AND o.bucket_id = n.bucket_id AND o.key = n.key FOR UPDATE
        ) AS head ON true
        LEFT JOIN LATERAL (
            SELECT v AS nil FROM version v
            WHERE n.versioning = 2 AND v.bucket_id = n.bucket_id AND v.key = n.key AND v.version_id = ''
        ) AS earlier ON true
    ), j AS MATERIALIZED (
        SELECT n.*, CASE WHEN n.versioning IS NULL THEN 3
               WHEN n.versioning = 2 AND n.old IS DISTINCT FROM
                    (SELECT o FROM object o WHERE o.bucket_id = n.bucket_id AND o.key = n.key) THEN -1
               WHEN n.refused <> 0 THEN n.refused """
    + CONDITIONS
    + """
               WHEN NOT n.makes AND (n.old).version IS NULL THEN 2
               WHEN NOT n.keeps AND """
    + protected("n.old")
    + " OR "
    + protected("n.nil")
    + """ THEN 7
               ELSE 0 END AS refusal
        FROM seen n
    )"""
)
# u, i: the new heads; d: heads that leave nothing. What they were or replaced is kept, or queued as garbage.
_CHANGED: Final = (
    """, u AS (
        UPDATE object o
        SET version = o.version + 1, modified_at = now(), ("""
    + MADE_OF
    + """) =
            ROW ("""
    + made_of("j")
    + """)
        FROM j
        WHERE j.refusal = 0 AND j.makes AND o.bucket_id = ANY (ARRAY[j.bucket_id])
          AND o.key = ANY (ARRAY[j.key])
          AND o.version = (j.old).version
        RETURNING j.place, o.version, o.version_id, j.content_id AS new_content_id, j.keeps, j.old, j.nil
    ), i AS (
        INSERT INTO object (bucket_id, key, version, modified_at, """
    + MADE_OF
    + """)
        SELECT bucket_id, key, 1, now(), """
    + MADE_OF
    + """
        FROM j WHERE refusal = 0 AND makes AND (old).version IS NULL
        ORDER BY place
        ON CONFLICT (bucket_id, key) DO NOTHING
        RETURNING content_id, version_id
    ), d AS (
        DELETE FROM object o USING j
        WHERE j.refusal = 0 AND NOT j.makes AND o.bucket_id = ANY (ARRAY[j.bucket_id])
          AND o.key = ANY (ARRAY[j.key])
          AND o.version = (j.old).version
        RETURNING j.place, o.version, j.content_id AS new_content_id, j.old
    ), done AS MATERIALIZED (
        SELECT place, version, version_id FROM u
        UNION ALL SELECT place, version, '' FROM d
        UNION ALL SELECT array_position($8, content_id), 1, version_id FROM i
    ), kept AS (
        INSERT INTO version SELECT (old).*, now() FROM u WHERE keeps
    ), x AS (
        DELETE FROM version v USING u
        WHERE v.bucket_id = ANY (ARRAY[(u.old).bucket_id]) AND v.key = ANY (ARRAY[(u.old).key])
          AND v.version = ANY (ARRAY[(u.nil).version])
        RETURNING u.new_content_id, v.content_id, v.part_count, v.layout_id, v.extents
    ), g AS (
        INSERT INTO garbage (kind, content_id, part_count, layout_id, extents)
        SELECT 'content', content_id, part_count, layout_id, extents
        FROM (SELECT * FROM x
              UNION ALL
              SELECT new_content_id, (old).content_id, (old).part_count, (old).layout_id, (old).extents
              FROM (SELECT new_content_id, old FROM u WHERE NOT keeps
                    UNION ALL SELECT new_content_id, old FROM d) AS gone) AS lost
        WHERE content_id <> new_content_id AND (part_count > 0 OR length(extents) > 0)
    )"""
)
_ANSWERED: Final = """
    SELECT 0::bigint, 0, 0::bigint, now(), ''::bytea FROM s
    UNION ALL SELECT place, 1, version, NULL, version_id FROM done
    UNION ALL SELECT place, refusal, 0, NULL, NULL FROM j WHERE refusal > 0"""


def writing(
    name: LiteralString,
    *parameters: Parameter,
    before: LiteralString = "",
    refused: LiteralString = "0",
    after: LiteralString = "",
    answer: LiteralString = "",
) -> Statement:
    """The statement, with what a kind of write has of its own: from $27 on.

    `before`: what it looks at, `refused`: the verdict that follows from it; `after`: what else it writes once the
    write is `done`; `answer`: rows beside (place, verdict, version, time, version id).
    """
    asked = ", n AS MATERIALIZED (SELECT n.*, b.versioning, " + refused + " AS refused" + _ASKED
    text = HELD + BUCKETS + before + asked + _JUDGED + _CHANGED + after + _ANSWERED + answer
    return Statement(name, text, *_PARAMETERS, *parameters)


GENERAL = writing("version_write")
"""Puts and deletes, of whatever kind."""
