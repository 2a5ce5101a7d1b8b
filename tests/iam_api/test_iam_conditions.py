"""What policies can ask of a request to IAM: tags of what it touches and gives, boundaries, the age of sessions."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.iam_api.fix_door import Running
from tests.iam_api.test_policies_and_roles import READ_ONLY, document
from tests.iam_api.test_sts import ACCOUNT, code_of, new_role, new_user


def statements(*several: dict[str, Any]) -> str:
    """A policy of these."""
    return json.dumps({"Version": "2012-10-17", "Statement": several})


def user_with(door: Running, policy: str) -> Any:
    """A client of IAM of a new user with this policy, given by the root."""
    key = new_user(door)
    door.client("iam").put_user_policy(UserName=key["UserName"], PolicyName="own", PolicyDocument=policy)
    return door.client("iam", key)


ALLOW = {"Effect": "Allow", "Action": "*", "Resource": "*"}


def test_what_is_tagged_as_protected_is_protected(door: Running) -> None:
    root, name = door.client("iam"), f"u{uuid.uuid4().hex[:8]}"
    role = new_role(door, {"AWS": ACCOUNT}).rpartition("/")[2]
    root.create_user(UserName=name, Tags=[{"Key": "Keep", "Value": "yes"}])
    root.tag_role(RoleName=role, Tags=[{"Key": "Keep", "Value": "yes"}])
    for key in ("aws:ResourceTag/keep", "iam:ResourceTag/Keep"):
        deny = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"StringEquals": {key: "yes"}}}
        iam = user_with(door, statements(ALLOW, deny))
        with pytest.raises(ClientError, match="with an explicit deny in an identity-based policy"):
            iam.delete_user(UserName=name)
        assert code_of(iam.delete_role, RoleName=role) == "AccessDenied"
        assert code_of(iam.untag_user, UserName=name, TagKeys=["Keep"]) == "AccessDenied"
        assert code_of(iam.update_user, UserName=name, NewPath="/x/") == "AccessDenied"
        assert iam.get_user(UserName=iam.get_user()["User"]["UserName"])
    root.untag_user(UserName=name, TagKeys=["Keep"])
    iam.delete_user(UserName=name)


def test_tags_that_a_request_names(door: Running) -> None:
    allow = {
        **ALLOW,
        "Condition": {
            "StringEquals": {"aws:RequestTag/Team": "red"},
            "ForAllValues:StringEquals": {"aws:TagKeys": ["Team"]},
        },
    }
    iam = user_with(door, statements(allow))

    def made(*tags: tuple[str, str]) -> str:
        named = [{"Key": key, "Value": value} for key, value in tags]
        try:
            iam.create_user(UserName=f"u{uuid.uuid4().hex[:8]}", Tags=named)
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "made"

    assert made(("Team", "red")) == "made"
    assert made(("team", "red")) == "AccessDenied"  # AWS compares the values of aws:TagKeys, the keys' names, as text
    assert made() == made(("Team", "blue")) == made(("Team", "red"), ("More", "x")) == "AccessDenied"


def test_who_may_manage_only_those_with_a_boundary(door: Running) -> None:
    root, name = door.client("iam"), f"u{uuid.uuid4().hex[:8]}"
    boundary = {"Condition": {"StringEquals": {"iam:PermissionsBoundary": READ_ONLY}}}
    iam = user_with(door, statements({**ALLOW, **boundary}))
    root.create_user(UserName=name)
    inline = {"UserName": name, "PolicyName": "p", "PolicyDocument": document("s3:*")}
    attached = {"UserName": name, "PolicyArn": READ_ONLY}
    calls = (
        (iam.put_user_policy, inline),
        (iam.delete_user_policy, {"UserName": name, "PolicyName": "p"}),
        (iam.attach_user_policy, attached),
        (iam.detach_user_policy, attached),
        (iam.delete_user_permissions_boundary, {"UserName": name}),
    )
    for call, arguments in calls:
        assert code_of(call, **arguments) == "AccessDenied"
    root.put_user_permissions_boundary(UserName=name, PermissionsBoundary=READ_ONLY)
    for call, arguments in calls:
        call(**arguments)


def test_revoked_sessions_may_do_nothing_in_iam_either(door: Running) -> None:
    """As the console's button to revoke a role's sessions does it: a deny of what was issued before now."""
    role = new_role(door, {"AWS": ACCOUNT}, "*")
    name = role.rpartition("/")[2]
    sts = door.client("sts", new_user(door, "sts:*"))
    session = sts.assume_role(RoleArn=role, RoleSessionName="visit")["Credentials"]
    door.client("iam", session).list_users()
    for condition in (
        {"DateLessThan": {"aws:TokenIssueTime": "2100-01-01T00:00:00Z"}},
        {"Bool": {"aws:MultiFactorAuthPresent": "false"}},
    ):
        revoked = statements({"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": condition})
        door.client("iam").put_role_policy(RoleName=name, PolicyName="revoked", PolicyDocument=revoked)
        assert code_of(door.client("iam", session).list_users) == "AccessDenied"
        again = door.client("sts", session)
        assert code_of(again.assume_role, RoleArn=role, RoleSessionName="visit") == "AccessDenied"


def test_a_sessions_tag_takes_the_place_of_its_roles(door: Running) -> None:
    role = new_role(door, {"AWS": ACCOUNT}, Tags=[{"Key": "Team", "Value": "red"}])
    policy = document("iam:ListUsers", Condition={"StringEquals": {"aws:PrincipalTag/TEAM": "red"}})
    door.client("iam").put_role_policy(RoleName=role.rpartition("/")[2], PolicyName="own", PolicyDocument=policy)
    sts = door.client("sts", new_user(door, "sts:*"))
    visit = {"RoleArn": role, "RoleSessionName": "visit"}
    door.client("iam", sts.assume_role(**visit)["Credentials"]).list_users()
    blue = sts.assume_role(**visit, Tags=[{"Key": "team", "Value": "blue"}])["Credentials"]
    assert code_of(door.client("iam", blue).list_users) == "AccessDenied"


def test_whose_a_key_is_is_not_told_to_everybody(door: Running) -> None:
    key = new_user(door)
    ask = {"AccessKeyId": key["AccessKeyId"]}
    assert code_of(door.client("sts", key).get_access_key_info, **ask) == "AccessDenied"
    allowed = door.client("sts", new_user(door, "sts:GetAccessKeyInfo"))
    assert allowed.get_access_key_info(**ask)["Account"] == ACCOUNT
