"""Connections: what they refuse, what they set, parameters of every type, plans that cannot turn bad."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3gate.catalog import (
    audit,
    buckets,
    commits,
    completions,
    contents,
    copies,
    garbage,
    identities,
    listing,
    lookups,
    named,
    parameters,
    part_copies,
    parts,
    removals,
    rewrap,
    schema,
    traits,
    uploads,
    versions,
)
from s3gate.catalog import lifecycle as bucket_lifecycle
from s3gate.catalog import settings as bucket_settings
from s3gate.catalog.catalog import Catalog
from s3gate.catalog.connection import Connection, ConnectionLost, ServerRefused, Statement
from s3gate.catalog.errors import Unavailable
from s3gate.catalog.limits import Limits
from s3gate.catalog.pool import Pool
from tests.catalog.conftest import QUICK, Look, OpenCatalog

SLEEP = Statement("sleep", "SELECT 1 FROM pg_sleep($1)", parameters.FLOAT8)
FAIL = Statement("fail", "SELECT 1 / $1", parameters.INT4)
OTHERS = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE pid <> pg_backend_pid() AND datname = current_database()"""


@contextmanager
def changed_setting(dsn: str, name: str) -> Iterator[None]:
    """A server-wide setting turned off, and on again."""
    with psycopg.connect(dsn, autocommit=True) as connection:

        def turn(value: str) -> None:
            connection.execute(f"ALTER SYSTEM SET {name} = {value}".encode())
            connection.execute("SELECT pg_reload_conf()")
            for _ in range(100):
                with psycopg.connect(dsn) as fresh:
                    row = fresh.execute(f"SHOW {name}".encode()).fetchone()
                if row == (value,):
                    return
                threading.Event().wait(0.02)
            raise AssertionError(f"{name} did not change")

        turn("off")
        try:
            yield
        finally:
            turn("on")


@pytest.fixture
async def connection(database: str) -> Connection:
    return await Connection.open(database, Limits(), lambda broken: None)


@pytest.mark.parametrize("name", ["fsync", "full_page_writes"])
async def test_a_server_that_does_not_sync_is_refused(database: str, name: str) -> None:
    with changed_setting(database, name), pytest.raises(ServerRefused, match=name):
        await Catalog.open(database, kind="gate")
    await (await Catalog.open(database, kind="gate")).close()


async def test_every_connection_is_durable_and_bounded(connection: Connection) -> None:
    expected = {
        "synchronous_commit": "on",
        "transaction_isolation": "read committed",
        "statement_timeout": "15s",
        "lock_timeout": "10s",
        "idle_in_transaction_session_timeout": "10s",
        "enable_seqscan": "off",
        "plan_cache_mode": "force_generic_plan",
    }
    show = Statement("show", "SELECT current_setting($1)", parameters.TEXT)
    assert {name: (await connection.fetch(show, name))[0][0] for name in expected} == expected
    connection.close()


async def test_a_definite_error_leaves_the_connection_and_a_pipeline_writes_all_or_nothing(
    connection: Connection, look: Look
) -> None:
    insert = Statement("insert", "INSERT INTO cluster (cluster_id, format) VALUES ($1, 1)", parameters.BYTEA)
    with pytest.raises(psycopg.errors.DivisionByZero):
        await connection.fetch(FAIL, 0)
    with pytest.raises(psycopg.errors.DivisionByZero):
        await connection.pipeline((insert, (b"c" * 16,)), (FAIL, (0,)))
    assert await look.one("SELECT count(*) FROM cluster") == 0
    assert await connection.pipeline((insert, (b"c" * 16,)), (FAIL, (1,))) == [[], [(1,)]]
    with pytest.raises(psycopg.errors.UniqueViolation):
        await connection.pipeline((FAIL, (1,)), (insert, (b"d" * 16,)))
    assert await connection.fetch(FAIL, 1) == [(1,)]
    with pytest.raises(ValueError, match="argument"):
        await connection.fetch(FAIL)
    assert not connection.broken
    connection.close()


async def test_a_connection_that_ends_says_whether_something_was_under_way(database: str, look: Look) -> None:
    broken: list[Connection] = []
    connection = await Connection.open(database, Limits(), broken.append)
    await connection.fetch(SLEEP, 0.0)
    work = asyncio.ensure_future(connection.fetch(SLEEP, 5.0))
    await asyncio.sleep(0.05)
    await look.rows(OTHERS)
    with pytest.raises(ConnectionLost) as caught:
        await work
    assert caught.value.sent and broken == [connection]
    with pytest.raises(ConnectionLost) as caught:
        await connection.fetch(SLEEP, 0.0)
    assert not caught.value.sent
    # One that ends while nothing is under way is noticed by itself.
    connection = await Connection.open(database, Limits(), broken.append)
    await connection.fetch(SLEEP, 0.0)
    await look.rows(OTHERS)
    for _ in range(100):
        await asyncio.sleep(0.01)
        if connection.broken:
            break
    assert broken[1:] == [connection]


async def test_no_answer_in_time_and_cancelled_callers_break_it(database: str) -> None:
    connection = await Connection.open(database, replace(Limits(), answer_seconds=0.1), lambda broken: None)
    with pytest.raises(ConnectionLost):
        await connection.fetch(SLEEP, 5.0)
    connection = await Connection.open(database, Limits(), lambda broken: None)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(connection.fetch(SLEEP, 5.0), 0.1)
    assert connection.broken


async def test_large_statements_and_answers_pass(connection: Connection) -> None:
    echo = Statement("echo", "SELECT x FROM unnest($1::bytea[]) AS x", parameters.BYTEA_ARRAY)
    values = [bytes([number]) * 400_000 for number in range(40)]
    assert await connection.fetch(echo, values) == [(value,) for value in values]
    connection.close()


async def test_a_pool_waits_its_turn_and_is_bounded(database: str) -> None:
    pool = Pool(database, replace(QUICK, waiting_requests=3, down_seconds=0.3), 2)
    await pool.open()
    taken = [await pool.take(), await pool.take()]
    waiting = [asyncio.ensure_future(pool.take()) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await pool.take()
    pool.give(taken[0])
    assert await waiting[0] is taken[0]
    waiting[1].cancel()
    pool.give(taken[1])
    assert await waiting[2] is taken[1]
    with pytest.raises(Unavailable):
        await pool.take()
    taken[1].close()
    replaced = await pool.take()
    assert replaced is not taken[1] and not replaced.broken
    await pool.close()
    with pytest.raises(Unavailable):
        await pool.take()


ARRAYS: list[tuple[Any, str, st.SearchStrategy[Any]]] = [
    (parameters.INT2_ARRAY, "smallint[]", st.integers(-(1 << 15), (1 << 15) - 1)),
    (parameters.INT4_ARRAY, "integer[]", st.integers(-(1 << 31), (1 << 31) - 1)),
    (parameters.INT8_ARRAY, "bigint[]", st.integers(-(1 << 63), (1 << 63) - 1)),
    (parameters.FLOAT8_ARRAY, "double precision[]", st.floats(allow_nan=False)),
    (parameters.BYTEA_ARRAY, "bytea[]", st.none() | st.binary(max_size=40)),
    (parameters.TEXT_ARRAY, "text[]", st.text(st.characters(codec="utf-8", exclude_characters="\0"))),
    (
        parameters.TIMESTAMPTZ_ARRAY,
        "timestamptz[]",
        st.datetimes(datetime(1800, 1, 1), datetime(3000, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC)),
    ),
]


def test_arrays_come_back_as_they_went(database: str) -> None:
    loop = asyncio.new_event_loop()
    connection = loop.run_until_complete(_open(database))
    statements = [Statement(f"array-{name}", f"SELECT $1::{name}", parameter) for parameter, name, _ in ARRAYS]

    @given(st.tuples(*[st.lists(values, max_size=8) for _, _, values in ARRAYS]))
    @settings(max_examples=60, deadline=None, derandomize=True)
    def check(arrays: tuple[list[Any], ...]) -> None:
        for statement, array in zip(statements, arrays, strict=True):
            assert loop.run_until_complete(connection.fetch(statement, array)) == [(array,)]

    try:
        check()
    finally:
        connection.close()
        loop.close()


async def _open(dsn: str) -> Connection:
    return await Connection.open(dsn, Limits(), lambda broken: None)


async def test_uuids_and_scalars(connection: Connection) -> None:
    ids = [uuid4(), uuid4()]
    moment = datetime.now(UTC) - timedelta(days=9000)
    everything = Statement(
        "scalars",
        "SELECT $1::uuid[], $2::smallint, $3::integer, $4::bigint, $5::float8, $6::bytea, $7::text, $8::timestamptz[]",
        parameters.UUID_ARRAY,
        parameters.INT2,
        parameters.INT4,
        parameters.INT8,
        parameters.FLOAT8,
        parameters.BYTEA,
        parameters.TEXT,
        parameters.TIMESTAMPTZ_ARRAY,
    )
    values = (ids, 1, -2, 1 << 60, 0.5, b"\0\xff", "é", [moment])
    assert await connection.fetch(everything, *values) == [values]
    assert await connection.fetch(everything, *[None] * 8) == [(None,) * 8]
    connection.close()


HOT = [
    lookups.FIND, commits.WRITE, commits.PUT, commits.CREATE, commits.CREATE_LONE, commits.DELETE, commits.ASK,
    copies.COPY, completions.COMPLETE, parts.WRITE, parts.ASK,
    listing.FLAT, listing.ROLLED, listing.UPLOADS_FLAT, listing.UPLOADS_ROLLED, garbage.TAKE,
    named.FIRST, named.SEVERAL, lookups.FIND_VERSION, versions.GENERAL, versions.LOCK, removals.REMOVE,
    part_copies.COPY, garbage.RENEW, garbage.FINISH, garbage.PARTS, garbage.FORGET_PARTS, garbage.FINISH_PARKED,
    audit.SINGLE, audit.SEVERAL,
]  # fmt: skip
# Those that are run seldom, too, are prepared over tables that are empty yet.
RARE = (
    buckets.CLEAR, buckets.DELETE, uploads.FIND, uploads.ABORT, uploads.EXPIRE, uploads.FORGET_COMPLETED,
    completions.LOCK, bucket_lifecycle.ABORT, contents.PARTS, bucket_settings.DELETE, traits.LOCK, traits.CHANGE,
    *rewrap._CHANGES.values(), identities.POLICIES, identities.LINKS, identities.KEYS, identities.USED,
)  # fmt: skip
# The statements that write what others have found: over tables that grow while the plan is kept.
JOINED = (
    lookups.FIND, lookups.FIND_VERSION, commits.WRITE, commits.PUT, commits.CREATE, commits.CREATE_LONE, commits.DELETE,
    versions.GENERAL, versions.LOCK, removals.REMOVE, copies.COPY, completions.COMPLETE, parts.WRITE, part_copies.COPY,
    garbage.RENEW, garbage.FINISH, garbage.FORGET_PARTS, garbage.FINISH_PARKED,
    garbage.TAKE, named.FIRST, named.SEVERAL, commits.ASK, parts.ASK, listing.UPLOADS_ROLLED, *RARE,
)  # fmt: skip


@pytest.mark.parametrize(("rows", "vacuumed"), [(0, False), (0, True), (3, False), (3000, False)])
async def test_plans_find_rows_by_whole_keys_however_few_there_are(
    open_catalog: OpenCatalog, look: Look, rows: int, vacuumed: bool
) -> None:
    """A plan is made once, maybe over an empty table, and kept while it grows: it must never read a whole bucket."""
    await look.rows("INSERT INTO bucket (name, owner, region) VALUES ('box', '', '')")
    await look.rows(
        "INSERT INTO object SELECT 1, convert_to('k' || n, 'UTF8'), 1, decode(md5(n::text), 'hex'), 1, 'e', now(), 1,"
        " 0, '', '', '' FROM generate_series(1, %s) AS n",
        rows,
    )
    if rows:
        await look.rows("ANALYZE")
    elif vacuumed:
        await look.rows("VACUUM ANALYZE")  # then a table is known to have nothing, and anything is as good as a key
    connection = (await open_catalog())._pool._free[0]._link
    for statement in (*HOT, *RARE):
        types = await look.rows(
            "SELECT format_type(oid, NULL) FROM unnest(%s::oid[]) WITH ORDINALITY AS n (oid, place) ORDER BY place",
            statement.oids,
        )
        names = ", ".join(row[0] for row in types)
        await connection.execute(b"PREPARE plan (" + names.encode() + b") AS " + statement.text)
        nulls = ", ".join("NULL" for _ in types)
        cursor = await connection.execute(f"EXPLAIN EXECUTE plan ({nulls})".encode())
        # (A column whose type is a domain is shown as a cast to what the domain is of.)
        plan = [re.sub(r"\(([\w.]+)\)::\w+", r"\1", row[0]) for row in await cursor.fetchall()]
        await connection.execute("DEALLOCATE plan")
        text = "\n".join(plan)
        assert "Seq Scan" not in text, (statement.name, text)
        for place, line in enumerate(plan):
            # (Of `object x` any row will do: it is asked whether a bucket has one.)
            if "using object_key on object" in line and " on object x " not in line:
                assert "bucket_id" in plan[place + 1] and "(key" in plan[place + 1], (statement.name, text)
            # The key of uploads ends with the id, which alone would be looked for all along it.
            if "using upload_key on upload" in line:
                assert "Index Cond: (bucket_id = " in plan[place + 1].replace("((", "("), (statement.name, text)
            # (The oldest garbage is found by walking its order, once.)
            if statement in JOINED and " using " in line and "garbage_order on garbage  " not in line:
                assert "Index Cond" in plan[place + 1], (statement.name, line, text)
        # What is joined by reading all that one side may have is fine for lists that the gate hands in only.
        joins = re.findall(r"Join Filter: (.*)", text)
        assert "Hash Join" not in text and not [join for join in joins if re.search(r"\b[opuv]\.", join)], text
        if statement in RARE:
            assert not [join for join in joins if "head." not in join], (statement.name, text)
        # Copies of one content may be many; the versions of one key, too.
        assert "Index Cond: (content_id = $" not in text or statement.name != b"object_copy", text
        if statement is traits.CHANGE:
            assert text.count("Index Cond: ((bucket_id = $3) AND (key = $5) AND (version = (") == 1, text


def test_schema_file_is_where_it_is_looked_for() -> None:
    assert schema.SCHEMA.is_file()
