"""The commit batch: its rules (catalog/batcher.py), each with a test that breaks without it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from s3gate.catalog import pool
from s3gate.catalog.bucket_writes import Write
from s3gate.catalog.catalog import Catalog
from s3gate.catalog.commits import USUAL_PUTS
from s3gate.catalog.connection import Step, is_retryable
from s3gate.catalog.errors import (
    BucketChanged,
    BucketMissing,
    BucketNotEmpty,
    CatalogError,
    ConditionFailed,
    ObjectMissing,
    Unavailable,
)
from s3gate.catalog.rows import NO_CONDITION, NULL_VERSION, Committed, Condition, Deleted
from tests.catalog.conftest import QUICK, Look
from tests.catalog.making import begin, bucket_of, delete, is_committed, put, stored

ABSENT = Condition(None, True)
EXISTS = Condition(("*",), False)
REFUSED = BucketMissing | BucketChanged


async def gathered(*work: Awaitable[Any]) -> list[Any]:
    return await asyncio.gather(*work, return_exceptions=True)


async def test_put_find_overwrite_delete(catalog: Catalog) -> None:
    first, second = stored(catalog, headers=b"h"), stored(catalog, size=20)
    assert (await put(catalog, "box", b"\0\xff", first, NO_CONDITION)).version == 1
    bucket, row = await catalog.find_object("box", b"\0\xff")
    assert bucket is not None and bucket.name == "box"
    assert row is not None and (row.content_id, row.size, row.extents) == (first.content_id, 10, first.extents)
    committed = await put(catalog, "box", b"\0\xff", second, NO_CONDITION)
    row = (await catalog.find_object("box", b"\0\xff"))[1]
    assert row is not None and (row.version, row.modified_at) == (2, committed.modified_at) == committed[:2]
    assert await delete(catalog, "box", b"\0\xff", NO_CONDITION) == Deleted(False, 2, b"")
    assert await delete(catalog, "box", b"\0\xff", NO_CONDITION) is None
    assert (await catalog.find_object("box", b"\0\xff"))[1] is None
    assert [row.content_id for row in await catalog.take_garbage(10)] == [first.content_id, second.content_id]


async def test_a_bucket_that_is_not_there(catalog: Catalog) -> None:
    assert await catalog.find_object("nobox", b"k") == (None, None)
    assert await catalog.find_object("no\0box", b"k") == (None, None)
    assert await catalog.find_object("b\udcffx", b"k") == (None, None)
    with pytest.raises(BucketMissing):
        await put(catalog, "nobox", b"k", stored(catalog), NO_CONDITION)
    with pytest.raises(BucketMissing):
        await delete(catalog, "nobox", b"k", NO_CONDITION)


CONDITIONS: list[tuple[bool, Condition, Any]] = [
    (False, ABSENT, None),
    (True, ABSENT, "If-None-Match"),
    (False, EXISTS, ObjectMissing),
    (True, EXISTS, None),
    (True, Condition(("other", "mine"), False), None),
    (True, Condition(("min", "ine", "mine\n", "\udcff\0"), False), "If-Match"),
    (True, Condition((), False), "If-Match"),
    (False, Condition(("mine",), False), ObjectMissing),
    (True, Condition(("mine",), True), "If-None-Match"),
]


@pytest.mark.parametrize("what", ["put", "delete"])
async def test_conditions(catalog: Catalog, what: str) -> None:
    """All in one batch, each on a key of its own."""
    keys = [b"%d" % place for place in range(len(CONDITIONS))]

    async def write(key: bytes, there: bool, condition: Condition) -> Any:
        if there:
            await put(catalog, "box", key, stored(catalog, etag="mine"), NO_CONDITION)
        await asyncio.sleep(0.05)
        if what == "put":
            return await put(catalog, "box", key, stored(catalog, etag="new"), condition)
        return await delete(catalog, "box", key, condition)

    answers = await gathered(
        *[write(key, there, condition) for key, (there, condition, _) in zip(keys, CONDITIONS, strict=True)]
    )
    for key, (there, _, refusal), answer in zip(keys, CONDITIONS, answers, strict=True):
        row = (await catalog.find_object("box", key))[1]
        etag = row.etag if row else None
        if refusal is None:
            assert etag == ("new" if what == "put" else None)
            assert what == "put" or isinstance(answer, Deleted) is there
        elif isinstance(refusal, str):
            assert isinstance(answer, ConditionFailed) and answer.condition == refusal
            assert etag == "mine"
        else:
            assert isinstance(answer, refusal) and etag is None


@pytest.fixture
def sent(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the statements of the batches that `catalog` commits."""
    names: list[str] = []
    choose = catalog._commits.step

    def noted(items: Sequence[Write]) -> Step:
        step = choose(items)
        names.append(step[0].name.decode())
        return step

    monkeypatch.setattr(catalog._commits, "step", noted)
    return names


async def test_a_key_that_is_there_is_replaced_after_its_batch_took_it_for_a_new_one(
    catalog: Catalog, sent: list[str], look: Look
) -> None:
    old, new, fresh = stored(catalog), stored(catalog), stored(catalog)
    assert (await put(catalog, "box", b"b", old, NO_CONDITION)).version == 1
    answers = await asyncio.gather(
        put(catalog, "box", b"a", fresh, NO_CONDITION), put(catalog, "box", b"b", new, NO_CONDITION)
    )
    assert [answer.version for answer in answers] == [1, 2]
    assert sent == ["object_create_lone", "object_create", "object_put"]
    rows = await look.rows("SELECT key, content_id FROM object ORDER BY key")
    assert rows == [(b"a", fresh.content_id), (b"b", new.content_id)]
    assert await look.rows("SELECT content_id FROM garbage") == [(old.content_id,)]


async def test_a_key_that_must_be_new_and_is_not_is_refused(catalog: Catalog, sent: list[str], look: Look) -> None:
    first, second = stored(catalog), stored(catalog)
    assert (await put(catalog, "box", b"k", first, ABSENT)).version == 1
    with pytest.raises(ConditionFailed):
        await put(catalog, "box", b"k", second, ABSENT)
    assert sent == ["object_create_lone", "object_create_lone", "object_put"]
    assert await look.rows("SELECT content_id FROM object") == [(first.content_id,)]


async def test_who_keeps_replacing_pays_for_one_statement_only(catalog: Catalog, sent: list[str]) -> None:
    for _ in range(10):
        await put(catalog, "box", b"k", stored(catalog), NO_CONDITION)
    assert sent[:3] == ["object_create_lone", "object_create_lone", "object_put"] and set(sent[-5:]) == {"object_put"}
    sent.clear()
    for number in range(3 * USUAL_PUTS):
        await put(catalog, "box", b"%d" % number, stored(catalog), NO_CONDITION)
    assert (sent[0], sent[-1]) == ("object_put", "object_create_lone")


async def test_a_lone_new_key_is_committed_as_one_of_a_batch_is(catalog: Catalog, sent: list[str], look: Look) -> None:
    contents = [stored(catalog, size=20, headers=b"h") for _ in range(3)]
    lone = await put(catalog, "box", b"lone", contents[0], NO_CONDITION)
    both = await asyncio.gather(
        *[put(catalog, "box", b"%d" % n, contents[n], NO_CONDITION) for n in (1, 2)],
    )
    assert sent == ["object_create_lone", "object_create"]
    given = (
        "bucket_id, version, size, layout_id, part_count, headers, checksum, version_id, marker, tags, lock, sse, acl"
    )
    assert len(await look.rows(f"SELECT DISTINCT {given} FROM object")) == 1
    rows = await look.rows("SELECT key, content_id, etag, extents, modified_at FROM object ORDER BY key DESC")
    assert rows == [
        (key, content.content_id, content.etag, content.extents, committed.modified_at)
        for key, content, committed in zip(
            (b"lone", b"2", b"1"), (contents[0], contents[2], contents[1]), (lone, *both[::-1]), strict=True
        )
    ]


async def test_a_lone_key_that_is_there_already_costs_no_heartbeat(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The statement for lone keys says nothing when it wrote nothing: that alone does not mean that it was fenced."""
    monkeypatch.setattr(catalog._session, "beat", None)
    await put(catalog, "box", b"k", stored(catalog), NO_CONDITION)
    assert (await put(catalog, "box", b"k", stored(catalog), NO_CONDITION)).version == 2


async def test_two_gates_create_one_key_at_once(catalog: Catalog, second: Catalog, look: Look) -> None:
    for number in range(60):
        key = b"key-%d" % number
        contents = [stored(catalog), stored(second)]
        answers = await asyncio.gather(
            put(catalog, "box", key, contents[0], NO_CONDITION),
            put(second, "box", key, contents[1], NO_CONDITION),
        )
        assert sorted(answer.version for answer in answers) == [1, 2]
        row = (await second.find_object("box", key))[1]
        winner = max(range(2), key=lambda place: answers[place].version)
        assert row is not None and row.content_id == contents[winner].content_id
        garbage = await look.rows("SELECT content_id FROM garbage")
        assert garbage == [(contents[1 - winner].content_id,)]
        await look.rows("DELETE FROM garbage")


async def test_of_many_conditional_writers_on_two_gates_exactly_one_wins(
    catalog: Catalog, second: Catalog, look: Look
) -> None:
    gates = [catalog, second]
    answers = await gathered(*[put(gate, "box", b"k", stored(gate), ABSENT) for _ in range(32) for gate in gates])
    assert sum(map(is_committed, answers)) == 1
    assert all(isinstance(answer, Committed | ConditionFailed) for answer in answers)
    etag = await look.one("SELECT etag FROM object")
    swaps = await gathered(
        *[put(gate, "box", b"k", stored(gate), Condition((etag,), False)) for _ in range(32) for gate in gates]
    )
    assert sum(map(is_committed, swaps)) == 1
    deletes = await gathered(*[delete(gate, "box", b"k", EXISTS) for _ in range(32) for gate in gates])
    assert sum(isinstance(answer, Deleted) for answer in deletes) == 1
    assert sum(isinstance(answer, ObjectMissing) for answer in deletes) == 63


async def test_refused_writes_become_garbage_by_themselves(catalog: Catalog, look: Look) -> None:
    await put(catalog, "box", b"k", stored(catalog), NO_CONDITION)
    refused = stored(catalog)
    with pytest.raises(ConditionFailed):
        await put(catalog, "box", b"k", refused, ABSENT)
    await catalog._discards.drain(5)
    assert await look.rows("SELECT content_id FROM garbage") == [(refused.content_id,)]


async def test_what_cannot_be_queued_does_not_stop_what_can(
    catalog: Catalog, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, kept = stored(catalog), stored(catalog)
    discard = catalog._garbage.discard

    async def discard_some(contents: Sequence[tuple[int, bytes]]) -> None:
        if (lost.layout_id, lost.extents) in contents:
            raise RuntimeError("whatever it was")
        await discard(contents)

    monkeypatch.setattr(catalog._garbage, "discard", discard_some)
    for content in (lost, kept):
        catalog._discards.add(content.layout_id, content.extents)
        await asyncio.sleep(0.05)
    await catalog._discards.drain(5)
    assert await look.rows("SELECT content_id FROM garbage") == [(kept.content_id,)]


async def test_a_bucket_that_changed_gives_the_bytes_back(catalog: Catalog, look: Look) -> None:
    old = await bucket_of(catalog)
    content, other = stored(catalog), stored(catalog)
    await look.rows("UPDATE bucket SET config_number = config_number + 1")
    new = await bucket_of(catalog, fresh=True)
    work = [catalog.put_object(old, b"k", content, NO_CONDITION), catalog.put_object(new, b"l", other, NO_CONDITION)]
    answers = await gathered(*work)
    assert isinstance(answers[0], BucketChanged) and is_committed(answers[1])
    with pytest.raises(BucketChanged):
        await catalog.put_object(old, b"k", content, NO_CONDITION)
    await catalog._discards.drain(5)
    assert await look.one("SELECT count(*) FROM garbage") == 0
    assert is_committed(await catalog.put_object(new, b"k", content, NO_CONDITION))


async def test_a_poisoned_row_fails_alone(catalog: Catalog, look: Look) -> None:
    good = [stored(catalog) for _ in range(12)]
    bad = [
        stored(catalog, size=-1),
        stored(catalog, etag="nul\0"),
        stored(catalog, etag="surrogate\udcff"),
        stored(catalog, size=1 << 70),
    ]
    work = [put(catalog, "box", b"%d" % place, each, NO_CONDITION) for place, each in enumerate(good + bad)]
    work.append(put(catalog, "box", b"x" * 1025, stored(catalog), NO_CONDITION))
    random.Random(1).shuffle(work)
    answers = await gathered(*work)
    assert sum(map(is_committed, answers)) == len(good)
    assert sum(isinstance(answer, Exception) for answer in answers) == 5
    assert await look.one("SELECT count(*) FROM object") == len(good)


async def test_opposite_key_orders_make_no_deadlocks(
    catalog: Catalog, second: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    deadlocks = Counter[bool]()

    def counted(error: BaseException) -> bool:
        deadlocks[is_retryable(error)] += 1
        return is_retryable(error)

    monkeypatch.setattr(pool, "is_retryable", counted)
    keys = [b"%03d" % number for number in range(60)]
    await asyncio.gather(*[put(catalog, "box", key, stored(catalog), NO_CONDITION) for key in keys])
    for _ in range(15):
        await asyncio.gather(
            *[put(catalog, "box", key, stored(catalog), NO_CONDITION) for key in keys],
            *[put(second, "box", key, stored(second), NO_CONDITION) for key in reversed(keys)],
        )
    assert deadlocks[True] == 0


async def test_replaced_garbage_is_never_lost_nor_doubled(
    catalog: Catalog, second: Catalog, open_catalog: Callable[[], Awaitable[Catalog]], look: Look
) -> None:
    """Thousands of writes and deletes of a few keys: every content ends up visible or in the garbage, once."""
    gates = [catalog, second, await open_catalog()]
    committed: list[bytes] = []
    dice = random.Random(7)

    async def write(gate: Catalog, rounds: int) -> None:
        for _ in range(rounds):
            key = b"%d" % dice.randrange(6)
            if dice.random() < 0.25:
                await delete(gate, "box", key, NO_CONDITION)
                continue
            content = stored(gate)
            await put(gate, "box", key, content, NO_CONDITION)
            committed.append(content.content_id)

    await asyncio.gather(*[write(gate, 100) for gate in gates for _ in range(8)])
    ended = Counter(row[0] for row in await look.rows("SELECT content_id FROM object"))
    ended.update(row[0] for row in await look.rows("SELECT content_id FROM garbage"))
    assert len(committed) > 1500
    assert ended == Counter(committed)


async def test_delete_bucket_never_misses_a_commit(catalog: Catalog, second: Catalog, look: Look) -> None:
    """Whatever wins: a bucket with objects is not deleted, and with a deleted one go the uploads that were begun."""
    outcomes = Counter[str]()
    for number in range(40):
        name = f"b{number}"
        row = await catalog.create_bucket(name, "root", "")
        await second.find_object(name, b"k")  # it remembers the bucket
        written, begun, deleted = await gathered(
            put(second, name, b"k", stored(second), NO_CONDITION),
            begin(second, b"k", name),
            catalog.delete_bucket(name),
        )
        alive = await look.one("SELECT count(*) FROM bucket WHERE bucket_id = %s", row.bucket_id)
        objects = await look.one("SELECT count(*) FROM object WHERE bucket_id = %s", row.bucket_id)
        uploads = await look.one("SELECT count(*) FROM upload WHERE bucket_id = %s", row.bucket_id)
        assert objects == is_committed(written)
        assert (alive == 0) == (deleted is None)
        if deleted is None:
            assert isinstance(written, REFUSED) and uploads == 0
        else:
            assert isinstance(deleted, BucketNotEmpty) and uploads == (not isinstance(begun, Exception))
        outcomes[type(deleted).__name__] += 1
    assert outcomes


async def test_a_remembered_bucket_is_never_written_to_after_it_went(
    catalog: Catalog, second: Catalog, look: Look
) -> None:
    old = await second.find_bucket("box")
    await catalog.delete_bucket("box")
    assert old is not None
    content = stored(second)
    with pytest.raises(BucketChanged):
        await second.put_object(old, b"k", content, NO_CONDITION)
    with pytest.raises(BucketMissing):
        await put(second, "box", b"k", content, NO_CONDITION)
    again = await catalog.create_bucket("box", "root", "")
    assert again.bucket_id != old.bucket_id
    second._buckets.remember(old)
    with pytest.raises(BucketChanged):
        await put(second, "box", b"k", content, NO_CONDITION)
    assert (await put(second, "box", b"k", content, NO_CONDITION)).version == 1
    assert await look.one("SELECT bucket_id FROM object") == again.bucket_id
    second._buckets.remember(old)
    with pytest.raises(BucketChanged):
        await delete(second, "box", b"k", NO_CONDITION)
    assert await delete(second, "box", b"k", NO_CONDITION) == Deleted(False, 1, b"")


async def test_an_older_configuration_writes_nothing(catalog: Catalog, look: Look) -> None:
    old = await catalog.find_bucket("box")
    assert old is not None
    await look.rows("UPDATE bucket SET config_number = config_number + 1")
    found = (await catalog.find_object("box", b"k"))[0]
    assert found is not None and found.config_number == 2
    catalog._buckets.remember(old)
    with pytest.raises(BucketChanged):
        await put(catalog, "box", b"k", stored(catalog), NO_CONDITION)
    assert catalog._buckets.remembered("box") is None
    assert await look.one("SELECT count(*) FROM object") == 0
    await put(catalog, "box", b"k", stored(catalog), NO_CONDITION)


async def test_a_change_of_identities_changes_every_bucket(catalog: Catalog, look: Look) -> None:
    await look.rows("INSERT INTO cluster (cluster_id, format) VALUES (%s, 2)", b"c" * 16)
    old = await bucket_of(catalog, fresh=True)
    await put(catalog, "box", b"k", stored(catalog), NO_CONDITION)
    await look.rows("UPDATE cluster SET identity_number = identity_number + 1")
    with pytest.raises(BucketChanged):
        await catalog.put_object(old, b"k", stored(catalog), NO_CONDITION)
    with pytest.raises(BucketChanged):
        await catalog.delete_version(old, b"k", NULL_VERSION)
    assert (await put(catalog, "box", b"k", stored(catalog), NO_CONDITION)).version == 2


async def test_a_raised_fence_is_noticed_and_learned(catalog: Catalog, look: Look) -> None:
    fence = catalog._session.fence
    await look.rows("UPDATE session SET fence = fence + 5")
    await put(catalog, "box", b"k", stored(catalog), NO_CONDITION)
    assert catalog._session.fence == fence + 5


async def test_a_closed_session_writes_nothing_and_is_replaced(catalog: Catalog, look: Look) -> None:
    """What was written under a closed session may be swept at any time: it must never become visible."""
    content, ids = stored(catalog), catalog.ids
    old_session = ids.session_id
    await look.rows("UPDATE session SET fence = fence + 1, closed_at = now()")
    with pytest.raises(Unavailable):
        await put(catalog, "box", b"k", content, NO_CONDITION)
    assert await look.one("SELECT count(*) FROM object") == 0
    assert catalog.ids is ids and ids.session_id != old_session
    with pytest.raises(Unavailable):
        await put(catalog, "box", b"k", content, NO_CONDITION)
    await put(catalog, "box", b"k", stored(catalog), NO_CONDITION)
    assert await look.one("SELECT count(*) FROM session WHERE closed_at IS NULL") == 1


async def test_neighbours_of_an_old_sessions_write_are_written(catalog: Catalog, look: Look) -> None:
    old = stored(catalog)
    await look.rows("UPDATE session SET fence = fence + 1, closed_at = now()")
    await catalog._session.beat()
    answers = await gathered(
        put(catalog, "box", b"a", stored(catalog), NO_CONDITION),
        put(catalog, "box", b"b", old, NO_CONDITION),
        delete(catalog, "box", b"c", NO_CONDITION),
    )
    assert is_committed(answers[0]) and isinstance(answers[1], Unavailable) and answers[2] is None


async def test_closing_a_stale_session_waits_for_its_commit(catalog: Catalog, second: Catalog, look: Look) -> None:
    """A gate that was stopped inside a commit: its statement ends before the session counts as closed."""
    await look.rows("UPDATE session SET seen_at = now() - interval '1 hour'")
    await second._session.beat()
    async with look.connection.transaction():
        await look.rows("SELECT FROM bucket FOR UPDATE")
        putting = asyncio.ensure_future(put(catalog, "box", b"k", stored(catalog), NO_CONDITION))
        await asyncio.sleep(0.1)
        closing = asyncio.ensure_future(second.close_stale_sessions(60))
        await asyncio.sleep(0.1)
        assert not closing.done() and not putting.done()
    assert is_committed(await putting)
    assert len(await closing) == 1
    assert [row.kind for row in await second.closed_sessions()] == ["gate"]
    assert (await second.close_stale_sessions(60)) == []


async def test_a_cancelled_write_is_either_visible_or_garbage(catalog: Catalog, look: Look) -> None:
    contents = [stored(catalog) for _ in range(30)]
    tasks = [
        asyncio.ensure_future(put(catalog, "box", b"%d" % (place % 5), content, NO_CONDITION))
        for place, content in enumerate(contents)
    ]
    for place, task in enumerate(tasks):
        await asyncio.sleep(0.001 if place % 3 else 0)
        task.cancel()
    await gathered(*tasks)
    await catalog._commits.batcher.drain()
    await catalog._discards.drain(5)
    ended = Counter(row[0] for row in await look.rows("SELECT content_id FROM object"))
    ended.update(row[0] for row in await look.rows("SELECT content_id FROM garbage"))
    assert ended == Counter(content.content_id for content in contents)


async def test_a_lock_that_is_not_given_in_time_is_everybodys_unavailable(
    open_catalog: Any, catalog: Catalog, look: Look
) -> None:
    hasty = await open_catalog(limits=replace(QUICK, lock_seconds=0.1))
    async with look.connection.transaction():
        await look.rows("SELECT FROM bucket FOR UPDATE")
        answers = await gathered(*[put(hasty, "box", b"%d" % n, stored(hasty), NO_CONDITION) for n in range(5)])
    assert all(isinstance(answer, Unavailable) for answer in answers)
    assert all(isinstance(answer, CatalogError) for answer in answers)
    await put(hasty, "box", b"k", stored(hasty), NO_CONDITION)
