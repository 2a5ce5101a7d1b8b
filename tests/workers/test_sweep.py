"""The sweep and what else ends by time: only closed sessions lose what no row names (law 4)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from awscrt.checksums import crc32c

from s3gate.catalog.catalog import Catalog
from s3gate.catalog.errors import Unavailable
from s3gate.geometry.ids import make_id, session_of, shard_id
from s3gate.workers import sweep as sweep_room
from s3gate.workers.collect import collect
from s3gate.workers.expire import expire_uploads, forget_completed
from s3gate.workers.sweep import Sweeper, close_stale_sessions, sweep_session
from s3gate.workers.workshop import Workshop
from tests.fix_ministore import MiniStore

BIG = bytes(range(256)) * 120


async def restarted(ministore: MiniStore) -> Workshop:
    await ministore.restart_session()
    return ministore.shop


async def test_an_open_session_is_never_swept(ministore: MiniStore) -> None:
    await ministore.write(BIG)
    before = ministore.live()
    sweeper = Sweeper()
    assert not await sweeper.sweep(ministore.shop)
    assert ministore.live() == before


async def test_a_closed_session_keeps_what_rows_name_and_loses_the_rest(ministore: MiniStore) -> None:
    row = await ministore.put(b"key", BIG)
    upload = await ministore.begin(b"multi")
    part = await ministore.part(upload, 1, BIG)
    await ministore.write(BIG)
    await ministore.write(b"small")
    named = ministore.shards_of(row.extents + part.extents)
    assert named < ministore.live()
    shop = await restarted(ministore)
    sweeper = Sweeper()
    assert await sweeper.sweep(shop)
    assert ministore.live() == named
    assert not await sweeper.sweep(shop), "once is enough until it is old"
    assert await ministore.read(b"key") == BIG


async def test_pages_of_the_list_do_not_matter(ministore: MiniStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("LIST_LINES", "SEVERAL_ROWS", "LATER_SEGMENTS"):
        monkeypatch.setattr(sweep_room, limit, 2)
    named = b""
    for number in range(6):
        named += (await ministore.put(b"%d" % number, BIG)).extents
        await ministore.write(BIG)
    shop = await restarted(ministore)
    await sweep_session(shop, session_of(named), set())
    assert ministore.live() == ministore.shards_of(named)


async def test_rows_of_several_segments_are_unpacked_once_a_session(
    ministore: MiniStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many pages the nodes' lists have."""
    monkeypatch.setattr(sweep_room, "LIST_LINES", 2)
    named = b"".join([(await ministore.put(b"%d" % number, BIG)).extents for number in range(6)])
    await ministore.write(BIG)
    shop = await restarted(ministore)
    asked = 0
    several_segments = Catalog.several_segments

    async def noted(catalog: Catalog, first: bytes, below: bytes, limit: int) -> tuple[list[bytes], bytes]:
        nonlocal asked
        asked += 1
        return await several_segments(catalog, first, below, limit)

    monkeypatch.setattr(Catalog, "several_segments", noted)
    await sweep_session(shop, session_of(named), set())
    assert ministore.live() == ministore.shards_of(named) and asked == 1


async def test_segments_in_any_order_are_kept(ministore: MiniStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """No writer makes such rows, and the sweep does not rely on that: what it takes away cannot be read any more."""
    for limit in ("LIST_LINES", "SEVERAL_ROWS", "LATER_SEGMENTS"):
        monkeypatch.setattr(sweep_room, limit, 4)
    rows = [await ministore.put(b"%d" % number, BIG) for number in range(4)]
    named = b"".join(row.extents for row in rows)
    for one, other in ((0, 3), (2, 1)):
        first, last = rows[one].extents, rows[other].extents
        mixed = first[:20] + last[20:40] + first[40:], last[:20] + first[20:40] + last[40:]
        for row, extents in zip((rows[one], rows[other]), mixed, strict=True):
            ministore.sql("UPDATE object SET extents = %s WHERE key = %s", extents, row.key)
    await ministore.write(BIG)
    await sweep_session(await restarted(ministore), session_of(named), set())
    assert ministore.live() == ministore.shards_of(named)


async def test_a_page_without_a_live_shard_is_not_the_last(ministore: MiniStore) -> None:
    for _ in range(6):
        await ministore.write(BIG)
    cores = []
    for node in ministore.nodes:
        await ministore.store.trash(node.node_id, sorted(node.live())[:2])
        assert node.shards is not None
        cores.append(node.shards._core)
        cores[-1].limits = replace(cores[-1].limits, list_entries=1)
    session_id = ministore.catalog.ids.session_id
    shop = await restarted(ministore)
    assert await sweep_session(shop, session_id, set())
    for core in cores:
        core.limits = replace(core.limits, list_entries=1000)
    assert ministore.live() == set()


async def test_a_node_that_is_down_is_swept_later_and_the_session_stays(
    ministore: MiniStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_room, "FORGET_SECONDS", -60.0)
    await ministore.write(BIG)
    shop = await restarted(ministore)
    down = ministore.nodes[1]
    await down.stop()
    sweeper = Sweeper()
    while await sweeper.sweep(shop):
        pass
    closed = "SELECT count(*) FROM session WHERE closed_at IS NOT NULL"
    assert ministore.live() == set() and ministore.sql(closed) == [(1,)]
    await down.start(ministore.catalog)
    assert down.live()
    node = ministore.store.fleet.nodes[down.node_id]
    for _ in range(200):
        if not node.failed:
            break
        await asyncio.sleep(0.02)
    assert await sweeper.sweep(shop)
    assert ministore.live() == set() and ministore.sql(closed) == [(0,)]


async def test_a_node_that_never_comes_back_stops_nothing(
    ministore: MiniStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sessions are not swept again and again, and those that were closed later have their turn."""
    monkeypatch.setattr(sweep_room, "SESSION_ROWS", 2)
    asked: list[tuple[int, bytes]] = []
    sweep_node = sweep_room._sweep_node

    async def noted(shop: Workshop, session_id: int, node_id: bytes, named: sweep_room._Named) -> None:
        asked.append((session_id, node_id))
        await sweep_node(shop, session_id, node_id, named)

    monkeypatch.setattr(sweep_room, "_sweep_node", noted)
    lost = ministore.nodes[1]
    for _ in range(5):
        await ministore.write(BIG)
        await ministore.restart_session()
    await lost.stop()
    sweeper = Sweeper()
    while await sweeper.sweep(ministore.shop):
        pass
    assert ministore.live() == set()
    assert len({session_id for session_id, _ in asked}) == 5
    asked_others = [each for each in asked if each[1] != lost.node_id]
    assert len(asked_others) == len(set(asked_others))
    asked.clear()
    assert not await sweeper.sweep(ministore.shop) and not asked


async def test_what_arrives_after_the_first_sweep_goes_with_the_last(
    ministore: MiniStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = await ministore.put(b"key", b"kept")
    shop = await restarted(ministore)
    sweeper = Sweeper()
    assert await sweeper.sweep(shop)
    late = shard_id(make_id(session_of(row.content_id), 10_000), 0)
    node = ministore.store.fleet.nodes[ministore.nodes[0].node_id]
    await node.put(late, b"late", crc32c(b"late"))
    monkeypatch.setattr(sweep_room, "FORGET_SECONDS", -60.0)
    assert await sweeper.sweep(shop)
    assert late not in ministore.live() and await ministore.read(b"key") == b"kept"


async def test_a_session_that_could_not_be_forgotten_is_forgotten_later(
    ministore: MiniStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_room, "FORGET_SECONDS", -60.0)
    await ministore.write(BIG)
    shop = await restarted(ministore)
    sweeper = Sweeper()

    async def away(session_id: int) -> None:
        raise Unavailable("for a moment")

    with monkeypatch.context() as patched:
        patched.setattr(shop.catalog, "forget_session", away)
        with pytest.raises(Unavailable):
            await sweeper.sweep(shop)
    while await sweeper.sweep(shop):
        pass
    assert ministore.sql("SELECT count(*) FROM session WHERE closed_at IS NOT NULL") == [(0,)]


async def test_sessions_that_nobody_hears_of_are_closed(ministore: MiniStore) -> None:
    stale = await Catalog.open(ministore.database, kind="gate")
    session_id = stale.ids.session_id
    ministore.sql("UPDATE session SET seen_at = now() - interval '1 hour' WHERE session_id = %s", session_id)
    await close_stale_sessions(ministore.shop)
    assert [row.session_id for row in await ministore.catalog.closed_sessions()] == [session_id]
    await stale.close()


async def test_unfinished_uploads_expire(ministore: MiniStore) -> None:
    old, fresh = await ministore.begin(b"old"), await ministore.begin(b"fresh")
    await ministore.part(old, 1, BIG)
    part = await ministore.part(fresh, 1, BIG)
    ministore.sql("UPDATE upload SET initiated_at = now() - interval '8 days' WHERE upload_id = %s", old.upload_id)
    await expire_uploads(ministore.shop)
    while await collect(ministore.shop):
        pass
    assert ministore.live() == ministore.shards_of(part.extents)
    assert ministore.sql("SELECT key FROM upload") == [(b"fresh",)]


async def test_tombstones_are_forgotten(ministore: MiniStore) -> None:
    upload = await ministore.begin(b"multi")
    await ministore.complete(upload, [await ministore.part(upload, 1, BIG)])
    await forget_completed(ministore.shop)
    assert await ministore.catalog.find_completed(upload.upload_id) is not None
    ministore.sql("UPDATE completed_upload SET completed_at = now() - interval '8 days'")
    await forget_completed(ministore.shop)
    assert await ministore.catalog.find_completed(upload.upload_id) is None
