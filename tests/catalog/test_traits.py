"""Tags, retention, legal hold and ACL of versions, wherever the version is; retention by Postgres' clock."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime, timedelta

import pytest

from s3gate.catalog.catalog import Catalog
from s3gate.catalog.errors import AclChanged, BucketChanged, ObjectMissing, VersionLocked, VersionMissing
from s3gate.catalog.rows import (
    COMPLIANCE,
    ENABLED,
    GOVERNANCE,
    HOLD_SAID,
    LEGAL_HOLD,
    NO_CONDITION,
    NULL_VERSION,
    BucketRow,
    Committed,
    Deleted,
    ObjectRow,
    VersionRef,
)
from tests.catalog.by_hand import Made, place
from tests.catalog.conftest import Look
from tests.catalog.making import bucket_of, stored

KEY = b"key"
HEAD, NULL, OLD, MARKER = Made(9), Made(7, is_null=True), Made(4), Made(3, marker=True)
NOW = datetime.now(UTC).replace(microsecond=0)
SOON, LATER, LATEST, PAST = (NOW + timedelta(days=days) for days in (1, 2, 3, -1))


@pytest.fixture
async def bucket(catalog: Catalog, look: Look) -> BucketRow:
    """The bucket `box` with a key of four versions."""
    row = await bucket_of(catalog)
    await place(look, row.bucket_id, KEY, HEAD, NULL, OLD, MARKER)
    return row


async def row_of(catalog: Catalog, ref: VersionRef | None, key: bytes = KEY) -> ObjectRow:
    _, row = await catalog.find_object("box", key, ref)
    assert row is not None
    return row


@pytest.mark.parametrize("ref", [None, HEAD.ref, NULL_VERSION, OLD.ref])
async def test_each_trait_of_each_version(catalog: Catalog, bucket: BucketRow, ref: VersionRef | None) -> None:
    before = {made: await row_of(catalog, made.ref) for made in (HEAD, NULL, OLD, MARKER)}
    mine = await row_of(catalog, ref)
    answer = await catalog.put_tags(bucket, KEY, ref, b"a=b")
    assert answer == (mine.version, mine.modified_at, mine.version_id)
    assert await catalog.put_acl(bucket, KEY, ref, b"acl") == answer
    assert await catalog.put_legal_hold(bucket, KEY, ref, True) == answer
    assert await catalog.put_retention(bucket, KEY, ref, GOVERNANCE, SOON, bypass=False) == answer
    changed = mine._replace(tags=b"a=b", acl=b"acl", lock=GOVERNANCE | LEGAL_HOLD | HOLD_SAID, retain_until=SOON)
    assert await row_of(catalog, ref) == changed
    for row in before.values():
        if row.version != mine.version:
            assert await row_of(catalog, (row.version, row.version_id)) == row
    await catalog.put_tags(bucket, KEY, ref, b"")
    await catalog.put_legal_hold(bucket, KEY, ref, False)
    assert await row_of(catalog, ref) == changed._replace(tags=b"", lock=GOVERNANCE | HOLD_SAID)


@pytest.mark.parametrize("ref", [None, HEAD.ref, NULL_VERSION, OLD.ref])
async def test_an_acl_is_changed_only_as_it_was_seen(
    catalog: Catalog, bucket: BucketRow, ref: VersionRef | None
) -> None:
    await catalog.put_acl(bucket, KEY, ref, b"first", b"")
    for seen in (b"", b"other"):
        with pytest.raises(AclChanged):
            await catalog.put_acl(bucket, KEY, ref, b"second", seen)
    assert (await row_of(catalog, ref)).acl == b"first"
    await catalog.put_acl(bucket, KEY, ref, b"", b"first")
    assert (await row_of(catalog, ref)).acl == b""


async def test_what_is_not_there(catalog: Catalog, bucket: BucketRow, look: Look) -> None:
    for ref in ((9, b"x" * 16), (8, HEAD.version_id), (4, HEAD.version_id)):
        with pytest.raises(VersionMissing):
            await catalog.put_tags(bucket, KEY, ref, b"")
    with pytest.raises(VersionMissing):
        await catalog.put_tags(bucket, b"other", NULL_VERSION, b"")
    with pytest.raises(ObjectMissing):
        await catalog.put_tags(bucket, b"other", None, b"")
    with pytest.raises(ObjectMissing):
        await catalog.put_tags(bucket, KEY, MARKER.ref, b"")
    await place(look, bucket.bucket_id, b"gone", Made(2, marker=True), Made(1))
    with pytest.raises(ObjectMissing):
        await catalog.put_legal_hold(bucket, b"gone", None, True)
    await catalog.put_legal_hold(bucket, b"gone", Made(1).ref, True)


async def test_a_bucket_that_has_changed(catalog: Catalog, second: Catalog, bucket: BucketRow) -> None:
    await second.put_setting("box", "policy", b"")
    with pytest.raises(BucketChanged):
        await catalog.put_tags(bucket, KEY, None, b"x=y")
    assert (await row_of(catalog, None)).tags == b""
    await catalog.put_tags(await bucket_of(catalog), KEY, None, b"x=y")
    await second.delete_setting("box", "policy")
    await catalog._session.raise_fence(catalog._session.session_id, catalog._session.fence)
    await catalog.put_tags(await bucket_of(catalog, fresh=True), KEY, None, b"y=z")


Rule = tuple[int, datetime | None]
OFF: Rule = (0, None)


@pytest.mark.parametrize(
    ("there", "wanted", "plain", "bypassing"),
    [
        (OFF, (COMPLIANCE, SOON), True, True),
        ((GOVERNANCE, PAST), OFF, True, True),
        ((COMPLIANCE, PAST), OFF, True, True),
        ((COMPLIANCE, PAST), (GOVERNANCE, SOON), True, True),
        ((GOVERNANCE, LATER), (GOVERNANCE, LATEST), True, True),
        ((GOVERNANCE, LATER), (GOVERNANCE, LATER), True, True),
        ((GOVERNANCE, LATER), (GOVERNANCE, SOON), False, True),
        ((GOVERNANCE, LATER), (COMPLIANCE, LATEST), False, True),
        ((GOVERNANCE, LATER), OFF, False, True),
        ((COMPLIANCE, LATER), (COMPLIANCE, LATEST), True, True),
        ((COMPLIANCE, LATER), (COMPLIANCE, LATER), True, True),
        ((COMPLIANCE, LATER), (COMPLIANCE, SOON), False, False),
        ((COMPLIANCE, LATER), (GOVERNANCE, LATEST), False, False),
        ((COMPLIANCE, LATER), OFF, False, False),
    ],
)
async def test_retention(
    catalog: Catalog,
    bucket: BucketRow,
    look: Look,
    there: Rule,
    wanted: Rule,
    plain: bool,
    bypassing: bool,
) -> None:
    for ref, bypass in itertools.product((None, OLD.ref), (False, True)):
        allowed = bypassing if bypass else plain
        for table in ("object", "version"):
            await look.rows(
                f"UPDATE {table} SET lock = %s, retain_until = %s WHERE NOT marker", there[0] | 12, there[1]
            )
        if allowed:
            await catalog.put_retention(bucket, KEY, ref, *wanted, bypass=bypass)
        else:
            with pytest.raises(VersionLocked):
                await catalog.put_retention(bucket, KEY, ref, *wanted, bypass=bypass)
        row = await row_of(catalog, ref)
        mode, until = wanted if allowed else there
        assert (row.lock, row.retain_until) == (mode | LEGAL_HOLD | HOLD_SAID, until)


async def test_postgres_tells_the_time(catalog: Catalog, bucket: BucketRow, look: Look) -> None:
    until = await look.one("SELECT now() + interval '0.3 seconds'")
    await catalog.put_retention(bucket, KEY, None, COMPLIANCE, until, bypass=False)
    with pytest.raises(VersionLocked):
        await catalog.put_retention(bucket, KEY, None, *OFF, bypass=True)
    await asyncio.sleep(0.4)
    await catalog.put_retention(bucket, KEY, None, *OFF, bypass=False)


async def test_two_gates_never_shorten_a_retention(catalog: Catalog, second: Catalog, bucket: BucketRow) -> None:
    """Whatever the order in which they arrive, the longest stays."""
    days = [NOW + timedelta(days=number) for number in range(1, 21)]
    answers = await asyncio.gather(
        *[
            gate.put_retention(bucket, KEY, OLD.ref, COMPLIANCE, until, bypass=False)
            for until in days
            for gate in (catalog, second)
        ],
        return_exceptions=True,
    )
    assert all(isinstance(answer, tuple | VersionLocked) for answer in answers)
    assert (await row_of(catalog, OLD.ref)).retain_until == days[-1]


async def test_a_change_follows_the_version_wherever_it_moves(catalog: Catalog, second: Catalog) -> None:
    """Versions are pushed down by puts and come back up by deletes while their tags change: no change is lost."""
    await catalog.set_versioning("box", ENABLED)
    row = await bucket_of(catalog, fresh=True)
    for number in range(30):
        key = b"key-%d" % number
        first = await catalog.put_object(row, key, stored(catalog), NO_CONDITION)
        mine = (first.version, first.version_id)
        above = await second.put_object(row, key, stored(second), NO_CONDITION)
        await asyncio.gather(
            second.delete_version(row, key, (above.version, above.version_id)),
            catalog.put_tags(row, key, mine, b"t"),
            catalog.put_object(row, key, stored(catalog), NO_CONDITION),
            second.put_acl(row, key, mine, b"a"),
        )
        found = (await catalog.find_object("box", key, mine))[1]
        assert found is not None and (found.tags, found.acl) == (b"t", b"a")


async def test_what_was_held_is_not_deleted(catalog: Catalog, second: Catalog) -> None:
    await catalog.set_versioning("box", ENABLED)
    row = await bucket_of(catalog, fresh=True)
    for number in range(40):
        key = b"key-%d" % number
        made = await catalog.put_object(row, key, stored(catalog), NO_CONDITION)
        ref = (made.version, made.version_id)
        if number % 2:
            await catalog.put_object(row, key, stored(catalog), NO_CONDITION)
        held, deleted = await asyncio.gather(
            catalog.put_legal_hold(row, key, ref, True), second.delete_version(row, key, ref), return_exceptions=True
        )
        found = (await catalog.find_object("box", key, ref))[1]
        if found is None:
            assert isinstance(held, VersionMissing) and isinstance(deleted, Deleted)
        else:
            assert isinstance(held, Committed) and isinstance(deleted, VersionLocked) and found.lock & LEGAL_HOLD
