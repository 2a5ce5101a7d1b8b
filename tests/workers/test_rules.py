"""Lifecycle rules at work: what is due goes, nothing else, once; killed anywhere, by two workers, under new rules."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from s3gate.catalog.rows import (
    ENABLED,
    GOVERNANCE,
    NO_CONDITION,
    NULL_VERSION,
    PLAIN,
    BucketRow,
    Committed,
    ObjectRow,
    Stored,
    Traits,
    VersionEntry,
    VersionRef,
)
from s3gate.s3.storage_class import label_of
from s3gate.s3.xml_lifecycle import canonical
from s3gate.workers import lifecycle
from s3gate.workers.lifecycle import walk_page
from tests.fix_ministore import BUCKET, MiniStore

DAYS = 86400.0
CLASSES = ("GLACIER", "DEEP_ARCHIVE", "COLD")


def rule(actions: str, scope: str = "<Filter/>") -> str:
    return f"<Rule>{scope}<Status>Enabled</Status>{actions}</Rule>"


def prefixed(prefix: str) -> str:
    return f"<Filter><Prefix>{prefix}</Prefix></Filter>"


def after(days: int) -> str:
    return f"<Expiration><Days>{days}</Days></Expiration>"


def abort(days: int) -> str:
    inner = f"<DaysAfterInitiation>{days}</DaysAfterInitiation>"
    return f"<AbortIncompleteMultipartUpload>{inner}</AbortIncompleteMultipartUpload>"


NONCURRENT = (
    "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays>"
    "<NewerNoncurrentVersions>2</NewerNoncurrentVersions></NoncurrentVersionExpiration>"
)
OLDER = "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration>"
MARKERS = "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"


def in_days(days: float) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


async def tell(store: MiniStore, *rules: str) -> None:
    text = f"<LifecycleConfiguration>{''.join(rules)}</LifecycleConfiguration>"
    await store.catalog.put_setting(BUCKET, "lifecycle", canonical(text.encode(), CLASSES))
    await refresh(store)


async def refresh(store: MiniStore) -> None:
    row = await store.catalog.find_bucket(BUCKET, fresh=True)
    assert row is not None
    store.bucket = row


async def enable(store: MiniStore) -> None:
    await store.catalog.set_versioning(BUCKET, ENABLED)
    await refresh(store)


async def put(store: MiniStore, key: bytes, data: bytes = b"x", traits: Traits = PLAIN, headers: bytes = b"") -> None:
    written = await store.write(data)
    stored = Stored(written.content_id, len(data), "etag", written.layout_id, 0, written.extents, headers, "", traits)
    await store.catalog.put_object(store.bucket, key, stored, NO_CONDITION)


async def walk(store: MiniStore, days: float) -> int:
    """A whole walk, as if so many days had passed; how many pages it took."""
    pages = 0
    while await walk_page(store.shop, in_days(days)):
        pages += 1
        assert pages < 100
    return pages


async def keys(store: MiniStore) -> list[bytes]:
    page = await store.catalog.list_objects(
        store.bucket.bucket_id, prefix=b"", delimiter=b"", after=b"", inclusive=False, limit=1000
    )
    return [entry.key for entry in page.entries]  # type: ignore[union-attr]


async def versions(store: MiniStore) -> list[VersionEntry]:
    page = await store.catalog.list_versions(
        store.bucket.bucket_id, prefix=b"", delimiter=b"", after=b"", after_version=None, limit=1000
    )
    return [entry for entry in page.entries if isinstance(entry, VersionEntry)]


def break_leases(store: MiniStore) -> None:
    store.sql("UPDATE lifecycle_progress SET leased_until = now()")


async def test_objects_end_when_their_rule_says_so(ministore: MiniStore, caplog: pytest.LogCaptureFixture) -> None:
    tagged = "<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>"
    large = "<Filter><ObjectSizeGreaterThan>99</ObjectSizeGreaterThan></Filter>"
    await tell(ministore, rule(after(2), prefixed("a/")), rule(after(2), tagged), rule(after(2), large))
    for key, data, tags in (
        (b"a/1", b"x", b""),
        (b"b/1", b"x", b""),
        (b"b/tagged", b"x", b"k=v&l=w"),
        (b"b/other", b"x", b"k=w"),
        (b"b/large", b"x" * 100, b""),
    ):
        await put(ministore, key, data, Traits(tags=tags))
    with caplog.at_level(logging.INFO, lifecycle.__name__):
        assert await walk(ministore, 1) > 0
        assert len(await keys(ministore)) == 5
        await walk(ministore, 3)
    assert await keys(ministore) == [b"b/1", b"b/other"]
    assert caplog.messages == ["lifecycle: bucket bucket: 3 current versions ended by rules"]
    assert await walk(ministore, 3) == 0  # this day is done


async def test_a_clock_that_is_wrong_here_ends_nothing(ministore: MiniStore, monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) + timedelta(days=3650)

    await tell(ministore, rule(after(1)))
    await put(ministore, b"k")
    monkeypatch.setattr(lifecycle, "datetime", Wrong)
    while await lifecycle.follow_rules(ministore.shop):
        pass
    assert await keys(ministore) == [b"k"]


async def test_a_date_ends_what_was_made_before_and_after_it(ministore: MiniStore) -> None:
    await put(ministore, b"before")
    await tell(ministore, rule("<Expiration><Date>2026-01-01</Date></Expiration>"))
    await walk(ministore, 0)
    await put(ministore, b"after")
    await walk(ministore, 1)
    assert await keys(ministore) == []


async def test_versions_and_markers(ministore: MiniStore) -> None:
    await enable(ministore)
    await tell(ministore, rule(after(1), prefixed("a")), rule(NONCURRENT), rule(MARKERS))
    for _ in range(4):
        await put(ministore, b"a")
    await put(ministore, b"b")
    await walk(ministore, 2)  # a marker over four older versions, two of which are kept
    found = [(entry.key, entry.marker, entry.is_latest) for entry in await versions(ministore)]
    assert found == [
        (b"a", True, True),
        (b"a", False, False),
        (b"a", False, False),
        (b"a", False, False),
        (b"b", False, True),
    ]
    await walk(ministore, 4)
    assert len([entry for entry in await versions(ministore) if entry.key == b"a"]) == 3
    await tell(ministore, rule(OLDER), rule(MARKERS))
    await walk(ministore, 6)  # older versions go first: the marker they leave alone goes in the same walk
    assert [entry.key for entry in await versions(ministore)] == [b"b"]


async def label(store: MiniStore, key: bytes, version: VersionRef | None = None) -> str:
    row = (await store.catalog.find_object(BUCKET, key, version))[1]
    assert row is not None
    return label_of(row.headers)


async def test_storage_classes_change_by_the_last_transition_that_was_due(ministore: MiniStore) -> None:
    await enable(ministore)
    sized = "<Filter><And><Prefix>a</Prefix><ObjectSizeGreaterThan>1</ObjectSizeGreaterThan></And></Filter>"
    moves = [f"<Transition><Days>{days}</Days><StorageClass>{name}</StorageClass></Transition>" for days, name in (
        (9, "DEEP_ARCHIVE"), (1, "GLACIER"))]  # fmt: skip
    older = (
        "<NoncurrentVersionTransition><NoncurrentDays>1</NoncurrentDays><StorageClass>COLD</StorageClass>"
        "</NoncurrentVersionTransition>"
    )
    await tell(ministore, rule("".join(moves) + older, sized), rule(moves[1]))
    for key in (b"a", b"a", b"b"):
        await put(ministore, key, b"xx")
    old = next(entry for entry in await versions(ministore) if not entry.is_latest)
    seen = []
    for day in (0, 2, 3, 10):
        await walk(ministore, day)
        seen.append((await label(ministore, b"a"), await label(ministore, b"a", (old.version, old.version_id))))
    assert seen == [("STANDARD", "STANDARD"), *[("GLACIER", "COLD")] * 2, ("DEEP_ARCHIVE", "COLD")]
    assert await label(ministore, b"b") == "STANDARD"  # it is smaller than 128 KiB, and its rule speaks of no size
    assert await ministore.read(b"a") == b"xx"


async def test_protected_versions_stay(ministore: MiniStore) -> None:
    await enable(ministore)
    await ministore.catalog.enable_lock(BUCKET)
    await refresh(ministore)
    until = in_days(30)
    await put(ministore, b"a", traits=Traits(lock=GOVERNANCE, retain_until=until))
    await put(ministore, b"a")
    await put(ministore, b"a")
    held = (await versions(ministore))[1]
    await ministore.catalog.put_legal_hold(ministore.bucket, b"a", (held.version, held.version_id), True)
    await tell(ministore, rule(after(1)), rule(OLDER))
    for day in (2, 4, 6):
        await walk(ministore, day)
    left = await versions(ministore)
    assert [(entry.marker, entry.version) for entry in left][1:] == [(False, held.version), (False, held.version - 1)]
    assert left[0].marker


async def test_uploads_are_aborted_by_the_shortest_rule_that_fits(ministore: MiniStore) -> None:
    await tell(ministore, rule(abort(9)), rule(abort(1), prefixed("a")), rule(abort(3), prefixed("ab")))
    for key in (b"a", b"ab", b"b"):
        upload = await ministore.begin(key)
        await ministore.part(upload, 1, b"x")
    await walk(ministore, 0)
    assert ministore.sql("SELECT count(*) FROM upload") == [(3,)]
    await walk(ministore, 2)
    assert ministore.sql("SELECT key FROM upload") == [(b"b",)]
    await walk(ministore, 10)
    assert ministore.sql("SELECT count(*) FROM upload") == [(0,)]


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "LIFECYCLE_ROWS", 3)


async def test_a_walk_goes_page_by_page(ministore: MiniStore, small_pages: None) -> None:
    await enable(ministore)
    await tell(ministore, rule(after(1)), rule(OLDER), rule(MARKERS))
    for number in range(7):
        for _ in range(3):
            await put(ministore, b"%d" % number)
    assert await walk(ministore, 3) > 3
    assert {entry.marker for entry in await versions(ministore) if entry.is_latest} == {True}
    await walk(ministore, 6)
    await walk(ministore, 9)
    assert await versions(ministore) == []


async def test_a_version_that_came_meanwhile_stays(ministore: MiniStore, monkeypatch: pytest.MonkeyPatch) -> None:
    await put(ministore, b"a", b"old")
    await tell(ministore, rule(after(1)))
    pages = ministore.catalog.lifecycle
    heads = pages.heads

    async def overtaken(*asked: Any) -> Any:
        rows = await heads(*asked)
        await put(ministore, b"a", b"new")
        return rows

    monkeypatch.setattr(pages, "heads", overtaken)
    await walk_page(ministore.shop, in_days(2))
    assert await ministore.read(b"a") == b"new"


async def test_an_object_that_was_written_anew_meanwhile_stays(
    ministore: MiniStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its key begins again at version 1, and it is the null version as the one before was."""
    await put(ministore, b"a", b"old")
    ministore.sql("UPDATE object SET modified_at = modified_at - interval '2 days'")
    await tell(ministore, rule(after(1)))
    pages = ministore.catalog.lifecycle
    heads = pages.heads

    async def written_anew(*asked: Any) -> Any:
        rows = await heads(*asked)
        await ministore.catalog.delete_object(ministore.bucket, b"a", NO_CONDITION)
        await put(ministore, b"a", b"new")
        return rows

    monkeypatch.setattr(pages, "heads", written_anew)
    await walk_page(ministore.shop, in_days(0))
    assert await ministore.read(b"a") == b"new"


async def test_a_version_that_became_current_meanwhile_stays(
    ministore: MiniStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that removes a delete marker wants back what is below."""
    await enable(ministore)
    await put(ministore, b"a", b"wanted back")
    marker = await ministore.catalog.delete_object(ministore.bucket, b"a", NO_CONDITION)
    assert marker is not None and marker.marker
    await tell(ministore, rule(OLDER))
    pages = ministore.catalog.lifecycle
    noncurrent = pages.noncurrent

    async def restored(*asked: Any) -> Any:
        rows = await noncurrent(*asked)
        await ministore.catalog.delete_version(ministore.bucket, b"a", (marker.version, marker.version_id))
        return rows

    monkeypatch.setattr(pages, "noncurrent", restored)
    await walk_page(ministore.shop, in_days(3))
    assert await ministore.read(b"a") == b"wanted back"


async def test_headers_that_were_overwritten_meanwhile_stay(
    ministore: MiniStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A null version that was written over is null again: its new headers are not given back the old ones."""
    move = "<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>"
    await put(ministore, b"a", b"x" * 200_000)
    await tell(ministore, rule(move))
    put_headers = ministore.catalog.put_headers

    async def overtaken(bucket: BucketRow, key: bytes, row: ObjectRow, headers: bytes) -> Committed:
        await put(ministore, b"a", b"new", headers=b"content-type\0text/new")
        return await put_headers(bucket, key, row, headers)

    monkeypatch.setattr(ministore.catalog, "put_headers", overtaken)
    await walk_page(ministore.shop, in_days(2))
    row = (await ministore.catalog.find_object(BUCKET, b"a"))[1]
    assert row is not None and row.headers == b"content-type\0text/new"


async def test_killed_before_it_was_saved_a_page_is_done_again(
    ministore: MiniStore, small_pages: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    await tell(ministore, rule(after(1)))
    for number in range(8):
        await put(ministore, b"%d" % number)
    pages = ministore.catalog.lifecycle

    async def killed(*_: Any, **__: Any) -> bool:
        raise asyncio.CancelledError

    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(pages, "save", killed)
            with pytest.raises(asyncio.CancelledError):
                await walk_page(ministore.shop, in_days(2))
        assert not await walk_page(ministore.shop, in_days(2))  # still leased
        break_leases(ministore)
        await walk_page(ministore.shop, in_days(2))
    await walk(ministore, 2)
    assert await keys(ministore) == []


async def test_two_workers_remove_nothing_twice(ministore: MiniStore, small_pages: None) -> None:
    await enable(ministore)
    await tell(ministore, rule(after(1)))
    for number in range(20):
        await put(ministore, b"%02d" % number)

    async def worker() -> None:
        while await walk_page(ministore.shop, in_days(2)):
            break_leases(ministore)

    await asyncio.gather(*[worker() for _ in range(4)])
    found = await versions(ministore)
    assert [entry.marker for entry in found] == [True, False] * 20  # one marker for each, and nothing lost


async def test_rules_that_change_meanwhile_are_followed(ministore: MiniStore, monkeypatch: pytest.MonkeyPatch) -> None:
    await put(ministore, b"a")
    await put(ministore, b"b")
    await tell(ministore, rule(after(1)))
    pages = ministore.catalog.lifecycle
    heads = pages.heads
    changes: list[Callable[[], Any]] = [lambda: tell(ministore, rule(after(1), prefixed("b")))]

    async def changed(*asked: Any) -> Any:
        rows = await heads(*asked)
        while changes:
            await changes.pop()()
        return rows

    monkeypatch.setattr(pages, "heads", changed)
    await walk(ministore, 2)
    assert await keys(ministore) == [b"a"]


async def test_a_shorter_day(ministore: MiniStore) -> None:
    ministore.settings = replace(ministore.settings, lifecycle_day_seconds=10.0)
    await put(ministore, b"a")
    await tell(ministore, rule(after(1)))
    await walk(ministore, 9.5 / DAYS)
    assert await keys(ministore) == [b"a"]
    await walk(ministore, 11 / DAYS)
    assert await keys(ministore) == []


async def test_the_null_version_of_a_suspended_bucket_becomes_a_marker(ministore: MiniStore) -> None:
    await put(ministore, b"a")
    await enable(ministore)
    await ministore.catalog.set_versioning(BUCKET, 2)
    await refresh(ministore)
    await tell(ministore, rule(after(1)))
    await walk(ministore, 2)
    (entry,) = await versions(ministore)
    assert (entry.marker, entry.version_id) == (True, NULL_VERSION[1])
