import math
from collections import Counter
from random import Random

import pytest

from s3gate.geometry.placement import Group, NodeView, Want, make_strategy, name_digest
from s3gate.geometry.plan import plan_groups
from s3gate.geometry.stripe import Layout

MIB = 1024 * 1024


class Known:
    """Loads as a gate knows them: what it has written itself, and queues that a test sets."""

    def __init__(self) -> None:
        self.bytes: Counter[bytes] = Counter()
        self.queue: Counter[bytes] = Counter()

    def fill(self, node_id: bytes) -> float:
        return self.bytes[node_id] / 10**12

    def busy(self, node_id: bytes) -> float:
        return self.queue[node_id]


def groups_of(count: int) -> list[Group]:
    nodes = [NodeView(bytes([n]) * 16, capacity_bytes=10**12) for n in range(count)]
    return [Group(n, 1, members) for n, members in enumerate(plan_groups(nodes, []).create)]


def spread(name: str, count: int, seed: int, objects: int = 20_000) -> Counter[bytes]:
    """Bytes per node after many objects, sizes log-uniform from 1 B to 1 MiB."""
    random = Random(seed)
    strategy, known, layout, groups = make_strategy(name, random), Known(), Layout(1), groups_of(count)
    for number in range(objects):
        length = int(math.exp(random.random() * math.log(MIB)))
        pieces = layout.row_pieces(length, 0)
        want = Want(length, len(pieces), name_digest("bucket", b"%d-%d" % (seed, number)))
        group, turn = strategy.choose(groups, want, known)
        for position, piece in enumerate(pieces):
            known.bytes[group.nodes[(position + turn) % 6]] += piece
    return known.bytes


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
@pytest.mark.parametrize("count", [6, 7, 12])
@pytest.mark.parametrize("name", ["load", "round-robin"])
def test_bytes_per_node_are_within_three_percent(name: str, count: int, seed: int) -> None:
    loads = spread(name, count, seed)
    mean = sum(loads.values()) / count
    assert len(loads) == count
    assert all(abs(load - mean) <= 0.03 * mean for load in loads.values()), loads


@pytest.mark.parametrize("count", [6, 7, 12])
def test_consistent_hash_spreads_too(count: int) -> None:
    loads = spread("consistent-hash", count, 1)
    mean = sum(loads.values()) / count
    assert len(loads) == count
    assert all(abs(load - mean) <= 0.25 * mean for load in loads.values()), loads


def test_consistent_hash_keeps_an_object_where_it_is() -> None:
    strategy, groups = make_strategy("consistent-hash", Random(1)), groups_of(12)
    wants = [Want(1, 1, name_digest("b", b"%d" % n)) for n in range(500)]
    before = [strategy.choose(groups, want, Known()) for want in wants]
    assert before == [strategy.choose(groups, want, Known()) for want in wants]
    fewer = groups[:5] + groups[6:]
    after = [strategy.choose(fewer, want, Known()) for want in wants]
    moved = sum(a != b for a, b in zip(before, after, strict=True))
    assert moved == sum(place.group == groups[5] for place in before) > 0


def test_load_prefers_the_emptier_and_avoids_the_busy() -> None:
    groups, known, strategy = groups_of(12), Known(), make_strategy("load", Random(3))
    empty = groups[0].nodes[0]
    for group in groups:
        for node in group.nodes:
            known.bytes[node] = 10**11
    known.bytes[empty] = 0

    def share() -> float:
        places = [strategy.choose(groups, Want(10, 1), known) for _ in range(4000)]
        return sum(place.group.nodes[place.turn] == empty for place in places) / 4000

    assert 1.7 / 12 < share() < 2.2 / 12
    known.queue[empty] = 100
    assert share() < 0.3 / 12


@pytest.mark.parametrize("name", ["load", "round-robin", "consistent-hash"])
def test_a_single_candidate_is_taken(name: str) -> None:
    group = groups_of(6)[0]
    turns = {make_strategy(name, Random(n)).choose([group], Want(1, 1, bytes([n]) * 16), Known()) for n in range(50)}
    assert {place.group for place in turns} == {group}
    assert all(0 <= place.turn < 6 for place in turns)


def test_unknown_strategies_are_refused() -> None:
    with pytest.raises(ValueError, match="placement is one of"):
        make_strategy("fair", Random(1))
