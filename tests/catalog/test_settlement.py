"""A connection that is cut inside a commit (law 6), both outcomes, and connections that heal."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from s3gate.catalog.catalog import Catalog
from s3gate.catalog.errors import Unavailable
from s3gate.catalog.rows import NO_CONDITION, Condition
from tests.catalog.conftest import QUICK, Look, OpenCatalog
from tests.catalog.cutting import CuttingProxy
from tests.catalog.making import begin, complete_upload, copy_to, delete, listed, part, put, stored, whole


@pytest.fixture
async def proxy(database: str) -> AsyncIterator[CuttingProxy]:
    with tempfile.TemporaryDirectory(prefix="s3gate-cut-") as directory:
        async with CuttingProxy(database, Path(directory)) as proxy:
            yield proxy


@pytest.fixture
async def gate(proxy: CuttingProxy, catalog: Catalog, open_catalog: OpenCatalog) -> Catalog:
    """A gate behind the proxy; `catalog` made the bucket and is not."""
    gate = await open_catalog(proxy.dsn)
    # Every connection has prepared its statements: from now on a cut is a cut inside a commit.
    for number in range(4):
        await asyncio.gather(*[put(gate, "box", b"warm-%d" % number, stored(gate), NO_CONDITION) for _ in range(4)])
    for _ in range(4):
        await asyncio.gather(*[delete(gate, "box", b"warm-0", NO_CONDITION) for _ in range(2)])
        both = delete(gate, "box", b"warm-0", NO_CONDITION), put(gate, "box", b"warm-9", stored(gate), NO_CONDITION)
        await asyncio.gather(*both)
    return gate


@pytest.fixture(params=["object_create_lone", "object_put"])
def statement(gate: Catalog, request: pytest.FixtureRequest) -> str:
    """By which the next put of a new key will be committed."""
    gate._commits._replaced = float(request.param == "object_put")
    return str(request.param)


async def test_a_put_that_was_committed_is_a_success(
    proxy: CuttingProxy, gate: Catalog, look: Look, statement: str
) -> None:
    fence = gate._session.fence
    content = stored(gate)
    proxy.arm(statement, forward=True)
    committed = await put(gate, "box", b"k", content, NO_CONDITION)
    assert proxy.cut.is_set() and committed.version == 1
    row = (await gate.find_object("box", b"k"))[1]
    assert row is not None and (row.content_id, row.modified_at) == (content.content_id, committed.modified_at)
    assert gate._session.fence == fence + 1
    assert content.content_id not in {row[0] for row in await look.rows("SELECT content_id FROM garbage")}


async def test_a_put_that_never_arrived_is_refused_and_its_bytes_are_garbage(
    proxy: CuttingProxy, gate: Catalog, look: Look, statement: str
) -> None:
    content = stored(gate)
    proxy.arm(statement, forward=False)
    with pytest.raises(Unavailable):
        await put(gate, "box", b"k", content, NO_CONDITION)
    assert proxy.cut.is_set()
    await gate._discards.drain(5)
    assert (await gate.find_object("box", b"k"))[1] is None
    assert content.content_id in {row[0] for row in await look.rows("SELECT content_id FROM garbage")}
    await put(gate, "box", b"k", stored(gate), NO_CONDITION)


async def test_nothing_is_asked_before_the_fence_has_waited_the_commit_out(
    proxy: CuttingProxy, gate: Catalog, look: Look
) -> None:
    """The connection is gone, the statement is not: asked too early, the database would say no, and then commit."""
    content = stored(gate)
    async with look.connection.transaction():
        await look.rows("SELECT FROM bucket FOR UPDATE")
        proxy.arm("object_put", forward=True)
        putting = asyncio.ensure_future(put(gate, "box", b"k", content, NO_CONDITION))
        await proxy.cut.wait()
        await asyncio.sleep(0.6)
        assert not putting.done()
    committed = await putting
    row = (await gate.find_object("box", b"k"))[1]
    assert row is not None and (row.content_id, row.version) == (content.content_id, committed.version)


async def test_a_committed_put_that_was_replaced_meanwhile_is_still_a_success(
    proxy: CuttingProxy, gate: Catalog, catalog: Catalog, look: Look
) -> None:
    async with look.connection.transaction():
        await look.rows("SELECT FROM object WHERE key = 'warm-1' FOR UPDATE")
        proxy.arm("object_put", forward=True)
        putting = asyncio.ensure_future(put(gate, "box", b"warm-1", stored(gate), NO_CONDITION))
        await proxy.cut.wait()
        over = asyncio.ensure_future(delete(catalog, "box", b"warm-1", NO_CONDITION))
        await asyncio.sleep(0.2)
    assert await over is not None
    assert (await putting).version in (0, 5)


async def test_a_cut_off_delete_and_copy_say_come_back(proxy: CuttingProxy, gate: Catalog) -> None:
    source = (await gate.find_object("box", b"warm-1"))[1]
    assert source is not None
    proxy.arm("object_delete", forward=True)
    with pytest.raises(Unavailable):
        await delete(gate, "box", b"warm-1", NO_CONDITION)
    assert (await gate.find_object("box", b"warm-1"))[1] is None
    source = (await gate.find_object("box", b"warm-2"))[1]
    assert source is not None
    again = replace(stored(gate), content_id=source.content_id, extents=source.extents)
    for number in range(3):
        await copy_to(gate, source, "box", b"copy-%d" % number, again, NO_CONDITION)
    proxy.arm("object_copy", forward=True)
    fence = gate._session.fence
    with pytest.raises(Unavailable):
        await copy_to(gate, source, "box", b"copied", again, NO_CONDITION)
    assert gate._session.fence == fence + 1


async def test_a_whole_batch_is_settled_row_by_row(proxy: CuttingProxy, gate: Catalog, look: Look) -> None:
    proxy.arm("object_write", forward=True)
    answers = await asyncio.gather(
        *[put(gate, "box", b"new-%d" % n, stored(gate), NO_CONDITION) for n in range(20)],
        put(gate, "box", b"warm-2", stored(gate), Condition(None, True)),
        delete(gate, "box", b"warm-3", NO_CONDITION),
        return_exceptions=True,
    )
    assert all(not isinstance(answer, Exception) for answer in answers[:20])
    # A refusal and a delete leave nothing to find.
    assert isinstance(answers[20], Unavailable) and isinstance(answers[21], Unavailable)
    assert await look.one("SELECT count(*) FROM object WHERE key >= 'new' AND key < 'nex'") == 20


@pytest.mark.parametrize("forward", [True, False])
async def test_a_cut_off_part(proxy: CuttingProxy, gate: Catalog, look: Look, forward: bool) -> None:
    upload = await begin(gate)
    for _ in range(4):
        await asyncio.gather(*[gate.put_part(upload, part(gate, upload, n)) for n in (1, 2, 3)])
    attempt = part(gate, upload, 7)
    proxy.arm("part_write", forward=forward)
    if forward:
        answered = await gate.put_part(upload, attempt)
        assert [answered] == [row for row in await gate.all_parts(upload.upload_id) if row.part_number == 7]
        return
    with pytest.raises(Unavailable):
        await gate.put_part(upload, attempt)
    await gate._discards.drain(5)
    assert len(await gate.all_parts(upload.upload_id)) == 3
    assert attempt.part_id in {row[0] for row in await look.rows("SELECT content_id FROM garbage")}


@pytest.mark.parametrize("forward", [True, False])
async def test_a_cut_off_complete(proxy: CuttingProxy, gate: Catalog, look: Look, forward: bool) -> None:
    for number in range(4):  # every connection has prepared the statement
        upload = await begin(gate, b"done-%d" % number)
        parts = [await gate.put_part(upload, part(gate, upload, 1))]
        await complete_upload(gate, upload, listed(parts), whole(upload, parts), NO_CONDITION, b"d")
    upload = await begin(gate)
    parts = [await gate.put_part(upload, part(gate, upload, n)) for n in (1, 2)]
    work = upload, listed(parts), whole(upload, parts), NO_CONDITION, b"digest"
    proxy.arm("complete", forward=forward)
    if forward:
        committed = await complete_upload(gate, *work)
    else:
        with pytest.raises(Unavailable):
            await complete_upload(gate, *work)
        assert (await gate.find_object("box", b"key"))[1] is None
        committed = await complete_upload(gate, *work)
    assert await complete_upload(gate, *work) == committed
    row = (await gate.find_object("box", b"key"))[1]
    assert row is not None and (row.version, row.modified_at) == committed[:2]
    assert await look.one("SELECT count(*) FROM upload") == 0


async def test_connections_heal_and_lookups_never_notice(proxy: CuttingProxy, gate: Catalog) -> None:
    for _ in range(3):
        proxy.drop_all()
        found = await asyncio.gather(*[gate.find_object("box", b"warm-%d" % n) for n in (1, 2, 3)])
        assert all(row is not None for _, row in found)
        await put(gate, "box", b"k", stored(gate), NO_CONDITION)


async def test_while_postgres_is_away_requests_are_refused_soon_and_then_at_once(
    proxy: CuttingProxy, catalog: Catalog, open_catalog: OpenCatalog
) -> None:
    gate = await open_catalog(proxy.dsn, limits=replace(QUICK, down_seconds=0.4))
    proxy.refuses = True
    proxy.drop_all()
    loop = asyncio.get_running_loop()
    began = loop.time()
    answers = await asyncio.gather(
        *[gate.find_object("box", b"k") for _ in range(50)],
        *[put(gate, "box", b"%d" % n, stored(gate), NO_CONDITION) for n in range(50)],
        return_exceptions=True,
    )
    assert all(isinstance(answer, Unavailable) for answer in answers)
    assert loop.time() - began < 2
    began = loop.time()
    with pytest.raises(Unavailable):
        await gate.find_object("box", b"k")
    assert loop.time() - began < 0.1
    proxy.refuses = False
    for _ in range(100):
        await asyncio.sleep(0.02)
        try:
            await gate.find_object("box", b"k")
            await put(gate, "box", b"k", stored(gate), NO_CONDITION)
            break
        except Unavailable:
            continue
    else:
        pytest.fail("did not come back")
