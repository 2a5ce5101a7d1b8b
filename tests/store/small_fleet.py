"""A store over fake chunkds, with a layout so small that a few hundred bytes make rows and segments."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from s3gate.geometry.ids import IdSource
from s3gate.geometry.placement import Group
from s3gate.geometry.plan import plan_groups
from s3gate.geometry.stripe import Layout
from s3gate.store.budget import Block, Budget
from s3gate.store.limits import StoreLimits
from s3gate.store.store import Store
from s3gate.store.writer import Written
from tests.store.fake_chunkd import KEY, NOW, FakeChunkd

LAYOUT = Layout(7, unit_bytes=100, floor_bytes=10, segment_bytes=1800)
LIMITS = StoreLimits(
    write_wait_seconds=1.5, read_wait_seconds=1.5, connect_seconds=0.5, stall_seconds=2.0, cache_bytes=1 << 20
)


class Body:
    """A source of rows that counts what the budget has not got back."""

    def __init__(self, data: bytes, row_bytes: int, error: BaseException | None = None, error_at: int = 10**9) -> None:
        self.data = data
        self.row_bytes = row_bytes
        self.error = error
        self.error_at = error_at
        self.held = 0
        self.most_held = 0
        self.given = 0
        self.pause: asyncio.Event | None = None

    async def blocks(self) -> AsyncIterator[Block]:
        for start in range(0, len(self.data), self.row_bytes):
            if self.given == self.error_at and self.error is not None:
                raise self.error
            if self.pause is not None and self.given:
                await self.pause.wait()
            self.given += 1
            self.held += 1
            self.most_held = max(self.held, self.most_held)
            yield Block(memoryview(self.data)[start : start + self.row_bytes], self._release)
        if self.error is not None and self.error_at == 10**9:
            raise self.error

    def _release(self) -> None:
        self.held -= 1


class SmallFleet:
    """The store, its nodes, and what a catalog would tell it."""

    def __init__(self, nodes: list[FakeChunkd], limits: StoreLimits, layout: Layout, budget: int) -> None:
        self.nodes = nodes
        self.layout = layout
        self.budget = Budget(budget)
        self.groups = self._planned()
        self.store = Store(
            KEY,
            limits,
            IdSource(99),
            lambda: NOW,
            layout=layout,
            budget=self.budget,
            random=random.Random(5),
        )
        self.tell()

    def _planned(self) -> list[Group]:
        plan = plan_groups([node.view() for node in self.nodes], [])
        return [Group(n + 1, 1, members) for n, members in enumerate(plan.create)]

    def tell(self, **changes: object) -> None:
        """The fleet as it is, with changes to all rows of nodes."""
        self.store.update([node.view(**changes) for node in self.nodes], self.groups, [self.layout])

    def by_id(self, node_id: bytes) -> FakeChunkd:
        return next(node for node in self.nodes if node.node_id == node_id)

    async def write(self, data: bytes, group_id: int | None = None, body: Body | None = None) -> Written:
        body = body or Body(data, self.layout.row_bytes)
        try:
            return await self.store.write(
                bucket="b", key=b"k", length=len(data), blocks=body.blocks(), group_id=group_id
            )
        finally:
            assert body.held == 0

    async def read(self, written: Written, length: int, start: int = 0, stop: int | None = None) -> bytes:
        pieces = self.store.read(written.layout_id, written.extents, length, start, length if stop is None else stop)
        return b"".join([bytes(piece) async for piece in pieces])

    def shards(self) -> dict[bytes, bytes]:
        return {one: data for node in self.nodes for one, data in node.shards.items()}


@asynccontextmanager
async def small_fleet(
    directory: Path,
    nodes: int = 6,
    *,
    unix: bool = False,
    layout: Layout = LAYOUT,
    limits: StoreLimits = LIMITS,
    budget: int = 10**7,
    **changes: object,
) -> AsyncIterator[SmallFleet]:
    """A running fleet; `changes` are of its limits."""
    fakes = [FakeChunkd(number, directory, unix) for number in range(nodes)]
    for fake in fakes:
        await fake.start()
    fleet = SmallFleet(fakes, replace(limits, **changes), layout, budget)  # type: ignore[arg-type]
    try:
        yield fleet
    finally:
        await fleet.store.close()
        for fake in fakes:
            await fake.stop()
        assert fleet.budget.free == fleet.budget.total
