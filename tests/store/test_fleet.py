"""Which groups take writes, how loads are known, and how writes spread when small ones share a moment's node."""

import asyncio
import math
from collections import Counter
from random import Random

import pytest

from s3gate.geometry.placement import Group, NodeView, make_strategy
from s3gate.geometry.plan import plan_groups
from s3gate.geometry.stripe import Layout
from s3gate.store import fleet as fleet_room
from s3gate.store.fleet import Fleet
from s3gate.store.limits import StoreLimits
from s3gate.store.node import Node
from s3gate.store.writer import Chooser
from tests.store.fake_chunkd import KEY, NOW

TB = 10**12


def views(count: int, **changes: object) -> list[NodeView]:
    return [NodeView(bytes([n]) * 16, capacity_bytes=TB, **changes) for n in range(count)]  # type: ignore[arg-type]


def groups_of(nodes: list[NodeView]) -> list[Group]:
    return [Group(n, 1, members) for n, members in enumerate(plan_groups(nodes, []).create)]


async def fleet_of(count: int, limits: StoreLimits) -> Fleet:
    fleet = Fleet(KEY, limits, lambda: NOW)
    fleet.update(views(count), groups_of(views(count)), [Layout(1)])
    return fleet


class SteadyLoop:
    """Its clock goes as fast as writes come, however busy a machine is: how many share a moment's node hangs on it."""

    now = 0.0

    def time(self) -> float:
        return self.now


@pytest.mark.parametrize("placement", ["load", "round-robin"])
@pytest.mark.parametrize("count", [6, 7, 12])
@pytest.mark.parametrize("writes_per_second", [500, 5_000])
async def test_writes_spread_within_three_percent(placement: str, count: int, writes_per_second: int) -> None:
    limits = StoreLimits(placement=placement)
    fleet, chance, layout = await fleet_of(count, limits), Random(count), Layout(1)
    chooser = Chooser(fleet, limits, make_strategy(placement, chance))
    chooser._loop = clock = SteadyLoop()  # type: ignore[assignment]
    got: Counter[bytes] = Counter()
    for _ in range(20_000):
        clock.now += 1 / writes_per_second
        length = int(math.exp(chance.random() * math.log(1 << 20)))
        pieces = layout.row_pieces(length, 0)
        group, turn = await chooser.choose(chooser.want("b", b"k", length, len(pieces)), 0.0)
        for position, piece in enumerate(pieces):
            node_id = group.nodes[(position + turn) % 6]
            fleet.count(node_id, piece)
            got[node_id] += piece
    mean = sum(got.values()) / count
    assert len(got) == count
    assert all(abs(size - mean) <= 0.03 * mean for size in got.values()), got
    await fleet.close()


@pytest.mark.parametrize(
    ("changes", "writable"),
    [({}, 2), ({"state": "full"}, 1), ({"state": "lost"}, 1), ({"heartbeat_age_seconds": 12.0}, 1)],
)
async def test_groups_of_bad_nodes_are_left_out(changes: dict[str, object], writable: int) -> None:
    nodes = views(7)
    groups = groups_of(nodes)
    without_first = [group for group in groups if nodes[0].node_id not in group.nodes][:1]
    with_first = [group for group in groups if nodes[0].node_id in group.nodes][:1]
    fleet = Fleet(KEY, StoreLimits(), lambda: NOW)
    fleet.update([*views(1, **changes), *nodes[1:]], without_first + with_first, [])
    assert len(fleet.writable_groups()) == writable
    assert fleet.is_writable(without_first[0].group_id)
    assert fleet.is_writable(with_first[0].group_id) == (writable == 2)
    await fleet.close()


async def test_a_node_that_cannot_be_looked_after_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_room, "TICK_SECONDS", 0.01)
    ticked: list[bytes] = []

    def tick(node: Node) -> None:
        ticked.append(node.node_id)
        raise RuntimeError("whatever")

    monkeypatch.setattr(Node, "tick", tick)
    fleet = Fleet(KEY, StoreLimits(), lambda: NOW)
    fleet.update(views(2), [], [])
    await asyncio.sleep(0.2)
    assert len(set(ticked)) == 2 and len(ticked) > 4
    await fleet.close()


async def test_a_node_that_left_is_forgotten() -> None:
    fleet = await fleet_of(7, StoreLimits())
    fleet.update(views(6), [], [])
    assert len(fleet.nodes) == 6
    assert fleet.local_view().groups == 0
    await fleet.close()


async def test_fill_counts_what_the_heartbeat_did_not_know() -> None:
    fleet = await fleet_of(6, StoreLimits())
    node_id = bytes(16)
    fleet.count(node_id, TB // 10)
    assert fleet.fill(node_id) == pytest.approx(0.1)
    fleet.update(views(6, used_bytes=TB // 2, heartbeat_age_seconds=5.0), [], [])
    assert fleet.fill(node_id) == pytest.approx(0.6)
    fleet.count(node_id, TB // 10)
    assert fleet.fill(node_id) == pytest.approx(0.7)
    fleet.update(views(6, used_bytes=TB * 7 // 10, heartbeat_age_seconds=0.0), [], [])
    assert fleet.fill(node_id) == pytest.approx(0.7)
    await fleet.close()
