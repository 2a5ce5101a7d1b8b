"""A grant is to a user or role, not to a name: it goes with them, and who comes under the name later has none of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.access.world import ALLOWED, ALT, REFUSED, Holder, User, World, allow, deny, outcome, policy


@pytest.fixture
def bucket(world: World) -> str:
    return world.bucket()


def shown(main: Holder, bucket: str) -> Any:
    """The principal of the first statement."""
    document = json.loads(main.s3.get_bucket_policy(Bucket=bucket)["Policy"])
    return document["Statement"][0]["Principal"]["AWS"]


def reads(who: Holder, bucket: str) -> str:
    return outcome(lambda: who.client().list_objects_v2(Bucket=bucket))


def gone(user: User) -> None:
    user.iam.delete_access_key(UserName=user.name, AccessKeyId=user.keys[0])
    user.iam.delete_user(UserName=user.name)


def test_who_is_made_anew_has_no_old_grants(world: World, main: Holder, bucket: str) -> None:
    user = world.user()
    text = policy(allow("s3:ListBucket", f"arn:aws:s3:::{bucket}", Principal={"AWS": user.arn}))
    main.s3.put_bucket_policy(Bucket=bucket, Policy=f"{text[:-1]} }}")
    assert main.s3.get_bucket_policy(Bucket=bucket)["Policy"] == f"{text[:-1]} }}"  # as it was put
    assert reads(user, bucket) == ALLOWED
    unique_id = user.iam.get_user(UserName=user.name)["User"]["UserId"]
    gone(user)
    assert shown(main, bucket) == unique_id
    again = User(world.store, main, user.name)
    assert again.arn == user.arn
    assert reads(again, bucket) == REFUSED
    assert shown(main, bucket) == unique_id
    with pytest.raises(ClientError, match="Invalid principal in policy"):  # what names somebody who is gone is not put
        main.s3.put_bucket_policy(Bucket=bucket, Policy=main.s3.get_bucket_policy(Bucket=bucket)["Policy"])
    main.s3.put_bucket_policy(Bucket=bucket, Policy=text)
    assert reads(again, bucket) == ALLOWED


def test_a_grant_follows_a_new_name(world: World, main: Holder, bucket: str) -> None:
    user = world.user()
    world.let(bucket, allow("s3:ListBucket", f"arn:aws:s3:::{bucket}", Principal={"AWS": [user.arn, "111111111111"]}))
    user.iam.update_user(UserName=user.name, NewUserName=f"{user.name}-new", NewPath="/team/")
    assert reads(user, bucket) == ALLOWED
    assert shown(main, bucket) == [f"{user.arn.replace('user/', 'user/team/')}-new", "111111111111"]
    heir = User(world.store, main, user.name)
    assert reads(heir, bucket) == REFUSED


def test_a_deny_follows_too_and_spares_the_heir(world: World, main: Holder, bucket: str) -> None:
    user = world.user()
    user.let(allow("s3:*"))
    world.let(bucket, deny("s3:ListBucket", f"arn:aws:s3:::{bucket}", Principal={"AWS": user.arn}))
    user.iam.update_user(UserName=user.name, NewUserName=f"{user.name}-new")
    assert reads(user, bucket) == REFUSED
    heir = User(world.store, main, user.name)
    heir.let(allow("s3:*"))
    assert reads(heir, bucket) == ALLOWED


def test_roles_and_their_sessions(world: World, main: Holder, bucket: str) -> None:
    iam, user = main.client("iam"), world.user()
    name = f"r-{user.name}"
    trust = {"RoleName": name, "AssumeRolePolicyDocument": policy(
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": user.arn}}
    )}  # fmt: skip
    arn = iam.create_role(**trust)["Role"]["Arn"]
    session_arn = f"arn:aws:sts::111111111111:assumed-role/{name}/visit"
    for principal in (arn, session_arn, iam.get_role(RoleName=name)["Role"]["RoleId"]):
        world.let(bucket, allow("s3:ListBucket", f"arn:aws:s3:::{bucket}", Principal={"AWS": principal}))
        assert reads(_session(world, user, arn), bucket) == ALLOWED
    world.let(bucket, allow("s3:ListBucket", f"arn:aws:s3:::{bucket}", Principal={"AWS": [arn, session_arn]}))
    role_id = iam.get_role(RoleName=name)["Role"]["RoleId"]
    iam.delete_role(RoleName=name)
    iam.create_role(**trust)
    assert reads(_session(world, user, arn), bucket) == REFUSED
    assert shown(main, bucket) == [role_id, f"{role_id}:visit"]


def test_a_role_trusts_a_user_and_not_a_name(world: World, main: Holder) -> None:
    user = world.user(ALT)
    user.let(allow("sts:AssumeRole"))
    trust = policy({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": user.arn}})
    iam, name = main.client("iam"), f"r-{user.name}"
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    visit = {"RoleArn": arn, "RoleSessionName": "visit"}
    user.client("sts").assume_role(**visit)
    unique_id = user.iam.get_user(UserName=user.name)["User"]["UserId"]
    user.iam.delete_user_policy(UserName=user.name, PolicyName="own")
    gone(user)
    heir = User(world.store, world.of(ALT), user.name)
    heir.let(allow("sts:AssumeRole"))
    assert outcome(lambda: heir.client("sts").assume_role(**visit)) == REFUSED
    found = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
    assert found["Statement"][0]["Principal"]["AWS"] == unique_id
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust)
    heir.client("sts").assume_role(**visit)


def _session(world: World, user: User, role: str) -> Holder:
    made = user.client("sts").assume_role(RoleArn=role, RoleSessionName="visit")["Credentials"]
    return Holder(world.store, (made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"]))


def test_who_does_not_exist_is_named_by_no_policy(main: Holder, bucket: str) -> None:
    for name in ("arn:aws:iam::222222222222:user/nobody", "999999999999", "AIDAAAAAAAAAAAAAAAAAA"):
        statement = allow("s3:ListBucket", f"arn:aws:s3:::{bucket}", Principal={"AWS": name})
        with pytest.raises(ClientError, match="Invalid principal in policy"):
            main.s3.put_bucket_policy(Bucket=bucket, Policy=policy(statement))
