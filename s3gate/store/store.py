"""The store: bytes in, extents out, and back. The only room that speaks HTTP to chunkd.

It knows no buckets' rows, no S3 and no SQL: it is told what the fleet looks like by `update`, once a second.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from random import Random

from chunkd.wire import SHARD_LIVE, ClusterKey, Health, ListedShard
from s3gate.geometry.placement import Group, NodeView, make_strategy
from s3gate.geometry.stripe import SHARDS, Layout
from s3gate.store.budget import Block, Budget
from s3gate.store.fleet import Fleet, LocalView
from s3gate.store.limits import StoreLimits
from s3gate.store.reader import Data, Extents, Reader
from s3gate.store.writer import Ids, Placed, Writer, Written


class Store:
    """One per process, made and used in its event loop. New objects get `layout`."""

    def __init__(
        self,
        cluster_key: ClusterKey,
        limits: StoreLimits,
        ids: Ids,
        clock: Callable[[], float],
        *,
        layout: Layout,
        budget: Budget,
        random: Random | None = None,
    ) -> None:
        self.fleet = Fleet(cluster_key, limits, clock)
        self.fleet.layouts[layout.layout_id] = layout
        self.layout = layout
        strategy = make_strategy(limits.placement, random or Random())
        self._writer = Writer(self.fleet, limits, ids, layout, strategy, budget)
        self._reader = Reader(self.fleet, limits, budget)

    def update(self, nodes: Iterable[NodeView], groups: Iterable[Group], layouts: Iterable[Layout]) -> None:
        """What the catalog knows of the fleet now."""
        self.fleet.update(nodes, groups, layouts)

    def local_view(self) -> LocalView:
        """How this gate sees the fleet, for readiness."""
        return self.fleet.local_view()

    async def write(
        self,
        *,
        bucket: str,
        key: bytes,
        length: int,
        blocks: AsyncIterator[Block],
        group_id: int | None = None,
    ) -> Written:
        """Stores a body that comes in rows of the layout. Raises WriteFailed with all that may be left on nodes."""
        return await self._writer.write(bucket, key, length, blocks, group_id or None)

    async def write_small(
        self,
        *,
        bucket: str,
        key: bytes,
        data: bytes | memoryview,
        group_id: int | None = None,
        placed: Placed | None = None,
    ) -> Written:
        """Stores a body of at most one row that is at hand. Raises WriteFailed as `write` does.

        `placed` is told where a lone shard is going as soon as it is on its way.
        """
        return await self._writer.write_small(bucket, key, data, group_id or None, placed)

    @property
    def lent_bytes(self) -> int:
        """How much was read where nodes lent it."""
        return self._reader.lent_bytes

    def pick_group(self, bucket: str, key: bytes) -> int:
        """A group for an upload to keep, or 0 when none takes writes now: then its first part chooses."""
        groups = self.fleet.writable_groups()
        if not groups:
            return 0
        want = self._writer.chooser.want(bucket, key, self.layout.segment_bytes, SHARDS)
        return self._writer.chooser.pick(groups, want).group.group_id

    async def read_small(self, layout_id: int, extents: Extents, length: int, start: int, stop: int) -> bytes:
        """The bytes [start, stop) of a part of `length` bytes, at most a row of them, as one."""
        return await self._reader.read_small(layout_id, extents, length, start, stop)

    def read(self, layout_id: int, extents: Extents, length: int, start: int, stop: int) -> AsyncGenerator[Data, None]:
        """The bytes [start, stop) of a part of `length` bytes, in order, verified, as the budget allows."""
        return self._reader.read(layout_id, extents, length, start, stop)

    async def trash(self, node_id: bytes, shard_ids: list[bytes]) -> None:
        """Moves shards to a node's trash; returns when that is durable."""
        await self.fleet.reachable(node_id).trash(shard_ids)

    async def list_shards(
        self, node_id: bytes, prefix: bytes, after: bytes, limit: int, state: str = SHARD_LIVE
    ) -> tuple[list[ListedShard], bytes | None]:
        """A page of a node's sorted list of shards, perhaps an empty one, and after which id there is more."""
        return await self.fleet.reachable(node_id).list_shards(prefix, after, limit, state)

    async def stat(self, node_id: bytes, shard_id: bytes) -> ListedShard | None:
        """What a node knows of a shard, or None."""
        return await self.fleet.reachable(node_id).stat(shard_id)

    async def health(self, node_id: bytes) -> Health:
        """What a node says of itself."""
        return await self.fleet.node(node_id).health()

    async def close(self) -> None:
        """Closes every connection."""
        await self.fleet.close()
