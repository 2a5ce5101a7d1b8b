"""Sessions: one run of a gate or worker as Postgres knows it, and its fence (law 6).

A commit holds its session's row FOR KEY SHARE and names the fence it knows. Raising the fence locks the row
FOR UPDATE first, which waits until no commit under the old fence is under way any more; those that come later find
another fence and write nothing. A session that was closed by a worker, because nothing was heard of it, is replaced
by a new one: what was written under the old ids can no longer become visible and will be swept (law 4).
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Final

from s3gate.catalog.connection import Statement
from s3gate.catalog.limits import Limits
from s3gate.catalog.parameters import FLOAT8, INT4, INT8, TEXT, TIMESTAMPTZ
from s3gate.catalog.pool import Pool
from s3gate.catalog.rows import SessionRow
from s3gate.geometry.ids import IdSource, new_session_id

BEATS_AFTER_OUTAGE = 3

OPEN = Statement(
    "session_open",
    "INSERT INTO session (session_id, kind) VALUES ($1, $2) ON CONFLICT (session_id) DO NOTHING RETURNING fence",
    INT8,
    TEXT,
)
SEE = Statement(
    "session_see",
    "UPDATE session SET seen_at = now() WHERE session_id = $1 AND closed_at IS NULL RETURNING fence",
    INT8,
)
LOCK = Statement("session_lock", "SELECT fence FROM session WHERE session_id = $1 FOR UPDATE", INT8)
RAISE = Statement(
    "session_raise",
    "UPDATE session SET fence = fence + 1 WHERE session_id = $1 AND closed_at IS NULL RETURNING fence",
    INT8,
)
CLOSE = Statement(
    "session_close",
    "UPDATE session SET fence = fence + 1, closed_at = now() WHERE session_id = $1 AND closed_at IS NULL",
    INT8,
)
STALE = Statement(
    "session_stale",
    """SELECT session_id FROM session
       WHERE closed_at IS NULL AND seen_at < now() - make_interval(secs => $1) ORDER BY seen_at LIMIT $2""",
    FLOAT8,
    INT4,
)
CLOSE_STALE = Statement(
    "session_close_stale",
    """UPDATE session SET fence = fence + 1, closed_at = now()
       WHERE session_id = $1 AND closed_at IS NULL AND seen_at < now() - make_interval(secs => $2)
       RETURNING session_id""",
    INT8,
    FLOAT8,
)
CLOSED = Statement(
    "session_closed",
    """SELECT session_id, kind, opened_at, closed_at FROM session
       WHERE (closed_at, session_id) > ($1, $2) ORDER BY closed_at, session_id LIMIT $3""",
    TIMESTAMPTZ,
    INT8,
    INT4,
)
FORGET = Statement("session_forget", "DELETE FROM session WHERE session_id = $1 AND closed_at IS NOT NULL", INT8)


_BEFORE_ALL: Final = (datetime(1970, 1, 1, tzinfo=UTC), 0)


class SessionIds(IdSource):
    """The ids of whatever session is open: whoever holds this object follows when a new one is opened."""

    __slots__ = ()

    def restart(self, session_id: int) -> None:
        """Go on under another session."""
        super().__init__(session_id)


class Session:
    """This process's session. `session_id` and `fence` are read together when a commit is sent."""

    def __init__(self, pool: Pool, kind: str, limits: Limits) -> None:
        self._pool = pool
        self._kind = kind
        self._limits = limits
        self._changing = asyncio.Lock()
        self.ids = SessionIds(new_session_id())
        self.fence = 0

    @property
    def session_id(self) -> int:
        """The session under which ids are made now."""
        return self.ids.session_id

    async def open(self) -> None:
        """Make a new session's row, under a fresh random id."""
        while True:
            session_id = new_session_id()
            rows = await self._pool.once(OPEN, session_id, self._kind)
            if rows:
                self.ids.restart(session_id)
                self.fence = rows[0][0]
                return

    async def beat(self) -> None:
        """Say that this session lives; learn its fence; open a new one when it was closed meanwhile."""
        session_id = self.session_id
        rows = await self._pool.repeat(SEE, session_id)
        async with self._changing:
            if self.session_id != session_id:
                return
            if rows:
                self.fence = max(self.fence, rows[0][0])
            else:
                await self.open()

    async def raise_fence(self, session_id: int, sent_fence: int) -> None:
        """Return when nothing that was sent under this fence can commit any more. Never gives up."""
        while True:
            try:
                async with self._changing:
                    if (self.session_id, self.fence) != (session_id, sent_fence):
                        return
                    await self._raise(session_id)
                    return
            except Exception:
                # Postgres is away, or a commit holds the row longer than the lock timeout: only time helps.
                await asyncio.sleep(self._limits.reconnect_most_seconds / 4)

    async def _raise(self, session_id: int) -> None:
        _, raised = await self._pool.transact((LOCK, (session_id,)), (RAISE, (session_id,)))
        if raised:
            self.fence = raised[0][0]
        else:
            await self.open()

    async def close(self) -> None:
        """Close for good: what is under way is waited for, what comes later writes nothing."""
        session_id = self.session_id
        await self._pool.transact((LOCK, (session_id,)), (CLOSE, (session_id,)))


class Sessions:
    """Everybody's sessions, for the workers."""

    def __init__(self, pool: Pool, limits: Limits) -> None:
        self._pool = pool
        self._limits = limits

    async def close_stale(self, older_than_seconds: float, limit: int = 100) -> list[int]:
        """Close the sessions of which nothing was heard; each row is locked first, which waits for its commits.

        Not while Postgres has only just come back: nobody could be heard, and the living need a moment to say so.
        """
        closed: list[int] = []
        if self._pool.steady_seconds < BEATS_AFTER_OUTAGE * self._limits.session_heartbeat_seconds:
            return closed
        for (session_id,) in await self._pool.repeat(STALE, older_than_seconds, limit):
            _, rows = await self._pool.transact((LOCK, (session_id,)), (CLOSE_STALE, (session_id, older_than_seconds)))
            closed.extend(row[0] for row in rows)
        return closed

    async def closed(self, after: SessionRow | None, limit: int) -> list[SessionRow]:
        """Closed sessions whose orphans have not been swept yet, the longest closed first, after one of them."""
        place = _BEFORE_ALL if after is None else (after.closed_at, after.session_id)
        return [SessionRow(*row) for row in await self._pool.repeat(CLOSED, *place, limit)]

    async def forget(self, session_id: int) -> None:
        """A closed session has been swept."""
        await self._pool.repeat(FORGET, session_id)
