"""Putting shards into the trash of their nodes, or parking them for a node that is down.

A node that does not answer never stops the others: what is meant for it waits in Postgres until it is back, or is
declared lost. It knows extents and nodes, and not why something is garbage. Every step may be repeated: a shard
that is gone already is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from s3gate.geometry.extents import Extent
from s3gate.geometry.ids import shard_id, slots_of
from s3gate.geometry.placement import Group
from s3gate.store.errors import StoreError
from s3gate.workers.workshop import Workshop

TRASH_SECONDS = 30.0
"""A node that takes longer than this is treated as down."""


class UnknownGroup(Exception):
    """Extents name a group that nobody has heard of: nothing of theirs may be forgotten."""


def shards_by_node(extents: Iterable[Extent], groups: Mapping[int, Group]) -> dict[bytes, list[bytes]]:
    """The shards of each segment by the node that has them. Where an id does not say how many there are, some of the
    six may never have been stored, for short rows leave some empty."""
    found: dict[bytes, list[bytes]] = {}
    for segment_id, group_id in extents:
        group = groups.get(group_id)
        if group is None:
            raise UnknownGroup(f"group {group_id}")
        for slot in slots_of(segment_id):
            found.setdefault(group.nodes[slot], []).append(shard_id(segment_id, slot))
    return found


async def dispose(shop: Workshop, by_node: Mapping[bytes, list[bytes]]) -> None:
    """Returns when every shard is in a trash, durably, or parked, durably."""
    await asyncio.gather(*[_dispose_on(shop, node_id, ids) for node_id, ids in by_node.items()])


async def _dispose_on(shop: Workshop, node_id: bytes, ids: list[bytes]) -> None:
    if not await trash(shop, node_id, ids):
        await shop.catalog.park_garbage(node_id, ids)


async def trash(shop: Workshop, node_id: bytes, ids: list[bytes]) -> bool:
    """False when the node does not take it now."""
    try:
        async with asyncio.timeout(TRASH_SECONDS):
            await shop.store.trash(node_id, ids)
    except (StoreError, TimeoutError):
        return False
    return True
