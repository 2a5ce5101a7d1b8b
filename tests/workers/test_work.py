"""The loop around the units: it does the work, survives errors, stops between units, and makes groups."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from s3gate.catalog.errors import Unavailable
from s3gate.settings import Settings
from s3gate.workers import run as run_room
from s3gate.workers.run import Chore, chores, work
from s3gate.workers.workshop import Workshop
from tests.fix_ministore import MiniNode, MiniStore


async def eventually(true: Callable[[], bool]) -> None:
    for _ in range(500):
        if true():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not become true")


async def test_it_collects_until_it_is_stopped(ministore: MiniStore) -> None:
    stop = asyncio.Event()
    working = asyncio.create_task(work(ministore.settings, stop))
    for number in range(5):
        await ministore.put(b"%d" % number, b"x" * 20_000)
        await ministore.delete(b"%d" % number)
    await eventually(lambda: not ministore.live())
    stop.set()
    await asyncio.wait_for(working, 5)
    kinds = ministore.sql("SELECT kind, closed_at IS NULL FROM session ORDER BY kind")
    assert kinds == [("gate", True), ("worker", False)]


async def test_a_new_node_gets_groups(ministore: MiniStore, tmp_path: Path) -> None:
    stop = asyncio.Event()
    working = asyncio.create_task(work(ministore.settings, stop))
    seventh = MiniNode(tmp_path / "seventh")
    await seventh.start(ministore.catalog)
    count = "SELECT count(*) FROM placement_group WHERE writable AND %s = ANY (nodes)"
    await eventually(lambda: ministore.sql(count, seventh.node_id) != [(0,)])
    assert ministore.sql("SELECT count(*) FROM placement_group WHERE writable") == [(7,)]
    stop.set()
    await asyncio.wait_for(working, 5)
    await seventh.stop()


async def test_a_failing_unit_is_tried_again_and_holds_nobody_up(
    ministore: MiniStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    runs = {"bad": 0, "worse": 0, "good": 0}

    async def bad(shop: Workshop) -> bool:
        runs["bad"] += 1
        raise Unavailable("away")

    async def worse(shop: Workshop) -> bool:
        runs["worse"] += 1
        raise RuntimeError("a defect")

    async def good(shop: Workshop) -> bool:
        runs["good"] += 1
        return False

    units = (Chore("bad", bad, 0.01), Chore("worse", worse, 0.01), Chore("good", good, 0.01))
    monkeypatch.setattr(run_room, "chores", lambda settings: units)
    monkeypatch.setattr(run_room, "FIRST_RETRY_SECONDS", 0.01)
    stop = asyncio.Event()
    with caplog.at_level(logging.WARNING, "s3gate.workers"):
        working = asyncio.create_task(work(ministore.settings, stop))
        await eventually(lambda: runs["bad"] > 2 and runs["worse"] > 2 and runs["good"] > 10)
        stop.set()
        await asyncio.wait_for(working, 5)
    assert "RuntimeError: a defect" in caplog.text


def test_every_kind_of_work_is_there() -> None:
    names = [chore.name for chore in chores(Settings())]
    assert names == ["fleet", "collect", "parked", "expire", "lifecycle", "tombstones", "sessions", "sweep"]
