"""One connection to Postgres: prepared statements, binary both ways, one statement or one pipeline at a time.

It is psycopg's AsyncConnection, connected, checked and configured; the statements then go through its libpq
connection directly, with one reader on the socket for as long as the connection lives. (A cursor costs a
coroutine hop, a reader added and removed, and a search for a dumper per value: three times the CPU.)

It knows what a lost connection means (`ConnectionLost`: nobody can say whether the statement committed, law 6)
and refuses to know any table.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg import AsyncConnection, pq
from psycopg.adapt import Transformer
from psycopg.conninfo import conninfo_to_dict

from s3gate.catalog.errors import CatalogError, Unavailable
from s3gate.catalog.limits import Limits
from s3gate.catalog.parameters import Parameter

Row = tuple[Any, ...]
T = TypeVar("T")

_GOOD = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)
_ENDED = select.POLLHUP | select.POLLERR | select.POLLNVAL
_KEEPALIVE = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 15_000}
_HAS_TRANSACTION_TIMEOUT = 17_00_00
"""The version of Postgres that has one."""
_KEPT_ALIVE = ("keepalives_idle", "keepalives_interval", "keepalives_count")
"""The server's side, too: a host that is lost in the middle of a transaction must not hold its locks for hours."""


class ConnectionLost(Exception):
    """The connection broke. `sent`: a statement was under way, so that it may have committed, or may still."""

    def __init__(self, sent: bool, why: object = "") -> None:
        super().__init__(str(why))
        self.sent = sent


class ServerRefused(CatalogError):
    """No Postgres may be used that would lose what it acknowledged, nor one whose address makes no sense."""


class Statement:
    """One statement: its name on the server, its text, and the types of its parameters."""

    __slots__ = ("encoders", "name", "oids", "text")

    def __init__(self, name: LiteralString, text: LiteralString, *parameters: Parameter) -> None:
        self.name = name.encode()
        self.text = text.encode()
        self.oids = [parameter.oid for parameter in parameters]
        self.encoders = [parameter.encode for parameter in parameters]

    def encode(self, values: Sequence[Any]) -> list[bytes | None]:
        """The parameters as they go over the wire."""
        return [None if value is None else encode(value) for encode, value in zip(self.encoders, values, strict=True)]


BEGIN = Statement("begin", "BEGIN ISOLATION LEVEL READ COMMITTED")
COMMIT = Statement("commit", "COMMIT")
ROLLBACK = Statement("rollback", "ROLLBACK")

Step = tuple[Statement, Sequence[Any]]


@contextmanager
def connecting(dsn: str) -> Iterator[None]:
    """What keeps us from a connection, for whoever started us: Unavailable may pass, ServerRefused will not."""
    if not dsn:
        raise ServerRefused("S3GATE_DATABASE_URL is not set: expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
    try:
        yield
    except psycopg.OperationalError as error:
        raise Unavailable(f"Postgres does not answer: {str(error).strip()}") from error
    except psycopg.ProgrammingError as error:
        raise ServerRefused(f"S3GATE_DATABASE_URL: {str(error).strip()}") from error


def is_retryable(error: BaseException) -> bool:
    """A serialization failure or a deadlock: the statement wrote nothing and may run again as it is."""
    return isinstance(error, psycopg.Error) and error.sqlstate in ("40001", "40P01")


class Connection:
    """Owned by one task at a time. After `ConnectionLost`, or when its task was cancelled, it is broken for good."""

    def __init__(self, link: AsyncConnection[Row], limits: Limits, on_broken: Callable[[Connection], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._link = link
        self._pg = link.pgconn
        self._socket = self._pg.socket
        self._answer_seconds = limits.answer_seconds
        self._on_broken = on_broken
        self._transformer = Transformer(link)
        self._prepared: set[Statement] = set()
        self._results: list[pq.abc.PGresult] = []
        self._waiter: asyncio.Future[list[pq.abc.PGresult]] | None = None
        self._in_pipeline = False
        self.broken = False
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._loop.add_reader(self._socket, self._readable)

    @classmethod
    async def open(cls, dsn: str, limits: Limits, on_broken: Callable[[Connection], None]) -> Connection:
        """Connect, refuse a server that does not sync, and set what every connection of ours has."""
        with connecting(dsn):
            given = conninfo_to_dict(dsn)
            extra: dict[str, Any] = {name: value for name, value in _KEEPALIVE.items() if name not in given}
            link = await AsyncConnection.connect(
                dsn, autocommit=True, connect_timeout=max(2, round(limits.connect_seconds)), **extra
            )
        try:
            await _check_server(link)
            await _configure(link, limits)
        except BaseException:
            await link.close()
            raise
        return cls(link, limits, on_broken)

    async def fetch(self, statement: Statement, *values: Any) -> list[Row]:
        """Run one statement in autocommit; its rows as tuples. A definite error is a psycopg.Error."""
        if statement not in self._prepared:
            await self._prepare(statement)
        return self._rows((await self._exchange(statement, statement.encode(values)))[0])

    def begin(self, statement: Statement, values: Sequence[Any]) -> bool:
        """Run a statement in a transaction that is open until `commit` or `roll_back`.

        False: it is not prepared here, or nothing would end it if we were stopped now.
        What is sent without a sync is run at once and committed by the sync. Its rows come with the commit: else we
        would be woken for them. If we are lost before that, nothing was committed.
        """
        if statement not in self._prepared or self._pg.server_version < _HAS_TRANSACTION_TIMEOUT:
            return False
        encoded = statement.encode(values)
        self._check_idle()
        try:
            self._pg.enter_pipeline_mode()
            self._pg.send_query_prepared(statement.name, encoded, (1,) * len(encoded), 1)
        except psycopg.OperationalError as error:
            self._break(ConnectionLost(False, error))
            raise ConnectionLost(False, error) from error
        self._writable()
        return True

    async def commit(self) -> list[Row]:
        """The rows of what was begun, committed. A psycopg.Error: it was not."""
        return self._rows((await self._sync())[0])

    async def roll_back(self) -> None:
        """End what was begun as if it had not been sent."""
        if not self.broken:
            for text in (b"BEGIN", b"ROLLBACK"):  # without the BEGIN, Postgres would warn of it in its log
                self._pg.send_query_params(text, None)
        await self._sync()

    async def run(self, steps: Sequence[Step]) -> list[Row]:
        """The last statement's rows: one statement in autocommit, several as one transaction."""
        if len(steps) == 1:
            return await self.fetch(steps[0][0], *steps[0][1])
        return (await self.pipeline(*steps))[-1]

    async def pipeline(self, *steps: Step) -> list[list[Row]]:
        """Run statements as one transaction in one round trip; the rows of each. All of them or none."""
        whole = [(BEGIN, ()), *steps, (COMMIT, ())]
        for statement, _ in whole:
            if statement not in self._prepared:
                await self._prepare(statement)
        encoded = [(statement, statement.encode(values)) for statement, values in whole]
        try:
            results = await self._exchange_pipeline(encoded)
        except psycopg.Error:
            if not self.broken:
                await self._exchange(ROLLBACK, [])
            raise
        return [self._rows(result) for result in results[1:-1]]

    def close(self) -> None:
        """Give the connection up at once; what is under way may still commit on the server."""
        self._break(ConnectionLost(True, "closed"))

    def _rows(self, result: pq.abc.PGresult) -> list[Row]:
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(0, result.ntuples, tuple)

    async def _prepare(self, statement: Statement) -> None:
        if self.broken:
            raise ConnectionLost(False, "already broken")
        try:
            self._pg.send_prepare(statement.name, statement.text, statement.oids)
            await self._answer()
        except (ConnectionLost, psycopg.OperationalError) as lost:
            self._break(ConnectionLost(False, lost))
            raise ConnectionLost(False, lost) from lost
        self._prepared.add(statement)
        if statement is BEGIN:
            await self._prepare(ROLLBACK)

    async def _exchange(self, statement: Statement, parameters: Sequence[bytes | None]) -> list[pq.abc.PGresult]:
        self._check_idle()
        try:
            self._pg.send_query_prepared(statement.name, parameters, (1,) * len(parameters), 1)
        except psycopg.OperationalError as error:
            self._break(ConnectionLost(True, error))
            raise ConnectionLost(True, error) from error
        return await self._answer()

    async def _exchange_pipeline(
        self, steps: Sequence[tuple[Statement, Sequence[bytes | None]]]
    ) -> list[pq.abc.PGresult]:
        self._check_idle()
        pg = self._pg
        try:
            pg.enter_pipeline_mode()
            for statement, parameters in steps:
                pg.send_query_prepared(statement.name, parameters, (1,) * len(parameters), 1)
        except psycopg.OperationalError as error:
            self._break(ConnectionLost(True, error))
            raise ConnectionLost(True, error) from error
        return await self._sync()

    async def _sync(self) -> list[pq.abc.PGresult]:
        """End the pipeline: the results of all that was sent in it."""
        if self.broken:
            raise ConnectionLost(False, "broken before it was ended")
        try:
            self._pg.pipeline_sync()
        except psycopg.OperationalError as error:
            self._break(ConnectionLost(True, error))
            raise ConnectionLost(True, error) from error
        self._in_pipeline = True
        try:
            return await self._answer()
        finally:
            self._in_pipeline = False
            if not self.broken:
                self._pg.exit_pipeline_mode()

    def _check_idle(self) -> None:
        """Nothing is under way, so what there is to read now is the server's farewell or the end of the connection.

        The loop may not have come round to it yet; a statement sent after it would be ambiguous for nothing (law 6).
        """
        if not self.broken and self._poll.poll(0):
            self._break(ConnectionLost(False, "it was closed while idle"))
        if self.broken:
            raise ConnectionLost(False, "already broken")

    async def _answer(self) -> list[pq.abc.PGresult]:
        """Flush what was sent and wait for all of its results."""
        waiter = self._waiter = self._loop.create_future()
        self._results = []
        deadline = self._loop.call_later(self._answer_seconds, self._too_late)
        try:
            self._writable()
            results: list[pq.abc.PGresult] = await waiter
        except asyncio.CancelledError:
            self._break(ConnectionLost(True, "its task was cancelled"))
            raise
        finally:
            deadline.cancel()
            self._waiter = None
        failed = next((result for result in results if result.status not in _GOOD), None)
        if failed is not None:
            raise self._error_of(failed)
        return results

    def _error_of(self, result: pq.abc.PGresult) -> Exception:
        """A definite error of the statement, or the end of the connection, which says nothing about the statement."""
        error = psycopg.errors.error_from_result(result, encoding="utf-8")
        state = error.sqlstate or ""
        fatal = error.diag.severity_nonlocalized != "ERROR" or self._pg.status != pq.ConnStatus.OK
        if fatal or state.startswith("08") or state == "40003":
            lost = ConnectionLost(True, error)
            self._break(lost)
            return lost
        return error

    def _writable(self) -> None:
        """Flush; when the socket is full, come back when it is not."""
        try:
            unsent = self._pg.flush()
        except psycopg.OperationalError as error:
            self._break(ConnectionLost(True, error))
            return
        if unsent:
            self._loop.add_writer(self._socket, self._writable)
        else:
            self._loop.remove_writer(self._socket)

    def _readable(self) -> None:
        """Collect results; when the last one is here, wake the task that waits."""
        waiter = self._waiter
        try:
            while not self._collect():
                if not self._has_ended():
                    return
        except psycopg.OperationalError as error:
            self._break(ConnectionLost(True, error))
            return
        if waiter is not None and not waiter.done():
            waiter.set_result(self._results)

    def _collect(self) -> bool:
        """Read what has arrived; whether the last result is among it."""
        pg = self._pg
        pg.consume_input()
        while self._waiter is not None and not pg.is_busy():
            result = pg.get_result()
            if result is None:
                if self._in_pipeline and pg.status == pq.ConnStatus.OK:
                    continue
                return True
            if result.status == pq.ExecStatus.PIPELINE_SYNC:
                return True
            self._results.append(result)
        return False

    def _has_ended(self) -> bool:
        """Whether the other side is gone, so that what it left must be read now: uvloop tells once of a socket that
        was reset, and watches it no longer. (A server that dies says so first, and leaves what we sent unread.)"""
        return any(events & _ENDED for _, events in self._poll.poll(0))

    def _too_late(self) -> None:
        self._break(ConnectionLost(True, "no answer in time"))

    def _break(self, why: ConnectionLost) -> None:
        if self.broken:
            return
        self.broken = True
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._pg.finish()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(why)
        self._on_broken(self)


async def _check_server(link: AsyncConnection[Row]) -> None:
    """Law 2: acknowledged means durable, so the server has to sync."""
    cursor = await link.execute("SELECT current_setting('fsync'), current_setting('full_page_writes')")
    row = await cursor.fetchone()
    for name, value in zip(("fsync", "full_page_writes"), row or ("", ""), strict=True):
        if value != "on":
            raise ServerRefused(f"Postgres has {name}={value}: it would lose what it acknowledged; turn it on")


async def _configure(link: AsyncConnection[Row], limits: Limits) -> None:
    """Durability, timeouts, and plans that cannot turn bad.

    Plans are made once and kept. What was right for the first ten rows (read them all) is a disaster at the first
    million, and the statistics come late; every join of ours finds its rows by a key, so that nothing else is allowed.
    A table that was vacuumed while it was empty looks like one row, and walking a whole index of it in the order of the
    join costs no more than finding a row: so statements over tables that grow say `= ANY (ARRAY[x])` where they join.
    That finds rows by the index like `= x`, and no order helps it. Where the order of the tables is left to choose, too
    (each row of one with each of the other), a LATERAL with a LIMIT or an OFFSET 0 leaves nothing to choose; and where
    the question is whether there is any row at all, a subquery with LIMIT 1: NOT EXISTS would be planned as a join.
    """
    settings = {
        "client_encoding": "UTF8",
        "TimeZone": "UTC",
        "default_transaction_isolation": "read committed",
        "synchronous_commit": "on",
        "statement_timeout": str(round(limits.statement_seconds * 1000)),
        "lock_timeout": str(round(limits.lock_seconds * 1000)),
        **{f"tcp_{name}": str(_KEEPALIVE[name]) for name in _KEPT_ALIVE},
        "idle_in_transaction_session_timeout": str(round(limits.idle_in_transaction_seconds * 1000)),
        "plan_cache_mode": "force_generic_plan",
        "enable_seqscan": "off",
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
        "enable_material": "off",
        "jit": "off",
    }
    if link.info.server_version >= _HAS_TRANSACTION_TIMEOUT:
        seconds = limits.statement_seconds + limits.beyond_statement_seconds
        settings["transaction_timeout"] = str(round(seconds * 1000))
    texts = [f"set_config('{name}', '{value}', false)" for name, value in settings.items()]
    await link.execute(f"SELECT {', '.join(texts)}".encode())
