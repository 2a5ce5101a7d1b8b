from collections import Counter
from dataclasses import replace

import pytest

from s3gate.geometry.placement import Group, NodeView
from s3gate.geometry.plan import GroupPlan, plan_groups

TB = 10**12


def fleet(count: int, hosts: int = 0, zones: int = 0, capacity: int = TB) -> list[NodeView]:
    return [
        NodeView(
            n.to_bytes(16, "big"),
            capacity_bytes=capacity,
            host=f"h{n % hosts if hosts else n}",
            zone=f"z{(n % hosts if hosts else n) % zones}" if zones else "",
        )
        for n in range(count)
    ]


def carry_out(plan: GroupPlan, groups: list[Group]) -> list[Group]:
    """The groups after a plan, as the catalog would have them."""
    retired = [replace(g, writable=False) if g.group_id in plan.retire else g for g in groups]
    return retired + [Group(len(groups) + n, 1, nodes) for n, nodes in enumerate(plan.create)]


def slots(groups: list[Group]) -> Counter[bytes]:
    return Counter(node for group in groups if group.writable for node in group.nodes)


def check(groups: list[Group]) -> None:
    for group in groups:
        assert len(group.nodes) == len(set(group.nodes)) == 6


@pytest.mark.parametrize("count", range(6, 41))
def test_equal_nodes_get_equal_slots(count: int) -> None:
    nodes = fleet(count)
    plan = plan_groups(nodes, [])
    groups = carry_out(plan, [])
    check(groups)
    assert len(groups) == (1 if count == 6 else count)
    assert set(slots(groups).values()) == {1 if count == 6 else 6}
    assert plan_groups(list(reversed(nodes)), []) == plan
    assert plan_groups(nodes, groups) == GroupPlan([], [])
    assert len({frozenset(group.nodes) for group in groups}) >= 0.75 * len(groups)
    if count > 6:
        assert all(any(node.node_id not in group.nodes for group in groups) for node in nodes)


@pytest.mark.parametrize("count", range(6, 30))
def test_a_new_node_retires_as_few_as_possible(count: int) -> None:
    before = carry_out(plan_groups(fleet(count), []), [])
    plan = plan_groups(fleet(count + 1), before)
    after = carry_out(plan, before)
    check(after)
    assert set(slots(after).values()) == {6}
    assert len(plan.retire) <= (0 if count == 6 else 5)
    assert len(plan.create) == 6
    assert plan_groups(fleet(count + 1), after) == GroupPlan([], [])


@pytest.mark.parametrize("count", range(7, 30))
@pytest.mark.parametrize("state", ["lost", "draining"])
def test_a_leaving_node_retires_its_own_groups_only(count: int, state: str) -> None:
    nodes = fleet(count)
    before = carry_out(plan_groups(nodes, []), [])
    gone = nodes[3].node_id
    plan = plan_groups([replace(n, state=state) if n.node_id == gone else n for n in nodes], before)
    after = carry_out(plan, before)
    check(after)
    own = {group.group_id for group in before if gone in group.nodes}
    assert own <= set(plan.retire)
    assert len(plan.retire) <= len(own) + 1
    assert slots(after)[gone] == 0
    assert max(slots(after).values()) - min(n for node, n in slots(after).items() if node != gone) <= 1


@pytest.mark.parametrize("state", ["full", "read-only", "ok"])
def test_a_node_that_may_come_back_changes_nothing(state: str) -> None:
    nodes = fleet(8)
    before = carry_out(plan_groups(nodes, []), [])
    assert plan_groups([replace(nodes[0], state=state), *nodes[1:]], before) == GroupPlan([], [])


def test_too_few_nodes_make_no_group() -> None:
    nodes = fleet(6)
    before = carry_out(plan_groups(nodes, []), [])
    assert plan_groups(nodes[:5], []) == GroupPlan([], [])
    assert plan_groups(nodes[:5], before) == GroupPlan([], [0])


@pytest.mark.parametrize("count", [7, 9, 12, 20, 33])
def test_large_disks_get_more_slots(count: int) -> None:
    nodes = [replace(node, capacity_bytes=TB * (1 + n % 2)) for n, node in enumerate(fleet(count))]
    groups = carry_out(plan_groups(nodes, []), [])
    check(groups)
    got = slots(groups)
    total = sum(node.capacity_bytes for node in nodes)
    for node in nodes:
        share = min(1 / 6, node.capacity_bytes / total)
        if count >= 12:
            assert got[node.node_id] == pytest.approx(share * sum(got.values()), abs=1)
        else:
            assert got[node.node_id] <= len(groups)
    assert plan_groups(nodes, groups) == GroupPlan([], [])


def test_one_huge_disk_is_in_every_group() -> None:
    nodes = fleet(10)
    nodes[0] = replace(nodes[0], capacity_bytes=100 * TB)
    groups = carry_out(plan_groups(nodes, []), [])
    assert slots(groups)[nodes[0].node_id] == len(groups)
    others = [slots(groups)[node.node_id] for node in nodes[1:]]
    assert max(others) - min(others) <= 1


@pytest.mark.parametrize(("count", "hosts"), [(12, 6), (14, 7), (24, 8), (18, 3), (12, 2), (13, 6), (9, 4)])
def test_groups_spread_over_hosts(count: int, hosts: int) -> None:
    nodes = fleet(count, hosts)
    groups = carry_out(plan_groups(nodes, []), [])
    check(groups)
    host_of = {node.node_id: node.host for node in nodes}
    most = max(max(Counter(host_of[n] for n in group.nodes).values()) for group in groups)
    assert most == (-(-6 // hosts) if count % hosts == 0 or hosts >= 6 else 2)
    if count % hosts == 0:
        assert max(slots(groups).values()) - min(slots(groups).values()) <= 1
    assert plan_groups(nodes, groups) == GroupPlan([], [])


@pytest.mark.parametrize(("count", "hosts", "zones"), [(12, 12, 3), (12, 6, 2), (18, 9, 3), (24, 12, 6)])
def test_groups_spread_over_zones(count: int, hosts: int, zones: int) -> None:
    nodes = fleet(count, hosts, zones)
    groups = carry_out(plan_groups(nodes, []), [])
    zone_of = {node.node_id: node.zone for node in nodes}
    host_of = {node.node_id: node.host for node in nodes}
    for group in groups:
        assert max(Counter(zone_of[n] for n in group.nodes).values()) == -(-6 // zones)
        assert len({host_of[n] for n in group.nodes}) == 6
    assert max(slots(groups).values()) - min(slots(groups).values()) <= 1


def test_a_lopsided_fleet_still_gets_groups() -> None:
    nodes = [replace(node, host="a" if n < 5 else "b") for n, node in enumerate(fleet(6))]
    assert len(plan_groups(nodes, []).create) == 1


def test_six_nodes_need_one_group_only() -> None:
    nodes = fleet(6)
    members = tuple(node.node_id for node in nodes)
    doubled = [Group(1, 1, members), Group(2, 1, members[::-1])]
    assert plan_groups(nodes, doubled) == GroupPlan([], [2])
