"""Puts that go ahead of their bytes: nothing is committed before they are durable, and nothing waits long for them."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from s3gate.catalog.catalog import Catalog
from s3gate.catalog.errors import ConditionFailed, Unavailable
from s3gate.catalog.rows import NO_CONDITION, Condition, Stored
from tests.catalog.conftest import QUICK, Look, OpenCatalog
from tests.catalog.cutting import CuttingProxy
from tests.catalog.making import bucket_of, put, stored

PATIENT = replace(QUICK, commit_connections=1, ahead_seconds=5.0)
HASTY = replace(PATIENT, ahead_seconds=0.05, ahead_rest_seconds=0.3)


@pytest.fixture
async def gate(catalog: Catalog, open_catalog: OpenCatalog) -> Catalog:
    """A gate that has committed before; `catalog` made the bucket."""
    return await warm(await open_catalog(limits=PATIENT))


async def warm(gate: Catalog) -> Catalog:
    await put(gate, "box", b"warm", stored(gate), NO_CONDITION)
    return gate


async def expect(gate: Catalog, key: bytes, content: Stored, condition: Condition = NO_CONDITION) -> bool:
    """Whether it was sent ahead."""
    gate.expect_put(await bucket_of(gate), key, content, condition)
    await asyncio.sleep(0.01)
    return gate._commits._begun is not None


async def until_run(look: Look) -> None:
    """Until Postgres has run what was sent ahead: it has its locks."""
    while not await is_locked(look):  # noqa: ASYNC110  (Postgres tells nobody)
        await asyncio.sleep(0.01)


async def is_locked(look: Look) -> bool:
    """Whether anybody holds the bucket's row."""
    try:
        await look.rows("SELECT FROM bucket FOR UPDATE NOWAIT")
    except psycopg.errors.LockNotAvailable:
        return True
    return False


async def content_of(gate: Catalog, key: bytes) -> bytes | None:
    row = (await gate.find_object("box", key))[1]
    return None if row is None else row.content_id


async def test_what_went_ahead_is_committed_when_its_bytes_are_durable_and_not_before(
    gate: Catalog, look: Look
) -> None:
    content = stored(gate)
    batches = gate._commits.batcher.batches
    assert await expect(gate, b"k", content)
    await until_run(look)
    assert await content_of(gate, b"k") is None
    committed = await put(gate, "box", b"k", content, NO_CONDITION)
    assert await content_of(gate, b"k") == content.content_id
    assert committed.version == 1 and gate._commits.batcher.batches == batches + 1
    assert not await is_locked(look)
    assert await look.rows("SELECT FROM garbage") == []
    await put(gate, "box", b"k2", stored(gate), NO_CONDITION)


async def test_bytes_that_are_late_hold_nothing_for_long(
    catalog: Catalog, open_catalog: OpenCatalog, look: Look
) -> None:
    gate = await warm(await open_catalog(limits=HASTY))
    content = stored(gate)
    warnings: list[str] = []
    [connection] = gate._commit_pool._all
    connection._link.add_notice_handler(lambda notice: warnings.append(str(notice.message_primary)))
    assert await expect(gate, b"k", content)
    await asyncio.sleep(4 * HASTY.ahead_seconds)
    assert not await is_locked(look) and gate._commits.batcher.is_idle
    assert not warnings
    assert await content_of(gate, b"k") is None
    assert not await expect(gate, b"other", stored(gate)), "the nodes are slow: it rests"
    assert (await put(gate, "box", b"k", content, NO_CONDITION)).version == 1
    assert await content_of(gate, b"k") == content.content_id
    await asyncio.sleep(HASTY.ahead_rest_seconds)
    assert await expect(gate, b"other", stored(gate))


async def test_a_gate_that_is_stopped_holds_nothing_for_long(
    catalog: Catalog, open_catalog: OpenCatalog, look: Look
) -> None:
    """Its own clock stands still, so that the server's has to end it."""
    limits = replace(PATIENT, statement_seconds=0.7, beyond_statement_seconds=0.3)
    gate = await warm(await open_catalog(limits=limits))
    content = stored(gate)
    assert await expect(gate, b"k", content)
    await until_run(look)
    async with asyncio.timeout(10):
        while await is_locked(look):  # noqa: ASYNC110  (Postgres tells nobody)
            await asyncio.sleep(0.05)
    assert await content_of(gate, b"k") is None
    assert (await put(gate, "box", b"k", content, NO_CONDITION)).version == 1
    assert await content_of(gate, b"k") == content.content_id


async def test_bytes_that_come_while_it_is_rolled_back_are_committed_once(
    catalog: Catalog, open_catalog: OpenCatalog
) -> None:
    gate = await warm(await open_catalog(limits=HASTY))
    content = stored(gate)
    assert await expect(gate, b"k", content)
    gate._commits._too_late()
    assert (await put(gate, "box", b"k", content, NO_CONDITION)).version == 1


async def test_bytes_that_went_elsewhere_are_not_mistaken_for_those_expected(
    catalog: Catalog, open_catalog: OpenCatalog
) -> None:
    gate = await warm(await open_catalog(limits=HASTY))
    lost, content = stored(gate), stored(gate)
    assert await expect(gate, b"k", lost)
    assert (await put(gate, "box", b"k", content, NO_CONDITION)).version == 1
    assert await content_of(gate, b"k") == content.content_id
    await gate._discards.drain(5)


async def test_a_key_that_is_there_is_judged_and_replaced_as_ever(gate: Catalog, look: Look) -> None:
    first, second = stored(gate), stored(gate)
    await put(gate, "box", b"k", first, NO_CONDITION)
    assert await expect(gate, b"k", second)
    assert (await put(gate, "box", b"k", second, NO_CONDITION)).version == 2
    assert await look.rows("SELECT content_id FROM garbage") == [(first.content_id,)]
    absent, third = Condition(None, True), stored(gate)
    assert await expect(gate, b"k", third, absent)
    with pytest.raises(ConditionFailed):
        await put(gate, "box", b"k", third, absent)
    await gate._discards.drain(5)
    assert {row[0] for row in await look.rows("SELECT content_id FROM garbage")} == {
        first.content_id,
        third.content_id,
    }


async def test_a_raised_fence_is_learnt(gate: Catalog) -> None:
    content = stored(gate)
    await gate._session.raise_fence(gate._session.session_id, gate._session.fence)
    gate._session.fence -= 1  # as if another had raised it
    assert await expect(gate, b"k", content)
    assert (await put(gate, "box", b"k", content, NO_CONDITION)).version == 1


async def test_nothing_goes_ahead_while_others_are_about(gate: Catalog) -> None:
    others = [asyncio.create_task(put(gate, "box", b"%d" % number, stored(gate), NO_CONDITION)) for number in range(9)]
    await asyncio.sleep(0)
    gate.expect_put(await bucket_of(gate), b"k", stored(gate), NO_CONDITION)
    await asyncio.gather(*others)
    first, second = stored(gate), stored(gate)
    assert gate._commits._begun is None and not await expect(gate, b"k", first)
    await warm(gate)
    assert await expect(gate, b"k", first)
    begun = gate._commits._begun
    assert await expect(gate, b"k2", second) and gate._commits._begun is begun
    await put(gate, "box", b"k", first, NO_CONDITION)
    await put(gate, "box", b"k2", second, NO_CONDITION)


async def test_others_gather_behind_what_went_ahead(gate: Catalog) -> None:
    content = stored(gate)
    assert await expect(gate, b"k", content)
    same = asyncio.create_task(put(gate, "box", b"k", stored(gate), NO_CONDITION))
    others = [asyncio.create_task(put(gate, "box", b"%d" % number, stored(gate), NO_CONDITION)) for number in range(9)]
    await asyncio.sleep(0.05)
    assert not any(task.done() for task in [same, *others])
    batches = gate._commits.batcher.batches
    assert (await put(gate, "box", b"k", content, NO_CONDITION)).version == 1
    assert (await same).version == 2
    await asyncio.gather(*others)
    assert gate._commits.batcher.batches <= batches + 2


@pytest.fixture
async def cut_gate(
    catalog: Catalog, open_catalog: OpenCatalog, database: str
) -> AsyncIterator[tuple[CuttingProxy, Catalog]]:
    """A gate behind a proxy."""
    with tempfile.TemporaryDirectory(prefix="s3gate-cut-") as directory:
        async with CuttingProxy(database, Path(directory)) as proxy:
            yield proxy, await warm(await open_catalog(proxy.dsn, limits=PATIENT))


async def test_a_connection_lost_before_the_commit_is_no_question(cut_gate: tuple[CuttingProxy, Catalog]) -> None:
    proxy, gate = cut_gate
    fence, content = gate._session.fence, stored(gate)
    assert await expect(gate, b"k", content)
    proxy.drop_all()
    await asyncio.sleep(0.1)
    assert (await put(gate, "box", b"k", content, NO_CONDITION)).version == 1
    assert gate._session.fence == fence


@pytest.mark.parametrize("forward", [True, False])
async def test_a_connection_lost_inside_the_commit_is_settled(
    cut_gate: tuple[CuttingProxy, Catalog], look: Look, forward: bool
) -> None:
    proxy, gate = cut_gate
    fence, content = gate._session.fence, stored(gate)
    assert await expect(gate, b"k", content)
    await until_run(look)
    proxy.arm_sync(forward=forward)
    if forward:
        assert (await put(gate, "box", b"k", content, NO_CONDITION)).version == 1
    else:
        with pytest.raises(Unavailable):
            await put(gate, "box", b"k", content, NO_CONDITION)
    assert gate._session.fence == fence + 1
    await gate._discards.drain(5)
    assert await content_of(gate, b"k") == (content.content_id if forward else None)
    garbage = {row[0] for row in await look.rows("SELECT content_id FROM garbage")}
    assert (content.content_id in garbage) is not forward


async def test_who_stops_waiting_inside_the_commit_leaves_its_truth_to_be_found(gate: Catalog, look: Look) -> None:
    content = stored(gate)
    assert await expect(gate, b"k", content)
    task = asyncio.create_task(put(gate, "box", b"k", content, NO_CONDITION))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.gather(*gate._settlement._tasks)
    await gate._discards.drain(5)
    is_there = await content_of(gate, b"k") == content.content_id
    garbage = {row[0] for row in await look.rows("SELECT content_id FROM garbage")}
    assert is_there is not (content.content_id in garbage)
    await put(gate, "box", b"k", stored(gate), NO_CONDITION)
