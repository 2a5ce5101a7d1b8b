"""The collector's rests: long behind a burst, short when it is late or when room is needed."""

from __future__ import annotations

import asyncio
import random

import pytest

from s3gate.geometry.placement import NodeView
from s3gate.workers import run as run_room
from s3gate.workers.collect import collect
from s3gate.workers.pace import LATE_SECONDS, LONGEST_REST, SHORTEST_REST, rest_after
from s3gate.workers.run import Chore, work
from s3gate.workers.workshop import Workshop
from tests.fix_ministore import MiniStore

ROOM = NodeView(b"roomy", capacity_bytes=1000, free_bytes=500)
SHORT = NodeView(b"short", capacity_bytes=1000, free_bytes=49)


def test_fresh_garbage_waits_and_old_garbage_does_not() -> None:
    assert rest_after(-1.0, [ROOM]) == rest_after(0.0, [ROOM]) == LONGEST_REST
    assert rest_after(LATE_SECONDS / 2, [ROOM]) == 1.0
    assert rest_after(LATE_SECONDS, [ROOM]) == rest_after(86_400.0, [ROOM]) == SHORTEST_REST
    rests = [rest_after(age / 10, [ROOM]) for age in range(1200)]
    assert rests == sorted(rests, reverse=True)


def test_a_node_that_is_short_of_room_is_not_kept_waiting() -> None:
    assert rest_after(0.0, [ROOM, SHORT]) == SHORTEST_REST
    assert rest_after(0.0, []) == LONGEST_REST


@pytest.mark.parametrize("arriving", [100, 3000, 6500])
def test_what_goes_on_arriving_is_collected_as_fast_as_it_comes(arriving: int) -> None:
    """Batches of 500, each of which takes 60 ms, against so many a second: the oldest is never late."""
    now, queue, chance = 0.0, 0.0, random.Random(1)
    ages = []
    while now < 600:
        age = queue / arriving
        took = 0.06 * chance.uniform(0.8, 1.2) * min(1.0, queue / 500)
        step = took + (took * rest_after(age, [ROOM]) if queue >= 500 else 2.0)
        queue = max(0.0, queue - 500) + arriving * step
        now += step
        ages.append(age)
    assert max(ages) < LATE_SECONDS * 1.05
    assert abs(ages[-1] - ages[-100]) < LATE_SECONDS / 10


async def test_the_collector_says_how_long_it_may_rest(ministore: MiniStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s3gate.workers.collect.GARBAGE_ROWS", 2)
    for number in range(5):
        await ministore.put(b"%d" % number, b"x")
        await ministore.delete(b"%d" % number)
    assert await collect(ministore.shop) > LONGEST_REST / 2
    ministore.sql("UPDATE garbage SET queued_at = queued_at - interval '1 hour'")
    assert await collect(ministore.shop) == SHORTEST_REST
    assert not await collect(ministore.shop)


async def test_the_loop_rests_as_many_times_as_long_as_it_worked(
    ministore: MiniStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: dict[str, list[float]] = {"short": [], "long": [], "capped": []}
    seen = asyncio.Event()

    def unit(name: str, rest: float, took: float) -> Chore:
        async def one(shop: Workshop) -> float:
            await asyncio.sleep(took)
            ends[name].append(asyncio.get_running_loop().time())
            if len(ends["long"]) > 2 and len(ends["capped"]) > 1:
                seen.set()
            return rest

        return Chore(name, one, 60.0)

    units = (unit("short", 0.5, 0.02), unit("long", 20.0, 0.02), unit("capped", 1e9, 0.01))
    monkeypatch.setattr(run_room, "chores", lambda settings: units)
    monkeypatch.setattr(run_room, "LONGEST_PAUSE_SECONDS", 0.5)
    stop = asyncio.Event()
    working = asyncio.create_task(work(ministore.settings, stop))
    await asyncio.wait_for(seen.wait(), 20)
    stop.set()
    await asyncio.wait_for(working, 5)
    assert len(ends["short"]) > len(ends["long"])
    assert ends["long"][2] - ends["long"][1] > 0.4
    assert ends["capped"][1] - ends["capped"][0] < 5.0
