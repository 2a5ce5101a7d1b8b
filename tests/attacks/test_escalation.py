"""Users who try to get more than they were given: through others' rights, through policies, roles and sessions."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from botocore import UNSIGNED
from botocore.exceptions import ParamValidationError

from tests.attacks.conftest import KEY, TREASURE, Prey
from tests.attacks.realm import Keys, Realm, allow, policy, refused
from tests.fix_store import Store
from tests.limits.wire import Reply, Signer

pytestmark = pytest.mark.usefixtures("unharmed")

DENIED = {"AccessDenied", "403", "Forbidden"}
TRUST = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}


@pytest.fixture(scope="module")
def realm(store: Store) -> Realm:
    return Realm(store)


@pytest.fixture(scope="module")
def yard(store: Store, prey: Prey) -> str:
    """A bucket that attackers may use."""
    name = prey.bucket.replace("prey", "mine")
    store.client().create_bucket(Bucket=name)
    return name


def unique(name: str) -> str:
    return f"{name}-{uuid4().hex[:8]}"


def all_of(bucket: str) -> list[str]:
    return [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]


def may_not_read(s3: Any, prey: Prey) -> None:
    where = {"Bucket": prey.bucket, "Key": KEY}
    for call in (s3.get_object, s3.head_object, s3.get_object_attributes, s3.get_object_tagging, s3.get_object_acl):
        more = {"ObjectAttributes": ["ETag"]} if call == s3.get_object_attributes else {}
        assert refused(call, **where, **more) in DENIED
    assert refused(s3.list_objects_v2, Bucket=prey.bucket) in DENIED
    assert refused(s3.delete_object, **where) in DENIED
    assert refused(s3.put_object, **where, Body=b"stolen") in DENIED


# --- the confused deputy ---


def test_a_copy_reads_with_the_rights_of_who_asks(
    realm: Realm, prey: Prey, yard: str, store: Store, ask: Callable[[bytes], Reply]
) -> None:
    """Whoever may write here and not read there copies nothing from there, in whatever way the source is spelled."""
    keys = realm.user(unique("writer"), allow("s3:*", all_of(yard)))
    writer = Signer(store)
    writer.access_key, writer.secret_key = keys["AccessKeyId"], keys["SecretAccessKey"]
    for source in ("{b}/treasure", "/{b}/treasure", "{b}%2Ftreasure", "{b}/%74reasure", "{b}/treasure?versionId=null"):
        for more in ([], [("x-amz-metadata-directive", "REPLACE")], [("x-amz-tagging-directive", "REPLACE")]):
            headers = [("x-amz-copy-source", source.format(b=prey.bucket)), *more]
            reply = ask(writer.request("PUT", f"/{yard}/c", headers).raw)
            assert (reply.status, reply.code) == (403, "AccessDenied"), source
    s3 = realm.client("s3", keys)
    upload_id = s3.create_multipart_upload(Bucket=yard, Key="c")["UploadId"]
    part = {"Bucket": yard, "Key": "c", "UploadId": upload_id, "PartNumber": 1}
    for part_range in ({}, {"CopySourceRange": "bytes=0-1"}):
        assert refused(s3.upload_part_copy, **part, CopySource=f"{prey.bucket}/{KEY}", **part_range) in DENIED
    missing = {"Bucket": yard, "Key": "c", "CopySource": f"{prey.bucket}/no-such-key"}
    assert refused(s3.copy_object, **missing) in DENIED, "nor is it told what is there"
    s3.abort_multipart_upload(Bucket=yard, Key="c", UploadId=upload_id)
    assert "Contents" not in s3.list_objects_v2(Bucket=yard)
    may_not_read(s3, prey)


def test_a_reader_cannot_make_others_write(realm: Realm, prey: Prey, yard: str) -> None:
    """The other half: reading the source is not writing the destination, nor its tags and locks."""
    own = f"arn:aws:s3:::{yard}/*"
    s3 = realm.client("s3", realm.user(unique("reader"), allow("s3:GetObject", f"arn:aws:s3:::{prey.bucket}/*")))
    assert refused(s3.copy_object, Bucket=yard, Key="c", CopySource=f"{prey.bucket}/{KEY}") in DENIED
    both = [allow("s3:GetObject", f"arn:aws:s3:::{prey.bucket}/*"), allow("s3:PutObject", own)]
    s3 = realm.client("s3", realm.user(unique("copier"), *both))
    tagged = {"TaggingDirective": "REPLACE", "Tagging": "clearance=top"}
    assert refused(s3.copy_object, Bucket=yard, Key="c", CopySource=f"{prey.bucket}/{KEY}", **tagged) in DENIED
    assert refused(s3.put_object, Bucket=yard, Key="c", Tagging="clearance=top") in DENIED


def test_a_name_in_a_body_is_asked_like_one_in_the_path(realm: Realm, prey: Prey, yard: str) -> None:
    """Of a DeleteObjects each key, each version; a prefix that is allowed is not another one."""
    own = [
        allow("s3:DeleteObject", f"arn:aws:s3:::{prey.bucket}/mine/*"),
        allow("s3:PutObject", f"arn:aws:s3:::{yard}/*"),
    ]
    s3 = realm.client("s3", realm.user(unique("sweeper"), *own))
    keys = [KEY, "mine/../treasure", "mine/x", f"mine/%2e%2e/{KEY}", "Mine/x"]
    answer = s3.delete_objects(Bucket=prey.bucket, Delete={"Objects": [{"Key": key} for key in keys]})
    assert {(each["Key"], each["Code"]) for each in answer["Errors"]} == {
        (KEY, "AccessDenied"),
        ("Mine/x", "AccessDenied"),
    }
    versions = {"Objects": [{"Key": "mine/x", "VersionId": "null"}]}
    answer = s3.delete_objects(Bucket=prey.bucket, Delete=versions)
    assert [each["Code"] for each in answer["Errors"]] == ["AccessDenied"], "a version is another action"


# --- who may write policies ---


def test_who_may_write_policies_stays_within_the_boundary(realm: Realm, prey: Prey, yard: str) -> None:
    """The one who may do everything to themselves: in IAM, but not beyond a boundary that they may not touch."""
    name = unique("climber")
    document = policy(
        allow("s3:*", all_of(yard)),
        allow("iam:*", "*"),
        allow(["iam:DeleteUserPermissionsBoundary", "iam:PutUserPermissionsBoundary"], "*", "Deny"),
    )
    boundary = realm.iam.create_policy(PolicyName=unique("boundary"), PolicyDocument=document)["Policy"]["Arn"]
    keys = realm.user(name, allow("iam:*", "*"), PermissionsBoundary=boundary)
    iam, s3 = realm.client("iam", keys), realm.client("s3", keys)
    iam.put_user_policy(UserName=name, PolicyName="more", PolicyDocument=policy(allow("*", "*")))
    iam.attach_user_policy(UserName=name, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    may_not_read(s3, prey)
    assert refused(iam.delete_user_permissions_boundary, UserName=name) in DENIED
    arn = "arn:aws:iam::aws:policy/AdministratorAccess"
    assert refused(iam.put_user_permissions_boundary, UserName=name, PermissionsBoundary=arn) in DENIED
    s3.put_object(Bucket=yard, Key="mine", Body=b"")
    s3.delete_object(Bucket=yard, Key="mine")


@pytest.mark.parametrize("action", ["iam:PutUserPolicy", "iam:AttachUserPolicy", "iam:CreateAccessKey"])
def test_who_may_do_one_thing_to_themselves_may_not_do_it_to_others(realm: Realm, action: str) -> None:
    account = realm.sts.get_caller_identity()["Account"]
    name, other = unique("self"), unique("other")
    realm.iam.create_user(UserName=other)
    iam = realm.client("iam", realm.user(name, allow(action, f"arn:aws:iam::{account}:user/{name}")))
    calls = {
        "iam:PutUserPolicy": (iam.put_user_policy, {"PolicyName": "p", "PolicyDocument": policy(allow("*", "*"))}),
        "iam:AttachUserPolicy": (
            iam.attach_user_policy,
            {"PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"},
        ),
        "iam:CreateAccessKey": (iam.create_access_key, {}),
    }
    for each, (call, more) in calls.items():
        assert refused(call, UserName=other, **more) in DENIED
        if each != action:
            assert refused(call, UserName=name, **more) in DENIED
    assert refused(iam.create_user, UserName=unique("new")) in DENIED
    assert refused(iam.create_policy, PolicyName="p", PolicyDocument=policy(allow("*", "*"))) in DENIED
    assert refused(iam.update_assume_role_policy, RoleName="r", PolicyDocument=policy(TRUST)) in DENIED
    calls[action][0](UserName=name, **calls[action][1])


def test_a_denial_outlives_whatever_its_bearer_gives_themselves(realm: Realm, prey: Prey) -> None:
    name, group = unique("denied"), unique("suspects")
    keys = realm.user(name, allow("iam:*", "*"))
    realm.iam.create_group(GroupName=group)
    denial = policy(allow(["s3:*", "iam:*Group*"], "*", "Deny"))
    realm.iam.put_group_policy(GroupName=group, PolicyName="deny", PolicyDocument=denial)
    realm.iam.add_user_to_group(GroupName=group, UserName=name)
    iam, s3 = realm.client("iam", keys), realm.client("s3", keys)
    iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=policy(allow("*", "*")))
    may_not_read(s3, prey)
    assert refused(iam.remove_user_from_group, GroupName=group, UserName=name) in DENIED
    assert refused(iam.delete_group_policy, GroupName=group, PolicyName="deny") in DENIED


def test_who_may_do_all_of_s3_may_do_nothing_of_iam(realm: Realm) -> None:
    name = unique("storekeeper")
    keys = realm.user(name, allow("s3:*", "*"))
    iam, sts = realm.client("iam", keys), realm.client("sts", keys)
    assert refused(iam.list_users) in DENIED
    assert refused(iam.put_user_policy, UserName=name, PolicyName="p", PolicyDocument=policy(allow("*", "*"))) in DENIED
    assert refused(iam.create_access_key) in DENIED
    assert sts.get_caller_identity()["Arn"].endswith(f":user/{name}"), "anybody may ask who they are"


# --- sessions and roles ---


def test_a_session_is_never_more_than_its_user(realm: Realm, prey: Prey, yard: str) -> None:
    keys = realm.user(unique("user"), allow("s3:*", all_of(yard)), allow("sts:GetSessionToken", "*"))
    session = realm.client("sts", keys).get_session_token()["Credentials"]
    may_not_read(realm.client("s3", session), prey)
    assert refused(realm.client("iam", session).list_users) in {"InvalidClientTokenId", *DENIED}


def test_a_token_of_one_key_is_not_one_of_another(realm: Realm, prey: Prey, yard: str) -> None:
    """Halves of different credentials, and tokens with one letter changed."""
    strong = realm.user(unique("strong"), allow("*", "*"))
    weak = realm.user(unique("weak"), allow("sts:*", "*"))
    mine = realm.client("sts", weak).get_session_token()["Credentials"]
    theirs = realm.client("sts", strong).get_session_token()["Credentials"]
    token = mine["SessionToken"]
    mixed: list[Keys] = [
        {**mine, "SessionToken": theirs["SessionToken"]},
        {**mine, "AccessKeyId": theirs["AccessKeyId"]},
        {**theirs, "SecretAccessKey": mine["SecretAccessKey"]},
        {**theirs, "SecretAccessKey": mine["SecretAccessKey"], "SessionToken": token},
        {**strong, "SessionToken": token},
        {**weak, "SessionToken": theirs["SessionToken"]},
        {"AccessKeyId": theirs["AccessKeyId"], "SecretAccessKey": theirs["SecretAccessKey"]},
        *({**theirs, "SessionToken": changed(theirs["SessionToken"], at)} for at in (0, 1, 20, 100, -20, -2)),
        {**theirs, "SessionToken": theirs["SessionToken"][:-4]},
        {**theirs, "SessionToken": theirs["SessionToken"] + "AAAA"},
    ]
    for keys in mixed:
        s3 = realm.client("s3", keys)
        code = refused(s3.get_object, Bucket=prey.bucket, Key=KEY)
        assert code in {"InvalidToken", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
        code = refused(realm.client("sts", keys).get_caller_identity)
        assert code in {"InvalidClientTokenId", "SignatureDoesNotMatch"}
    assert realm.client("s3", theirs).get_object(Bucket=prey.bucket, Key=KEY)["Body"].read() == TREASURE


def changed(text: str, at: int) -> str:
    letters = list(text)
    letters[at] = "A" if letters[at] != "A" else "B"
    return "".join(letters)


def test_a_role_is_assumed_by_whom_it_trusts_alone(realm: Realm, prey: Prey) -> None:
    account = realm.sts.get_caller_identity()["Account"]
    role, trusted_name = unique("role"), unique("trusted")
    anyone = allow("sts:AssumeRole", "*")
    trusted, other = realm.user(trusted_name, anyone), realm.user(unique("other"), anyone)
    trust = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"AWS": f"arn:aws:iam::{account}:user/{trusted_name}"},
    }
    trust |= {"Condition": {"StringEquals": {"sts:ExternalId": "the-word"}}}
    realm.iam.create_role(RoleName=role, AssumeRolePolicyDocument=policy(trust))
    realm.iam.put_role_policy(RoleName=role, PolicyName="p", PolicyDocument=policy(allow("s3:*", "*")))
    arn = f"arn:aws:iam::{account}:role/{role}"
    assume = {"RoleArn": arn, "RoleSessionName": "session"}
    assert refused(realm.client("sts", other).assume_role, **assume, ExternalId="the-word") in DENIED
    assert refused(realm.client("sts", trusted).assume_role, **assume) in DENIED
    assert refused(realm.client("sts", trusted).assume_role, **assume, ExternalId="a-word") in DENIED
    less = json.dumps({"Version": "2012-10-17", "Statement": [allow("s3:ListAllMyBuckets", "*")]})
    session = realm.client("sts", trusted).assume_role(**assume, ExternalId="the-word", Policy=less)["Credentials"]
    limited = realm.client("s3", session)
    assert prey.bucket in {each["Name"] for each in limited.list_buckets()["Buckets"]}
    may_not_read(limited, prey)
    assert refused(realm.client("sts", session).assume_role, **assume, ExternalId="the-word") in DENIED
    assert refused(realm.client("iam", session).list_roles) in DENIED


# --- names and values that try to be more than text ---


def test_a_tag_with_wildcards_is_text(realm: Realm, prey: Prey, yard: str) -> None:
    """What a variable brings into a policy is never a wildcard, and names are never paths."""
    for tag in ("*", "?", "${aws:username}", "../x"):
        name = unique("tagged")
        realm.iam.create_user(UserName=name)
        code = ""
        try:
            realm.iam.tag_user(UserName=name, Tags=[{"Key": "team", "Value": tag}])
        except realm.iam.exceptions.ClientError as error:
            code = error.response["Error"]["Code"]
        assert code in ("", "ValidationError", "InvalidInput")
        own = policy(allow("s3:*", f"arn:aws:s3:::{prey.bucket}/${{aws:PrincipalTag/team}}"))
        realm.iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=own)
        s3 = realm.client("s3", realm.iam.create_access_key(UserName=name)["AccessKey"])
        assert refused(s3.get_object, Bucket=prey.bucket, Key=KEY) in DENIED


@pytest.mark.parametrize("name", ["*", "a/b", "../root", "root\n", "a b", "é", "a" * 65, "", "a:b", "${aws:username}"])
def test_names_that_mean_more(realm: Realm, name: str) -> None:
    try:
        code = refused(realm.iam.create_user, UserName=name)
    except ParamValidationError:
        return
    assert code in {"ValidationError", "InvalidInput"}


def test_nobody(realm: Realm, prey: Prey, store: Store) -> None:
    """Without a signature, and with one of nobody: nothing."""
    s3 = store.client(signature_version=UNSIGNED)
    may_not_read(s3, prey)
    assert refused(s3.list_buckets) in DENIED
    nobody = {"AccessKeyId": "AKIDNOBODY0000000000", "SecretAccessKey": "x"}
    assert refused(realm.client("s3", nobody).get_object, Bucket=prey.bucket, Key=KEY) == "InvalidAccessKeyId"
    assert refused(realm.client("iam", nobody).list_users) == "InvalidClientTokenId"
    with_own_bucket_policy = policy(allow("s3:*", all_of(prey.bucket), Principal="*"))
    assert refused(s3.put_bucket_policy, Bucket=prey.bucket, Policy=with_own_bucket_policy) in DENIED
