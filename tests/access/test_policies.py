"""Bucket and identity policies over the wire: accounts, conditions, links, sessions, and what is told to whom."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from botocore.exceptions import ClientError

from tests.access.world import (
    ALLOWED,
    ALT_ACCOUNT,
    ALT_USER,
    MAIN_ACCOUNT,
    NOBODY,
    PLAIN_USER,
    REFUSED,
    Holder,
    World,
    allow,
    deny,
    everything,
    outcome,
    policy,
)

ALT_ARN = f"arn:aws:iam::{ALT_ACCOUNT}:root"
TAGS = {"TagSet": [{"Key": "security", "Value": "public"}]}
Ask = Callable[[], Any]


@pytest.fixture
def bucket(world: World, main: Holder) -> str:
    name = world.bucket()
    main.s3.put_object(Bucket=name, Key="key", Body=b"hello")
    return name


def test_another_account_needs_both(world: World, alt: Holder, bucket: str) -> None:
    """The bucket's policy for the account, and the account's own for its user."""
    user = world.user(("AKIDALTROOT000000000", alt.keys[1], ""))
    named = {"Bucket": bucket, "Key": "key"}
    user.let(allow("s3:GetObject"))
    assert outcome(lambda: user.s3.get_object(**named)) == REFUSED
    world.let(bucket, allow("s3:GetObject", f"arn:aws:s3:::{bucket}/*", Principal={"AWS": ALT_ARN}))
    for who in (user, alt, world.of(ALT_USER)):
        assert outcome(lambda who=who: who.s3.get_object(**named)) == ALLOWED
        assert outcome(lambda who=who: who.s3.list_objects(Bucket=bucket)) == REFUSED
    assert outcome(lambda: world.of(PLAIN_USER).s3.get_object(**named)) == REFUSED
    user.let(allow("s3:ListBucket"))
    assert outcome(lambda: user.s3.get_object(**named)) == REFUSED
    # Naming the user is the bucket's half of it, and only that.
    world.let(bucket, allow("s3:GetObject", f"arn:aws:s3:::{bucket}/*", Principal={"AWS": user.arn}))
    assert outcome(lambda: user.s3.get_object(**named)) == REFUSED
    user.let(allow("s3:*"))
    assert outcome(lambda: user.s3.get_object(**named)) == ALLOWED
    assert outcome(lambda: alt.s3.get_object(**named)) == REFUSED


def test_a_user_of_the_account_needs_one(world: World, bucket: str) -> None:
    user, named = world.user(), {"Bucket": bucket, "Key": "key"}
    world.let(bucket, allow("s3:GetObject", f"arn:aws:s3:::{bucket}/*", Principal={"AWS": user.arn}))
    assert outcome(lambda: user.s3.get_object(**named)) == ALLOWED
    user.let(deny("s3:GetObject"))
    assert outcome(lambda: user.s3.get_object(**named)) == REFUSED
    # The account as a principal hands the decision over to the account's own policies.
    world.let(bucket, allow("s3:GetObject", f"arn:aws:s3:::{bucket}/*", Principal={"AWS": MAIN_ACCOUNT}))
    user.let(allow("s3:ListBucket"))
    assert outcome(lambda: user.s3.get_object(**named)) == REFUSED
    user.let(allow("s3:GetObject"))
    assert outcome(lambda: user.s3.get_object(**named)) == ALLOWED


def test_a_deny_is_for_the_owner_too_but_never_for_good(world: World, main: Holder, bucket: str) -> None:
    document = policy(deny("s3:*", everything(bucket), Principal="*"))
    refused = outcome(lambda: main.s3.put_bucket_policy(Bucket=bucket, Policy=document))
    assert refused in (ALLOWED, "InvalidRequest")
    main.s3.put_bucket_policy(Bucket=bucket, Policy=document, ConfirmRemoveSelfBucketAccess=True)
    for ask in (
        lambda: main.s3.get_object(Bucket=bucket, Key="key"),
        lambda: main.s3.list_objects_v2(Bucket=bucket),
        lambda: main.s3.put_object(Bucket=bucket, Key="new", Body=b""),
        lambda: main.s3.get_bucket_acl(Bucket=bucket),
        lambda: main.s3.delete_bucket(Bucket=bucket),
    ):
        assert outcome(ask) == REFUSED
    assert outcome(lambda: main.s3.get_bucket_policy(Bucket=bucket)) == ALLOWED
    assert outcome(lambda: main.s3.delete_bucket_policy(Bucket=bucket)) == ALLOWED
    assert outcome(lambda: main.s3.get_object(Bucket=bucket, Key="key")) == ALLOWED


@pytest.mark.parametrize(
    ("action", "condition", "ask", "is_allowed"),
    [
        ("ListBucket", {"StringEquals": {"s3:prefix": "a/"}}, ("list_objects_v2", {"Prefix": "a/"}), True),
        ("ListBucket", {"StringEquals": {"s3:prefix": "a/"}}, ("list_objects_v2", {"Prefix": "b/"}), False),
        ("ListBucket", {"StringEquals": {"s3:prefix": "a/"}}, ("list_objects", {}), False),
        ("ListBucket", {"StringLike": {"s3:prefix": "a/*"}}, ("list_objects", {"Prefix": "a/b"}), True),
        ("ListBucket", {"NumericLessThanEquals": {"s3:max-keys": "10"}}, ("list_objects", {"MaxKeys": 10}), True),
        ("ListBucket", {"NumericLessThanEquals": {"s3:max-keys": "10"}}, ("list_objects", {"MaxKeys": 11}), False),
        ("ListBucket", {"StringEquals": {"s3:delimiter": "/"}}, ("list_objects", {"Delimiter": "/"}), True),
        ("GetObject", {"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, ("get_object", {}), True),
        ("GetObject", {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, ("get_object", {}), False),
        ("GetObject", {"NotIpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, ("get_object", {}), False),
        ("GetObject", {"Bool": {"aws:SecureTransport": "true"}}, ("get_object", {}), False),
        ("GetObject", {"Bool": {"aws:SecureTransport": "false"}}, ("get_object", {}), True),
        ("GetObject", {"StringLike": {"aws:UserAgent": "*Boto3*"}}, ("get_object", {}), True),
        ("GetObject", {"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, ("get_object", {}), True),
        ("GetObject", {"DateLessThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, ("get_object", {}), False),
        ("GetObject", {"StringEquals": {"aws:PrincipalAccount": ALT_ACCOUNT}}, ("get_object", {}), True),
        ("GetObject", {"StringEquals": {"aws:PrincipalAccount": MAIN_ACCOUNT}}, ("get_object", {}), False),
        ("GetObject", {"StringEquals": {"aws:ResourceAccount": MAIN_ACCOUNT}}, ("get_object", {}), True),
        ("GetObject", {"StringEquals": {"s3:authType": "REST-HEADER"}}, ("get_object", {}), True),
        ("GetObject", {"StringEquals": {"s3:signatureversion": "AWS"}}, ("get_object", {}), False),
        ("PutObject", {"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}}, ("put_object", {}), False),
        (
            "PutObject",
            {"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}},
            ("put_object", {"ACL": "bucket-owner-full-control"}),
            True,
        ),
        ("PutObject", {"StringEquals": {"s3:x-amz-server-side-encryption": "AES256"}}, ("put_object", {}), False),
        (
            "PutObject",
            {"StringEquals": {"s3:x-amz-server-side-encryption": "AES256"}},
            ("put_object", {"ServerSideEncryption": "AES256"}),
            True,
        ),
        ("PutObject", {"StringEquals": {"s3:x-amz-storage-class": "STANDARD"}}, ("put_object", {}), False),
        ("PutObject", {"Null": {"s3:if-none-match": "false"}}, ("put_object", {"IfNoneMatch": "*"}), True),
        ("PutObject", {"Null": {"s3:if-none-match": "false"}}, ("put_object", {}), False),
        (
            "PutObject",
            {"StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"}},
            ("put_object", {}),
            True,
        ),
    ],
)
def test_conditions(
    world: World, alt: Holder, bucket: str, action: str, condition: Any, ask: tuple[str, Any], is_allowed: bool
) -> None:
    """A bucket's policy for another account, under one condition."""
    world.let(bucket, allow(f"s3:{action}", everything(bucket), Principal={"AWS": ALT_ARN}, Condition=condition))
    name, more = ask
    given = {"Bucket": bucket, **more, **({} if "list" in name else {"Key": "key" if "get" in name else "new"})}
    assert outcome(lambda: getattr(alt.s3, name)(**given)) == (ALLOWED if is_allowed else REFUSED)


def test_tags_that_are_there_and_tags_that_are_asked_for(world: World, main: Holder, alt: Holder, bucket: str) -> None:
    on = f"arn:aws:s3:::{bucket}/*"
    who = {"AWS": ALT_ARN}
    existing = {"StringEquals": {"s3:ExistingObjectTag/security": "public"}}
    reads = allow(["s3:GetObject", "s3:GetObjectTagging"], on, Principal=who, Condition=existing)
    asked = {"StringEquals": {"s3:RequestObjectTag/security": "public"}}
    writes = allow(["s3:PutObject", "s3:PutObjectTagging"], on, Principal=who, Condition=asked)
    world.let(bucket, reads, writes)
    named = {"Bucket": bucket, "Key": "key"}
    assert outcome(lambda: alt.s3.get_object(**named)) == REFUSED
    main.s3.put_object_tagging(**named, Tagging=TAGS)
    assert outcome(lambda: alt.s3.get_object(**named)) == ALLOWED
    assert outcome(lambda: alt.s3.head_object(**named)) == ALLOWED
    assert outcome(lambda: alt.s3.get_object_tagging(**named)) == ALLOWED
    other = {"TagSet": [{"Key": "security", "Value": "secret"}]}
    assert outcome(lambda: alt.s3.put_object_tagging(**named, Tagging=other)) == REFUSED
    assert outcome(lambda: alt.s3.put_object_tagging(**named, Tagging=TAGS)) == ALLOWED
    main.s3.put_object_tagging(**named, Tagging=other)
    assert outcome(lambda: alt.s3.get_object(**named)) == REFUSED
    new = {"Bucket": bucket, "Key": "new", "Body": b""}
    assert outcome(lambda: alt.s3.put_object(**new)) == REFUSED
    assert outcome(lambda: alt.s3.put_object(**new, Tagging="security=private")) == REFUSED
    assert outcome(lambda: alt.s3.put_object(**new, Tagging="security=public")) == ALLOWED
    form = {"key": "form", "tagging": "<Tagging><TagSet><Tag><Key>security</Key><Value>{}</Value></Tag></TagSet></Tagging>"}  # fmt: skip  # noqa: E501
    for value, expected in (("private", 403), ("public", 204)):
        fields = {"tagging": form["tagging"].format(value)}
        signed = alt.s3.generate_presigned_post(bucket, "form", fields, [["starts-with", "$tagging", ""]])
        answer = requests.post(signed["url"], data=signed["fields"], files={"file": b"x"}, timeout=30)
        assert answer.status_code == expected, answer.text


def test_what_a_copy_is_made_from(world: World, main: Holder, alt: Holder, bucket: str) -> None:
    main.s3.put_object(Bucket=bucket, Key="public/one", Body=b"1")
    on = f"arn:aws:s3:::{bucket}/*"
    source = {"StringLike": {"s3:x-amz-copy-source": f"{bucket}/public/*"}}
    world.let(
        bucket,
        allow("s3:GetObject", on, Principal={"AWS": ALT_ARN}),
        allow("s3:PutObject", on, Principal={"AWS": ALT_ARN}, Condition=source),
    )
    for key, expected in (("key", REFUSED), ("public/one", ALLOWED)):
        asked = {"Bucket": bucket, "Key": "copy", "CopySource": f"{bucket}/{key}"}
        assert outcome(lambda asked=asked: alt.s3.copy_object(**asked)) == expected
    assert outcome(lambda: alt.s3.put_object(Bucket=bucket, Key="copy", Body=b"")) == REFUSED


def test_each_key_of_a_list_is_asked_for(world: World, main: Holder, alt: Holder, bucket: str) -> None:
    main.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    versions = {key: main.s3.put_object(Bucket=bucket, Key=key, Body=b"")["VersionId"] for key in ("mine/a", "yours/a")}
    world.let(
        bucket,
        allow("s3:DeleteObject", f"arn:aws:s3:::{bucket}/*", Principal={"AWS": ALT_ARN}),
        allow("s3:DeleteObjectVersion", f"arn:aws:s3:::{bucket}/yours/*", Principal={"AWS": ALT_ARN}),
        deny("s3:DeleteObject", f"arn:aws:s3:::{bucket}/mine/*", Principal="*"),
    )
    wanted = [{"Key": "mine/a"}, {"Key": "yours/a"}]
    wanted += [{"Key": key, "VersionId": version} for key, version in versions.items()]
    answer = alt.s3.delete_objects(Bucket=bucket, Delete={"Objects": wanted})
    assert [(each["Key"], each.get("VersionId")) for each in answer["Deleted"]] == [
        ("yours/a", None),
        ("yours/a", versions["yours/a"]),
    ]
    assert [(each["Key"], each["Code"]) for each in answer["Errors"]] == [("mine/a", REFUSED)] * 2
    answer = world.of(NOBODY).s3.delete_objects(Bucket=bucket, Delete={"Objects": wanted[:1]})
    assert answer["Errors"][0]["Code"] == REFUSED


def test_the_bypass_has_an_action_of_its_own(world: World, main: Holder) -> None:
    bucket, user = world.bucket(ObjectLockEnabledForBucket=True), world.user()
    kept = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": "2099-01-01T00:00:00Z"}
    version = main.s3.put_object(Bucket=bucket, Key="kept", Body=b"", **kept)["VersionId"]
    named = {"Bucket": bucket, "Key": "kept", "VersionId": version}
    listed = {"Objects": [{"Key": "kept", "VersionId": version}]}
    user.let(allow(["s3:DeleteObjectVersion", "s3:PutObjectRetention"]))
    for ask in (
        lambda: user.s3.delete_object(**named),
        lambda: user.s3.delete_object(**named, BypassGovernanceRetention=True),
        lambda: user.s3.delete_objects(Bucket=bucket, Delete=listed, BypassGovernanceRetention=True),
        lambda: user.s3.put_object_retention(**named, Retention={}, BypassGovernanceRetention=True),
    ):
        assert outcome(ask) == REFUSED
    user.let(allow(["s3:DeleteObjectVersion", "s3:BypassGovernanceRetention"]))
    assert outcome(lambda: user.s3.delete_object(**named)) == REFUSED
    assert outcome(lambda: user.s3.delete_object(**named, BypassGovernanceRetention=True)) == ALLOWED


def test_links_are_their_signers(world: World, main: Holder, bucket: str) -> None:
    """A presigned URL may what the one who signed it may, and no longer than that one may it."""
    user = world.user()
    user.let(allow("s3:GetObject", f"arn:aws:s3:::{bucket}/*"))
    for version in ("s3v4", "s3"):
        client = user.client(signature_version=version)
        link = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "key"})
        assert requests.get(link, timeout=30).content == b"hello"
        put = client.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "key"})
        assert requests.put(put, data=b"x", timeout=30).status_code == 403
        other = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "missing"})
        assert requests.get(other, timeout=30).status_code == 403
    by_query = {"StringNotEquals": {"s3:authType": "REST-QUERY-STRING"}}
    world.let(bucket, deny("s3:GetObject", f"arn:aws:s3:::{bucket}/*", Principal="*", Condition=by_query))
    assert requests.get(link, timeout=30).status_code == 200
    assert outcome(lambda: main.s3.get_object(Bucket=bucket, Key="key")) == REFUSED
    user.let(allow("s3:ListBucket"))
    assert requests.get(link, timeout=30).status_code == 403


def test_sessions_are_limited_by_their_policy(world: World, main: Holder, bucket: str) -> None:
    iam, name = main.client("iam"), f"r-{bucket}"
    trust = policy({"Effect": "Allow", "Principal": {"AWS": MAIN_ACCOUNT}, "Action": "sts:AssumeRole"})
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=policy(allow("s3:*", everything(bucket))))
    user = world.user()
    user.let(allow("sts:AssumeRole", role))

    def assumed(**more: Any) -> Holder:
        found = user.client("sts").assume_role(RoleArn=role, RoleSessionName="session", **more)["Credentials"]
        return world.of((found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"]))

    plain, limited = assumed(), assumed(Policy=policy(allow("s3:GetObject")))
    named = {"Bucket": bucket, "Key": "key"}
    for who, expected in ((plain, ALLOWED), (limited, REFUSED)):
        assert outcome(lambda who=who: who.s3.get_object(**named)) == ALLOWED
        assert outcome(lambda who=who: who.s3.list_objects(Bucket=bucket)) == expected
        assert outcome(lambda who=who: who.s3.put_object(**named, Body=b"hello")) == expected
    assert outcome(lambda: user.s3.get_object(**named)) == REFUSED
    link = limited.s3.generate_presigned_url("get_object", Params=named)
    assert requests.get(link, timeout=30).content == b"hello"
    world.let(bucket, allow("s3:ListBucket", f"arn:aws:s3:::{bucket}", Principal={"AWS": role}))
    assert outcome(lambda: limited.s3.list_objects(Bucket=bucket)) == REFUSED
    # Sessions that were begun before now are revoked so by AWS's console.
    older = {"DateLessThan": {"aws:TokenIssueTime": "2099-01-01T00:00:00Z"}}
    iam.put_role_policy(RoleName=name, PolicyName="older", PolicyDocument=policy(deny("*", Condition=older)))
    assert outcome(lambda: plain.s3.get_object(**named)) == REFUSED
    iam.delete_role_policy(RoleName=name, PolicyName="older")
    assert outcome(lambda: plain.s3.get_object(**named)) == ALLOWED


def test_who_may_not_list_is_not_told_what_is_there(world: World, bucket: str) -> None:
    user, missing = world.user(), {"Bucket": bucket, "Key": "missing"}
    asks: list[tuple[Ask, str]] = [
        (lambda: user.s3.get_object(**missing), "NoSuchKey"),
        (lambda: user.s3.head_object(**missing), "NotFound"),
        (lambda: user.s3.get_object_attributes(**missing, ObjectAttributes=["ETag"]), "NoSuchKey"),
        (lambda: user.s3.get_object_tagging(**missing), "NoSuchKey"),
        (lambda: user.s3.put_object_tagging(**missing, Tagging=TAGS), "NoSuchKey"),
        (lambda: user.s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/missing"), "NoSuchKey"),
    ]
    rights = ["s3:GetObject*", "s3:PutObject*"]
    user.let(allow(rights))
    for ask, _ in asks:
        assert outcome(ask) == REFUSED
    user.let(allow([*rights, "s3:ListBucket"]))
    for ask, expected in asks:
        assert outcome(ask) == expected
    assert outcome(lambda: user.s3.head_bucket(Bucket="no-such-bucket-anywhere")) == "NotFound"
    user.let(allow(rights))
    assert outcome(lambda: user.s3.head_bucket(Bucket=bucket)) == REFUSED


def test_pages_and_forms_of_nobody(world: World, main: Holder, bucket: str) -> None:
    url, data = f"{world.store.endpoint}/{bucket}", {"key": "form"}
    assert requests.post(url, data=data, files={"file": b"x"}, timeout=30).status_code == 403
    world.let(bucket, allow("s3:PutObject", f"arn:aws:s3:::{bucket}/*", Principal="*"))
    assert requests.post(url, data=data, files={"file": b"x"}, timeout=30).status_code == 204
    given = {**data, "acl": "public-read"}
    assert requests.post(url, data=given, files={"file": b"x"}, timeout=30).status_code == 403
    signed = world.of(PLAIN_USER).s3.generate_presigned_post(bucket, "form")
    answer = requests.post(signed["url"], data=signed["fields"], files={"file": b"x"}, timeout=30)
    assert answer.status_code == 204
    main.s3.delete_bucket_policy(Bucket=bucket)
    answer = requests.post(signed["url"], data=signed["fields"], files={"file": b"x"}, timeout=30)
    assert answer.status_code == 403


def test_what_nobody_may_even_where_everybody_may(world: World, main: Holder, bucket: str) -> None:
    """https://github.com/s3fs-fuse/s3fs-fuse/pull/594, https://github.com/awsdocs/amazon-s3-userguide/pull/91"""
    world.let(bucket, allow("s3:*", everything(bucket), Principal="*"))
    nobody, upload = world.of(NOBODY).s3, main.s3.create_multipart_upload(Bucket=bucket, Key="big")["UploadId"]
    source = {"Bucket": bucket, "CopySource": f"{bucket}/key"}
    refused = {
        "copy objects": lambda: nobody.copy_object(**source, Key="copy"),
        "initiate multipart uploads": lambda: nobody.create_multipart_upload(Bucket=bucket, Key="big"),
    }
    for what, ask in refused.items():
        with pytest.raises(ClientError) as caught:
            ask()
        error = caught.value.response["Error"]
        assert (error["Code"], error["Message"]) == (REFUSED, f"Anonymous users cannot {what}.  Please authenticate.")
    part = {"Key": "big", "UploadId": upload, "PartNumber": 1}
    assert outcome(lambda: nobody.upload_part_copy(**source, **part)) == REFUSED
    assert outcome(lambda: nobody.put_object(Bucket=bucket, Key="new", Body=b"")) == ALLOWED


def test_tags_and_locks_are_told_to_whom_they_would_be_told(world: World, main: Holder) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html"""
    bucket = world.bucket(ObjectLockEnabledForBucket=True)
    until = datetime.now(UTC) + timedelta(hours=1)
    lock = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": until, "ObjectLockLegalHoldStatus": "ON"}
    named = {"Bucket": bucket, "Key": "key"}
    version = main.s3.put_object(**named, Body=b"", Tagging="a=b", **lock)["VersionId"]
    tags, retention, hold = {"TagCount"}, {"ObjectLockMode", "ObjectLockRetainUntilDate"}, {"ObjectLockLegalHoldStatus"}
    user = world.user()
    for rights, told in (
        ([], set()),
        (["s3:GetObjectTagging"], tags),
        (["s3:GetObjectRetention"], retention),
        (["s3:GetObjectLegalHold"], hold),
        (["s3:GetObjectTagging", "s3:GetObjectRetention", "s3:GetObjectLegalHold"], tags | retention | hold),
    ):
        user.let(allow(["s3:GetObject", "s3:GetObjectVersion", *rights]))
        for ask in (user.s3.get_object, user.s3.head_object):
            assert ask(**named).keys() & (tags | retention | hold) == told
    # Of a version that is named, its own action counts.
    user.let(allow(["s3:GetObjectVersion", "s3:GetObjectTagging"]))
    assert "TagCount" not in user.s3.head_object(**named, VersionId=version)
    user.let(allow(["s3:GetObjectVersion", "s3:GetObjectVersionTagging"]))
    assert user.s3.head_object(**named, VersionId=version)["TagCount"] == 1


def test_policy_variables_and_unsigned_queries(world: World, bucket: str) -> None:
    user = world.user()
    own = f"arn:aws:s3:::{bucket}/home/${{aws:username}}/*"
    user.let(allow("s3:PutObject", own))
    assert outcome(lambda: user.s3.put_object(Bucket=bucket, Key=f"home/{user.name}/a", Body=b"")) == ALLOWED
    assert outcome(lambda: user.s3.put_object(Bucket=bucket, Key="home/other/a", Body=b"")) == REFUSED
    above = f"home/{user.name}/../other/a"
    assert outcome(lambda: user.s3.put_object(Bucket=bucket, Key=above, Body=b"")) == ALLOWED  # a key like any other
    query = urlencode({"list-type": 2})
    assert requests.get(f"{world.store.endpoint}/{bucket}?{query}", timeout=30).status_code == 403


def test_who_owns_what_is_listed(world: World, main: Holder, alt: Holder, bucket: str) -> None:
    """Each account has its own buckets, and a name that is taken is taken."""
    assert bucket in {each["Name"] for each in main.s3.list_buckets()["Buckets"]}
    assert bucket not in {each["Name"] for each in alt.s3.list_buckets()["Buckets"]}
    assert outcome(lambda: alt.s3.create_bucket(Bucket=bucket)) == "BucketAlreadyExists"
    assert outcome(lambda: main.s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=MAIN_ACCOUNT)) == ALLOWED
    assert outcome(lambda: main.s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=ALT_ACCOUNT)) == REFUSED
