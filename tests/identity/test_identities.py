"""From an access key to an identity: what is remembered, what is noticed, what is sealed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import pytest

from chunkd.wire import ClusterKey
from s3gate.catalog import identity_changes as changes
from s3gate.catalog.connection import Step
from s3gate.catalog.identity_rows import USER, KeyRow
from s3gate.crypto.errors import Tampered
from s3gate.identity.identities import Identities
from s3gate.identity.sealing import SECRETS_PURPOSE, Sealer, from_text
from s3gate.identity.sessions import Session, open_session, seal_session
from s3gate.s3.errors import S3Error
from tests.identity.conftest import KEY, ROOT, Clock, OpenIdentities
from tests.identity.test_applying import MAIN, make

SESSION = Session("ASIAX", "temporary-secret", 1_800_000_900, 1_800_000_000, "111111111111", USER, "alice")


async def test_the_root_is_known_from_the_start(identities: Identities) -> None:
    assert identities.remembered(ROOT.access_key) is None
    found = await identities.current(ROOT.access_key)
    assert found is not None and found.principal.arn == "arn:aws:iam::000000000000:root"
    assert identities.remembered(ROOT.access_key) is found
    assert await identities.current(ROOT.access_key) is found
    assert await identities.current("NOBODY") is None


async def test_every_gate_notices_a_revoked_key(open_identities: OpenIdentities) -> None:
    one, other = await open_identities(), await open_identities()
    await make(one, MAIN)
    found = await other.current("ALICEKEY")
    assert found is not None

    async def revoke(steps: list[Step]) -> None:
        row = await one.tables.find_key("ALICEKEY")
        assert row is not None
        steps += changes.put_key(row._replace(active=False))

    await one.tables.change(revoke)
    assert found.number < await other.tables.number()
    assert await other.current("ALICEKEY") is None
    assert other.remembered("ALICEKEY") is None


async def test_changes_are_never_lost(open_identities: OpenIdentities) -> None:
    """Many at once, each decided on what it read: as many keys as changes, and none over the quota of a reader."""
    gates = [await open_identities() for _ in range(2)]
    await make(gates[0], MAIN)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    most = 5

    async def add(gate: Identities, name: str) -> bool:
        async def decide(steps: list[Step]) -> bool:
            if len(await gate.tables.keys("111111111111", "alice")) >= most:
                return False
            steps += changes.put_key(KeyRow(name, "111111111111", "alice", gate.sealed("s", name), True, now))
            return True

        return await gate.tables.change(decide)

    done = await asyncio.gather(*(add(gates[n % 2], f"KEY{n}") for n in range(16)))
    assert sum(done) == most - 1
    assert len(await gates[0].tables.keys("111111111111", "alice")) == most


async def test_readers_together_read_once(identities: Identities) -> None:
    await make(identities, MAIN)
    number = await identities.tables.number()
    found = await asyncio.gather(*(identities.find("ALICEKEY", at_least=number) for _ in range(20)))
    assert len({id(one) for one in found}) == 1


async def test_readers_come_and_go_while_others_read(identities: Identities) -> None:
    """Whoever joins at the wrong moment neither spins nor gets what was read before they asked."""
    await make(identities, MAIN)

    async def ask(turn: int) -> int:
        for _ in range(turn):
            await asyncio.sleep(0)
        number = await identities.tables.number()
        found = await identities.find("ALICEKEY")
        assert found is not None and found.number >= number
        return found.number

    async with asyncio.timeout(20):
        await asyncio.gather(*(ask(turn) for turn in range(60)))


async def test_secrets_are_not_in_the_database(identities: Identities, database: str) -> None:
    await make(identities, MAIN)
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT access_key, secret FROM access_key").fetchall()
    assert len(rows) == 1 and b"alice-secret" not in rows[0][1]
    sealer = Sealer.of(KEY, SECRETS_PURPOSE)
    assert sealer.open(rows[0][1], "ALICEKEY") == b"alice-secret"
    with pytest.raises(Tampered):
        sealer.open(rows[0][1], "OTHERKEY")
    with pytest.raises(Tampered):
        sealer.open(rows[0][1][:-1] + bytes([rows[0][1][-1] ^ 1]), "ALICEKEY")


async def test_secrets_are_sealed_anew_after_the_cluster_key_changed(open_identities: OpenIdentities) -> None:
    await make(await open_identities(), MAIN)
    fresh = ClusterKey(KEY.cluster_id, b"n" * 32, previous=KEY.secret)
    rotated = await open_identities(fresh)
    found = await rotated.find("ALICEKEY")
    assert found is not None and found.credential.secret_key == "alice-secret"
    number = await rotated.tables.number()
    assert (await rotated.rotate(), await rotated.rotate()) == (1, 0)
    assert await rotated.tables.number() == number
    alone = await open_identities(replace(fresh, previous=None))
    found = await alone.find("ALICEKEY")
    assert found is not None and found.credential.secret_key == "alice-secret"


async def test_temporary_keys_end_with_time_and_with_their_source(identities: Identities, clock: Clock) -> None:
    await make(identities, MAIN)
    alice = await identities.find("ALICEKEY")
    assert alice is not None
    session = replace(SESSION, identity_id=alice.principal.user_id, source_key="ALICEKEY")
    token = identities.token_of(session)
    found = await identities.find("ASIAX", token)
    assert found is not None and found.principal == alice.principal
    assert found.credential.session_token == token and found.source_key == "ALICEKEY"
    with pytest.raises(S3Error, match="InvalidToken"):
        await identities.find("ASIAOTHER", token)
    clock.now = session.expires
    for _ in range(2):
        with pytest.raises(S3Error, match="ExpiredToken"):
            identities.remembered("ASIAX")
        with pytest.raises(S3Error, match="ExpiredToken"):
            await identities.find("ASIAX", token)
    clock.now = session.issued
    await make(identities, {**MAIN, "users": [{"name": "alice", "keys": []}]})
    assert await identities.current("ASIAX", token) is None


async def test_temporary_keys_are_never_found_without_their_token(identities: Identities) -> None:
    """A request that names the key alone may make a gate read it again: what is found demands the token still."""
    await make(identities, MAIN)
    alice = await identities.find("ALICEKEY")
    assert alice is not None
    token = identities.token_of(replace(SESSION, identity_id=alice.principal.user_id, source_key="ALICEKEY"))
    with pytest.raises(S3Error, match="InvalidAccessKeyId"):
        await identities.find("ASIAX")
    await identities.find("ASIAX", token)
    await make(identities, {**MAIN, "users": [{"name": "bob"}]})
    for found in (await identities.current("ASIAX"), await identities.find("ASIAX"), identities.remembered("ASIAX")):
        assert found is not None and found.credential.session_token == token


def test_a_token_is_opened_by_nobody_else() -> None:
    sealer, other = Sealer.of(KEY, "one"), Sealer.of(KEY, "two")
    token = seal_session(sealer, SESSION)
    assert open_session(sealer, token) == SESSION
    assert "temporary" not in repr(SESSION)
    for place in range(0, len(from_text(token)), 7):
        changed = bytearray(from_text(token))
        changed[place] ^= 1
        with pytest.raises(Tampered):
            sealer.open(bytes(changed), "session")
    with pytest.raises(Tampered):
        open_session(other, token)
    for text in ("", "%%%", "A" * 10_000, token[:-8]):
        with pytest.raises(Tampered):
            open_session(sealer, text)


async def test_when_keys_were_used(identities: Identities) -> None:
    await make(identities, MAIN)
    alice, root = await identities.find("ALICEKEY"), await identities.find(ROOT.access_key)
    assert alice is not None and root is not None
    number = await identities.tables.number()
    for identity in (alice, root):
        identities.note_used(identity, "s3", identities.now())
    await identities.flush()
    row = await identities.tables.find_key("ALICEKEY")
    assert row is not None and (row.last_used_at, row.last_used_service) == (identities.now(), "s3")
    assert await identities.tables.number() == number
