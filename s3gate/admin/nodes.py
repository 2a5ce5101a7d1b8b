"""`admin nodes`: the nodes as Postgres knows them, and how far each group is spread. Reads only."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from s3gate.catalog.catalog import Catalog
from s3gate.geometry.placement import Group, NodeView
from s3gate.store.limits import DOWN_SECONDS, SUSPECT_SECONDS


@dataclass(frozen=True, slots=True)
class NodeLine:
    """One node; `heard` is up, suspect or down by the age of its heartbeat."""

    node_id: str
    heard: str
    state: str
    address: str
    host: str
    zone: str
    device: str
    capacity_bytes: int
    free_bytes: int
    used_bytes: int
    incarnation: int
    heartbeat_age_seconds: float


@dataclass(frozen=True, slots=True)
class GroupLine:
    """One group; with several slots on a device or host, losing that costs several shards of a segment at once."""

    group_id: int
    writable: bool
    nodes: list[str]
    most_on_one_device: int
    most_on_one_host: int


@dataclass(frozen=True, slots=True)
class FleetReport:
    """What `admin nodes` shows."""

    nodes: list[NodeLine]
    groups: list[GroupLine]


async def nodes(catalog: Catalog) -> FleetReport:
    """Read the fleet."""
    found, groups = await catalog.fleet()
    by_id = {node.node_id: node for node in found}
    return FleetReport([_node_line(node) for node in found], [_group_line(group, by_id) for group in groups])


def _node_line(node: NodeView) -> NodeLine:
    age = node.heartbeat_age_seconds
    heard = "up" if age < SUSPECT_SECONDS else "suspect" if age < DOWN_SECONDS else "down"
    return NodeLine(
        node_id=node.node_id.hex(),
        heard=heard,
        state=node.state,
        address=node.address,
        host=node.host,
        zone=node.zone,
        device=node.device,
        capacity_bytes=node.capacity_bytes,
        free_bytes=node.free_bytes,
        used_bytes=node.used_bytes,
        incarnation=node.incarnation,
        heartbeat_age_seconds=round(age, 1),
    )


def _group_line(group: Group, by_id: dict[bytes, NodeView]) -> GroupLine:
    members = [by_id[node_id] for node_id in group.nodes if node_id in by_id]
    devices = Counter(member.device for member in members)
    hosts = Counter(member.host for member in members)
    return GroupLine(
        group_id=group.group_id,
        writable=group.writable,
        nodes=[node_id.hex() for node_id in group.nodes],
        most_on_one_device=max(devices.values(), default=0),
        most_on_one_host=max(hosts.values(), default=0),
    )
