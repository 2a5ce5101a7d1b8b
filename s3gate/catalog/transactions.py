"""Single fenced writes, outside of batches: the same rules as theirs, for copies, completions and traits.

It knows the session's fence, lost races and cut-off commits; it refuses to know statements.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from s3gate.catalog.batcher import Again
from s3gate.catalog.buckets import Buckets
from s3gate.catalog.connection import ConnectionLost
from s3gate.catalog.errors import Unavailable
from s3gate.catalog.limits import Limits
from s3gate.catalog.pool import Pool
from s3gate.catalog.sessions import Session
from s3gate.catalog.settlement import Ask, Settlement

Answer = TypeVar("Answer")
Attempt = Callable[[int, int], Awaitable["Answer | Again | None"]]


class FencedChanges:
    """Changes that go alone, each as a transaction of its own."""

    def __init__(self, pool: Pool, session: Session, settlement: Settlement, limits: Limits) -> None:
        self._pool = pool
        self._session = session
        self._settlement = settlement
        self._limits = limits

    async def _run(self, attempt: Attempt[Answer], ask: Ask[Answer]) -> Answer:
        """Run `attempt(session_id, fence)` until it answers: AGAIN is a lost race, None a fence that was raised."""
        for _ in range(self._limits.lost_races):
            session_id, fence = self._session.session_id, self._session.fence
            try:
                answer = await attempt(session_id, fence)
            except ConnectionLost as lost:
                if lost.sent:
                    return await self._settlement.settle_one(session_id, fence, ask)
                continue
            if answer is None:
                await self._session.beat()
            elif not isinstance(answer, Again):
                return answer
        raise Unavailable("lost too many races")


class BucketChanges(FencedChanges):
    """Such changes below a bucket, that are refused when its row is not the one they were decided by."""

    def __init__(self, pool: Pool, session: Session, settlement: Settlement, limits: Limits, buckets: Buckets) -> None:
        super().__init__(pool, session, settlement, limits)
        self._buckets = buckets
