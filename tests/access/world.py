"""Accounts, users and what they hold: clients of boto3 for each of them, and what became of their requests."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any
from uuid import uuid4

from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.fix_store import Store, boto3_session, making_clients

MAIN_ID, MAIN_ACCOUNT = "1" * 64, "111111111111"
ALT_ID, ALT_ACCOUNT = "2" * 64, "222222222222"
Keys = tuple[str, str, str]
MAIN: Keys = ("", "", "")
"""The installation's own key pair, which the store knows."""
ALT: Keys = ("AKIDALTROOT000000000", "alt-secret-alt-secret-alt-secret", "")
PLAIN_USER: Keys = ("AKIDUSERPLAIN0000000", "plain-secret-plain-secret-plain", "")
"""A user of the main account without any policy."""
ALT_USER: Keys = ("AKIDALTUSER000000000", "altuser-secret-altuser-secret-a", "")
"""A user of the other account who may everything there."""
NOBODY: Keys = ("-", "", "")

ALLOWED = ""
REFUSED = "AccessDenied"


def IDENTITIES(root_key: str, root_secret: str) -> dict[str, Any]:
    """The identities file."""

    def keys(pair: Keys) -> list[dict[str, str]]:
        return [{"access_key": pair[0], "secret_key": pair[1]}]

    return {
        "accounts": [
            {
                "id": MAIN_ACCOUNT,
                "canonical_id": MAIN_ID,
                "name": "main",
                "email": "main@example.com",
                "keys": keys((root_key, root_secret, "")),
                "users": [{"name": "plain", "keys": keys(PLAIN_USER), "policies": []}],
            },
            {
                "id": ALT_ACCOUNT,
                "canonical_id": ALT_ID,
                "name": "alt",
                "email": "alt@example.com",
                "keys": keys(ALT),
                "users": [{"name": "alt-user", "keys": keys(ALT_USER), "policies": ["AdministratorAccess"]}],
            },
        ]
    }


class Holder:
    """One who holds a key pair, or nobody: clients of each gate."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self.store = store
        self.keys = (store.access_key, store.secret_key, "") if keys == MAIN else keys

    def client(self, service: str = "s3", gate: int = 0, **config: Any) -> Any:
        return _client(self.store.gates[gate].endpoint, self.keys, service, json.dumps(config))

    @property
    def s3(self) -> Any:
        return self.client()


@cache
def _client(endpoint: str, keys: Keys, service: str, config: str) -> Any:
    options: dict[str, Any] = {"retries": {"total_max_attempts": 1}, "s3": {"addressing_style": "path"}}
    if keys == NOBODY:
        options["signature_version"] = UNSIGNED
    with making_clients:
        return boto3_session().client(
            service,
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id=keys[0],
            aws_secret_access_key=keys[1] or "none",
            aws_session_token=keys[2] or None,
            config=Config(**{**options, **json.loads(config)}),
        )


class User(Holder):
    """A user who was made for a test, with one policy that the test writes."""

    def __init__(self, store: Store, owner: Holder, name: str) -> None:
        self.iam, self.name = owner.client("iam"), name
        self.arn = self.iam.create_user(UserName=name)["User"]["Arn"]
        key = self.iam.create_access_key(UserName=name)["AccessKey"]
        super().__init__(store, (key["AccessKeyId"], key["SecretAccessKey"], ""))

    def let(self, *statements: dict[str, Any], name: str = "own") -> None:
        """These statements and no others, in the policy of this name."""
        self.iam.put_user_policy(UserName=self.name, PolicyName=name, PolicyDocument=policy(*statements))


class World:
    """A store with its accounts; buckets are made for each test."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def of(self, keys: Keys) -> Holder:
        return Holder(self.store, keys)

    def user(self, owner: Keys = MAIN) -> User:
        return User(self.store, self.of(owner), f"u-{uuid4().hex[:12]}")

    def bucket(self, **settings: Any) -> str:
        """Of the main account."""
        name = f"b-{uuid4().hex[:16]}"
        self.of(MAIN).s3.create_bucket(Bucket=name, **settings)
        return name

    def let(self, bucket: str, *statements: dict[str, Any]) -> None:
        """The bucket's policy."""
        self.of(MAIN).s3.put_bucket_policy(Bucket=bucket, Policy=policy(*statements))


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: str | list[str], resource: str | list[str] = "*", **more: Any) -> dict[str, Any]:
    """A statement; `Principal` and `Condition` are among `more`."""
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: str | list[str], resource: str | list[str] = "*", **more: Any) -> dict[str, Any]:
    return {**allow(action, resource, **more), "Effect": "Deny"}


def everything(bucket: str) -> list[str]:
    """The bucket and what is in it."""
    return [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]


def outcome(ask: Callable[[], Any]) -> str:
    """ALLOWED or the error's code. A HEAD has only its status; of a list that was refused, the first reason."""
    try:
        answer = ask()
    except ClientError as error:
        code = str(error.response["Error"]["Code"])
        return {"403": REFUSED, "404": "NotFound"}.get(code, code)
    errors = answer.get("Errors") if isinstance(answer, dict) else None
    return str(errors[0]["Code"]) if errors else ALLOWED
