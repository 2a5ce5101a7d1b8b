"""A process that starts before its Postgres waits for it, and only for that."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from s3gate.catalog.errors import Unavailable
from s3gate.catalog.schema import WrongDatabase
from s3gate.catalog.starting import when_up


def answers(*outcomes: Exception | str):
    left = list(outcomes)

    async def begin() -> str:
        outcome = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return begin


async def test_it_waits_until_postgres_answers() -> None:
    begin = answers(psycopg.OperationalError("starting up"), Unavailable(), "open")
    assert await when_up(begin, asyncio.Event()) == "open"


async def test_it_gives_up_in_time_and_when_it_is_stopped() -> None:
    stop = asyncio.Event()
    with pytest.raises(Unavailable, match="down"):
        await when_up(answers(psycopg.OperationalError("down")), stop, 0.0)
    waiting = asyncio.ensure_future(when_up(answers(psycopg.OperationalError("down")), stop))
    stop.set()
    with pytest.raises(Unavailable, match="down"):
        await waiting


async def test_a_wrong_database_is_an_error_at_once() -> None:
    with pytest.raises(WrongDatabase):
        await when_up(answers(WrongDatabase(), "never"), asyncio.Event())
