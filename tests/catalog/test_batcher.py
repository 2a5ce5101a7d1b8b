"""Natural batching, without a database: how requests gather, on which lanes, and what becomes of each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from s3gate.catalog.batcher import AGAIN, Batcher, Poisoned
from s3gate.catalog.errors import Unavailable


class Lane:
    """A `run` that is released by hand and remembers its batches."""

    def __init__(self, answer: Callable[[str], Any] = str.upper) -> None:
        self.batches: list[list[str]] = []
        self.gates: list[asyncio.Event] = []
        self.answer = answer

    async def __call__(self, items: list[str]) -> Sequence[Any]:
        self.batches.append(items)
        gate = asyncio.Event()
        self.gates.append(gate)
        await gate.wait()
        return [self.answer(item) for item in items]


def make(run: Any, **given: Any) -> Batcher[str, Any]:
    return Batcher(run, **{"lanes": 2, "rows": 4, "waiting": 100, "lost_races": 3, **given})


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def submit(batcher: Batcher[str, Any], *items: str) -> list[asyncio.Task[Any]]:
    return [asyncio.ensure_future(batcher.submit(item)) for item in items]


async def test_a_lone_request_goes_at_once_and_others_gather_behind_two_lanes() -> None:
    lane = Lane()
    batcher = make(lane)
    first = submit(batcher, "a")
    await turns()
    second = submit(batcher, "b")
    await turns()
    rest = submit(batcher, "c", "d", "e", "f", "g")
    await turns()
    assert lane.batches == [["a"], ["b"]]
    lane.gates[0].set()
    await turns()
    assert lane.batches == [["a"], ["b"], ["c", "d", "e", "f"]]
    lane.gates[1].set()
    await turns()
    for gate in lane.gates:
        gate.set()
    assert await asyncio.gather(*first, *second, *rest) == list("ABCDEFG")


async def test_what_arrives_together_goes_together() -> None:
    lane = Lane()
    batcher = make(lane)
    tasks = submit(batcher, "a", "b", "c")
    await turns()
    assert lane.batches == [["a", "b", "c"]]
    lane.gates[0].set()
    assert await asyncio.gather(*tasks) == ["A", "B", "C"]


async def test_others_gather_behind_a_batch_under_way_until_it_ends_or_lasts_or_they_are_many() -> None:
    lane = Lane()
    batcher = make(lane, gather_seconds=0.05)
    tasks = submit(batcher, "a")
    await turns()
    tasks += submit(batcher, "b", "c")
    await turns()
    assert lane.batches == [["a"]]
    lane.gates[0].set()
    await turns()
    assert lane.batches == [["a"], ["b", "c"]]
    tasks += submit(batcher, "d")
    await asyncio.sleep(0.15)
    assert lane.batches[2:] == [["d"]]
    lane.gates[1].set()
    await turns()
    tasks += submit(batcher, "e", "f", "g", "h")
    await turns()
    assert lane.batches[3:] == [["e", "f", "g", "h"]]
    for gate in lane.gates:
        gate.set()
    assert await asyncio.gather(*tasks) == list("ABCDEFGH")


async def test_batches_under_way_are_on_disjoint_keys_and_a_key_keeps_its_order() -> None:
    lane = Lane()
    batcher = make(lane, key=lambda item: item[0])
    tasks = submit(batcher, "a1", "a2", "b1", "a3")
    await turns()
    assert lane.batches == [["a1", "b1"]]
    more = submit(batcher, "b2", "c1")
    await turns()
    assert lane.batches[1:] == [["c1"]]
    for _ in range(4):
        for gate in lane.gates:
            gate.set()
        await turns()
    assert lane.batches == [["a1", "b1"], ["c1"], ["a2", "b2"], ["a3"]]
    assert await asyncio.gather(*tasks, *more) == ["A1", "A2", "B1", "A3", "B2", "C1"]
    assert not batcher._busy


async def test_a_poisoned_item_never_fails_its_neighbours() -> None:
    runs: list[list[str]] = []

    async def run(items: list[str]) -> list[Any]:
        runs.append(items)
        if "bad" in items:
            raise Poisoned(ValueError("bad"))
        return [item.upper() for item in items]

    answers = await asyncio.gather(*submit(make(run), "a", "bad", "c"), return_exceptions=True)
    assert answers[0] == "A" and answers[2] == "C"
    assert isinstance(answers[1], ValueError)
    assert runs == [["a", "bad", "c"], ["a"], ["bad"], ["c"]]


async def test_a_lost_race_joins_the_next_batch_a_bounded_number_of_times() -> None:
    tries: dict[str, int] = {}

    async def run(items: list[str]) -> list[Any]:
        for item in items:
            tries[item] = tries.get(item, 0) + 1
        return [AGAIN if item == "never" or tries[item] < 3 else tries[item] for item in items]

    refused: list[str] = []
    batcher = make(run, key=lambda item: item, refused=lambda item, _: refused.append(item))
    answers = await asyncio.gather(*submit(batcher, "a", "never"), return_exceptions=True)
    assert answers[0] == 3
    assert isinstance(answers[1], Unavailable)
    assert refused == ["never"]
    assert not batcher._busy


async def test_the_queue_is_bounded_and_what_is_cancelled_before_it_began_never_runs() -> None:
    lane = Lane()
    refused: list[str] = []
    batcher = make(lane, lanes=1, waiting=3, refused=lambda item, _: refused.append(item))
    tasks = submit(batcher, "a")
    await turns()
    tasks += submit(batcher, "b", "c")
    await turns()
    with pytest.raises(Unavailable):
        await batcher.submit("d")
    tasks[1].cancel()
    await turns()
    lane.gates[0].set()
    await turns()
    lane.gates[1].set()
    assert await tasks[0] == "A" and await tasks[2] == "C"
    assert lane.batches == [["a"], ["c"]]
    assert refused == ["d", "b"]


async def test_who_is_cancelled_under_way_leaves_its_refusal_behind() -> None:
    lane = Lane(answer=lambda item: ValueError(item))
    refused: list[str] = []
    batcher = make(lane, refused=lambda item, _: refused.append(item))
    [task] = submit(batcher, "a")
    await turns()
    task.cancel()
    lane.gates[0].set()
    await turns()
    assert refused == ["a"]


async def test_an_answer_known_later_frees_its_lane_and_key_and_is_waited_for_a_while() -> None:
    loop = asyncio.get_running_loop()
    truths: dict[str, asyncio.Future[str]] = {}

    async def run(items: list[str]) -> list[Any]:
        return [truths.setdefault(item, loop.create_future()) for item in items]

    refused: list[str] = []
    batcher = make(
        run, lanes=1, key=lambda item: item[0], settle_seconds=0.05, refused=lambda item, _: refused.append(item)
    )
    tasks = submit(batcher, "a1", "a2", "b1", "c1")
    await turns(10)
    assert list(truths) == ["a1", "b1", "c1", "a2"]
    truths["a2"].set_result("yes")
    truths["b1"].set_exception(Unavailable("no"))
    assert await tasks[1] == "yes"
    with pytest.raises(Unavailable, match="no"):
        await tasks[2]
    with pytest.raises(Unavailable, match="settled"):
        await tasks[0]
    assert refused == ["b1"]
    truths["a1"].set_exception(Unavailable("late"))
    await turns()
    assert refused == ["b1", "a1"]
    truths["c1"].cancel()
    with pytest.raises(Unavailable):
        await tasks[3]
    assert refused == ["b1", "a1"]
