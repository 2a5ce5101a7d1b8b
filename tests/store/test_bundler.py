"""Small shards that go to one node together: which go when, and that nobody pays for a neighbour's trouble."""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from awscrt.checksums import crc32c

from chunkd import bundle
from s3gate.store import bundler
from s3gate.store.errors import NodeFailed, NodeRefused, WriteCancelled
from s3gate.store.node import Node
from s3gate.store.writer import Written
from tests.store.fake_chunkd import FakeChunkd, Fault, answer
from tests.store.small_fleet import SmallFleet, small_fleet
from tests.store.test_store_faults import BROKEN, check_accounted, cut, silence, status

UNDER_WAY = bundler.BUNDLES_UNDER_WAY


class Pair:
    """A node and what a gate knows of it."""

    def __init__(self, fake: FakeChunkd, node: Node) -> None:
        self.fake = fake
        self.node = node

    def put(self, number: int, body: bytes | None = None) -> asyncio.Task[None]:
        data = b"%d" % number if body is None else body
        return asyncio.create_task(self.node.put(sid(number), data, crc32c(data)))

    async def put_bundle(self, count: int) -> list[BaseException | None]:
        """So many at once: the first lone ones take up what may be under way, the rest is one bundle."""
        self.fake.delay_seconds = 0.05
        first = []
        for lone in range(UNDER_WAY):
            first.append(self.put(1000 + lone))
            await asyncio.sleep(0.01)
        rest = [self.put(number) for number in range(count)]
        await asyncio.gather(*first)
        return await asyncio.gather(*rest, return_exceptions=True)


def sid(number: int) -> bytes:
    return number.to_bytes(17, "big")


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[SmallFleet]:
    async with small_fleet(tmp_path, 7) as made:
        yield made


@pytest.fixture
def pair(fleet: SmallFleet) -> Pair:
    fake = fleet.nodes[0]
    return Pair(fake, fleet.store.fleet.node(fake.node_id))


async def test_what_arrives_meanwhile_goes_together_in_the_next_request(pair: Pair) -> None:
    assert await pair.put_bundle(5) == [None] * 5
    methods = [line.split()[0] for line in pair.fake.requests if "/health" not in line]
    assert methods == ["PUT"] * UNDER_WAY + ["POST"]
    assert [pair.fake.shards[sid(number)] for number in range(5)] == [b"%d" % number for number in range(5)]
    assert pair.node.under_way == 0


async def test_what_arrives_in_one_turn_goes_together(pair: Pair) -> None:
    await asyncio.gather(*[pair.put(number) for number in range(4)])
    assert [line.split()[0] for line in pair.fake.requests if "/health" not in line] == ["POST"]


async def test_a_lone_shard_is_a_put(pair: Pair) -> None:
    for number in range(3):
        await pair.put(number)
    assert [line.split()[0] for line in pair.fake.requests if "/health" not in line] == ["PUT"] * 3


@pytest.mark.parametrize("name", ["MAX_SHARDS", "MAX_BYTES"])
async def test_a_bundle_has_limits(pair: Pair, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(bundle, name, 3 if name == "MAX_SHARDS" else 3 * 50)
    await asyncio.gather(*[pair.put(number, os.urandom(50)) for number in range(8)])
    await pair.put(100, os.urandom(1000))  # a longer one goes alone
    methods = [line.split()[0] for line in pair.fake.requests if "/health" not in line]
    assert methods == ["POST", "POST", "POST", "PUT"]
    assert len(pair.fake.shards) == 9


async def test_one_that_is_refused_fails_alone(pair: Pair) -> None:
    pair.fake.shards[sid(2)] = b"something else"
    results = await pair.put_bundle(5)
    assert isinstance(results[2], NodeFailed)
    assert results[:2] + results[3:] == [None] * 4
    assert pair.node.refused_until > asyncio.get_running_loop().time()


@pytest.mark.parametrize("wrong", [(201, 7), (200, 7), (204, None), (500, None), (507, None)])
async def test_one_that_is_acknowledged_wrongly_fails_alone(pair: Pair, wrong: tuple[int, int | None]) -> None:
    def spoil(line: str, said: bytes) -> bytes:
        if line.startswith("PUT"):
            return said
        crcs = [crc32c(b"%d" % number) for number in range(4)]
        told = [(201, crc) for crc in crcs]
        told[1] = (wrong[0], crcs[1] if wrong[1] is None else wrong[1])
        return answer(200, {}, bundle.encode_answer(told))

    pair.fake.faults.extend([spoil] * (UNDER_WAY + 1))
    results = await pair.put_bundle(4)
    assert isinstance(results[1], NodeRefused if wrong[0] == 507 else NodeFailed)
    assert results[:1] + results[2:] == [None] * 3


def short(line: str, said: bytes) -> bytes:
    return answer(200, {}, said.partition(b"\r\n\r\n")[2][:-6])


def cut_off(line: str, said: bytes) -> bytes:
    return answer(200, {}, said.partition(b"\r\n\r\n")[2][:-1])


def more(line: str, said: bytes) -> bytes:
    return answer(200, {}, said.partition(b"\r\n\r\n")[2] + bytes(6))


@pytest.mark.parametrize(
    "fault", [*BROKEN, short, cut_off, more, status(201), status(204), status(400), status(413), status(507)]
)
async def test_when_a_request_fails_each_of_its_shards_goes_elsewhere(fleet: SmallFleet, fault: Fault) -> None:
    def of_bundles(line: str, said: bytes) -> bytes | None:
        return fault(line, said) if line.startswith("POST") else said

    fleet.nodes[0].faults.extend([of_bundles] * 100)
    written: list[Written] = []
    bodies: list[bytes] = []
    while not any(one.abandoned for one in written):
        more_bodies = [os.urandom(8) for _ in range(8)]
        writes = [fleet.store.write_small(bucket="b", key=b"k", data=body) for body in more_bodies]
        written += await asyncio.gather(*writes)
        bodies += more_bodies
        await asyncio.sleep(0.01)  # the next ones go to another node
    for body, one in zip(bodies, written, strict=True):
        assert await fleet.read(one, 8) == body
    lying = [packed for one in written for _, packed in one.abandoned]
    check_accounted(fleet, *[one.extents for one in written], *lying)


async def test_a_node_that_dies_lets_go_of_those_who_wait_for_it(pair: Pair) -> None:
    await pair.put(1)
    pair.fake.delay_seconds = 30.0
    tasks = []
    for number in range(2, 12):
        tasks.append(pair.put(number))
        await asyncio.sleep(0.01)
    await pair.fake.stop()
    started = time.monotonic()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, NodeFailed) for result in results)
    assert time.monotonic() - started < 1.0
    assert pair.node.under_way == 0


async def test_a_stalled_node_is_given_up_by_all(tmp_path: Path) -> None:
    async with small_fleet(tmp_path, stall_seconds=1.0) as fleet:
        fake = fleet.nodes[0]
        pair = Pair(fake, fleet.store.fleet.node(fake.node_id))
        await pair.put(1)
        fake.faults.extend([silence] * 10)
        tasks = [pair.put(number) for number in range(2, 9)]
        async with asyncio.timeout(4.0):
            results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, NodeFailed) for result in results)


async def test_a_bundle_is_sent_again_on_another_connection(pair: Pair) -> None:
    await pair.put(100)
    await pair.fake.stop()  # idle connections break
    await pair.fake.start()
    assert await asyncio.gather(*[pair.put(number) for number in range(5)]) == [None] * 5


async def test_a_bundle_whose_answer_was_lost_is_sent_again(pair: Pair) -> None:
    await pair.put(100)
    pair.fake.faults.append(cut())
    assert await asyncio.gather(*[pair.put(number) for number in range(5)]) == [None] * 5
    assert sum("POST" in line for line in pair.fake.requests) == 2


async def test_a_bundle_learns_a_new_incarnation(pair: Pair) -> None:
    await pair.put(100)
    pair.fake.incarnation += 1
    assert await asyncio.gather(*[pair.put(number) for number in range(5)]) == [None] * 5
    assert pair.node.incarnation == pair.fake.incarnation


async def test_one_that_is_cancelled_takes_nobody_along(pair: Pair) -> None:
    pair.fake.delay_seconds = 0.1
    under_way = [pair.put(number) for number in range(4)]
    await asyncio.sleep(0.05)
    others = [pair.put(number) for number in range(10, 10 + UNDER_WAY - 1)]
    await asyncio.sleep(0.01)
    waiting = [pair.put(number) for number in range(20, 24)]
    await asyncio.sleep(0)
    assert pair.node._bundler.waiting == 4
    under_way[1].cancel()
    waiting[1].cancel()
    await asyncio.sleep(0)
    assert pair.node._bundler.waiting == 3
    results = await asyncio.gather(*under_way, *others, *waiting, return_exceptions=True)
    assert [type(result) for result in results].count(asyncio.CancelledError) == 2
    assert results.count(None) == len(results) - 2
    assert sid(1) in pair.fake.shards  # it had been sent: its writer reports it
    assert sid(21) not in pair.fake.shards
    assert pair.node.under_way == 0


async def outcome(task: asyncio.Task[Written]) -> Written | WriteCancelled | None:
    """None: cancelled before it began."""
    try:
        return await task
    except WriteCancelled as cancelled:
        return cancelled
    except asyncio.CancelledError:
        return None


async def test_when_all_are_cancelled_nothing_is_left_behind(fleet: SmallFleet) -> None:
    for node in fleet.nodes:
        node.delay_seconds = 0.05
    tasks = [asyncio.create_task(fleet.store.write_small(bucket="b", key=b"k", data=os.urandom(8))) for _ in range(40)]
    await asyncio.sleep(0.02)
    for task in tasks:
        task.cancel()
    cancelled = [await outcome(task) for task in tasks]
    await asyncio.sleep(0.3)
    assert fleet.shards()
    check_accounted(fleet, *[packed for one in cancelled for _, packed in one.written])  # type: ignore[union-attr]
    assert all(known.under_way == 0 for known in fleet.store.fleet.nodes.values())


async def test_any_order_of_arrivals_cancellations_and_faults(fleet: SmallFleet) -> None:
    random_ = random.Random(4)
    bodies: list[bytes] = []
    tasks = []
    for node in fleet.nodes:
        node.delay_seconds = 0.002
    for turn in range(300):
        body = random_.randbytes(random_.randrange(1, 20))
        bodies.append(body)
        tasks.append(asyncio.create_task(fleet.store.write_small(bucket="b", key=b"k", data=body)))
        if random_.random() < 0.1:
            random_.choice(tasks).cancel()
        if turn % 60 == 30:
            random_.choice(fleet.nodes).faults.append(random_.choice(BROKEN))
        await asyncio.sleep(random_.choice((0, 0, 0.001)))
    results = [await outcome(task) for task in tasks]
    known: list[bytes] = []
    for body, result in zip(bodies, results, strict=True):
        if isinstance(result, Written):
            assert await fleet.read(result, len(body)) == body
            known += [result.extents, *[packed for _, packed in result.abandoned]]
        elif isinstance(result, WriteCancelled):
            known += [packed for _, packed in result.written]
    await asyncio.sleep(0.1)
    check_accounted(fleet, *known)
