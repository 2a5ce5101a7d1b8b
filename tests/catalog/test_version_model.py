"""The tables against a model of S3's versioning, compared after every step of long random histories.

The model is a list of versions per key, the newest first, and knows no head, no table and no promotion. Besides the
versions it follows every content: one that no version has must be queued as garbage, and nothing else may be missed.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from s3gate.catalog.catalog import Catalog
from s3gate.catalog.rows import ENABLED, NO_CONDITION, NULL_VERSION, SUSPENDED, BucketRow, Stored, Traits, VersionRef
from tests.catalog.conftest import Look
from tests.catalog.making import begin, bucket_of, listed, part, stored, whole

KEYS = [b"a", b"b", b"c"]
STEPS = 400

Version = tuple[int, bytes, bool, bytes, bytes]
"""Counter, id, delete marker or not, content (a marker has none), tags."""


class Model:
    """What S3 says there is."""

    def __init__(self) -> None:
        self.state = 0
        self.keys: dict[bytes, list[Version]] = {key: [] for key in KEYS}

    def add(self, key: bytes, version_id: bytes, marker: bool, content: bytes, tags: bytes) -> None:
        """A put, a copy, a Complete, or a delete that makes a marker."""
        versions = self.keys[key]
        counter = versions[0][0] + 1 if versions else 1
        if self.state != ENABLED:
            versions = [version for version in versions if version[1]]
        self.keys[key] = [(counter, version_id, marker, content, tags), *versions]

    def delete(self, key: bytes, version_id: bytes) -> None:
        """A delete without a version."""
        if self.state:
            self.add(key, version_id, True, b"", b"")
        else:
            self.keys[key] = []

    def remove(self, key: bytes, ref: VersionRef) -> Version | None:
        """A delete of a version."""
        for version in self.keys[key]:
            if version[1] == ref[1] and ref[0] in (0, version[0]):
                self.keys[key] = [other for other in self.keys[key] if other != version]
                return version
        return None

    def contents(self) -> set[bytes]:
        """All that is referenced."""
        return {version[3] for versions in self.keys.values() for version in versions if not version[2]}


class History:
    """Does the same to the catalog and to the model."""

    def __init__(self, catalog: Catalog, look: Look, seed: int) -> None:
        self.catalog = catalog
        self.look = look
        self.random = random.Random(seed)
        self.model = Model()
        self.written: set[bytes] = set()

    async def bucket(self) -> BucketRow:
        return await bucket_of(self.catalog, fresh=True)

    def fresh(self) -> Stored:
        tags = self.random.choice([b"", b"", b"colour=red"])
        content = replace(stored(self.catalog), traits=Traits(tags=tags))
        self.written.add(content.content_id)
        return content

    async def put(self, key: bytes) -> None:
        content = self.fresh()
        done = await self.catalog.put_object(await self.bucket(), key, content, NO_CONDITION)
        self.model.add(key, done.version_id, False, content.content_id, content.traits.tags)
        assert done.version == self.model.keys[key][0][0]
        assert bool(done.version_id) == (self.model.state == ENABLED)

    async def delete(self, key: bytes) -> None:
        there = bool(self.model.keys[key])
        done = await self.catalog.delete_object(await self.bucket(), key, NO_CONDITION)
        assert (done is not None) == (there or self.model.state > 0)
        if done is not None:
            self.model.delete(key, done.version_id)
            assert done.marker == (self.model.state > 0)

    async def copy(self, key: bytes) -> None:
        sources = [(key, v) for key, versions in self.model.keys.items() for v in versions if not v[2]]
        if not sources:
            return
        where, version = self.random.choice(sources)
        row = (await self.catalog.find_object("box", where, version[:2]))[1]
        assert row is not None and row.content_id == version[3]
        content = Stored(row.content_id, row.size, row.etag, row.layout_id, row.part_count, row.extents, b"copy", "")
        done = await self.catalog.copy_object(row, await self.bucket(), key, content, NO_CONDITION)
        self.model.add(key, done.version_id, False, row.content_id, b"")

    async def complete(self, key: bytes) -> None:
        upload = await begin(self.catalog, key)
        parts = [await self.catalog.put_part(upload, part(self.catalog, upload, 1))]
        work = listed(parts), whole(upload, parts), NO_CONDITION, b"digest"
        self.written.add(upload.upload_id)
        done = await self.catalog.complete_upload(await self.bucket(), upload, *work)
        self.model.add(key, done.version_id, False, upload.upload_id, b"")
        assert await self.catalog.complete_upload(await self.bucket(), upload, *work) == done

    async def remove(self, key: bytes) -> None:
        """Some versions of some keys at once, the null version and one that is not there among them."""
        named = [(key, version[:2]) for key, versions in self.model.keys.items() for version in versions if version[1]]
        chosen = self.random.sample(named, min(len(named), self.random.choice([1, 1, 2, 5, 9])))
        if self.random.random() < 0.3:
            chosen.append((key, NULL_VERSION))
        if self.random.random() < 0.1:
            chosen.append((key, (3, b"x" * 16)))
        bucket = await self.bucket()
        answers = await asyncio.gather(*[self.catalog.delete_version(bucket, where, ref) for where, ref in chosen])
        for (where, ref), answer in zip(chosen, answers, strict=True):
            gone = self.model.remove(where, ref)
            assert answer == (None if gone is None else (gone[2], gone[0], gone[1]))

    async def versioning(self, _: bytes) -> None:
        if self.random.random() < 0.15:
            self.model.state = SUSPENDED if self.model.state == ENABLED else ENABLED
            await self.catalog.set_versioning("box", self.model.state)

    async def step(self) -> None:
        does = [self.put, self.put, self.delete, self.copy, self.complete, self.remove, self.remove, self.versioning]
        await self.random.choice(does)(self.random.choice(KEYS))
        await self.compare()

    async def compare(self) -> None:
        heads = await self.look.rows("SELECT key, version, version_id, marker, content_id, tags FROM object")
        older = await self.look.rows(
            "SELECT key, version, version_id, marker, content_id, tags FROM version ORDER BY key, version DESC"
        )
        tables: dict[bytes, list[Version]] = {key: [] for key in KEYS}
        for key, version, version_id, marker, content_id, tags in heads + older:
            tables[key].append((version, version_id, marker, b"" if marker else content_id, tags))
        assert tables == self.model.keys
        queued = {row[0] for row in await self.look.rows("SELECT content_id FROM garbage")}
        assert self.written - self.model.contents() <= queued <= self.written

    async def end(self) -> None:
        """Remove everything that is left, and see that the collector finds all of it."""
        bucket = await self.bucket()
        for key, versions in self.model.keys.items():
            await asyncio.gather(*[self.catalog.delete_version(bucket, key, version[:2]) for version in versions])
            self.model.keys[key] = []
        await self.compare()
        garbage = await self.catalog.take_garbage(10 * STEPS)
        assert {row.content_id for row in garbage} == self.written
        assert not any(row.referenced for row in garbage)
        await self.catalog.delete_bucket("box")


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_long_history(catalog: Catalog, look: Look, seed: int) -> None:
    history = History(catalog, look, seed)
    for _ in range(STEPS):
        await history.step()
    await history.end()
