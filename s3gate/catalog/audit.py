"""What `admin check` asks: which bytes the rows name, session by session, and whether rows agree with each other.

Reads only, one statement at a time and in pages, never a snapshot of the whole: whoever compares with the nodes looks
again at what seems wrong. All segments of one row have one writer, so the rows and the shards of a session belong
together.
It refuses to know nodes and what a segment looks like there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from math import inf
from typing import Final, LiteralString, NamedTuple
from uuid import UUID as Uuid

from s3gate.catalog.connection import Statement
from s3gate.catalog.limits import Limits
from s3gate.catalog.named import whole
from s3gate.catalog.parameters import BYTEA, INT4, INT8, TIMESTAMPTZ, UUID
from s3gate.catalog.pieces import referenced
from s3gate.catalog.pool import Pool
from s3gate.geometry.ids import SHARD_ID_BYTES, session_of, session_prefix

SINGLE_ROWS = 5000
SEVERAL_ROWS = 1000
PARKED_ROWS = 16
MAX_BROKEN = 1000
STATEMENT_SECONDS = 24 * 3600.0
"""Some of these statements look at every row there is."""

NEXT_SESSION = Statement(
    "audit_next_session",
    """SELECT LEAST(
         (SELECT content_id FROM object WHERE content_id >= $1 ORDER BY content_id LIMIT 1),
         (SELECT content_id FROM version WHERE content_id >= $1 ORDER BY content_id LIMIT 1),
         (SELECT part_id FROM part WHERE part_id >= $1 ORDER BY part_id LIMIT 1),
         (SELECT source_id FROM part WHERE source_id >= $1 ORDER BY source_id LIMIT 1))""",
    BYTEA,
)
# All versions of all keys.
_VERSIONS: Final = """(SELECT bucket_id, key, content_id, size, layout_id, part_count, extents, sse FROM object
         UNION ALL SELECT bucket_id, key, content_id, size, layout_id, part_count, extents, sse FROM version) AS o
"""
# A part lives while its upload does, or while a version has the content that lists it.
_ALIVE: Final = (
    """(EXISTS (SELECT FROM upload u WHERE u.upload_id = p.upload_id)
               OR EXISTS (SELECT FROM content c
                          WHERE c.content_id = p.upload_id AND p.part_number = ANY (c.part_numbers) AND """
    + referenced("c.content_id")
    + "))"
)


def _named(name: LiteralString, which: LiteralString) -> Statement:
    """The first $3 of the rows of `which` that have segments, in the order of the first of these: from $1, below $2.

    All tables are seen at one moment, so that what wanders from one to another is in one of them. A copy is a second
    row of the same content, and of many parts by reference to the same bytes one that lives is enough.
    """
    return Statement(
        name,
        """
    SELECT * FROM (
        (SELECT DISTINCT ON (content_id) content_id AS first_id, size, layout_id, extents, true AS alive,
                sse <> '' AS sealed
         FROM """
        + _VERSIONS
        + """WHERE content_id >= $1 AND content_id < $2 AND part_count = 0 AND size > 0 AND """
        + which
        + """ ORDER BY content_id LIMIT $3)
        UNION ALL
        (SELECT p.part_id, p.size, p.layout_id, p.extents, """
        + _ALIVE
        + """, p.sse <> '' FROM part p
         WHERE p.part_id >= $1 AND p.part_id < $2 AND p.size > 0 AND p.source_id IS NULL AND """
        + which
        + """ ORDER BY p.part_id LIMIT $3)
        UNION ALL
        (SELECT DISTINCT ON (source_id) source_id, size, layout_id, extents, alive, false
         FROM (SELECT p.source_id, p.size, p.layout_id, p.extents, """
        + _ALIVE
        + """ AS alive FROM part p WHERE p.source_id >= $1 AND p.source_id < $2 AND """
        + which
        + """) AS r ORDER BY source_id, alive DESC LIMIT $3)
        UNION ALL
        (SELECT DISTINCT ON (content_id) content_id, 0, layout_id, extents, false, false FROM garbage
         WHERE content_id >= $1 AND content_id < $2 AND part_count = 0 AND length(extents) > 0 AND """
        + which
        + """ ORDER BY content_id LIMIT $3)
    ) AS named ORDER BY first_id LIMIT $3""",
        BYTEA,
        BYTEA,
        INT4,
    )


# (The indexes of those with several have this condition.)
SINGLE = _named("audit_single", "length(extents) <= 20")
SEVERAL = _named("audit_several", "length(extents) > 20")
CLOSED_FOR = Statement(
    "audit_closed_for",
    "SELECT extract(epoch FROM now() - closed_at)::double precision FROM session WHERE session_id = $1",
    INT8,
)
PARKED = Statement(
    "audit_parked",
    """SELECT parked_at, parked_id, shard_ids FROM node_garbage
       WHERE node_id = $1 AND (parked_at, parked_id) > ($2, $3) ORDER BY parked_at, parked_id LIMIT $4""",
    BYTEA,
    TIMESTAMPTZ,
    UUID,
    INT4,
)
NO_CONTENT = Statement(
    "audit_no_content",
    "SELECT o.content_id FROM "
    + _VERSIONS
    + """WHERE o.part_count > 0 AND NOT EXISTS (SELECT FROM content c WHERE c.content_id = o.content_id) LIMIT $1""",
    INT4,
)
NO_PART = Statement(
    "audit_no_part",
    """SELECT c.content_id FROM content c CROSS JOIN LATERAL unnest(c.part_numbers) AS n (part_number)
       WHERE """
    + referenced("c.content_id")
    + """
         AND NOT EXISTS (SELECT FROM part p WHERE p.upload_id = c.content_id AND p.part_number = n.part_number)
       LIMIT $1""",
    INT4,
)
NO_BUCKET = Statement(
    "audit_no_bucket",
    "SELECT o.content_id FROM "
    + _VERSIONS
    + """WHERE NOT EXISTS (SELECT FROM bucket b WHERE b.bucket_id = o.bucket_id) LIMIT $1""",
    INT4,
)
# Every change to a version holds its head's lock: one without a newer head could be changed by two at once.
NO_HEAD = Statement(
    "audit_no_head",
    """SELECT v.content_id FROM version v
       WHERE NOT EXISTS (SELECT FROM object o
                         WHERE o.bucket_id = v.bucket_id AND o.key = v.key AND o.version > v.version) LIMIT $1""",
    INT4,
)
# What is too dear to be judged at every write: the types of columns know no other column.
MIXED = Statement(
    "audit_mixed",
    """SELECT o.content_id
       FROM (SELECT content_id, size, part_count, extents, marker, lock FROM object
             UNION ALL SELECT content_id, size, part_count, extents, marker, lock FROM version) AS o
       WHERE (part_count > 0 AND length(extents) > 0)
          OR (marker AND (size > 0 OR part_count > 0 OR length(extents) > 0 OR lock <> 0)) LIMIT $1""",
    INT4,
)
TOTALS = Statement(
    "audit_totals",
    """SELECT (SELECT count(*) FROM object), (SELECT count(*) FROM version), (SELECT count(*) FROM part),
              (SELECT count(*) FROM upload), (SELECT count(*) FROM garbage), (SELECT count(*) FROM node_garbage)""",
)


_BEFORE_ALL: Final = (datetime(1970, 1, 1, tzinfo=UTC), Uuid(int=0))


class Reference(NamedTuple):
    """Bytes that a row names. `alive` is false for what only waits for the collector (its size may be unknown)."""

    first_id: bytes
    size: int
    layout_id: int
    extents: bytes
    alive: bool
    sealed: bool
    """What lies on the nodes is the encrypted form of these bytes, which is longer."""


class Totals(NamedTuple):
    """How many rows there are."""

    objects: int
    older_versions: int
    parts: int
    uploads: int
    garbage: int
    parked: int


class Audit:
    """One connection of its own, for as long as a check takes."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @classmethod
    async def open(cls, dsn: str) -> Audit:
        """Connect. No session is opened: nothing is written."""
        patient = replace(Limits(), statement_seconds=STATEMENT_SECONDS, answer_seconds=STATEMENT_SECONDS + 60)
        pool = Pool(dsn, patient, 1)
        await pool.open()
        return cls(pool)

    async def close(self) -> None:
        """Disconnect."""
        await self._pool.close()

    async def next_session(self, after: int) -> int | None:
        """The next session whose bytes some row names; ids are not asked of the table of sessions, which forgets."""
        rows = await self._pool.repeat(NEXT_SESSION, session_prefix(after + 1))
        return None if rows[0][0] is None else session_of(rows[0][0])

    async def single(self, first: bytes, below: bytes) -> tuple[list[Reference], bytes]:
        """The next rows of one segment within these bounds: those below the id that comes with them."""
        return await self._named(SINGLE, first, below, SINGLE_ROWS)

    async def several(self, first: bytes, below: bytes) -> AsyncIterator[Reference]:
        """All rows of several segments the first of which lies within these bounds."""
        while first < below:
            rows, first = await self._named(SEVERAL, first, below, SEVERAL_ROWS)
            for row in rows:
                yield row

    async def is_alive(self, first_id: bytes) -> bool:
        """Whether a row still names this content or part, when looked at again."""
        for statement in (SINGLE, SEVERAL):
            rows, _ = await self._named(statement, first_id, first_id + b"\0", SINGLE_ROWS)
            if any(row.alive for row in rows):
                return True
        return False

    async def closed_for(self, session_id: int) -> float | None:
        """For how many seconds a session has been closed, for ever if it is not known; None: it may be writing."""
        rows = await self._pool.repeat(CLOSED_FOR, session_id)
        seconds: float | None = rows[0][0] if rows else inf
        return seconds

    async def parked(self, node_id: bytes) -> AsyncIterator[bytes]:
        """Shards that wait to be deleted on a node."""
        after = _BEFORE_ALL
        while rows := await self._pool.repeat(PARKED, node_id, *after, PARKED_ROWS):
            for *_, ids in rows:
                for at in range(0, len(ids), SHARD_ID_BYTES):
                    yield ids[at : at + SHARD_ID_BYTES]
            after = rows[-1][:2]

    async def broken_rows(self) -> list[tuple[str, bytes]]:
        """Rows that name rows which are not there, or contradict themselves: what, and which content."""
        found = []
        for what, statement in (
            ("an object without its content", NO_CONTENT),
            ("a content without one of its parts", NO_PART),
            ("an object without its bucket", NO_BUCKET),
            ("an older version without a newer current one", NO_HEAD),
            ("a version that is two things at once", MIXED),
        ):
            found += [(what, row[0]) for row in await self._pool.repeat(statement, MAX_BROKEN)]
        return found

    async def totals(self) -> Totals:
        """For the head of the report."""
        return Totals._make((await self._pool.repeat(TOTALS))[0])

    async def _named(
        self, statement: Statement, first: bytes, below: bytes, limit: int
    ) -> tuple[list[Reference], bytes]:
        rows, below = whole(await self._pool.repeat(statement, first, below, limit), below, limit)
        return [Reference._make(row) for row in rows], below
