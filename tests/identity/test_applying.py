"""The identities file: what it makes, that it may run again, and what it refuses."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from s3gate.iam.principal import Kind
from s3gate.identity.applying import apply
from s3gate.identity.identities import Identities
from s3gate.identity.identities_file import BadFile, read
from s3gate.s3.errors import S3Error
from tests.identity.conftest import ROOT, OpenIdentities

INLINE = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}
MAIN = {
    "id": "111111111111",
    "canonical_id": "a" * 64,
    "name": "main",
    "email": "main@example.com",
    "keys": [{"access_key": ROOT.access_key}],
    "users": [
        {
            "name": "alice",
            "keys": [{"access_key": "ALICEKEY", "secret_key": "alice-secret"}],
            "policies": ["AmazonS3ReadOnlyAccess", json.dumps(INLINE)],
        }
    ],
}
SECOND = {"id": "222222222222", "keys": [{"access_key": "SECONDKEY", "secret_key": "second-secret"}]}


async def make(identities: Identities, *accounts: Any) -> list[str]:
    """Apply a file; what was said."""
    said: list[str] = []
    await apply(identities, read(json.dumps({"accounts": accounts})), said.append)
    return said


async def test_accounts_are_made_exactly_as_given(identities: Identities) -> None:
    await make(identities, MAIN, SECOND)
    accounts = await identities.accounts()
    main = accounts["111111111111"]
    assert (main.canonical_id, main.name, main.email, main.is_main) == ("a" * 64, "main", "main@example.com", True)
    assert len(accounts) == 2 and len(accounts["222222222222"].canonical_id) == 64
    root = await identities.find(ROOT.access_key)
    assert root is not None and root.principal.arn == "arn:aws:iam::111111111111:root"
    assert root.credential == ROOT and root.principal.canonical_id == "a" * 64
    alice = await identities.find("ALICEKEY")
    assert alice is not None and alice.principal.arn == "arn:aws:iam::111111111111:user/alice"
    assert alice.credential.secret_key == "alice-secret" and len(alice.policies) == 2
    second = await identities.find("SECONDKEY")
    assert second is not None and second.principal.kind is Kind.ROOT
    assert second.principal.account_id == "222222222222" and second.policies == ()


async def test_it_may_run_again_and_then_changes_nothing(identities: Identities) -> None:
    await make(identities, MAIN, SECOND)
    number = await identities.tables.number()
    assert await make(identities, MAIN, SECOND) == []
    assert await identities.tables.number() == number


async def test_what_the_file_no_longer_lists_of_a_user_is_gone(identities: Identities) -> None:
    await make(identities, MAIN)
    user = {"name": "alice", "keys": [{"access_key": "NEWKEY", "secret_key": "new-secret"}], "policies": [INLINE]}
    await make(identities, {**MAIN, "users": [user]})
    assert await identities.find("ALICEKEY") is None
    alice = await identities.find("NEWKEY")
    assert alice is not None and len(alice.policies) == 1
    await make(identities, {**MAIN, "users": [{"name": "alice"}]})
    assert await identities.find("NEWKEY") is not None


async def test_secrets_are_made_once_and_told_once(identities: Identities) -> None:
    account = {"name": "third", "users": [{"name": "bob", "keys": [{"access_key": "BOBSKEY"}]}]}
    said = await make(identities, account)
    bob = await identities.find("BOBSKEY")
    assert bob is not None and said[-1].endswith(bob.credential.secret_key)
    assert await make(identities, account) == []
    assert await identities.find("BOBSKEY", at_least=1) is not None


async def test_buckets_of_the_main_account_follow_it(identities: Identities, database: str) -> None:
    main = next(row for row in (await identities.accounts()).values() if row.is_main)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("INSERT INTO bucket (name, owner, region) VALUES ('b', %s, 'r')", (main.canonical_id,))
        await make(identities, MAIN)
        row = connection.execute("SELECT owner, config_number FROM bucket").fetchone()
    assert row == ("a" * 64, 2)


async def test_two_gates_apply_at_once(open_identities: OpenIdentities) -> None:
    import asyncio

    gates = [await open_identities() for _ in range(3)]
    await asyncio.gather(*(make(gate, MAIN, SECOND) for gate in gates))
    alice = await gates[0].find("ALICEKEY")
    assert alice is not None and len(alice.policies) == 2


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"accounts": {}}',
        '{"accounts": [{"id": "1"}]}',
        '{"accounts": [{"id": "111111111111", "canonical_id": "x"}]}',
        '{"accounts": [{"id": "111111111111", "surprise": 1}]}',
        '{"accounts": [{}]}',
        '{"accounts": [{"name": "a", "keys": [{"access_key": "a/b"}]}]}',
        '{"accounts": [{"name": "a", "keys": [{"secret_key": "12345678"}]}]}',
        '{"accounts": [{"name": "a", "users": [{"name": "b c"}]}]}',
        '{"accounts": [{"name": "a", "users": [{"name": "b", "policies": [1]}]}]}',
        '{"accounts": [{"name": "a", "kms_keys": [1]}]}',
        '{"kms_keys": ["a"]}',
    ],
)
def test_bad_files(text: str) -> None:
    with pytest.raises(BadFile):
        read(text)


async def test_what_cannot_be_made(identities: Identities) -> None:
    await make(identities, MAIN, SECOND)
    user = {"name": "u", "policies": ["NoSuchPolicy"]}
    with pytest.raises(BadFile, match="NoSuchPolicy"):
        await make(identities, {**SECOND, "users": [user]})
    with pytest.raises(S3Error, match="MalformedPolicyDocument"):
        await make(identities, {**SECOND, "users": [{"name": "u", "policies": [{"Statement": []}]}]})
    with pytest.raises(BadFile):
        await make(identities, {"id": "333333333333", "canonical_id": "a" * 64})
    taken = {"id": "222222222222", "keys": [{"access_key": ROOT.access_key}]}
    with pytest.raises(BadFile):
        await make(identities, taken)


async def test_a_path_is_moved_when_it_is_given(identities: Identities) -> None:
    await make(identities, {**SECOND, "users": [{"name": "bob", "path": "/one/"}]})
    for user, path in (({"name": "bob"}, "/one/"), ({"name": "bob", "path": "/"}, "/")):
        await make(identities, {**SECOND, "users": [user]})
        found = await identities.tables.find("222222222222", "user", "bob")
        assert found is not None and found.path == path


@pytest.mark.parametrize(
    ("accounts", "what"),
    [
        ([MAIN, {**SECOND, "keys": [{"access_key": "ALICEKEY"}]}], "the access key ALICEKEY"),
        ([{**SECOND, "keys": [{"access_key": "K-K"}, {"access_key": "K-K"}]}], "the access key K-K"),
        ([MAIN, {**SECOND, "email": "Main@example.com"}], "the e-mail address main@example.com"),
        ([SECOND, {"id": "222222222222"}], "the account 222222222222"),
        ([{**SECOND, "users": [{"name": "bob"}, {"name": "Bob"}]}], "the user bob of account 222222222222"),
    ],
)
def test_what_is_given_twice(accounts: list[Any], what: str) -> None:
    with pytest.raises(BadFile, match=f"^{what} is given twice"):
        read(json.dumps({"accounts": accounts}))
