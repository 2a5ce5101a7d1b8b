"""What buckets are told, their versioning and lock: seen at once by every gate, and by every write under way."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from s3gate.catalog.catalog import Catalog
from s3gate.catalog.errors import (
    BucketChanged,
    BucketMissing,
    BucketNotEmpty,
    BucketTaken,
    TooManySettings,
    WrongBucketState,
)
from s3gate.catalog.rows import ENABLED, NEVER, NO_CONDITION, SUSPENDED, BucketRow
from tests.catalog.by_hand import Made, place
from tests.catalog.conftest import QUICK, Look, OpenCatalog
from tests.catalog.making import begin, bucket_of, put, stored


async def fresh(catalog: Catalog, name: str = "box") -> BucketRow:
    return await bucket_of(catalog, name, fresh=True)


async def test_a_bucket_has_its_settings_from_the_beginning(catalog: Catalog, second: Catalog) -> None:
    told = {"tagging": b"<t/>", "acl": b"private", "policy": b"\0\xff"}
    made = await catalog.create_bucket("new", "me", "here", lock_enabled=True, settings=told)
    assert (made.name, made.owner, made.region, made.versioning, made.lock_enabled) == ("new", "me", "here", 1, True)
    assert made.settings == told
    assert await fresh(second, "new") == made
    plain = await fresh(second)
    assert (plain.versioning, plain.lock_enabled, plain.settings) == (NEVER, False, {})
    with pytest.raises(BucketTaken) as caught:
        await second.create_bucket("new", "you", "", settings={"acl": b"mine"})
    assert caught.value.owner == "me"
    assert await fresh(second, "new") == made


async def test_every_change_is_another_configuration(catalog: Catalog, second: Catalog) -> None:
    numbers = [(await fresh(second)).config_number]

    async def changed() -> BucketRow:
        row = await bucket_of(catalog)  # whoever changed it has not remembered what was before
        assert row == await fresh(second)
        numbers.append(row.config_number)
        return row

    await catalog.put_setting("box", "cors", b"1")
    assert (await changed()).settings == {"cors": b"1"}
    await catalog.put_setting("box", "cors", b"2")
    await catalog.put_setting("box", "policy", b"p")
    assert (await changed()).settings == {"cors": b"2", "policy": b"p"}
    await catalog.put_setting("box", "metrics", b"m", "id")
    assert (await changed()).settings == {"cors": b"2", "policy": b"p"}
    assert await catalog.delete_setting("box", "cors") is True
    assert (await changed()).settings == {"policy": b"p"}
    await catalog.set_versioning("box", SUSPENDED)
    assert (await changed()).versioning == SUSPENDED
    await catalog.set_versioning("box", ENABLED)
    assert (await changed()).versioning == ENABLED
    await catalog.enable_lock("box")
    assert (await changed()).lock_enabled
    assert numbers == sorted(set(numbers))
    assert await catalog.delete_setting("box", "cors") is False
    assert await catalog.delete_setting("box", "metrics", "other") is False
    assert (await fresh(catalog)).config_number == numbers[-1]


async def test_lock_and_versioning_go_together(catalog: Catalog) -> None:
    with pytest.raises(WrongBucketState):
        await catalog.enable_lock("box")
    await catalog.set_versioning("box", SUSPENDED)
    with pytest.raises(WrongBucketState):
        await catalog.enable_lock("box")
    await catalog.set_versioning("box", ENABLED)
    await catalog.enable_lock("box")
    with pytest.raises(WrongBucketState):
        await catalog.set_versioning("box", SUSPENDED)
    await catalog.set_versioning("box", ENABLED)
    assert (await fresh(catalog)).versioning == ENABLED


async def test_no_bucket_no_change(catalog: Catalog) -> None:
    for name in ("none", "n\0", "n\xfc"):
        for change in (
            catalog.set_versioning(name, ENABLED),
            catalog.enable_lock(name),
            catalog.put_setting(name, "cors", b""),
            catalog.delete_setting(name, "cors"),
        ):
            with pytest.raises(BucketMissing):
                await change


async def test_settings_with_ids(catalog: Catalog, second: Catalog) -> None:
    bucket_id = (await fresh(catalog)).bucket_id
    ids = ["B", "a", "a-1", "a.1", "a1", "z"]
    for setting_id in ids:
        await catalog.put_setting("box", "metrics", setting_id.encode(), setting_id, most=6)
    await second.put_setting("box", "metrics", b"again", "z", most=6)
    with pytest.raises(TooManySettings):
        await second.put_setting("box", "metrics", b"", "one-more", most=6)
    await second.put_setting("box", "inventory", b"i", "one-more", most=1)
    listed = await second.list_settings(bucket_id, "metrics", "", 4)
    listed += await second.list_settings(bucket_id, "metrics", listed[-1][0], 4)
    assert listed == [(name, b"again" if name == "z" else name.encode()) for name in sorted(ids)]
    assert await second.find_setting(bucket_id, "metrics", "a-1") == b"a-1"
    for missing in ("nope", "\0", "\ud800"):
        assert await second.find_setting(bucket_id, "metrics", missing) is None
        assert await second.delete_setting("box", "metrics", missing) is False
    assert await catalog.list_settings(bucket_id, "metrics", "\0", 4) == []
    assert await catalog.delete_setting("box", "metrics", "B") is True
    await second.put_setting("box", "metrics", b"", "one-more", most=6)


async def test_the_limit_holds_against_a_race(catalog: Catalog, second: Catalog) -> None:
    answers = await asyncio.gather(
        *[
            gate.put_setting("box", "metrics", b"", f"{name}-{number}", most=5)
            for number in range(6)
            for name, gate in (("one", catalog), ("two", second))
        ],
        return_exceptions=True,
    )
    assert [answer for answer in answers if answer is None] == [None] * 5
    assert sum(isinstance(answer, TooManySettings) for answer in answers) == 7
    assert len(await catalog.list_settings((await fresh(catalog)).bucket_id, "metrics", "", 100)) == 5


async def test_what_was_decided_before_a_change_is_not_written(catalog: Catalog, second: Catalog) -> None:
    old = await bucket_of(second)
    await catalog.put_setting("box", "encryption", b"")
    with pytest.raises(BucketChanged):
        await second.create_upload(old, b"k", headers=b"", checksum_algorithm="", checksum_type="", group_id=1)
    with pytest.raises(BucketChanged):
        await second.put_object(old, b"k", stored(second), NO_CONDITION)
    assert (await bucket_of(second)).config_number > old.config_number  # the refusals made it forget
    await begin(second, b"k")


async def test_no_more_is_remembered_than_the_limits_say(open_catalog: OpenCatalog) -> None:
    catalog = await open_catalog(limits=replace(QUICK, bucket_cache_rows=3, bucket_cache_bytes=1000))
    known = catalog._buckets._known
    for name, size in (("a", 0), ("b", 400), ("c", 400), ("d", 0)):
        await catalog.create_bucket(name, "root", "", settings={"policy": bytes(size)})
    assert list(known) == ["b", "c", "d"]
    await catalog.put_setting("b", "cors", bytes(500))
    assert list(known) == ["c", "d"]
    await fresh(catalog, "b")
    assert list(known) == ["d", "b"]
    await catalog.put_setting("b", "cors", bytes(5000))
    for _ in range(3):  # too much for the cache, and found all the same
        found, _row = await catalog.find_object("b", b"k")
        assert found is not None and len(found.settings["cors"]) == 5000
    assert list(known) == [] and catalog._buckets._bytes == 0


async def test_identities_are_part_of_every_configuration(catalog: Catalog, second: Catalog, look: Look) -> None:
    await look.rows("INSERT INTO cluster (cluster_id, format) VALUES (%s, 2)", b"c" * 16)
    await catalog.create_bucket("other", "root", "")
    old = {name: await fresh(second, name) for name in ("box", "other")}
    await put(second, "box", b"k", stored(second), NO_CONDITION)
    await look.rows("UPDATE cluster SET identity_number = identity_number + 1")
    for name in ("box", "other"):
        with pytest.raises(BucketChanged):
            await second.put_object(old[name], b"k", stored(second), NO_CONDITION)
        found, _ = await second.find_object(name, b"k")
        assert found is not None and found.config_number == old[name].config_number + 1
        await put(second, name, b"k", stored(second), NO_CONDITION)


async def test_a_bucket_takes_its_settings_with_it(catalog: Catalog, look: Look) -> None:
    bucket_id = (await fresh(catalog)).bucket_id
    await catalog.put_setting("box", "lifecycle", b"rules")
    await catalog.put_setting("box", "metrics", b"", "id")
    walk = await catalog.lifecycle.take(1, 60.0)
    assert walk is not None and walk.bucket.bucket_id == bucket_id
    await place(look, bucket_id, b"k", Made(1, marker=True))
    with pytest.raises(BucketNotEmpty):
        await catalog.delete_bucket("box")
    assert await look.one("SELECT count(*) FROM bucket_setting") == 2
    await look.rows("DELETE FROM object")
    await catalog.delete_bucket("box")
    assert await look.one("SELECT count(*) FROM bucket_setting") == 0
    assert await look.one("SELECT count(*) FROM lifecycle_progress") == 0
    with pytest.raises(BucketMissing):
        await catalog.delete_bucket("box")
