"""The collector: contents without references give up their shards, then their rows (law 5).

Pointer first was done by whoever queued the garbage. Here the order is shards, then part and content rows, then the
garbage row: killed at any point, the next run finds the garbage row and does it again (law 10). It deletes nothing
that a row still names: the catalog says so in the statement that hands the garbage out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from s3gate.catalog.errors import CatalogError
from s3gate.catalog.rows import GarbageRow
from s3gate.geometry.extents import Extent, unpack
from s3gate.workers.disposal import dispose, shards_by_node, trash
from s3gate.workers.groups import refresh_fleet
from s3gate.workers.pace import rest_after
from s3gate.workers.workshop import GARBAGE_ROWS, PARKED_ROWS, PART_ROWS, SEGMENTS_AT_ONCE, Workshop

RENEW_SECONDS = 10.0
"""A third of the lease (catalog/limits.py)."""


async def collect(shop: Workshop) -> float:
    """One batch of garbage."""
    rows = await shop.catalog.take_garbage(GARBAGE_ROWS)
    if not rows:
        return False
    async with _leased(shop, rows):
        made_more = await _collect(shop, rows)
    if len(rows) < GARBAGE_ROWS:
        return made_more
    oldest = max([row.age_seconds for row in rows])
    return rest_after(oldest, [node.view for node in shop.store.fleet.nodes.values()])


async def _collect(shop: Workshop, rows: list[GarbageRow]) -> bool:
    """Whether it made garbage anew."""
    unreferenced = [row for row in rows if not row.referenced]
    # Small contents go to the nodes together; those with parts one by one, a batch of parts at a time.
    await _dispose(shop, [extent for row in unreferenced if not row.part_count for extent in unpack(row.extents)])
    await shop.catalog.finish_garbage([row for row in rows if row.referenced or not row.part_count])
    multipart = [row for row in unreferenced if row.part_count]
    for row in multipart:
        await _collect_parts(shop, row)
    # What such contents had by reference, or lent so, has just become garbage of its own.
    return bool(multipart)


@asynccontextmanager
async def _leased(shop: Workshop, rows: list[GarbageRow]) -> AsyncIterator[None]:
    """Nobody else's while this process lives, however long it takes; soon somebody's when it does not."""

    async def renew() -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            with suppress(CatalogError):  # at worst two collectors do the same
                await shop.catalog.renew_garbage(rows)

    renewing = asyncio.create_task(renew())
    try:
        yield
    finally:
        renewing.cancel()


async def _collect_parts(shop: Workshop, row: GarbageRow) -> None:
    while parts := await shop.catalog.garbage_parts(row, PART_ROWS):
        await _dispose(shop, [extent for part in parts for extent in unpack(part.extents)])
        await shop.catalog.forget_parts(parts)
    await shop.catalog.finish_garbage([row])


async def _dispose(shop: Workshop, extents: list[Extent]) -> None:
    for first in range(0, len(extents), SEGMENTS_AT_ONCE):
        some = extents[first : first + SEGMENTS_AT_ONCE]
        groups = shop.store.fleet.groups
        if any(extent.group_id not in groups for extent in some):
            groups = await refresh_fleet(shop)
        await dispose(shop, shards_by_node(some, groups))


async def deliver_parked(shop: Workshop) -> bool:
    """What was parked for nodes that answer again."""
    more = False
    for node_id, node in list(shop.store.fleet.nodes.items()):
        if node.failed:
            continue
        rows = await shop.catalog.take_parked(node_id, PARKED_ROWS)
        if rows and await trash(shop, node_id, [one for row in rows for one in row.shard_ids]):
            await shop.catalog.finish_parked(rows)
            more = more or len(rows) == PARKED_ROWS
    return more
