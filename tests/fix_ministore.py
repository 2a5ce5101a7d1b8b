"""A store inside the test's own process: six real chunkd engines and doors, a real catalog, no HTTP gate.

Small units, so that objects of some kilobytes have several rows and segments. Nodes can be stopped and started.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from chunkd import wire
from chunkd.app import App
from chunkd.limits import Limits as NodeLimits
from chunkd.metrics import Metrics
from chunkd.server import Server
from chunkd.shards import Shards
from chunkd.superblock import initialise
from s3gate.catalog import schema
from s3gate.catalog.catalog import Catalog
from s3gate.catalog.errors import CatalogError
from s3gate.catalog.rows import NO_CONDITION, BucketRow, ObjectRow, PartRow, Stored, UploadRow
from s3gate.geometry.extents import unpack
from s3gate.settings import Settings
from s3gate.store.budget import Block, Budget
from s3gate.store.limits import StoreLimits
from s3gate.store.store import Store
from s3gate.store.writer import Written
from s3gate.workers.groups import follow_fleet, refresh_fleet
from s3gate.workers.workshop import Workshop

KEY = wire.ClusterKey(b"c" * 16, b"s" * 32)
UNIT, FLOOR = 1024, 256
BUCKET = "bucket"


class MiniNode:
    """One chunkd without its process."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.node_id = initialise(directory, cluster_id=KEY.cluster_id).node_id
        self.port = 0
        self.incarnation = 0
        self.shards: Shards | None = None
        self.server: Server | None = None
        self.app: App | None = None

    async def start(self, catalog: Catalog) -> None:
        self.shards = Shards.open(self.directory, limits=NodeLimits(free_floor_bytes=1), now=time.time)
        app = App(self.shards, KEY.derive(wire.REQUEST_PURPOSE), Metrics(), time.time)
        self.server = Server(app, asyncio.get_running_loop())
        self.port = await self.server.listen_tcp("127.0.0.1", self.port)
        device, address = self.directory.name, f"127.0.0.1:{self.port}"
        join = wire.JoinRequest(
            self.node_id.hex(), self.incarnation, "00" * 16, address, "", device, "", device, 1 << 40, 1 << 39
        )
        self.incarnation = await catalog.join_node(join)
        app.joined_as(self.incarnation)
        self.app = app

    async def stop(self) -> None:
        if self.server is not None and self.shards is not None:
            await self.server.stop(0.0)
            await self.shards.close()
            self.server = self.shards = self.app = None

    def heartbeat(self, health: wire.Health) -> wire.Heartbeat:
        return wire.Heartbeat(
            health.node_id, health.incarnation, health.free_bytes, health.used_bytes, health.capacity_bytes,
            health.state, health.queue, health.fsync_seconds, health.io_errors,
        )  # fmt: skip

    def live(self) -> set[bytes]:
        """The shards that are not in the trash."""
        assert self.shards is not None
        return {shard_id for shard_id, _ in self.shards.list(b"", b"", 100_000, wire.SHARD_LIVE)[0]}


class MiniStore:
    """Everything, and shorthands for what clients do."""

    def __init__(self, database: str, directory: Path) -> None:
        self.database = database
        self.nodes = [MiniNode(directory / f"n{number}") for number in range(6)]
        self.settings = Settings(database_url=database, cluster_key=KEY.format(), collect_seconds=0.05)
        self.catalog: Catalog
        self.bucket: BucketRow
        self.store: Store
        self._pulse: asyncio.Task[None]

    async def open(self) -> None:
        schema.adopt(self.database, KEY.cluster_id)
        self.catalog = await Catalog.open(self.database, kind="gate")
        layout = await self.catalog.find_or_make_layout("6+0", UNIT, FLOOR, 2 * 6 * UNIT)
        limits = StoreLimits(cache_bytes=0)
        self.store = Store(KEY, limits, self, time.time, layout=layout, budget=Budget(1 << 24))
        for node in self.nodes:
            await node.start(self.catalog)
        await follow_fleet(self.shop)
        self._pulse = asyncio.create_task(self._beat())
        self.bucket = await self.catalog.create_bucket(BUCKET, "owner", "us-east-1")

    async def _beat(self) -> None:
        """What chunkds and the fleet's poller do all the time."""
        while True:
            await asyncio.sleep(1.0)
            with contextlib.suppress(CatalogError):
                for node in self.nodes:
                    if node.app is not None:
                        await self.catalog.heartbeat_node(node.heartbeat(node.app.health()))
                await refresh_fleet(self.shop)

    def next(self, spread: int = 0) -> bytes:
        """The store's source of ids, whichever session is open."""
        return self.catalog.ids.next(spread)

    async def restart_session(self) -> None:
        """The gate ends in order, and another one starts."""
        await self.catalog.close()
        self.catalog = await Catalog.open(self.database, kind="gate")

    async def close(self) -> None:
        self._pulse.cancel()
        await self.store.close()
        for node in self.nodes:
            await node.stop()
        await self.catalog.close()

    @property
    def shop(self) -> Workshop:
        return Workshop(self.catalog, self.store, self.settings)

    async def write(self, data: bytes) -> Written:
        """Shards only: nothing is visible."""
        row = 6 * UNIT

        async def blocks() -> AsyncIterator[Block]:
            for first in range(0, len(data), row):
                yield Block(memoryview(data)[first : first + row])

        return await self.store.write(bucket=BUCKET, key=b"", length=len(data), blocks=blocks())

    async def put(self, key: bytes, data: bytes) -> ObjectRow:
        written = await self.write(data)
        stored = Stored(written.content_id, len(data), "etag", written.layout_id, 0, written.extents, b"", "")
        await self.catalog.put_object(self.bucket, key, stored, NO_CONDITION)
        return await self.find(key)

    async def find(self, key: bytes) -> ObjectRow:
        row = (await self.catalog.find_object(BUCKET, key))[1]
        assert row is not None
        return row

    async def delete(self, key: bytes) -> None:
        await self.catalog.delete_object(self.bucket, key, NO_CONDITION)

    async def read(self, key: bytes) -> bytes:
        row = await self.find(key)
        pieces = self.store.read(row.layout_id, row.extents, row.size, 0, row.size)
        return b"".join([bytes(piece) async for piece in pieces])

    async def begin(self, key: bytes) -> UploadRow:
        return await self.catalog.create_upload(
            self.bucket, key, headers=b"", checksum_algorithm="", checksum_type="", group_id=0
        )

    async def part(self, upload: UploadRow, number: int, data: bytes) -> PartRow:
        written = await self.write(data)
        part = PartRow(
            upload.upload_id, number, written.content_id, len(data), "etag", "", upload.initiated_at,
            written.layout_id, written.extents,
        )  # fmt: skip
        return await self.catalog.put_part(upload, part)

    async def complete(self, upload: UploadRow, parts: list[PartRow]) -> ObjectRow:
        size = sum(part.size for part in parts)
        stored = Stored(upload.upload_id, size, "etag-n", parts[0].layout_id, len(parts), b"", b"", "")
        listed = [(part.part_number, part.part_id) for part in parts]
        await self.catalog.complete_upload(self.bucket, upload, listed, stored, NO_CONDITION, b"digest")
        return await self.find(upload.key)

    def live(self) -> set[bytes]:
        """All live shards of all running nodes."""
        return {shard_id for node in self.nodes if node.shards is not None for shard_id in node.live()}

    def shards_of(self, extents: bytes) -> set[bytes]:
        """The live shards of some segments."""
        segments = {extent.segment_id for extent in unpack(extents)}
        return {shard_id for shard_id in self.live() if shard_id[:16] in segments}

    def sql(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """Look at, or spoil, the rows behind the catalog's back."""
        with psycopg.connect(self.database, autocommit=True) as connection:
            cursor = connection.execute(sql.SQL(statement), values)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []


@pytest.fixture
async def ministore(database: str, tmp_path: Path) -> AsyncIterator[MiniStore]:
    """Six nodes, one bucket, all fresh."""
    made = MiniStore(database, tmp_path)
    await made.open()
    yield made
    await made.close()
