"""STS: sessions and what ends them."""

from __future__ import annotations

import json
import urllib.request
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.iam_api.fix_door import Running
from tests.iam_api.test_policies_and_roles import READ_ONLY, document

ACCOUNT = "000000000000"


def code_of(call: Any, **arguments: Any) -> str:
    """Of the refusal."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


def new_user(door: Running, *actions: str) -> dict[str, Any]:
    """A user with an inline policy, and its key."""
    iam, name = door.client("iam"), f"u{uuid.uuid4().hex[:8]}"
    iam.create_user(UserName=name)
    if actions:
        iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=document(*actions))
    key: dict[str, Any] = iam.create_access_key(UserName=name)["AccessKey"]
    return key


def new_role(door: Running, principal: Any, *actions: str, condition: Any = None, **more: Any) -> str:
    """A role that trusts a principal."""
    iam, name = door.client("iam"), f"r{uuid.uuid4().hex[:8]}"
    statement = {
        "Effect": "Allow",
        "Principal": principal,
        "Action": ["sts:AssumeRole", "sts:TagSession"],
        "Condition": condition or {},
    }
    trust = json.dumps({"Version": "2012-10-17", "Statement": statement})
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust, **more)["Role"]["Arn"]
    if actions:
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=document(*actions))
    return str(arn)


def test_who_am_i(door: Running) -> None:
    assert door.client("sts").get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"
    key = new_user(door)
    found = door.client("sts", key).get_caller_identity()
    assert found["Account"] == ACCOUNT and found["UserId"].startswith("AIDA")
    info = door.client("sts").get_access_key_info(AccessKeyId=key["AccessKeyId"])
    assert info["Account"] == ACCOUNT


def test_a_session_of_a_user(door: Running) -> None:
    key = new_user(door, "iam:*")
    sts = door.client("sts", key)
    session = sts.get_session_token(DurationSeconds=900)["Credentials"]
    assert session["AccessKeyId"].startswith("ASIA")
    inside = door.client("sts", session)
    assert inside.get_caller_identity()["Arn"] == sts.get_caller_identity()["Arn"]
    assert code_of(door.client("iam", session).list_users) == "InvalidClientTokenId"
    assert code_of(inside.get_session_token) == "AccessDenied"
    assert code_of(sts.get_session_token, DurationSeconds=899) == "ValidationError"
    door.client("iam").update_access_key(UserName=key["UserName"], AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert code_of(inside.get_caller_identity) == "InvalidClientTokenId"


def test_a_session_comes_to_its_end(door: Running) -> None:
    session = door.client("sts", new_user(door)).get_session_token(DurationSeconds=900)["Credentials"]
    sts = door.client("sts", session)
    sts.get_caller_identity()
    door.offset = 901.0
    try:
        # Its clock is ahead of the signature, too, but less than a signature may be old: 15 minutes.
        with pytest.raises(ClientError) as caught:
            sts.get_caller_identity()
        assert caught.value.response["Error"]["Code"] == "ExpiredToken"
    finally:
        door.offset = 0.0


def test_tokens_are_not_interchangeable(door: Running) -> None:
    sts = door.client("sts", new_user(door))
    one, other = (sts.get_session_token()["Credentials"] for _ in range(2))
    spliced = {**one, "SessionToken": other["SessionToken"]}
    assert code_of(door.client("sts", spliced).get_caller_identity) == "InvalidClientTokenId"
    for text in ("", "nonsense", one["SessionToken"][:-4] + "AAAA", "A" * 20_000):
        changed = {**one, "SessionToken": text}
        assert code_of(door.client("sts", changed).get_caller_identity) == "InvalidClientTokenId"
    door.client("sts", one).get_caller_identity()


def test_a_role_is_assumed_by_whom_it_trusts(door: Running) -> None:
    key, stranger = new_user(door), new_user(door)
    who = door.client("sts", key).get_caller_identity()["Arn"]
    role = new_role(door, {"AWS": who}, "iam:ListUsers")
    answer = door.client("sts", key).assume_role(RoleArn=role, RoleSessionName="visit")
    name = role.rpartition("/")[2]
    assert answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/visit"
    session = answer["Credentials"]
    inside = door.client("sts", session).get_caller_identity()
    assert inside["Arn"] == answer["AssumedRoleUser"]["Arn"]
    assert inside["UserId"] == answer["AssumedRoleUser"]["AssumedRoleId"]
    assert door.client("iam", session).list_users()["Users"]
    assert code_of(door.client("iam", session).list_roles) == "AccessDenied"
    assert code_of(door.client("sts", stranger).assume_role, RoleArn=role, RoleSessionName="visit") == "AccessDenied"
    missing = role[:-1] + "zz"
    assert code_of(door.client("sts", key).assume_role, RoleArn=missing, RoleSessionName="visit") == "AccessDenied"
    iam = door.client("iam")
    iam.delete_role_policy(RoleName=name, PolicyName="own")
    assert code_of(door.client("iam", session).list_users) == "AccessDenied"
    iam.delete_role(RoleName=name)
    assert code_of(door.client("sts", session).get_caller_identity) == "InvalidClientTokenId"


def test_an_account_that_is_trusted_gives_the_permission_on(door: Running) -> None:
    role = new_role(door, {"AWS": ACCOUNT})
    without, has = new_user(door), new_user(door, "sts:AssumeRole")
    assert code_of(door.client("sts", without).assume_role, RoleArn=role, RoleSessionName="visit") == "AccessDenied"
    door.client("sts", has).assume_role(RoleArn=role, RoleSessionName="visit")


def test_external_ids(door: Running) -> None:
    key = new_user(door, "sts:*")
    condition = {"StringEquals": {"sts:ExternalId": "secret-word"}}
    role = new_role(door, {"AWS": ACCOUNT}, condition=condition)
    sts = door.client("sts", key)
    for more in ({}, {"ExternalId": "other-word"}):
        assert code_of(sts.assume_role, RoleArn=role, RoleSessionName="visit", **more) == "AccessDenied"
    sts.assume_role(RoleArn=role, RoleSessionName="visit", ExternalId="secret-word")


def test_session_policies_limit(door: Running) -> None:
    role = new_role(door, {"AWS": ACCOUNT}, "iam:*")
    sts = door.client("sts", new_user(door, "sts:*"))
    answer = sts.assume_role(RoleArn=role, RoleSessionName="visit", Policy=document("iam:ListUsers"))
    assert 0 < answer["PackedPolicySize"] <= 100
    iam = door.client("iam", answer["Credentials"])
    assert iam.list_users()["Users"]
    assert code_of(iam.list_roles) == "AccessDenied"
    answer = sts.assume_role(RoleArn=role, RoleSessionName="visit", PolicyArns=[{"arn": READ_ONLY}])
    iam = door.client("iam", answer["Credentials"])
    assert iam.list_roles()["Roles"]
    assert code_of(iam.create_user, UserName="nope") == "AccessDenied"
    bad = {"RoleArn": role, "RoleSessionName": "visit", "Policy": "{}"}
    assert code_of(sts.assume_role, **bad) == "MalformedPolicyDocument"


def test_how_long(door: Running) -> None:
    key = new_user(door, "sts:*")
    role = new_role(door, {"AWS": ACCOUNT}, "sts:*", MaxSessionDuration=7200)
    sts = door.client("sts", key)
    arguments = {"RoleArn": role, "RoleSessionName": "visit"}
    assert code_of(sts.assume_role, DurationSeconds=7201, **arguments) == "ValidationError"
    session = sts.assume_role(DurationSeconds=7200, **arguments)["Credentials"]
    chained = door.client("sts", session)
    assert code_of(chained.assume_role, DurationSeconds=7200, **arguments) == "ValidationError"
    chained.assume_role(DurationSeconds=3600, **arguments)
    temporary = sts.get_session_token()["Credentials"]  # of a user: what it assumes is no second role
    door.client("sts", temporary).assume_role(DurationSeconds=7200, **arguments)


def test_session_tags_are_tags_of_the_principal(door: Running) -> None:
    role = new_role(door, {"AWS": ACCOUNT})
    name = role.rpartition("/")[2]
    policy = document("iam:ListUsers", Condition={"StringEquals": {"aws:PrincipalTag/team": "red"}})
    door.client("iam").put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=policy)
    sts = door.client("sts", new_user(door, "sts:*"))
    for team, allowed in (("red", True), ("blue", False)):
        tags = [{"Key": "team", "Value": team}]
        session = sts.assume_role(RoleArn=role, RoleSessionName="visit", Tags=tags)["Credentials"]
        iam = door.client("iam", session)
        if allowed:
            assert iam.list_users()["Users"]
        else:
            assert code_of(iam.list_users) == "AccessDenied"


def test_a_presigned_question(door: Running) -> None:
    """As tools do it that prove to others who they are."""
    url = door.client("sts").generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod="GET")
    with urllib.request.urlopen(url) as answer:
        assert f"arn:aws:iam::{ACCOUNT}:root" in answer.read().decode()
