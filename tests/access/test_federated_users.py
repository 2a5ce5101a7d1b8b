"""Federated users: what their maker and the policy of their session allow both, and what a bucket gives in person."""

from __future__ import annotations

import pytest

from tests.access.world import ALLOWED, MAIN, REFUSED, Holder, World, allow, deny, outcome, policy


@pytest.fixture
def bucket(world: World) -> str:
    return world.bucket()


def federated(world: World, behind: Holder, **more: str) -> Holder:
    made = behind.client("sts").get_federation_token(Name="carol", **more)["Credentials"]
    return Holder(world.store, (made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"]))


def does(who: Holder, bucket: str) -> tuple[str, str]:
    """What becomes of a put and of a list."""
    s3 = who.client()
    return outcome(lambda: s3.put_object(Bucket=bucket, Key="k")), outcome(lambda: s3.list_objects_v2(Bucket=bucket))


def test_what_both_allow(world: World, main: Holder, bucket: str) -> None:
    user = world.user()
    user.let(allow(["sts:GetFederationToken", "s3:PutObject"]))
    both = policy(allow(["s3:PutObject", "s3:ListBucket"]))
    assert does(federated(world, user, Policy=both), bucket) == (ALLOWED, REFUSED)
    assert does(federated(world, user), bucket) == (REFUSED, REFUSED)
    assert does(federated(world, main, Policy=both), bucket) == (ALLOWED, ALLOWED)
    assert does(federated(world, main), bucket) == (REFUSED, REFUSED)
    session = federated(world, user, Policy=both)
    user.let(allow("sts:GetFederationToken"))
    assert does(session, bucket) == (REFUSED, REFUSED)


def test_what_a_bucket_gives(world: World, bucket: str) -> None:
    user = world.user()
    user.let(allow("sts:GetFederationToken"))
    in_person = "arn:aws:sts::111111111111:federated-user/carol"
    put = f"arn:aws:s3:::{bucket}/*"
    world.let(bucket, allow("s3:PutObject", put, Principal={"AWS": in_person}))
    assert does(federated(world, user), bucket) == (ALLOWED, REFUSED)
    for principal in (user.arn, "*"):
        world.let(bucket, allow("s3:PutObject", put, Principal={"AWS": principal}))
        assert does(federated(world, user), bucket) == (REFUSED, REFUSED)
        assert does(federated(world, user, Policy=policy(allow("s3:PutObject"))), bucket) == (ALLOWED, REFUSED)
    by_type = deny("s3:*", put, Principal="*", Condition={"StringEquals": {"aws:PrincipalType": "FederatedUser"}})
    world.let(bucket, by_type)
    root = world.of(MAIN)
    assert does(federated(world, root, Policy=policy(allow("s3:*"))), bucket) == (REFUSED, ALLOWED)
    assert does(root, bucket) == (ALLOWED, ALLOWED)
