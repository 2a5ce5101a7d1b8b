"""Nodes, groups and layouts: where bytes may go, as all gates see it.

It stores what chunkds say and what the allocator decided; it refuses to know strategies. Ages are measured by
Postgres' clock alone, so that no gate's clock makes a node look dead (law 13).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from s3gate.catalog.connection import BEGIN, COMMIT, ROLLBACK, Connection, Statement
from s3gate.catalog.errors import NodeRefused
from s3gate.catalog.parameters import BYTEA, BYTEA_ARRAY, FLOAT8, INT4, INT4_ARRAY, INT8, TEXT
from s3gate.catalog.pool import Pool
from s3gate.geometry.placement import Group, NodeView
from s3gate.geometry.plan import GroupPlan
from s3gate.geometry.stripe import Layout, make_layout

# A known incarnation is counted up; the one before it only with the nonce of the join that counted it (a retry whose
# answer was lost). Everything else is a disk that was cloned or rolled back.
JOIN = Statement(
    "node_join",
    """
    INSERT INTO node AS n (node_id, incarnation, nonce, address, socket, host, zone, device, state,
                           capacity_bytes, free_bytes)
    SELECT $1, 1, $3, $4, $5, $6, $7, $8, 'ok', $9, $10
    WHERE $2 = 0 OR EXISTS (SELECT FROM node WHERE node_id = $1)
    ON CONFLICT (node_id) DO UPDATE
    SET incarnation = CASE WHEN n.incarnation = $2 THEN $2 + 1 ELSE n.incarnation END,
        nonce = excluded.nonce, address = excluded.address, socket = excluded.socket, host = excluded.host,
        zone = excluded.zone, device = excluded.device, state = 'ok', capacity_bytes = excluded.capacity_bytes,
        free_bytes = excluded.free_bytes, joined_at = now(), seen_at = now()
    WHERE n.incarnation = $2 OR (n.incarnation = $2 + 1 AND n.nonce = excluded.nonce)
    RETURNING n.incarnation
    """,
    BYTEA,
    INT8,
    BYTEA,
    TEXT,
    TEXT,
    TEXT,
    TEXT,
    TEXT,
    INT8,
    INT8,
)
HEARTBEAT = Statement(
    "node_heartbeat",
    """UPDATE node SET free_bytes = $3, used_bytes = $4, capacity_bytes = $5, state = $6, queue = $7,
              fsync_seconds = $8, io_errors = $9, seen_at = now()
       WHERE node_id = $1 AND incarnation = $2 RETURNING incarnation""",
    BYTEA,
    INT8,
    INT8,
    INT8,
    INT8,
    TEXT,
    INT4,
    FLOAT8,
    INT8,
)
NODES = Statement(
    "node_list",
    """SELECT node_id, incarnation, address, socket, host, zone, device, state, capacity_bytes, free_bytes, used_bytes,
              queue, fsync_seconds, extract(epoch FROM now() - seen_at)::double precision
       FROM node ORDER BY node_id""",
)
GROUPS = Statement("group_list", "SELECT group_id, epoch, nodes, writable FROM placement_group ORDER BY group_id")
LOCK_CLUSTER = Statement("cluster_lock", "SELECT format FROM cluster FOR UPDATE")
RETIRE_GROUPS = Statement(
    "group_retire",
    """UPDATE placement_group SET writable = false, epoch = epoch + 1
       WHERE group_id = ANY ($1::integer[]) AND writable""",
    INT4_ARRAY,
)
CREATE_GROUP = Statement(
    "group_create",
    "INSERT INTO placement_group (nodes) VALUES ($1) ON CONFLICT (nodes) WHERE writable DO NOTHING",
    BYTEA_ARRAY,
)
LAYOUTS = Statement(
    "layout_list", "SELECT layout_id, name, unit_bytes, floor_bytes, segment_bytes FROM layout ORDER BY layout_id"
)
CREATE_LAYOUT = Statement(
    "layout_create",
    """INSERT INTO layout (name, unit_bytes, floor_bytes, segment_bytes) VALUES ($1, $2, $3, $4)
       ON CONFLICT ON CONSTRAINT layout_once DO NOTHING""",
    TEXT,
    INT4,
    INT4,
    INT8,
)


class Joining(Protocol):
    """What a chunkd says when it joins; ids and nonce in hex."""

    @property
    def node_id(self) -> str: ...
    @property
    def incarnation(self) -> int: ...
    @property
    def nonce(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def socket(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def zone(self) -> str: ...
    @property
    def device(self) -> str: ...
    @property
    def capacity_bytes(self) -> int: ...
    @property
    def free_bytes(self) -> int: ...


class Beating(Protocol):
    """What a chunkd says every few seconds."""

    @property
    def node_id(self) -> str: ...
    @property
    def incarnation(self) -> int: ...
    @property
    def free_bytes(self) -> int: ...
    @property
    def used_bytes(self) -> int: ...
    @property
    def capacity_bytes(self) -> int: ...
    @property
    def state(self) -> str: ...
    @property
    def queue(self) -> int: ...
    @property
    def fsync_seconds(self) -> float: ...
    @property
    def io_errors(self) -> int: ...


Allocator = Callable[[list[NodeView], list[Group]], GroupPlan]


class Nodes:
    """The tables node, placement_group and layout."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def join(self, node: Joining) -> int:
        """The incarnation that the node has from now on; NodeRefused for a cloned or rolled-back disk."""
        rows = await self._pool.repeat(
            JOIN,
            bytes.fromhex(node.node_id),
            node.incarnation,
            bytes.fromhex(node.nonce),
            node.address,
            node.socket,
            node.host,
            node.zone,
            node.device,
            node.capacity_bytes,
            node.free_bytes,
        )
        if not rows:
            raise NodeRefused(
                f"node {node.node_id} says it is at incarnation {node.incarnation}, which is not what is known of it: "
                "its directory was cloned or restored from an older state"
            )
        return int(rows[0][0])

    async def heartbeat(self, node: Beating) -> bool:
        """Note how a node is; False when it has to join again."""
        rows = await self._pool.repeat(
            HEARTBEAT,
            bytes.fromhex(node.node_id),
            node.incarnation,
            node.free_bytes,
            node.used_bytes,
            node.capacity_bytes,
            node.state,
            node.queue,
            node.fsync_seconds,
            node.io_errors,
        )
        return bool(rows)

    async def fleet(self) -> tuple[list[NodeView], list[Group]]:
        """All nodes and groups."""
        return await self._pool.using(_fleet)

    async def apply_groups(self, plan: Allocator) -> bool:
        """Let an allocator see the fleet and write what it decides, one at a time over the whole cluster."""
        return await self._pool.using(lambda connection: _apply(connection, plan))

    async def layouts(self) -> list[Layout]:
        """Every layout that a row may name."""
        return [make_layout(*row) for row in await self._pool.repeat(LAYOUTS)]

    async def find_or_make_layout(self, name: str, unit_bytes: int, floor_bytes: int, segment_bytes: int) -> Layout:
        """The layout of these settings (segments cut to whole rows), made when there is none."""
        wanted = make_layout(0, name, unit_bytes, floor_bytes, segment_bytes)
        shape = (wanted.name, wanted.unit_bytes, wanted.floor_bytes, wanted.segment_bytes)
        for _ in range(2):
            for layout in await self.layouts():
                if (layout.name, layout.unit_bytes, layout.floor_bytes, layout.segment_bytes) == shape:
                    return layout
            await self._pool.repeat(CREATE_LAYOUT, *shape)
        return (await self.layouts())[-1]


async def _apply(connection: Connection, plan: Allocator) -> bool:
    await connection.fetch(BEGIN)
    try:
        await connection.fetch(LOCK_CLUSTER)
        decided = plan(*await _fleet(connection))
        if decided.retire:
            await connection.fetch(RETIRE_GROUPS, decided.retire)
        for nodes in decided.create:
            await connection.fetch(CREATE_GROUP, list(nodes))
        await connection.fetch(COMMIT)
    except BaseException:
        if not connection.broken:
            await connection.fetch(ROLLBACK)
        raise
    return bool(decided.retire or decided.create)


async def _fleet(connection: Connection) -> tuple[list[NodeView], list[Group]]:
    nodes = [NodeView(*row) for row in await connection.fetch(NODES)]
    groups = [
        Group(group_id, epoch, tuple(members), writable)
        for group_id, epoch, members, writable in await connection.fetch(GROUPS)
    ]
    return nodes, groups
