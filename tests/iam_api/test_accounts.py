"""Several accounts: each manages its own, and lets others in only together with them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from s3gate.identity.applying import apply
from s3gate.identity.identities_file import read
from tests.iam_api.fix_door import ROOT, Running
from tests.iam_api.test_policies_and_roles import document

ACCOUNTS = {
    "accounts": [
        {"id": "111111111111", "keys": [{"access_key": ROOT.access_key}], "name": "main"},
        {
            "id": "222222222222",
            "keys": [{"access_key": "SECOND", "secret_key": "second-secret"}],
            "users": [{"name": "alice", "keys": [{"access_key": "ALICE", "secret_key": "alice-secret"}]}],
        },
        {"id": "333333333333", "keys": [{"access_key": "THIRD", "secret_key": "third-secret"}]},
    ]
}
SECOND = {"AccessKeyId": "SECOND", "SecretAccessKey": "second-secret"}
THIRD = {"AccessKeyId": "THIRD", "SecretAccessKey": "third-secret"}
ALICE = {"AccessKeyId": "ALICE", "SecretAccessKey": "alice-secret"}


@pytest.fixture(scope="module")
def accounts(door: Running) -> Running:
    """With three accounts."""

    async def make() -> None:
        await apply(door.identities, read(json.dumps(ACCOUNTS)), lambda _: None)

    door.call(make)
    return door


def refused(call: Any, **arguments: Any) -> str:
    """The code."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


def test_each_sees_its_own(accounts: Running) -> None:
    main, second, third = accounts.client("iam"), accounts.client("iam", SECOND), accounts.client("iam", THIRD)
    assert accounts.client("sts", THIRD).get_caller_identity()["Account"] == "333333333333"
    assert main.list_users()["Users"] == third.list_users()["Users"] == []
    assert [user["Arn"] for user in second.list_users()["Users"]] == ["arn:aws:iam::222222222222:user/alice"]
    third.create_user(UserName="alice")
    assert refused(main.get_user, UserName="alice") == "NoSuchEntity"
    third.delete_user(UserName="alice")
    assert second.get_user(UserName="alice")["User"]["UserName"] == "alice"


def test_keys_and_policies_of_another_account_are_not_there(accounts: Running) -> None:
    second, third = accounts.client("iam", SECOND), accounts.client("iam", THIRD)
    assert refused(third.delete_access_key, AccessKeyId="ALICE") == "NoSuchEntity"
    assert refused(third.delete_access_key, UserName="alice", AccessKeyId="ALICE") == "NoSuchEntity"
    assert refused(third.get_access_key_last_used, AccessKeyId="ALICE") == "AccessDenied"
    arn = second.create_policy(PolicyName="Own", PolicyDocument=document("s3:*"))["Policy"]["Arn"]
    third.create_user(UserName="bob")
    assert refused(third.attach_user_policy, UserName="bob", PolicyArn=arn) == "NoSuchEntity"
    assert refused(third.get_policy, PolicyArn=arn) == "NoSuchEntity"
    assert refused(third.create_policy_version, PolicyArn=arn, PolicyDocument=document("*")) == "NoSuchEntity"


def test_a_root_makes_keys_of_its_own(accounts: Running) -> None:
    second = accounts.client("iam", SECOND)
    key = second.create_access_key()["AccessKey"]
    assert accounts.client("sts", key).get_caller_identity()["Arn"] == "arn:aws:iam::222222222222:root"
    listed = {one["AccessKeyId"] for one in second.list_access_keys()["AccessKeyMetadata"]}
    assert listed == {"SECOND", key["AccessKeyId"]}
    second.delete_access_key(AccessKeyId=key["AccessKeyId"])
    assert refused(accounts.client("sts", key).get_caller_identity) == "InvalidClientTokenId"


def test_a_role_for_another_account_takes_both(accounts: Running) -> None:
    second, third = accounts.client("iam", SECOND), accounts.client("iam", THIRD)
    trust: dict[str, Any] = {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::222222222222:user/alice"},
            "Action": "sts:AssumeRole",
        },
    }
    role = third.create_role(RoleName="guest", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    arguments = {"RoleArn": role, "RoleSessionName": "visit"}
    alice = accounts.client("sts", ALICE)
    assert refused(alice.assume_role, **arguments) == "AccessDenied"
    second.put_user_policy(UserName="alice", PolicyName="go", PolicyDocument=document("sts:AssumeRole", resource=role))
    session = alice.assume_role(**arguments)["Credentials"]
    assert accounts.client("sts", session).get_caller_identity()["Account"] == "333333333333"
    trust["Statement"]["Principal"] = {"AWS": "111111111111"}
    third.update_assume_role_policy(RoleName="guest", PolicyDocument=json.dumps(trust))
    assert refused(alice.assume_role, **arguments) == "AccessDenied"


def test_many_changes_at_once(accounts: Running) -> None:
    second = accounts.client("iam", SECOND)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: second.create_user(UserName=f"many{n:02}", Path="/many/"), range(24)))
    assert len({one["User"]["UserId"] for one in made}) == 24
    assert len(second.list_users(PathPrefix="/many/")["Users"]) == 24
