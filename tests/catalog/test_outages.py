"""What an outage of Postgres must not do: make writes ambiguous that were never sent, or end sessions that live."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import psycopg
import pytest

from s3gate.catalog.catalog import Catalog
from s3gate.catalog.connection import Connection, ConnectionLost, Statement
from s3gate.catalog.limits import Limits
from s3gate.catalog.parameters import FLOAT8
from s3gate.catalog.rows import NO_CONDITION
from s3gate.catalog.sessions import BEATS_AFTER_OUTAGE
from tests.catalog.conftest import QUICK, OpenCatalog
from tests.catalog.making import delete

ONE = Statement("one", "SELECT 1")
SLEEP = Statement("sleep", "SELECT pg_sleep($1)::text", FLOAT8)
OTHERS = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = %s"


def cut_all(dsn: str) -> None:
    """End every other connection to the database, and block the event loop until it has happened."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(OTHERS, (connection.info.dbname,))


@pytest.mark.parametrize("pipelined", [False, True])
async def test_a_connection_that_ended_while_idle_is_not_ambiguous(database: str, pipelined: bool) -> None:
    connection = await Connection.open(database, Limits(), lambda broken: None)
    assert await connection.fetch(ONE) == [(1,)]
    assert await connection.pipeline((ONE, ())) == [[(1,)]]
    cut_all(database)
    with pytest.raises(ConnectionLost) as lost:
        await (connection.pipeline((ONE, ())) if pipelined else connection.fetch(ONE))
    assert not lost.value.sent


async def test_one_event_is_enough_to_notice_the_end(database: str) -> None:
    """uvloop reports a socket that was reset once, and the first read brings only the server's last words."""
    connection = await Connection.open(database, Limits(), lambda broken: None)
    await connection.fetch(SLEEP, 0.0)
    work = asyncio.ensure_future(connection.fetch(SLEEP, 60.0))
    await asyncio.sleep(0.1)
    asyncio.get_running_loop().remove_reader(connection._socket)
    cut_all(database)
    connection._readable()
    with pytest.raises(ConnectionLost) as lost:
        await asyncio.wait_for(work, 1)
    assert lost.value.sent


async def test_writes_after_an_outage_succeed_at_once(catalog: Catalog, database: str) -> None:
    for _ in range(5):
        await delete(catalog, "box", b"key", NO_CONDITION)
        cut_all(database)
        await delete(catalog, "box", b"key", NO_CONDITION)


async def test_a_silent_session_is_not_closed_just_after_an_outage(
    catalog: Catalog, open_catalog: OpenCatalog, database: str
) -> None:
    worker = await open_catalog(limits=replace(QUICK, session_heartbeat_seconds=0.2), kind="worker")
    cut_all(database)
    await asyncio.sleep(0)
    assert await worker.find_bucket("box", fresh=True)
    connection = await psycopg.AsyncConnection.connect(database, autocommit=True)
    await connection.execute("UPDATE session SET seen_at = now() - interval '1 hour' WHERE kind = 'gate'")
    assert await worker.close_stale_sessions(60) == []
    await asyncio.sleep(BEATS_AFTER_OUTAGE * 0.2)
    assert len(await worker.close_stale_sessions(60)) == 1
    await connection.close()


def test_several_heartbeats_fit_into_the_time_after_which_a_session_is_closed() -> None:
    assert Limits.for_session_timeout(3).session_heartbeat_seconds <= 1
    assert Limits.for_session_timeout(3600) == Limits()
