"""Garbage: contents that lost a reference (law 5), consumed by deletion.

The order of work makes every unit safe to run twice and to kill (law 10): take rows for a while (a lease by time,
so that a killed collector's rows come back), trash their shards, then delete the rows of what was trashed. Whether
a content is still referenced is asked when its row is taken: by then the write that queued it has committed, and
a new reference can only be taken by locking an existing one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from s3gate.catalog.connection import Statement
from s3gate.catalog.errors import Unavailable
from s3gate.catalog.limits import Limits
from s3gate.catalog.parameters import (
    BYTEA,
    BYTEA_ARRAY,
    FLOAT8,
    INT2_ARRAY,
    INT4,
    INT4_ARRAY,
    TIMESTAMPTZ_ARRAY,
    UUID_ARRAY,
)
from s3gate.catalog.parts import COLUMNS
from s3gate.catalog.pieces import lent, named_by_part, referenced
from s3gate.catalog.pool import Pool
from s3gate.catalog.rows import GarbageRow, ParkedRow, PartRow
from s3gate.geometry.ids import SHARD_ID_BYTES

UNLISTED: Final = "unlisted"

DISCARD = Statement(
    "garbage_discard",
    """INSERT INTO garbage (kind, content_id, part_count, layout_id, extents)
       SELECT 'content', substring(extents FOR 16), 0, layout_id, extents
       FROM unnest($1::smallint[], $2::bytea[]) AS n (layout_id, extents)""",
    INT2_ARRAY,
    BYTEA_ARRAY,
)
TAKE = Statement(
    "garbage_take",
    """
    WITH t AS MATERIALIZED (
        SELECT queued_at, garbage_id FROM garbage WHERE leased_until < now()
        ORDER BY queued_at, garbage_id LIMIT $1 FOR UPDATE SKIP LOCKED
    )
    UPDATE garbage g SET leased_until = now() + make_interval(secs => $2)
    FROM t WHERE g.queued_at = ANY (ARRAY[t.queued_at]) AND g.garbage_id = ANY (ARRAY[t.garbage_id])
    RETURNING g.queued_at, g.garbage_id, g.kind, g.content_id, g.part_count, g.layout_id, g.extents,
              g.kind <> 'unlisted' AND ("""
    + referenced("g.content_id")
    + " OR g.part_count = 0 AND "
    + named_by_part("g.content_id")
    + "), extract(epoch FROM now() - g.queued_at)::float8",
    INT4,
    FLOAT8,
)
RENEW = Statement(
    "garbage_renew",
    """UPDATE garbage g SET leased_until = now() + make_interval(secs => $3)
       FROM unnest($1::timestamptz[], $2::uuid[]) AS n (queued_at, garbage_id)
       WHERE g.queued_at = ANY (ARRAY[n.queued_at]) AND g.garbage_id = ANY (ARRAY[n.garbage_id])""",
    TIMESTAMPTZ_ARRAY,
    UUID_ARRAY,
    FLOAT8,
)
# A page of a content's parts, and which of them have their segments by reference or lent them so. Whether something
# else names these is asked like of any garbage, when this has committed: so of two contents that give up the same
# segments at once, the one that looks later finds nobody. What nothing else names, nothing will: this content has no
# version any more from which a reference could be taken.
_PAGE: Final = (
    """
    WITH page AS MATERIALIZED (
        SELECT """
    + ", ".join(["p." + column for column in COLUMNS.split(", ")])
    + ", p.source_id, p.source_id IS NOT NULL OR "
    + lent("p.part_id")
    + """ AS shared
        FROM part p WHERE p.upload_id = $1 """
)
_LET_GO: Final = (
    """
        ORDER BY p.part_number LIMIT $2
    ), gone AS (
        DELETE FROM part p USING page
        WHERE page.shared AND p.upload_id = ANY (ARRAY[page.upload_id])
          AND p.part_number = ANY (ARRAY[page.part_number])
          AND p.part_id = ANY (ARRAY[page.part_id])
        RETURNING p.part_id, p.source_id, p.layout_id, p.extents
    ), g AS (
        INSERT INTO garbage (kind, content_id, part_count, layout_id, extents)
        SELECT 'content', coalesce(source_id, part_id), 0, layout_id, extents FROM gone
    )
    SELECT """
    + COLUMNS
    + ", shared FROM page ORDER BY part_number"
)
# The parts of a content that is garbage as a whole, or those that its manifest does not list.
PARTS = Statement("garbage_parts", _PAGE + _LET_GO, BYTEA, INT4)
UNLISTED_PARTS = Statement(
    "garbage_unlisted_parts",
    _PAGE
    + "AND EXISTS (SELECT FROM content c WHERE c.content_id = $1 AND p.part_number <> ALL (c.part_numbers))"
    + _LET_GO,
    BYTEA,
    INT4,
)
FORGET_PARTS = Statement(
    "garbage_forget_parts",
    """DELETE FROM part p USING unnest($1::bytea[], $2::integer[], $3::bytea[]) AS n (upload_id, part_number, part_id)
       WHERE p.upload_id = ANY (ARRAY[n.upload_id]) AND p.part_number = ANY (ARRAY[n.part_number])
         AND p.part_id = ANY (ARRAY[n.part_id])""",
    BYTEA_ARRAY,
    INT4_ARRAY,
    BYTEA_ARRAY,
)
# The content's own row goes last, with the garbage row. `$3`: the contents that are garbage as a whole.
FINISH = Statement(
    "garbage_finish",
    """
    WITH c AS (DELETE FROM content WHERE content_id = ANY ($3::bytea[]))
    DELETE FROM garbage g USING unnest($1::timestamptz[], $2::uuid[]) AS n (queued_at, garbage_id)
    WHERE g.queued_at = ANY (ARRAY[n.queued_at]) AND g.garbage_id = ANY (ARRAY[n.garbage_id])
    """,
    TIMESTAMPTZ_ARRAY,
    UUID_ARRAY,
    BYTEA_ARRAY,
)
PARK = Statement(
    "garbage_park",
    "INSERT INTO node_garbage (node_id, shard_ids) SELECT $1, ids FROM unnest($2::bytea[]) AS n (ids)",
    BYTEA,
    BYTEA_ARRAY,
)
TAKE_PARKED = Statement(
    "garbage_take_parked",
    """SELECT node_id, parked_at, parked_id, shard_ids FROM node_garbage
       WHERE node_id = $1 ORDER BY parked_at, parked_id LIMIT $2""",
    BYTEA,
    INT4,
)
FINISH_PARKED = Statement(
    "garbage_finish_parked",
    """DELETE FROM node_garbage g USING unnest($1::bytea[], $2::timestamptz[], $3::uuid[]) AS n (node_id, parked_at, id)
       WHERE g.node_id = ANY (ARRAY[n.node_id]) AND g.parked_at = ANY (ARRAY[n.parked_at])
         AND g.parked_id = ANY (ARRAY[n.id])""",
    BYTEA_ARRAY,
    TIMESTAMPTZ_ARRAY,
    UUID_ARRAY,
)


class Garbage:
    """What the collector and the sweeper ask and say."""

    def __init__(self, pool: Pool, limits: Limits) -> None:
        self._pool = pool
        self._limits = limits

    async def discard(self, contents: Sequence[tuple[int, bytes]]) -> None:
        """Queue segments (layout id and packed extents) that no commit will ever name."""
        real = [(layout_id, extents) for layout_id, extents in contents if extents]
        if real:
            # Run twice it queues twice, which is only work done twice.
            await self._pool.repeat(DISCARD, [layout for layout, _ in real], [extents for _, extents in real])

    async def take(self, limit: int) -> list[GarbageRow]:
        """The oldest garbage, for as long as the lease lasts."""
        rows = await self._pool.repeat(TAKE, limit, self._limits.garbage_lease_seconds)
        return [GarbageRow._make(row) for row in rows]

    async def renew(self, rows: Sequence[GarbageRow]) -> None:
        """The lease of those that are not finished begins anew."""
        names = [row.queued_at for row in rows], [row.garbage_id for row in rows]
        await self._pool.repeat(RENEW, *names, self._limits.garbage_lease_seconds)

    async def parts(self, row: GarbageRow, limit: int) -> list[PartRow]:
        """The next parts of a multipart content to trash; none when it is time to finish the row.

        Those whose segments are shared are let go here: what they had becomes garbage of its own.
        """
        if row.referenced or row.part_count == 0:
            return []
        statement = UNLISTED_PARTS if row.kind == UNLISTED else PARTS
        while page := await self._pool.repeat(statement, row.content_id, limit):
            if parts := [PartRow._make(part) for *part, shared in page if not shared]:
                return parts
        return []

    async def forget_parts(self, parts: Sequence[PartRow]) -> None:
        """These parts' shards have been trashed."""
        await self._pool.repeat(
            FORGET_PARTS,
            [part.upload_id for part in parts],
            [part.part_number for part in parts],
            [part.part_id for part in parts],
        )

    async def finish(self, rows: Sequence[GarbageRow]) -> None:
        """What these rows stand for has been trashed (or is still referenced): they go."""
        whole = [row.content_id for row in rows if row.kind != UNLISTED and row.part_count and not row.referenced]
        await self._pool.repeat(FINISH, [row.queued_at for row in rows], [row.garbage_id for row in rows], whole)

    async def park(self, node_id: bytes, shard_ids: Sequence[bytes]) -> None:
        """Keep shards of a node that is down until it is back, a bounded number in each row."""
        rows = [b"".join(shard_ids[start : start + 4096]) for start in range(0, len(shard_ids), 4096)]
        if rows:
            await self._pool.repeat(PARK, node_id, rows)

    async def take_parked(self, node_id: bytes, limit: int) -> list[ParkedRow]:
        """What waits for a node, the oldest first."""
        return [_parked(*row) for row in await self._pool.repeat(TAKE_PARKED, node_id, limit)]

    async def finish_parked(self, rows: Sequence[ParkedRow]) -> None:
        """These have been trashed."""
        await self._pool.repeat(
            FINISH_PARKED,
            [row.node_id for row in rows],
            [row.parked_at for row in rows],
            [row.parked_id for row in rows],
        )


def _parked(node_id: bytes, parked_at: datetime, parked_id: UUID, packed: bytes) -> ParkedRow:
    ids = tuple(packed[at : at + SHARD_ID_BYTES] for at in range(0, len(packed), SHARD_ID_BYTES))
    return ParkedRow(node_id, parked_at, parked_id, ids)


class Discards:
    """Bytes of refused writes on their way to the table of garbage, beside the requests that lost them.

    What does not get there (too many, or this process ends) stays an orphan of its session and is swept (law 4).
    """

    def __init__(self, garbage: Garbage, limits: Limits) -> None:
        self._garbage = garbage
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[int, bytes]] = deque(maxlen=limits.discard_rows)
        self._task: asyncio.Task[None] | None = None

    def add(self, layout_id: int, extents: bytes) -> None:
        """Queue what no commit will name any more."""
        if not extents:
            return
        self._waiting.append((layout_id, extents))
        if self._task is None:
            self._task = self._loop.create_task(self._run())

    async def drain(self, seconds: float) -> None:
        """Give what waits a little time."""
        if self._task is not None:
            await asyncio.wait((self._task,), timeout=seconds)
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        waiting = self._waiting
        while waiting:
            some = [waiting.popleft() for _ in range(min(len(waiting), self._limits.batch_rows))]
            try:
                await self._garbage.discard(some)
            except Unavailable:
                waiting.extendleft(reversed(some))
                await asyncio.sleep(self._limits.reconnect_most_seconds)
            except Exception:
                # A definite error would come again: these are left to the sweep, the others go on.
                continue
        self._task = None
