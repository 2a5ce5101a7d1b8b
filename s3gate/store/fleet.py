"""The fleet: all nodes and groups as this gate knows them now, and which groups take writes.

Heartbeats come from outside, once a second, with the rows; what the gate meets itself (a refused connection, a
node that says it is full) counts at once. It knows no objects, and reads no clock but the event loop's.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from chunkd.wire import REQUEST_PURPOSE, ClusterKey
from s3gate.geometry.placement import Group, NodeView
from s3gate.geometry.stripe import Layout
from s3gate.store.errors import NodeFailed, StoreFull, StoreUnavailable
from s3gate.store.limits import DOWN_SECONDS, SUSPECT_SECONDS, TICK_SECONDS, StoreLimits
from s3gate.store.node import Node

HISTORY = 32
"""Samples of a node's written bytes that are kept, one per update, to compare with heartbeats."""


class _Written:
    """The bytes that this gate wrote to a node, and how much of them the node's last heartbeat knew."""

    __slots__ = ("base", "samples", "total")

    def __init__(self) -> None:
        self.total = 0
        self.base = 0
        self.samples: deque[tuple[float, int]] = deque(maxlen=HISTORY)

    def rebase(self, now: float, view: NodeView) -> None:
        """From here on the node's use is `base + total`: what it said then, and what was written since."""
        self.samples.append((now, self.total))
        self.base = view.used_bytes - self._at(now - view.heartbeat_age_seconds)

    def _at(self, moment: float) -> int:
        later_time, later = self.samples[-1]
        for time, total in reversed(self.samples):
            if time <= moment:
                span = later_time - time
                return total + int((later - total) * (moment - time) / span) if span > 0 else total
            later_time, later = time, total
        return later


@dataclass(frozen=True, slots=True)
class LocalView:
    """How this gate sees the fleet: for readiness and for the operator."""

    nodes: int
    nodes_up: int
    nodes_full: int
    nodes_read_only: int
    groups: int
    groups_writable: int


class Fleet:
    """Nodes, groups and layouts by id. It is also what the strategies ask about loads."""

    def __init__(self, key: ClusterKey, limits: StoreLimits, clock: Callable[[], float]) -> None:
        self.nodes: dict[bytes, Node] = {}
        self.groups: dict[int, Group] = {}
        self.layouts: dict[int, Layout] = {}
        self.version = 0
        self._key = key.derive(REQUEST_PURPOSE)[0]
        self._limits = limits
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self._written: dict[bytes, _Written] = {}
        self._updated_at = 0.0
        self._writable: list[Group] = []
        self._valid_until = 0.0
        self._news: asyncio.Future[None] | None = None
        self._ticker = self._loop.create_task(self._tick())
        self._closing: set[asyncio.Task[None]] = set()

    def update(self, nodes: Iterable[NodeView], groups: Iterable[Group], layouts: Iterable[Layout]) -> None:
        """What the catalog knows now."""
        self._updated_at = now = self._loop.time()
        seen = set()
        for view in nodes:
            seen.add(view.node_id)
            node = self.nodes.get(view.node_id)
            if node is None:
                node = Node(view, self._key, self._limits, self._clock, self.changed)
                self.nodes[view.node_id] = node
                self._written[view.node_id] = _Written()
            else:
                node.update(view)
            self._written[view.node_id].rebase(now, view)
        for node_id in self.nodes.keys() - seen:
            del self._written[node_id]
            self._close_later(self.nodes.pop(node_id))
        self.groups = {group.group_id: group for group in groups}
        self.layouts.update({layout.layout_id: layout for layout in layouts})
        self.changed()

    def node(self, node_id: bytes) -> Node:
        """A node that is known; NodeFailed otherwise."""
        node = self.nodes.get(node_id)
        if node is None:
            raise NodeFailed(f"node {node_id.hex()} is not known here")
        return node

    def reachable(self, node_id: bytes) -> Node:
        """A node that has not just failed; NodeFailed otherwise, at once."""
        node = self.node(node_id)
        if node.failed:
            raise NodeFailed(f"node {node_id.hex()} does not answer")
        return node

    def changed(self) -> None:
        """Something about a node is new: what was worked out is no longer valid, and those who wait look again."""
        self._valid_until = 0.0
        self.version += 1
        news, self._news = self._news, None
        if news is not None and not news.done():
            news.set_result(None)

    async def wait_for_news(self, until: float) -> bool:
        """Waits until something has changed; False when it is later than `until` by the loop's clock."""
        left = until - self._loop.time()
        if left <= 0:
            return False
        if self._news is None:
            self._news = self._loop.create_future()
        await asyncio.wait([self._news], timeout=min(left, TICK_SECONDS))
        return True

    # --- which groups take writes ---------------------------------------------------------------------

    def writable_groups(self) -> list[Group]:
        """Groups whose nodes are all up and take writes, in the order of their ids.

        If there are none, those whose worst node only has an old heartbeat: it may be the heartbeat that is late.
        """
        now = self._loop.time()
        if now >= self._valid_until:
            self._valid_until = now + TICK_SECONDS
            up = self._groups_of(self._nodes_within(SUSPECT_SECONDS, now))
            self._writable = up or self._groups_of(self._nodes_within(DOWN_SECONDS, now))
        return self._writable

    def is_writable(self, group_id: int) -> bool:
        """Whether a group takes writes now."""
        return any(group.group_id == group_id for group in self.writable_groups())

    def _groups_of(self, up: set[bytes]) -> list[Group]:
        found = [group for group in self.groups.values() if group.writable and up.issuperset(group.nodes)]
        return sorted(found, key=lambda group: group.group_id)

    def _nodes_within(self, age: float, now: float) -> set[bytes]:
        oldest = age - (now - self._updated_at)
        return {
            node.node_id
            for node in self.nodes.values()
            if node.view.heartbeat_age_seconds < oldest
            and node.view.state == "ok"
            and not node.failed
            and node.refused_until <= now
        }

    async def wait_for_group(self, until: float) -> list[Group]:
        """The writable groups; waits for the first one until then, and raises when there is none."""
        while not (groups := self.writable_groups()):
            if self._is_full():
                raise StoreFull("every group has a node without room")
            if not await self.wait_for_news(until):
                raise StoreUnavailable("no group of six nodes takes writes")
        return groups

    def _is_full(self) -> bool:
        """Whether all nodes answer, and some group fails for want of room only."""
        nodes = self.nodes.values()
        return any(node.view.state == "full" for node in nodes) and not any(
            node.failed or node.view.state == "read-only" for node in nodes
        )

    def local_view(self) -> LocalView:
        """Counts, for readiness."""
        now = self._loop.time()
        up, oldest = self._nodes_within(SUSPECT_SECONDS, now), SUSPECT_SECONDS - (now - self._updated_at)
        answering = [node.view for node in self.nodes.values() if not node.failed]
        states = [view.state for view in answering if view.heartbeat_age_seconds < oldest]
        full, read_only = states.count("full"), states.count("read-only")
        groups = sum(group.writable for group in self.groups.values())
        return LocalView(len(self.nodes), len(up), full, read_only, groups, len(self.writable_groups()))

    # --- loads, as the strategies ask for them --------------------------------------------------------

    def fill(self, node_id: bytes) -> float:
        """Used part of a node's capacity, with what this gate has written since the heartbeat."""
        written = self._written[node_id]
        return (written.base + written.total) / (self.nodes[node_id].view.capacity_bytes or 1)

    def busy(self, node_id: bytes) -> float:
        """Requests that wait at a node: its own count, and this gate's."""
        node = self.nodes[node_id]
        return node.view.queue + node.under_way

    def count(self, node_id: bytes, size: int) -> None:
        """Bytes are on their way to a node."""
        written = self._written.get(node_id)
        if written is not None:
            written.total += size

    # --- life -----------------------------------------------------------------------------------------

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            for node in self.nodes.values():
                # Whatever is wrong with one of them: nothing else breaks off what has stalled.
                with contextlib.suppress(Exception):
                    node.tick()

    def _close_later(self, node: Node) -> None:
        task = self._loop.create_task(node.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Closes all connections."""
        self._ticker.cancel()
        await asyncio.gather(*[node.close() for node in self.nodes.values()], *self._closing)
