"""Users, groups, keys: as boto3 reads them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.iam_api.fix_door import ROOT, Running

ALL = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})


def code_of(caught: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    """Code and status."""
    answer = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def test_a_user_from_birth_to_death(door: Running) -> None:
    iam = door.client("iam")
    made = iam.create_user(UserName="alice", Path="/team/", Tags=[{"Key": "a", "Value": "1"}])["User"]
    assert made["Arn"] == "arn:aws:iam::000000000000:user/team/alice"
    assert made["UserId"].startswith("AIDA") and len(made["UserId"]) == 21
    assert made["Tags"] == [{"Key": "a", "Value": "1"}]
    with pytest.raises(iam.exceptions.EntityAlreadyExistsException):
        iam.create_user(UserName="ALICE")
    found = iam.get_user(UserName="alice")["User"]
    assert (found["UserId"], found["Path"]) == (made["UserId"], "/team/")
    assert [user["UserName"] for user in iam.list_users(PathPrefix="/team/")["Users"]] == ["alice"]
    assert iam.list_users(PathPrefix="/other/")["Users"] == []
    iam.update_user(UserName="alice", NewUserName="alicia", NewPath="/")
    assert iam.get_user(UserName="alicia")["User"]["UserId"] == made["UserId"]
    with pytest.raises(iam.exceptions.NoSuchEntityException) as caught:
        iam.get_user(UserName="alice")
    assert code_of(caught) == ("NoSuchEntity", 404)
    assert "The user with name alice cannot be found." in str(caught.value)
    key = iam.create_access_key(UserName="alicia")["AccessKey"]
    with pytest.raises(iam.exceptions.DeleteConflictException) as conflict:
        iam.delete_user(UserName="alicia")
    assert code_of(conflict) == ("DeleteConflict", 409)
    iam.delete_access_key(UserName="alicia", AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName="alicia")
    assert iam.list_users()["Users"] == []


def test_keys_are_made_disabled_and_taken_away_at_once(door: Running) -> None:
    iam = door.client("iam")
    iam.create_user(UserName="keyed")
    iam.put_user_policy(UserName="keyed", PolicyName="all", PolicyDocument=ALL)
    key = iam.create_access_key(UserName="keyed")["AccessKey"]
    assert key["Status"] == "Active" and key["AccessKeyId"].startswith("AKIA") and len(key["SecretAccessKey"]) == 40
    sts = door.client("sts", key)
    assert sts.get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:user/keyed"
    iam.update_access_key(UserName="keyed", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    with pytest.raises(ClientError) as caught:
        sts.get_caller_identity()
    assert code_of(caught) == ("InvalidClientTokenId", 403)
    iam.update_access_key(UserName="keyed", AccessKeyId=key["AccessKeyId"], Status="Active")
    own = door.client("iam", key)
    assert own.get_user()["User"]["UserName"] == "keyed"
    second = own.create_access_key()["AccessKey"]
    assert second["UserName"] == "keyed"
    with pytest.raises(own.exceptions.LimitExceededException):
        own.create_access_key()
    listed = iam.list_access_keys(UserName="keyed")["AccessKeyMetadata"]
    assert {one["AccessKeyId"] for one in listed} == {key["AccessKeyId"], second["AccessKeyId"]}
    assert all("SecretAccessKey" not in one for one in listed)
    iam.delete_access_key(UserName="keyed", AccessKeyId=key["AccessKeyId"])
    with pytest.raises(ClientError):
        sts.get_caller_identity()
    iam.delete_access_key(UserName="keyed", AccessKeyId=second["AccessKeyId"])


def test_last_used(door: Running) -> None:
    iam = door.client("iam")
    iam.create_user(UserName="used")
    key = iam.create_access_key(UserName="used")["AccessKey"]
    before = iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])
    assert before["UserName"] == "used" and before["AccessKeyLastUsed"]["ServiceName"] == "N/A"

    async def note() -> None:
        identity = await door.identities.current(key["AccessKeyId"])
        assert identity is not None
        door.identities.note_used(identity, "s3", door.identities.now())

    door.call(note)
    after = iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])["AccessKeyLastUsed"]
    assert (after["ServiceName"], after["Region"]) == ("s3", "us-east-1") and "LastUsedDate" in after


def test_a_user_without_policies_may_do_nothing_but_ask_who_they_are(door: Running) -> None:
    iam = door.client("iam")
    iam.create_user(UserName="poor")
    key = iam.create_access_key(UserName="poor")["AccessKey"]
    poor = door.client("iam", key)
    for attempt in (poor.list_users, poor.get_user, lambda: poor.create_user(UserName="x"), poor.get_account_summary):
        with pytest.raises(ClientError) as caught:
            attempt()
        assert code_of(caught) == ("AccessDenied", 403)
    assert "is not authorized to perform: iam:GetAccountSummary" in str(caught.value)
    with pytest.raises(ClientError) as caught:
        poor.get_user(UserName="nobody-at-all")
    assert code_of(caught) == ("AccessDenied", 403)


def test_groups(door: Running) -> None:
    iam = door.client("iam")
    iam.create_group(GroupName="devs")
    for name in ("gina", "gus"):
        iam.create_user(UserName=name)
        iam.add_user_to_group(GroupName="devs", UserName=name)
    key = iam.create_access_key(UserName="gina")["AccessKey"]
    gina = door.client("iam", key)
    with pytest.raises(ClientError):
        gina.list_groups()
    iam.put_group_policy(GroupName="devs", PolicyName="all", PolicyDocument=ALL)
    assert [one["GroupName"] for one in gina.list_groups()["Groups"]] == ["devs"]
    page = iam.get_group(GroupName="devs", MaxItems=1)
    assert page["IsTruncated"] and [one["UserName"] for one in page["Users"]] == ["gina"]
    page = iam.get_group(GroupName="devs", Marker=page["Marker"])
    assert not page["IsTruncated"] and [one["UserName"] for one in page["Users"]] == ["gus"]
    iam.update_group(GroupName="devs", NewGroupName="engineers")
    assert [one["GroupName"] for one in iam.list_groups_for_user(UserName="gina")["Groups"]] == ["engineers"]
    assert gina.list_group_policies(GroupName="engineers")["PolicyNames"] == ["all"]
    with pytest.raises(iam.exceptions.DeleteConflictException):
        iam.delete_group(GroupName="engineers")
    with pytest.raises(iam.exceptions.DeleteConflictException):
        iam.delete_user(UserName="gus")
    for name in ("gina", "gus"):
        iam.remove_user_from_group(GroupName="engineers", UserName=name)
    with pytest.raises(ClientError):
        gina.list_groups()
    iam.delete_group_policy(GroupName="engineers", PolicyName="all")
    iam.delete_group(GroupName="engineers")
    assert iam.list_groups()["Groups"] == []


def test_pages_of_users(door: Running) -> None:
    iam = door.client("iam")
    for number in range(7):
        iam.create_user(UserName=f"page{number}", Path="/pages/")
    pages = list(iam.get_paginator("list_users").paginate(PathPrefix="/pages/", PaginationConfig={"PageSize": 3}))
    assert [len(page["Users"]) for page in pages] == [3, 3, 1]
    assert [user["UserName"] for page in pages for user in page["Users"]] == [f"page{n}" for n in range(7)]


@pytest.mark.parametrize(
    ("method", "arguments", "code"),
    [
        ("create_user", {"UserName": "a b"}, "ValidationError"),
        ("create_user", {"UserName": "x" * 65}, "ValidationError"),
        ("create_user", {"UserName": "x", "Path": "nope"}, "ValidationError"),
        ("list_users", {"MaxItems": 1001}, "ValidationError"),
        ("list_users", {"Marker": "not hex"}, "ValidationError"),
        ("get_group", {"GroupName": "none"}, "NoSuchEntity"),
        ("update_access_key", {"AccessKeyId": "AKIA" + "A" * 16, "Status": "Maybe"}, "ValidationError"),
        ("delete_access_key", {"AccessKeyId": ROOT.access_key}, "AccessDenied"),
        ("get_instance_profile", {"InstanceProfileName": "x"}, "InvalidAction"),
    ],
)
def test_what_is_refused(door: Running, method: str, arguments: dict[str, Any], code: str) -> None:
    iam = door.client("iam")
    with pytest.raises(ClientError) as caught:
        getattr(iam, method)(**arguments)
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["RequestId"] == "request-1"


def test_wrong_signatures(door: Running) -> None:
    wrong = {"AccessKeyId": ROOT.access_key, "SecretAccessKey": "wrong"}
    with pytest.raises(ClientError) as caught:
        door.client("iam", wrong).list_users()
    assert code_of(caught) == ("SignatureDoesNotMatch", 403)
    unknown = {"AccessKeyId": "AKIAUNKNOWNUNKNOWN12", "SecretAccessKey": "wrong"}
    with pytest.raises(ClientError) as caught:
        door.client("iam", unknown).list_users()
    assert code_of(caught) == ("InvalidClientTokenId", 403)


def test_the_account(door: Running) -> None:
    iam = door.client("iam")
    assert iam.get_user()["User"]["Arn"] == "arn:aws:iam::000000000000:root"
    summary = iam.get_account_summary()["SummaryMap"]
    assert summary["AccountAccessKeysPresent"] == 1 and summary["AccessKeysPerUserQuota"] == 2
    assert iam.list_account_aliases()["AccountAliases"] == []
    iam.create_account_alias(AccountAlias="our-store")
    assert iam.list_account_aliases()["AccountAliases"] == ["our-store"]
    iam.delete_account_alias(AccountAlias="our-store")
    assert iam.list_account_aliases()["AccountAliases"] == []


def test_tags(door: Running) -> None:
    iam = door.client("iam")
    iam.create_user(UserName="tagged")
    iam.tag_user(UserName="tagged", Tags=[{"Key": "Team", "Value": "a"}, {"Key": "x", "Value": ""}])
    iam.tag_user(UserName="tagged", Tags=[{"Key": "team", "Value": "b"}])
    assert iam.list_user_tags(UserName="tagged")["Tags"] == [
        {"Key": "team", "Value": "b"},
        {"Key": "x", "Value": ""},
    ]
    iam.untag_user(UserName="tagged", TagKeys=["TEAM"])
    assert iam.get_user(UserName="tagged")["User"]["Tags"] == [{"Key": "x", "Value": ""}]
