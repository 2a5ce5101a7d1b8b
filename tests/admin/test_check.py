"""`admin check` finds everything that can be wrong between rows and shards, and nothing in a sound store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable

import pytest
from awscrt.checksums import crc32c

from s3gate.admin import check as check_room
from s3gate.admin import session_walk
from s3gate.admin.check import Checker
from s3gate.admin.findings import Report
from s3gate.admin.run import main
from s3gate.admin.session_walk import SessionWalk, Stretch
from s3gate.catalog import audit as audit_room
from s3gate.catalog.audit import Audit
from s3gate.catalog.connection import Statement
from s3gate.catalog.rows import NO_CONDITION, Stored
from s3gate.geometry.ids import make_id, shard_id
from s3gate.workers.collect import collect
from s3gate.workers.groups import refresh_fleet
from tests.fix_ministore import BUCKET, KEY, MiniStore

BIG = bytes(range(256)) * 120
TINY = 5
"""Rows of a page, lines of a list, later segments: more than rows that have one first segment, less than there are."""


@pytest.fixture(autouse=True)
def tiny_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is found is found over many pages, too; defaults are for whole stores (tests/crash)."""
    for room, name in (
        (audit_room, "SINGLE_ROWS"),
        (audit_room, "SEVERAL_ROWS"),
        (audit_room, "PARKED_ROWS"),
        (session_walk, "LISTED_SHARDS"),
        (session_walk, "LEAST_LINES"),
        (session_walk, "LATER_SEGMENTS"),
        (check_room, "SUSPECTS"),
    ):
        monkeypatch.setattr(room, name, TINY)


async def checked(ministore: MiniStore, *, deep: bool = False) -> Report:
    await refresh_fleet(ministore.shop)
    audit = await Audit.open(ministore.database)
    try:
        return await Checker(audit, ministore.store, deep=deep).run()
    finally:
        await audit.close()


async def test_statements_over_everything_have_their_time(ministore: MiniStore) -> None:
    audit = await Audit.open(ministore.database)
    try:
        patience = Statement("patience", "SELECT current_setting('statement_timeout')")
        assert await audit._pool.fetch(patience) == [("1d",)]
    finally:
        await audit.close()


def errors(report: Report) -> dict[str, int]:
    return {name: kind.count for name, kind in report.kinds() if kind.count}


async def filled(ministore: MiniStore) -> None:
    """One of everything, by two sessions."""
    row = await ministore.put(b"big", BIG)
    await ministore.put(b"small", b"x")
    await ministore.put(b"empty", b"")
    stored = Stored(row.content_id, row.size, row.etag, row.layout_id, 0, row.extents, b"", "")
    await ministore.catalog.copy_object(row, ministore.bucket, b"copy", stored, NO_CONDITION)
    upload = await ministore.begin(b"multi")
    await ministore.complete(upload, [await ministore.part(upload, number, BIG) for number in (1, 3)])
    await ministore.part(await ministore.begin(b"unfinished"), 1, BIG)
    await ministore.restart_session()
    await ministore.put(b"later", BIG)


async def test_a_sound_store_is_clean(ministore: MiniStore) -> None:
    assert (await checked(ministore)).clean
    await filled(ministore)
    report = await checked(ministore, deep=True)
    assert errors(report) == {} and report.clean
    assert (report.objects, report.parts, report.uploads) == (6, 3, 1)
    assert report.bytes == 5 * len(BIG) + 1 and report.segments == 5 * 3 + 1


@pytest.mark.parametrize("order", [(b"multi", b"big", b"refers"), (b"refers", b"big", b"multi")])
async def test_parts_by_reference_are_sound_whoever_goes_first(ministore: MiniStore, order: tuple[bytes, ...]) -> None:
    """The bytes of one session, named by rows of another one, and at last by these alone."""
    await filled(ministore)
    catalog = ministore.catalog
    upload = await ministore.begin(b"refers")
    await catalog.copy_part(await ministore.find(b"multi"), 3, upload, 1, "etag", "")
    await catalog.copy_part(await ministore.find(b"big"), 0, upload, 2, "etag", "")
    report = await checked(ministore, deep=True)
    assert report.clean and errors(report) == {} and report.segments == 5 * 3 + 1
    await ministore.complete(upload, await catalog.all_parts(upload.upload_id))
    await ministore.delete(b"copy")
    for key in order:
        await ministore.delete(key)
        assert (await checked(ministore)).clean
        while await collect(ministore.shop):
            pass
        report = await checked(ministore, deep=True)
        assert report.clean and errors(report) == {}
    assert report.segments == 2 * 3 + 1


async def test_a_shard_that_only_a_reference_names_is_missed(ministore: MiniStore) -> None:
    row = await ministore.put(b"big", BIG)
    upload = await ministore.begin(b"refers")
    await ministore.catalog.copy_part(row, 0, upload, 1, "etag", "")
    await ministore.delete(b"big")
    while await collect(ministore.shop):
        pass
    lost = min(ministore.live())
    for node in ministore.nodes:
        if node.shards is not None and lost in node.live():
            await node.shards.trash([lost])
    assert errors(await checked(ministore)) == {"missing": 1}


async def test_garbage_is_no_error(ministore: MiniStore) -> None:
    await filled(ministore)
    for key in (b"big", b"small", b"multi", b"later"):
        await ministore.delete(key)
    report = await checked(ministore)
    assert report.clean and set(errors(report)) == {"awaiting"}


async def test_writes_under_way_are_no_error_and_orphans_are(ministore: MiniStore) -> None:
    await ministore.write(b"x")
    assert errors(await checked(ministore)) == {"orphans_open": 1}
    await ministore.restart_session()
    report = await checked(ministore)
    assert report.clean and errors(report) == {"being_swept": 1}
    ministore.sql("UPDATE session SET closed_at = now() - interval '1 hour' WHERE closed_at IS NOT NULL")
    report = await checked(ministore)
    assert not report.clean and errors(report) == {"orphans": 1}


async def test_an_orphan_of_a_session_that_nobody_knows(ministore: MiniStore) -> None:
    await filled(ministore)
    node = ministore.store.fleet.nodes[ministore.nodes[3].node_id]
    await node.put(shard_id(make_id(7, 1), 0), b"x", crc32c(b"x"))
    assert errors(await checked(ministore)) == {"orphans": 1}


@pytest.mark.parametrize("key", [b"big", b"multi", b"small"])
async def test_a_missing_shard(ministore: MiniStore, key: bytes) -> None:
    await filled(ministore)
    row = await ministore.find(key)
    extents = row.extents or (await ministore.catalog.part_extents(row.content_id, 3, 3))[0].extents
    lost = min(ministore.shards_of(extents))
    for node in ministore.nodes:
        if lost in node.live() and node.shards is not None:
            await node.shards.trash([lost])
    report = await checked(ministore)
    assert errors(report) == {"missing": 1} and lost.hex() in report.missing.listed[0]


async def test_a_spoilt_shard_is_found_by_reading(ministore: MiniStore) -> None:
    await ministore.put(b"big", BIG)
    for pack in ministore.nodes[0].directory.rglob("*"):
        if pack.is_file() and pack.parent.name == "packs":
            data = bytearray(pack.read_bytes())
            at = data.find(BIG[:200])
            if at >= 0:
                data[at + 100] ^= 1
                pack.write_bytes(data)
                break
    assert (await checked(ministore)).clean
    assert errors(await checked(ministore, deep=True)) in ({}, {"corrupt": 1})


async def test_rows_that_name_nothing(ministore: MiniStore) -> None:
    await filled(ministore)
    ministore.sql("DELETE FROM part WHERE part_number = 3")
    report = await checked(ministore)
    assert report.broken_rows.count == 1 and not report.clean
    ministore.sql("DELETE FROM content")
    ministore.sql("DELETE FROM bucket")
    ministore.sql("UPDATE object SET layout_id = 99 WHERE key = 'later'")
    report = await checked(ministore)
    assert report.broken_rows.count == 1 + 6 + 1


@pytest.mark.parametrize(
    "wrong", ["extents = convert_to(repeat('x', 20), 'UTF8') WHERE part_count > 0", "marker = true WHERE key = 'big'"]
)
async def test_rows_that_contradict_themselves(ministore: MiniStore, wrong: str) -> None:
    """Rules over several columns, which a store's tables do not hold: those of tests do (fix_postgres.py)."""
    await filled(ministore)
    for rule in ("object_extents", "object_marker"):
        ministore.sql(f"ALTER TABLE object DROP CONSTRAINT {rule}")
    assert (await checked(ministore)).broken_rows.count == 0
    ministore.sql(f"UPDATE object SET {wrong}")
    assert (await checked(ministore)).broken_rows.count == 1


async def test_a_node_that_does_not_answer_is_said(ministore: MiniStore) -> None:
    await filled(ministore)
    await ministore.nodes[0].stop()
    report = await checked(ministore)
    assert errors(report) == {"unchecked": 1}


async def test_what_is_parked_waits_for_the_collector(ministore: MiniStore) -> None:
    """However much it is; what is parked for a node that does not answer is not looked at."""
    for number in range(4):
        await ministore.write(BIG[: 600 * number + 1])
    parked = 0
    for node in ministore.nodes:
        for shard in node.live():
            await ministore.catalog.park_garbage(node.node_id, [b"x" * 17] * 7 + [shard])
            parked += 1
    assert errors(await checked(ministore)) == {"awaiting": parked}
    await ministore.restart_session()
    ministore.sql("UPDATE session SET closed_at = now() - interval '1 hour' WHERE closed_at IS NOT NULL")
    assert errors(await checked(ministore)) == {"awaiting": parked}
    down = ministore.nodes[0]
    parked -= len(down.live())
    await down.stop()
    assert errors(await checked(ministore)) == {"awaiting": parked, "unchecked": 1}


async def test_what_is_held_does_not_grow_with_the_store(ministore: MiniStore, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = (BIG, BIG[:2000], BIG[:100])
    for number in range(30):
        await ministore.put(b"key-%d" % number, shapes[number % 3])
    held: list[tuple[int, int]] = []
    stretches = SessionWalk.stretches

    async def noted(walk: SessionWalk, session_id: int, nodes: Iterable[bytes]) -> AsyncIterator[Stretch]:
        async for stretch in stretches(walk, session_id, nodes):
            held.append((len(stretch.found), len(stretch.wanted)))
            yield stretch

    monkeypatch.setattr(SessionWalk, "stretches", noted)
    report = await checked(ministore)
    assert errors(report) == {} and report.clean
    # A page of each node's list and the one before it; a page of rows and what is kept of later segments.
    assert max(found for found, _ in held) <= 6 * 2 * TINY
    assert max(wanted for _, wanted in held) <= 6 * (TINY + 2 * TINY)
    assert sum(wanted for _, wanted in held) == len(ministore.live()) > 200


async def test_segments_in_any_order_of_their_ids(ministore: MiniStore) -> None:
    """No writer makes such a row; a check that trusted in that would not see what is wrong with it."""
    rows = [await ministore.put(b"key-%d" % number, BIG) for number in range(4)]
    for one, other in ((0, 3), (2, 1)):
        first, last = rows[one].extents, rows[other].extents
        mixed = first[:20] + last[20:40] + first[40:], last[:20] + first[20:40] + last[40:]
        for row, extents in zip((rows[one], rows[other]), mixed, strict=True):
            ministore.sql("UPDATE object SET extents = %s WHERE key = %s", extents, row.key)
    report = await checked(ministore)
    assert errors(report) == {} and report.segments == 12


async def test_a_shard_of_another_length(ministore: MiniStore) -> None:
    await ministore.put(b"small", b"x")
    ministore.sql("UPDATE object SET size = 2")
    assert errors(await checked(ministore)) == {"wrong_length": 1}


async def test_the_commands(ministore: MiniStore, capsys: pytest.CaptureFixture[str]) -> None:
    await filled(ministore)

    async def admin(*arguments: str) -> tuple[int, str]:
        status = await asyncio.to_thread(main, list(arguments), ministore.settings)
        return status, capsys.readouterr().out

    assert ministore.settings.cluster_key_text() == KEY.format()
    status, text = await admin("check", "--deep")
    assert status == 0 and text.endswith("clean\n"), text
    status, text = await admin("check", "--json")
    assert status == 0 and json.loads(text)["clean"] is True
    status, text = await admin("where", BUCKET, "big")
    assert status == 0 and text.count("segment ") == 3 and text.count(" live") == 18
    assert len({line.split("node ")[1][:32] for line in text.splitlines() if "node " in line}) == 6
    status, text = await admin("where", BUCKET, "multi", "--json")
    place = json.loads(text)
    assert [part["part_number"] for part in place["parts"]] == [1, 3]
    assert sum(s["length"] for p in place["parts"] for g in p["segments"] for s in g["shards"]) == 2 * len(BIG)
    status, text = await admin("where", BUCKET, "small")
    assert text.count(" empty") == 5
    assert (await admin("where", BUCKET, "nothing"))[0] == 2
    status, text = await admin("nodes")
    assert status == 0 and text.count("node ") == 6 and "up to 1 of 6 slots on one device" in text
    ministore.sql("UPDATE object SET size = size + 1 WHERE key = 'small'")
    status, text = await admin("check")
    assert status == 1 and "NOT clean" in text
