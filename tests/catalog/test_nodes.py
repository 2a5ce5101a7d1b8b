"""Joining by compare-and-set, heartbeats, groups under the cluster's lock, layouts, sessions, the schema."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

import psycopg
import pytest

from s3gate.catalog import schema
from s3gate.catalog.catalog import Catalog
from s3gate.catalog.errors import BucketTaken, NodeRefused, Unavailable
from s3gate.geometry.placement import Group, NodeView
from s3gate.geometry.plan import GroupPlan, plan_groups
from tests.catalog.conftest import QUICK, Look, OpenCatalog


@dataclass(frozen=True)
class Hello:
    node_id: str = "ab" * 16
    incarnation: int = 0
    nonce: str = "01" * 8
    address: str = "127.0.0.1:7000"
    socket: str = "/run/chunkd.sock"
    host: str = "h1"
    zone: str = "z1"
    device: str = "8:1"
    capacity_bytes: int = 1 << 50
    free_bytes: int = 1 << 49


@dataclass(frozen=True)
class Beat:
    node_id: str = "ab" * 16
    incarnation: int = 1
    free_bytes: int = 5
    used_bytes: int = 6
    capacity_bytes: int = 11
    state: str = "full"
    queue: int = 3
    fsync_seconds: float = 0.25
    io_errors: int = 9


NODES = tuple(bytes([number]) * 16 for number in range(6))


async def test_joining_is_a_compare_and_set(catalog: Catalog) -> None:
    hello = Hello()
    assert await catalog.join_node(hello) == 1
    assert await catalog.join_node(hello) == 1  # its answer was lost: the same nonce
    with pytest.raises(NodeRefused):
        await catalog.join_node(replace(hello, nonce="02" * 8))  # a clone of the empty directory
    assert await catalog.join_node(replace(hello, incarnation=1, nonce="03" * 8)) == 2
    assert await catalog.join_node(replace(hello, incarnation=1, nonce="03" * 8)) == 2
    for incarnation, nonce in ((1, "04" * 8), (0, "03" * 8), (5, "03" * 8)):
        with pytest.raises(NodeRefused):
            await catalog.join_node(replace(hello, incarnation=incarnation, nonce=nonce))
    with pytest.raises(NodeRefused):  # not known here, but it was somewhere
        await catalog.join_node(replace(hello, node_id="cd" * 16, incarnation=3))
    [node], groups = await catalog.fleet()
    assert (node.incarnation, node.host, node.state, groups) == (2, "h1", "ok", [])


async def test_clones_that_join_at_once(catalog: Catalog, second: Catalog) -> None:
    answers = await asyncio.gather(
        *[(catalog, second)[n % 2].join_node(Hello(nonce=f"{n:02x}" * 8)) for n in range(8)],
        return_exceptions=True,
    )
    assert answers.count(1) == 1
    assert sum(isinstance(answer, NodeRefused) for answer in answers) == 7


async def test_heartbeats(catalog: Catalog, look: Look) -> None:
    assert await catalog.heartbeat_node(Beat()) is False
    await catalog.join_node(Hello())
    await look.rows("UPDATE node SET seen_at = now() - interval '20 s'")
    [node], _ = await catalog.fleet()
    assert 20 <= node.heartbeat_age_seconds < 25
    assert await catalog.heartbeat_node(Beat()) is True
    assert await catalog.heartbeat_node(Beat(incarnation=2)) is False
    [node], _ = await catalog.fleet()
    assert node == NodeView(
        bytes.fromhex("ab" * 16), 1, "127.0.0.1:7000", "/run/chunkd.sock", "h1", "z1", "8:1", "full",
        11, 5, 6, 3, 0.25, node.heartbeat_age_seconds,
    )  # fmt: skip
    assert node.heartbeat_age_seconds < 5
    assert await look.rows("SELECT io_errors FROM node") == [(9,)]


async def test_groups_are_applied_one_plan_at_a_time(catalog: Catalog, second: Catalog, look: Look) -> None:
    schema.adopt(catalog._pool._dsn, b"c" * 16)
    seen: list[int] = []

    def once(nodes: list[NodeView], groups: list[Group]) -> GroupPlan:
        seen.append(len(groups))
        return GroupPlan([] if groups else [NODES, NODES[::-1]], [])

    changed = await asyncio.gather(*[(catalog, second)[n % 2].apply_groups(once) for n in range(6)])
    assert changed.count(True) == 1 and sorted(seen) == [0, 2, 2, 2, 2, 2]
    _, groups = await catalog.fleet()
    assert [(group.nodes, group.writable, group.epoch) for group in groups] == [
        (NODES, True, 1),
        (NODES[::-1], True, 1),
    ]
    first = groups[0].group_id
    assert await catalog.apply_groups(lambda nodes, groups: GroupPlan([NODES], [first]))
    assert await catalog.apply_groups(lambda nodes, groups: GroupPlan([NODES], []))
    _, groups = await second.fleet()
    assert [(group.nodes, group.writable, group.epoch) for group in groups] == [
        (NODES, False, 2),
        (NODES[::-1], True, 1),
        (NODES, True, 1),
    ]


async def test_a_plan_that_fails_leaves_its_connection_usable(catalog: Catalog) -> None:
    def broken(nodes: list[NodeView], groups: list[Group]) -> GroupPlan:
        raise ZeroDivisionError

    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            await catalog.apply_groups(broken)
    with pytest.raises(psycopg.errors.CheckViolation):
        await catalog.apply_groups(lambda nodes, groups: GroupPlan([NODES[:5]], []))
    assert await catalog.fleet() == ([], [])


async def test_a_fleet_that_cannot_be_read_in_time_is_unavailable(open_catalog: OpenCatalog, look: Look) -> None:
    """And no error that nobody expects: whoever reads it every second must go on."""
    catalog = await open_catalog(limits=replace(QUICK, lock_seconds=0.1))
    async with look.connection.transaction():
        await look.rows("LOCK TABLE node IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(Unavailable):
            await catalog.fleet()
        with pytest.raises(Unavailable):
            await catalog.apply_groups(lambda nodes, groups: plan_groups([], groups))
    assert await catalog.fleet() == ([], [])


async def test_layouts_are_found_or_made_once(catalog: Catalog, second: Catalog) -> None:
    wanted = ("6+0", 1 << 19, 1 << 16, 64 << 20)
    made = await asyncio.gather(*[(catalog, second)[n % 2].find_or_make_layout(*wanted) for n in range(6)])
    assert len(set(made)) == 1 and made[0].segment_bytes == 63 << 20
    other = await second.find_or_make_layout("6+0", 1 << 18, 1, 64 << 20)
    assert await catalog.layouts() == [made[0], other]
    assert other.layout_id != made[0].layout_id


async def test_of_two_who_create_a_bucket_one_does(catalog: Catalog, second: Catalog) -> None:
    answers = await asyncio.gather(
        *[(catalog, second)[n % 2].create_bucket("new", f"owner-{n}", "") for n in range(6)],
        return_exceptions=True,
    )
    taken = [answer for answer in answers if isinstance(answer, BucketTaken)]
    assert len(taken) == 5
    row = await catalog.find_bucket("new", fresh=True)
    assert row is not None and {each.owner for each in taken} == {row.owner}


def test_the_schema_is_applied_once_and_belongs_to_one_cluster(
    make_database: Callable[[], str],
) -> None:
    dsn = make_database()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
        schema.apply(dsn)
        schema.apply(dsn)
        schema.adopt(dsn, b"a" * 16)
        schema.adopt(dsn, b"a" * 16)
        with pytest.raises(schema.WrongDatabase, match="belongs"):
            schema.adopt(dsn, b"b" * 16)
        connection.execute("UPDATE cluster SET format = 99")
        with pytest.raises(schema.WrongDatabase, match="format"):
            schema.adopt(dsn, b"a" * 16)
