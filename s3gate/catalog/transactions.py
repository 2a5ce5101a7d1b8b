"""A single fenced write, outside of batches: the same rules as theirs, for copies and completions.

It knows the session's fence, lost races and cut-off commits; it refuses to know statements.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from s3gate.catalog.batcher import Again
from s3gate.catalog.connection import ConnectionLost
from s3gate.catalog.errors import Unavailable
from s3gate.catalog.limits import Limits
from s3gate.catalog.sessions import Session
from s3gate.catalog.settlement import Ask, Settlement

Answer = TypeVar("Answer")
Attempt = Callable[[int, int], Awaitable["Answer | Again | None"]]


async def run_fenced(
    session: Session, settlement: Settlement, limits: Limits, attempt: Attempt[Answer], ask: Ask[Answer]
) -> Answer:
    """Run `attempt(session_id, fence)` until it answers: AGAIN is a lost race, None a fence that was raised."""
    for _ in range(limits.lost_races):
        session_id, fence = session.session_id, session.fence
        try:
            answer = await attempt(session_id, fence)
        except ConnectionLost as lost:
            if lost.sent:
                return await settlement.settle_one(session_id, fence, ask)
            continue
        if answer is None:
            await session.beat()
        elif not isinstance(answer, Again):
            return answer
    raise Unavailable("lost too many races")
