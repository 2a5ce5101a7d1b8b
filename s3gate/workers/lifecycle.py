"""Lifecycle rules at work: a walk over every bucket that has some, once a day, a bounded page at a time.

The rules are judged by s3/lifecycle.py, the pages come from the catalog, and what is due is removed through the same
commits as a client's deletes: on condition that the current version is the one that was judged, and never a version
that a lock protects. A page's work is done before its end is saved, so a killed worker's page is done again, and two
workers on one page remove nothing twice (law 10).
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple, TypeVar

from s3gate.catalog.catalog import Catalog
from s3gate.catalog.errors import (
    BucketChanged,
    BucketMissing,
    ConditionFailed,
    ObjectMissing,
    VersionLocked,
    VersionMissing,
)
from s3gate.catalog.rows import BucketRow, Committed, Condition, HeadRow, NoncurrentRow, VersionRef
from s3gate.s3 import lifecycle
from s3gate.s3.headers import STORAGE_CLASS
from s3gate.s3.lifecycle import DAY_SECONDS, Judge, Rule
from s3gate.s3.storage_class import STANDARD, label_of, may_become, relabelled
from s3gate.workers.workshop import LIFECYCLE_ROWS, REMOVALS_AT_ONCE, Workshop

log = logging.getLogger("s3gate.workers.lifecycle")
R = TypeVar("R")

LEASE_SECONDS = 15.0
"""How long a page may take before another worker does it too."""
WALKS_A_SHORT_DAY = 10
"""A day that was shortened for tests has no midnight after which everything is due at once."""

# What a walk goes through, in this order: a marker that older versions leave alone goes in the same walk.
NONCURRENT, CURRENT, UPLOADS = 0, 1, 2
_WHAT = ("noncurrent versions", "current versions", "uploads")
ENDED, MOVED = "ended by rules", "moved to another storage class"


class Place(NamedTuple):
    """Where a walk is: behind a key, or behind a version of it. Rules may have changed since it was saved."""

    step: int
    prefix: bytes
    key: bytes = b""
    version: int | None = None

    def saved(self) -> bytes:
        """As the catalog keeps it."""
        return json.dumps([self.step, self.prefix.hex(), self.key.hex(), self.version]).encode()

    @classmethod
    def of(cls, saved: bytes) -> Place:
        """The place again; the beginning for b""."""
        if not saved:
            return cls(NONCURRENT, b"")
        step, prefix, key, version = json.loads(saved)
        return cls(step, bytes.fromhex(prefix), bytes.fromhex(key), version)


async def follow_rules(shop: Workshop) -> bool:
    """One page of the bucket whose rules waited longest. What a wrong clock here would end cannot be brought back."""
    return await walk_page(shop, await shop.catalog.lifecycle.now())


async def walk_page(shop: Workshop, now: datetime) -> bool:
    """The page, as of `now`; False when no bucket's rules are due."""
    day_seconds = shop.settings.lifecycle_day_seconds
    rhythm = day_seconds if day_seconds == DAY_SECONDS else day_seconds / WALKS_A_SHORT_DAY
    pages = shop.catalog.lifecycle
    walk = await pages.take(int(now.timestamp() // rhythm), LEASE_SECONDS)
    if walk is None:
        return False
    rules = lifecycle.rules(walk.bucket.settings["lifecycle"])
    place = next(_places(rules, Place.of(walk.position)), None)
    if place is None:
        await pages.save(walk, walk.position, done=True)
        return True
    try:
        following = await _Page(shop.catalog, walk.bucket, Judge(rules, now, day_seconds)).work(place)
    except (BucketChanged, BucketMissing):  # the rules may be others now: this page again, with what holds then
        await pages.save(walk, walk.position, done=False)
        return True
    await pages.save(walk, following.saved(), done=False)
    return True


def _places(rules: Sequence[Rule], reached: Place) -> Iterator[Place]:
    """Where to go on: here if a rule still speaks of it, then the beginning of each step that follows."""
    steps = (
        (NONCURRENT, lifecycle.covering(rule.prefix for rule in rules if rule.is_of_noncurrent)),
        (CURRENT, lifecycle.covering(rule.prefix for rule in rules if rule.is_of_current)),
        (UPLOADS, sorted({rule.prefix for rule in rules if rule.abort_days is not None})),
    )
    for step, prefixes in steps:
        for prefix in prefixes:
            if (step, prefix) == reached[:2]:
                yield reached
            elif (step, prefix) > reached[:2]:
                yield Place(step, prefix)


class _Page:
    """One page of one walk."""

    def __init__(self, catalog: Catalog, bucket: BucketRow, judge: Judge) -> None:
        self._catalog = catalog
        self._bucket = bucket
        self._judge = judge

    async def work(self, place: Place) -> Place:
        """Where the next page begins."""
        if place.step == NONCURRENT:
            return await self._noncurrent(place)
        return await (self._current(place) if place.step == CURRENT else self._uploads(place))

    async def _noncurrent(self, place: Place) -> Place:
        rows = await self._catalog.lifecycle.noncurrent(
            self._bucket.bucket_id, place.prefix, place.key, place.version, LIFECYCLE_ROWS
        )
        ending, staying = _parted(rows, self._is_noncurrent_due)
        await self._do(NONCURRENT, ending, self._end_noncurrent, ENDED)
        await self._relabel(NONCURRENT, [(row, self._noncurrent_label(row)) for row in staying])
        if len(rows) < LIFECYCLE_ROWS:
            return _behind(place)
        return place._replace(key=rows[-1].key, version=rows[-1].version)

    async def _current(self, place: Place) -> Place:
        rows = await self._catalog.lifecycle.heads(self._bucket.bucket_id, place.prefix, place.key, LIFECYCLE_ROWS)
        ending, staying = _parted(rows, self._is_current_due)
        await self._do(CURRENT, ending, self._end_current, ENDED)
        await self._relabel(CURRENT, [(row, self._current_label(row)) for row in staying])
        return _behind(place) if len(rows) < LIFECYCLE_ROWS else place._replace(key=rows[-1].key)

    async def _uploads(self, place: Place) -> Place:
        days = min(rule.abort_days for rule in self._judge.rules if rule.abort_days and rule.prefix == place.prefix)
        before = lifecycle.due_before(days, self._judge.now, self._judge.day_seconds)
        bucket_id = self._bucket.bucket_id
        count = await self._catalog.lifecycle.abort_uploads(bucket_id, place.prefix, before, LIFECYCLE_ROWS)
        self._tell(UPLOADS, count, ENDED)
        return _behind(place) if count < LIFECYCLE_ROWS else place

    def _is_current_due(self, row: HeadRow) -> bool:
        if row.marker:
            return row.alone and self._judge.ends_marker(row.key, row.modified_at)
        return self._judge.ends_current(row.key, row.size, row.tags, row.modified_at)

    def _is_noncurrent_due(self, row: NoncurrentRow) -> bool:
        size = None if row.marker else row.size
        return self._judge.ends_noncurrent(row.key, size, row.tags, row.superseded_at, row.rank)

    def _end_current(self, row: HeadRow) -> Awaitable[object]:
        """An object goes as a client's delete lets it go; a lone marker goes for good. Only if it still is current.

        Its time says so, too: a key that was deleted and written again counts from 1 again, and has the null version.
        """
        version = (row.version, row.version_id)
        condition = Condition(None, False, modified_at=None if row.marker else row.modified_at, version=version)
        if row.marker:
            return self._catalog.delete_version(self._bucket, row.key, version, condition)
        return self._catalog.delete_object(self._bucket, row.key, condition)

    def _end_noncurrent(self, row: NoncurrentRow) -> Awaitable[object]:
        """Not if what was above it was removed meanwhile: then it is what its client wanted back."""
        condition = Condition(None, False, older=True)
        return self._catalog.delete_version(self._bucket, row.key, (row.version, row.version_id), condition)

    async def _do(self, step: int, rows: Sequence[R], do: Callable[[R], Awaitable[object]], what: str) -> None:
        """All of them, some at a time. What was changed, removed or locked meanwhile is passed over."""
        count = 0
        for first in range(0, len(rows), REMOVALS_AT_ONCE):
            some = [do(row) for row in rows[first : first + REMOVALS_AT_ONCE]]
            for outcome in await asyncio.gather(*some, return_exceptions=True):
                if not isinstance(outcome, BaseException):
                    count += outcome is not None
                elif not isinstance(outcome, ConditionFailed | ObjectMissing | VersionLocked | VersionMissing):
                    raise outcome
        self._tell(step, count, what)

    def _current_label(self, row: HeadRow) -> str | None:
        if row.marker:
            return None
        return self._judge.label_of_current(row.key, row.size, row.tags, row.modified_at)

    def _noncurrent_label(self, row: NoncurrentRow) -> str | None:
        if row.marker:
            return None
        return self._judge.label_of_noncurrent(row.key, row.size, row.tags, row.superseded_at, row.rank)

    async def _relabel(self, step: int, labels: Sequence[tuple[HeadRow | NoncurrentRow, str | None]]) -> None:
        """Give versions the storage classes that they should have by now; most have them since an earlier walk."""
        wanted = {(row.key, row.version): (row.version_id, label) for row, label in labels if label is not None}
        if not wanted:
            return
        found = await self._catalog.labels.find(self._bucket.bucket_id, list(wanted), STORAGE_CLASS)
        has = {(key, version): label_of(headers) for key, version, headers in found}
        changes = [
            (key, (version, version_id), label)
            for (key, version), (version_id, label) in wanted.items()
            if may_become(has.get((key, version), STANDARD), label)
        ]
        await self._do(step, changes, self._put_label, MOVED)

    async def _put_label(self, change: tuple[bytes, VersionRef, str]) -> Committed | None:
        key, version, label = change
        row = (await self._catalog.find_object(self._bucket.name, key, version))[1]
        if row is None or row.version != version[0]:
            return None
        return await self._catalog.put_headers(self._bucket, key, row, relabelled(row.headers, label))

    def _tell(self, step: int, count: int, what: str) -> None:
        if count:
            log.info("lifecycle: bucket %s: %d %s %s", self._bucket.name, count, _WHAT[step], what)


def _parted(rows: Sequence[R], is_due: Callable[[R], bool]) -> tuple[list[R], list[R]]:
    ending: list[R] = []
    staying: list[R] = []
    for row in rows:
        (ending if is_due(row) else staying).append(row)
    return ending, staying


def _behind(place: Place) -> Place:
    """Behind the place's prefix, and before every other that may follow."""
    return Place(place.step, place.prefix + b"\0")
