"""`s3gate admin apply|user|key|policy|rotate-secrets`, as an operator types them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chunkd.wire import ClusterKey
from s3gate.admin.run import main
from s3gate.catalog import schema
from s3gate.crypto.keyfile import KeyFile
from s3gate.settings import Settings

KEY = ClusterKey(b"c" * 16, b"s" * 32)


class Operator:
    """Runs commands, and reads what they print."""

    def __init__(self, settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
        self.settings = settings
        self._capsys = capsys

    def run(self, *arguments: str, status: int = 0) -> str:
        """What was printed."""
        assert main(list(arguments), self.settings) == status
        printed = self._capsys.readouterr()
        return printed.out if status == 0 else printed.err

    def ask(self, *arguments: str) -> Any:
        """The answer."""
        return json.loads(self.run(*arguments))


@pytest.fixture
def operator(database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Operator:
    """Of a store that nobody has used."""
    schema.adopt(database, KEY.cluster_id)
    settings = Settings(
        database_url=database,
        cluster_key=KEY.format(),
        root_access_key="ROOTKEY",
        root_secret_key="root-secret",
        kms_keys_file=tmp_path / "kms.json",
    )
    return Operator(settings, capsys)


def test_users_keys_and_policies(operator: Operator, tmp_path: Path) -> None:
    made = operator.ask("user", "add", "alice")["User"]
    assert made["Arn"].endswith(":user/alice")
    key = operator.ask("key", "add", "alice")["AccessKey"]
    assert len(key["SecretAccessKey"]) == 40
    operator.run("key", "disable", "alice", key["AccessKeyId"])
    listed = operator.ask("key", "list", "alice")["AccessKeyMetadata"]
    assert [one["Status"] for one in listed] == ["Inactive"]
    document = tmp_path / "policy.json"
    document.write_text(
        '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}'
    )
    arn = operator.ask("policy", "add", "Mine", str(document))["Policy"]["Arn"]
    operator.run("policy", "attach", "alice", arn)
    operator.run("policy", "put", "alice", "inline", str(document))
    attached = operator.ask("policy", "show", "alice")["AttachedPolicies"]
    assert [one["PolicyArn"] for one in attached] == [arn]
    assert "DeleteConflict" in operator.run("user", "remove", "alice", status=2)
    assert "NoSuchEntity" in operator.run("user", "show", "bob", status=2)
    operator.run("policy", "unput", "alice", "inline")
    operator.run("policy", "detach", "alice", arn)
    operator.run("key", "remove", "alice", key["AccessKeyId"])
    operator.run("user", "remove", "alice")
    assert operator.ask("user", "list")["Users"] == []


def test_long_lists_are_whole(operator: Operator, tmp_path: Path) -> None:
    users = [{"name": f"user{number:03}"} for number in range(120)]
    file = tmp_path / "identities.json"
    file.write_text(json.dumps({"accounts": [{"id": "222222222222", "users": users}]}))
    operator.run("apply", str(file))
    assert len(operator.ask("user", "list", "--account", "222222222222")["Users"]) == 120
    assert operator.ask("user", "list")["Users"] == []
    assert "no account" in operator.run("user", "list", "--account", "333333333333", status=2)


def test_a_file_is_applied_with_its_kms_keys(operator: Operator, tmp_path: Path) -> None:
    file = tmp_path / "identities.json"
    account = {"id": "111111111111", "keys": [{"access_key": "ROOTKEY"}], "users": [{"name": "u", "keys": []}]}
    file.write_text(json.dumps({"accounts": [{**account, "kms_keys": ["testkey-1"]}]}))
    for _ in range(2):
        operator.run("apply", str(file))
    assert operator.settings.kms_keys_file is not None
    assert "testkey-1" in KeyFile.read(operator.settings.kms_keys_file).keys
    assert operator.ask("user", "show", "u")["User"]["Arn"] == "arn:aws:iam::111111111111:user/u"
    file.write_text('{"accounts": [{"name": "x", "surprise": 1}]}')
    assert "surprise" in operator.run("apply", str(file), status=2)


def test_secrets_are_rotated(operator: Operator) -> None:
    operator.run("user", "add", "alice")
    operator.run("key", "add", "alice")
    assert operator.ask("rotate-secrets", "--json") == {"resealed": 0}
    fresh = ClusterKey(KEY.cluster_id, b"n" * 32, previous=KEY.secret)
    operator.settings = Settings(database_url=operator.settings.database_url, cluster_key=fresh.format())
    assert operator.ask("rotate-secrets", "--json") == {"resealed": 1}
    assert operator.ask("rotate-secrets", "--json") == {"resealed": 0}
