"""Writers that meet on the versions of a key, on two gates: in commit order, none lost, none twice.

And commits that are cut off inside (law 6): a version or a delete marker that was made is a success, whoever lost the
connection; a removal says come back.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from s3gate.catalog.catalog import Catalog
from s3gate.catalog.errors import BucketChanged, SourceChanged, Unavailable
from s3gate.catalog.rows import (
    ENABLED,
    NO_CONDITION,
    NULL_VERSION,
    SUSPENDED,
    BucketRow,
    Committed,
    Deleted,
    Stored,
    VersionEntry,
)
from tests.catalog.conftest import QUICK, Look, OpenCatalog
from tests.catalog.cutting import CuttingProxy
from tests.catalog.making import bucket_of, stored

KEYS = [b"a", b"b", b"c"]
WRITERS = 64
ROUNDS = 12


PATIENT = replace(QUICK, down_seconds=60.0, settle_seconds=60.0)
"""So many writers wait for a few connections: on a busy machine longer than those may who find Postgres gone."""


@pytest.fixture
async def catalog(open_catalog: OpenCatalog) -> Catalog:
    """One gate's catalog, with the bucket `box`."""
    catalog = await open_catalog(limits=PATIENT)
    await catalog.create_bucket("box", "root", "us-east-1")
    return catalog


@pytest.fixture
async def second(catalog: Catalog, open_catalog: OpenCatalog) -> Catalog:
    """Another gate on the same database."""
    return await open_catalog(limits=PATIENT)


async def enabled(catalog: Catalog) -> BucketRow:
    await catalog.set_versioning("box", ENABLED)
    return await bucket_of(catalog, fresh=True)


async def test_every_write_is_a_version_in_commit_order(catalog: Catalog, second: Catalog, look: Look) -> None:
    bucket = await enabled(catalog)
    made: dict[bytes, list[tuple[int, bytes]]] = {key: [] for key in KEYS}

    async def writer(gate: Catalog, rng: random.Random) -> None:
        last = dict.fromkeys(KEYS, 0)
        for _ in range(ROUNDS):
            key = rng.choice(KEYS)
            answer: Committed | Deleted | None
            if rng.random() < 0.3:
                answer = await gate.delete_object(bucket, key, NO_CONDITION)
            else:
                answer = await gate.put_object(bucket, key, stored(gate), NO_CONDITION)
            assert answer is not None and answer.version > last[key]
            last[key] = answer.version
            made[key].append((answer.version, answer.version_id))

    await asyncio.gather(*[writer((catalog, second)[n % 2], random.Random(n)) for n in range(WRITERS)])
    for key, versions in made.items():
        rows = await look.rows("SELECT version, version_id FROM version WHERE key = %s ORDER BY version", key)
        rows += await look.rows("SELECT version, version_id FROM object WHERE key = %s", key)
        assert rows == sorted(versions) and [row[0] for row in rows] == list(range(1, len(rows) + 1))
    assert await look.one("SELECT count(*) FROM garbage") == 0


class Racer:
    """One of many writers; what it was told is kept."""

    def __init__(self, gate: Catalog, seed: int, told: Counter[tuple[bytes, bytes]], written: set[bytes]) -> None:
        self.gate = gate
        self.random = random.Random(seed)
        self.told = told
        self.written = written

    async def bucket(self) -> BucketRow:
        return await bucket_of(self.gate)

    async def put(self, key: bytes) -> None:
        content = stored(self.gate)
        self.written.add(content.content_id)
        while True:
            try:
                done = await self.gate.put_object(await self.bucket(), key, content, NO_CONDITION)
                break
            except BucketChanged:
                continue
        if done.version_id:
            self.told[key, done.version_id] += 1

    async def delete(self, key: bytes) -> None:
        done = await self.gate.delete_object(await self.bucket(), key, NO_CONDITION)
        if done is not None and done.version_id:
            self.told[key, done.version_id] += 1

    async def copy(self, key: bytes) -> None:
        """Of whatever is current anywhere; a source that changed meanwhile is not copied."""
        source = (await self.gate.find_object("box", self.random.choice(KEYS)))[1]
        if source is None or source.marker:
            return
        content = Stored(source.content_id, source.size, source.etag, 1, 0, source.extents, b"", "")
        with suppress(SourceChanged):
            done = await self.gate.copy_object(source, await self.bucket(), key, content, NO_CONDITION)
            if done.version_id:
                self.told[key, done.version_id] += 1

    async def remove(self, key: bytes) -> None:
        page = await self.gate.list_versions(
            (await self.bucket()).bucket_id, prefix=key, delimiter=b"", after=b"", after_version=None, limit=5
        )
        rows = [row for row in page.entries if isinstance(row, VersionEntry)]
        refs = [(row.version, row.version_id) if row.version_id else NULL_VERSION for row in rows]
        chosen = self.random.sample(refs, min(3, len(refs)))
        bucket = await self.bucket()
        removals = [self.gate.delete_version(bucket, key, ref) for ref in chosen]
        for ref, done in zip(chosen, await asyncio.gather(*removals, return_exceptions=True), strict=True):
            assert not isinstance(done, BaseException) or isinstance(done, BucketChanged)
            if isinstance(done, Deleted) and ref[1]:
                self.told[key, ref[1]] -= 1

    async def suspend(self, _: bytes) -> None:
        await self.gate.set_versioning("box", self.random.choice([ENABLED, SUSPENDED]))

    async def run(self) -> None:
        does = [self.put] * 9 + [self.copy] * 3 + [self.delete] * 5 + [self.remove] * 9 + [self.suspend]
        for _ in range(ROUNDS):
            try:
                await self.random.choice(does)(self.random.choice(KEYS))
            except BucketChanged:
                continue


@pytest.mark.parametrize("seed", [1, 2])
async def test_nothing_is_lost_when_everything_meets(catalog: Catalog, second: Catalog, look: Look, seed: int) -> None:
    await enabled(catalog)
    told: Counter[tuple[bytes, bytes]] = Counter()
    written: set[bytes] = set()
    racers = [Racer((catalog, second)[n % 2], 1000 * seed + n, told, written) for n in range(WRITERS)]
    await asyncio.gather(*[racer.run() for racer in racers])
    rows = await look.rows("SELECT key, version, version_id, marker, content_id FROM object")
    heads = {row[0]: row[1] for row in rows}
    rows += await look.rows("SELECT key, version, version_id, marker, content_id FROM version")
    # What somebody made and nobody removed is there, once.
    assert Counter((row[0], row[2]) for row in rows if row[2]) == Counter({k: n for k, n in told.items() if n})
    assert all(count in (0, 1) for count in told.values())
    assert max(Counter(row[0] for row in rows if not row[2]).values(), default=0) <= 1
    assert len({row[:2] for row in rows}) == len(rows)
    assert all(heads[key] == max(row[1] for row in rows if row[0] == key) for key in heads)
    referenced = {row[4] for row in rows if not row[3]}
    queued = {row[0] for row in await look.rows("SELECT content_id FROM garbage")}
    assert written - referenced <= queued <= written
    assert {row.content_id for row in await catalog.take_garbage(10_000) if not row.referenced} == written - referenced


CUT = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE pid <> pg_backend_pid() AND datname = current_database() AND random() < 0.5"""


async def test_connections_that_break_lose_nothing(catalog: Catalog, second: Catalog, look: Look) -> None:
    """What was acknowledged stays; of what nobody knows, the versions are whole, and the bytes referenced or queued."""
    bucket = await enabled(catalog)
    made: set[tuple[bytes, int, bytes]] = set()
    written: set[bytes] = set()
    unknown = 0

    async def writer(gate: Catalog, rng: random.Random) -> None:
        nonlocal unknown
        for _ in range(ROUNDS):
            key, content = rng.choice(KEYS), stored(gate)
            done: Committed | Deleted | None
            try:
                if rng.random() < 0.3:
                    done = await gate.delete_object(bucket, key, NO_CONDITION)
                else:
                    written.add(content.content_id)
                    done = await gate.put_object(bucket, key, content, NO_CONDITION)
                assert done is not None
                made.add((key, done.version, done.version_id))
            except Unavailable:
                unknown += 1
            await asyncio.sleep(rng.random() * 0.05)

    async def cutter() -> None:
        while True:
            await asyncio.sleep(0.04)
            await look.rows(CUT)

    cutting = asyncio.ensure_future(cutter())
    await asyncio.gather(*[writer((catalog, second)[n % 2], random.Random(n)) for n in range(WRITERS)])
    cutting.cancel()
    await asyncio.wait((cutting,))
    for gate in (catalog, second):
        await gate._settlement.close(5)
        await gate._discards.drain(5)
    rows = await look.rows("SELECT key, version, version_id, marker, content_id FROM object")
    rows += await look.rows("SELECT key, version, version_id, marker, content_id FROM version")
    there = {(row[0], row[1], row[2]) for row in rows}
    # A version 0 was found by its content alone: its place is not known any more.
    assert {each[::2] for each in made} <= {each[::2] for each in there} and len(there) <= len(made) + unknown
    for key in KEYS:
        counters = sorted(each[1] for each in there if each[0] == key)
        assert counters == list(range(1, len(counters) + 1))
    queued = {row[0] for row in await look.rows("SELECT content_id FROM garbage")}
    assert queued == written - {row[4] for row in rows if not row[3]}


@pytest.fixture
async def proxy(database: str) -> AsyncIterator[CuttingProxy]:
    with TemporaryDirectory(prefix="cut") as directory:
        async with CuttingProxy(database, Path(directory)) as proxy:
            yield proxy


@pytest.fixture
async def gate(proxy: CuttingProxy, catalog: Catalog, open_catalog: OpenCatalog) -> Catalog:
    """A gate behind the proxy whose connections have prepared all that these tests cut."""
    gate = await open_catalog(proxy.dsn)
    for state in (ENABLED, SUSPENDED, ENABLED):
        await catalog.set_versioning("box", state)
        bucket = await bucket_of(gate, fresh=True)
        for _ in range(4):
            await asyncio.gather(*[gate.put_object(bucket, b"w%d" % n, stored(gate), NO_CONDITION) for n in range(2)])
            await asyncio.gather(*[gate.delete_version(bucket, b"w%d" % n, (1, b"n" * 16)) for n in range(2)])
    return gate


@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize("state", [ENABLED, SUSPENDED])
async def test_a_cut_off_put(proxy: CuttingProxy, gate: Catalog, look: Look, state: int, forward: bool) -> None:
    await gate.set_versioning("box", state)
    bucket = await bucket_of(gate, fresh=True)
    await gate.put_object(bucket, b"k", stored(gate), NO_CONDITION)
    content = stored(gate)
    proxy.arm("version_write", forward=forward)
    if forward:
        done = await gate.put_object(bucket, b"k", content, NO_CONDITION)
        row = (await gate.find_object("box", b"k"))[1]
        assert proxy.cut.is_set() and row is not None and row.content_id == content.content_id
        assert done == (row.version, row.modified_at, row.version_id)
        return
    with pytest.raises(Unavailable):
        await gate.put_object(bucket, b"k", content, NO_CONDITION)
    await gate._discards.drain(5)
    assert content.content_id in {row[0] for row in await look.rows("SELECT content_id FROM garbage")}
    assert await look.one("SELECT count(*) FROM version WHERE key = 'k'") == 0


@pytest.mark.parametrize("state", [ENABLED, SUSPENDED])
async def test_a_cut_off_delete_finds_its_marker(proxy: CuttingProxy, gate: Catalog, look: Look, state: int) -> None:
    await gate.set_versioning("box", state)
    bucket = await bucket_of(gate, fresh=True)
    proxy.arm("version_write", forward=True)
    done = await gate.delete_object(bucket, b"k", NO_CONDITION)
    rows = await look.rows("SELECT marker, version, version_id FROM object WHERE key = 'k'")
    assert proxy.cut.is_set() and rows == [done]
    proxy.arm("version_write", forward=False)
    with pytest.raises(Unavailable):
        await gate.delete_object(bucket, b"k", NO_CONDITION)
    assert await look.one("SELECT count(*) FROM object WHERE key = 'k'") == 1


@pytest.mark.parametrize("forward", [True, False])
async def test_a_cut_off_removal(proxy: CuttingProxy, gate: Catalog, look: Look, forward: bool) -> None:
    bucket = await bucket_of(gate, fresh=True)
    done = await gate.put_object(bucket, b"k", stored(gate), NO_CONDITION)
    await gate.put_object(bucket, b"k", stored(gate), NO_CONDITION)
    fence = gate._session.fence
    proxy.arm("version_remove", forward=forward)
    with pytest.raises(Unavailable):
        await gate.delete_version(bucket, b"k", (done.version, done.version_id))
    assert proxy.cut.is_set() and gate._session.fence == fence + 1
    again = await gate.delete_version(bucket, b"k", (done.version, done.version_id))
    assert again == (None if forward else Deleted(False, 1, done.version_id))
    assert await look.one("SELECT count(*) FROM version WHERE key = 'k'") == 0


async def test_a_marker_that_was_replaced_before_anybody_asked(
    proxy: CuttingProxy, gate: Catalog, catalog: Catalog, look: Look
) -> None:
    bucket = await bucket_of(gate, fresh=True)
    await gate.put_object(bucket, b"k", stored(gate), NO_CONDITION)
    async with look.connection.transaction():
        await look.rows("SELECT FROM object WHERE key = 'k' FOR UPDATE")
        proxy.arm("version_write", forward=True)
        deleting = asyncio.ensure_future(gate.delete_object(bucket, b"k", NO_CONDITION))
        await proxy.cut.wait()
        over = asyncio.ensure_future(catalog.put_object(bucket, b"k", stored(catalog), NO_CONDITION))
        await asyncio.sleep(0.2)
    assert (await over).version == 3
    done = await deleting
    assert done is not None and done[:2] == (True, 2)
    assert await look.rows("SELECT version_id FROM version WHERE key = 'k' AND version = 2") == [(done.version_id,)]
