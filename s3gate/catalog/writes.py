"""What all fenced batches have in common: one autocommit statement that holds the session, and what follows from it.

Each kind of write (objects, parts) brings its statement, what a verdict means, and what to ask when a commit was
cut off. This file knows sessions, lost connections and poisoned rows; it refuses to know tables.

Every such statement answers with rows (place, verdict, version, time). A row with a time, Postgres', says that the
session was held (most have one of place 0 for this); without it nothing was written. A place without a row lost its
race.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar

from s3gate.catalog.batcher import AGAIN, Batcher, Outcome, Poisoned
from s3gate.catalog.connection import ConnectionLost, Row, Statement, Step
from s3gate.catalog.errors import Unavailable
from s3gate.catalog.limits import Limits
from s3gate.catalog.pool import Pool, retry
from s3gate.catalog.sessions import Session
from s3gate.catalog.settlement import Settlement
from s3gate.geometry.ids import session_of

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class FencedWrites(ABC, Generic[Item, Answer]):
    """A batcher of writes of one kind."""

    silent: ClassVar[frozenset[Statement]] = frozenset()
    """Statements that do not say why they wrote nothing: their items go again, by one that does."""

    def __init__(
        self,
        pool: Pool,
        session: Session,
        settlement: Settlement,
        limits: Limits,
        refused: Callable[[Item, Exception], None] | None,
    ) -> None:
        self._pool = pool
        self._session = session
        self._settlement = settlement
        self._limits = limits
        self.batcher: Batcher[Item, Answer] = Batcher(
            self._run,
            lanes=limits.commit_connections,
            rows=limits.batch_rows,
            waiting=limits.waiting_requests,
            gather_seconds=limits.commit_gather_seconds,
            lost_races=limits.lost_races,
            settle_seconds=limits.settle_seconds,
            key=self.key,
            refused=refused,
        )

    @abstractmethod
    def key(self, item: Item) -> Hashable:
        """What only one write of a batch, and only one batch under way, may touch."""

    @abstractmethod
    def order(self, item: Item) -> Any:
        """Where its row stands in the order in which rows are locked."""

    @abstractmethod
    def own_id(self, item: Item) -> bytes | None:
        """An id that the session made for it: useless once that session is closed."""

    def admit(self, items: Sequence[Item]) -> Sequence[Exception | None]:
        """Why an item of a batch cannot even be sent; None when it can."""
        return [None] * len(items)

    @abstractmethod
    def step(self, items: Sequence[Item]) -> Step:
        """The statement that writes these items, and its parameters after the session's id and fence."""

    def before(self, items: Sequence[Item]) -> Step | None:
        """A statement to run before, in the same transaction; its values after the session's id and fence."""
        return None

    @abstractmethod
    def judge(self, item: Item, row: Row, now: datetime) -> Outcome[Answer]:
        """What a verdict means to its caller."""

    @abstractmethod
    async def ask(self, items: Sequence[Item]) -> Sequence[Answer | Exception]:
        """What became of items whose commit was cut off; none of them can commit any more."""

    async def _run(self, items: list[Item]) -> Sequence[Outcome[Answer]]:
        refusals = self.admit(items)
        outcomes: list[Outcome[Answer]] = [refusal or AGAIN for refusal in refusals]
        places = [place for place, refusal in enumerate(refusals) if refusal is None]
        if places:
            places.sort(key=lambda place: self.order(items[place]))
            written = await self._write([items[place] for place in places])
            for place, outcome in zip(places, written, strict=True):
                outcomes[place] = outcome
        return outcomes

    async def _write(self, items: list[Item]) -> Sequence[Outcome[Answer]]:
        connection = await self._pool.take()
        session_id, fence = self._session.session_id, self._session.fence
        try:
            if strangers := self._strangers(items, session_id):
                return strangers
            statement, values = self.step(items)
            steps: list[Step] = [(statement, (session_id, fence, *values))]
            if before := self.before(items):
                steps.insert(0, (before[0], (session_id, fence, *before[1])))
            rows = await retry(lambda: connection.run(steps), self._limits.tries)
        except ConnectionLost as lost:
            if not lost.sent:
                return [AGAIN] * len(items)
            return self._settlement.settle(session_id, fence, len(items), lambda: self.ask(items))
        except Unavailable:
            raise
        except Exception as error:
            raise Poisoned(error) from error
        finally:
            self._pool.give(connection)
        if not rows and statement in self.silent:
            return [AGAIN] * len(items)
        return await self._judge(items, rows)

    def _strangers(self, items: list[Item], session_id: int) -> list[Outcome[Answer]] | None:
        """Refuse what was written under a session that has been closed since; its neighbours go again."""
        ids = [self.own_id(item) for item in items]
        if all(own is None or session_of(own) == session_id for own in ids):
            return None
        return [
            AGAIN if own is None or session_of(own) == session_id else Unavailable("its session was closed")
            for own in ids
        ]

    async def _judge(self, items: list[Item], rows: list[Row]) -> list[Outcome[Answer]]:
        outcomes: list[Outcome[Answer]] = [AGAIN] * len(items)
        now = next((row[3] for row in rows if row[3] is not None), None)
        if now is None:
            # Fenced: nothing was written. Learn the fence, or get a new session, and go again.
            await self._session.beat()
            return outcomes
        judge = self.judge
        for row in rows:
            if place := row[0]:
                outcomes[place - 1] = judge(items[place - 1], row, now)
        return outcomes
