"""Managed and inline policies, boundaries, roles: as boto3 reads them."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from tests.iam_api.fix_door import Running

READ_ONLY = "arn:aws:iam::aws:policy/IAMReadOnlyAccess"


def document(*actions: str, resource: str = "*", effect: str = "Allow", **more: object) -> str:
    """One statement."""
    statement = {"Effect": effect, "Action": list(actions), "Resource": resource, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::000000000000:root"},
            "Action": "sts:AssumeRole",
        },
    }
)


def test_managed_policies_and_versions(door: Running) -> None:
    iam = door.client("iam")
    made = iam.create_policy(
        PolicyName="Versioned", PolicyDocument=document("s3:GetObject"), Path="/p/", Description="about"
    )["Policy"]
    arn = made["Arn"]
    assert arn == "arn:aws:iam::000000000000:policy/p/Versioned"
    assert (made["DefaultVersionId"], made["AttachmentCount"]) == ("v1", 0)
    with pytest.raises(iam.exceptions.EntityAlreadyExistsException):
        iam.create_policy(PolicyName="versioned", PolicyDocument=document("s3:GetObject"))
    for number in range(2, 6):
        version = iam.create_policy_version(
            PolicyArn=arn, PolicyDocument=document("s3:PutObject"), SetAsDefault=number == 3
        )["PolicyVersion"]
        assert (version["VersionId"], version["IsDefaultVersion"]) == (f"v{number}", number == 3)
    with pytest.raises(iam.exceptions.LimitExceededException):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=document("s3:PutObject"))
    listed = iam.list_policy_versions(PolicyArn=arn)["Versions"]
    assert [one["VersionId"] for one in listed] == ["v5", "v4", "v3", "v2", "v1"]
    found = iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]
    assert found["Document"]["Statement"][0]["Action"] == ["s3:GetObject"]
    with pytest.raises(iam.exceptions.DeleteConflictException):
        iam.delete_policy_version(PolicyArn=arn, VersionId="v3")
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    policy = iam.get_policy(PolicyArn=arn)["Policy"]
    assert (policy["DefaultVersionId"], policy["Description"]) == ("v1", "about")
    with pytest.raises(iam.exceptions.DeleteConflictException):
        iam.delete_policy(PolicyArn=arn)
    for number in range(2, 6):
        iam.delete_policy_version(PolicyArn=arn, VersionId=f"v{number}")
    iam.delete_policy(PolicyArn=arn)
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.get_policy(PolicyArn=arn)


def test_lists_of_policies(door: Running) -> None:
    iam = door.client("iam")
    arns = [iam.create_policy(PolicyName=f"l{n}", PolicyDocument=document("s3:*"))["Policy"]["Arn"] for n in range(3)]
    local = iam.list_policies(Scope="Local")["Policies"]
    assert [one["Arn"] for one in local] == arns
    assert "AdministratorAccess" in {one["PolicyName"] for one in iam.list_policies(Scope="AWS")["Policies"]}
    pages = iam.get_paginator("list_policies").paginate(PaginationConfig={"PageSize": 2})
    names = [one["PolicyName"] for page in pages for one in page["Policies"]]
    assert names[:3] == ["l0", "l1", "l2"] and "IAMFullAccess" in names and len(names) == len(set(names))
    iam.create_user(UserName="lister")
    iam.attach_user_policy(UserName="lister", PolicyArn=arns[1])
    iam.attach_user_policy(UserName="lister", PolicyArn=READ_ONLY)
    only = iam.list_policies(OnlyAttached=True)["Policies"]
    assert [(one["PolicyName"], one["AttachmentCount"]) for one in only] == [("l1", 1), ("IAMReadOnlyAccess", 1)]
    entities = iam.list_entities_for_policy(PolicyArn=arns[1])
    assert [one["UserName"] for one in entities["PolicyUsers"]] == ["lister"]
    with pytest.raises(iam.exceptions.DeleteConflictException):
        iam.delete_policy(PolicyArn=arns[1])
    with pytest.raises(iam.exceptions.DeleteConflictException):
        iam.delete_user(UserName="lister")


def test_attached_and_inline_policies_decide_at_once(door: Running) -> None:
    iam = door.client("iam")
    iam.create_user(UserName="decided")
    key = iam.create_access_key(UserName="decided")["AccessKey"]
    own = door.client("iam", key)

    def may() -> bool:
        try:
            own.list_users()
        except ClientError as error:
            assert error.response["Error"]["Code"] == "AccessDenied"
            return False
        return True

    assert not may()
    iam.attach_user_policy(UserName="decided", PolicyArn=READ_ONLY)
    attached = iam.list_attached_user_policies(UserName="decided")["AttachedPolicies"]
    assert attached == [{"PolicyName": "IAMReadOnlyAccess", "PolicyArn": READ_ONLY}]
    assert may()
    iam.put_user_policy(UserName="decided", PolicyName="no", PolicyDocument=document("iam:*", effect="Deny"))
    assert not may()
    found = iam.get_user_policy(UserName="decided", PolicyName="no")
    assert found["PolicyDocument"]["Statement"][0]["Effect"] == "Deny"
    iam.delete_user_policy(UserName="decided", PolicyName="no")
    assert may()
    iam.detach_user_policy(UserName="decided", PolicyArn=READ_ONLY)
    assert not may()
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.detach_user_policy(UserName="decided", PolicyArn=READ_ONLY)


def test_a_boundary_limits(door: Running) -> None:
    iam = door.client("iam")
    boundary = iam.create_policy(PolicyName="edge", PolicyDocument=document("iam:GetUser"))["Policy"]["Arn"]
    made = iam.create_user(UserName="bounded", PermissionsBoundary=boundary)["User"]
    assert made["PermissionsBoundary"] == {
        "PermissionsBoundaryType": "Policy",
        "PermissionsBoundaryArn": boundary,
    }
    iam.put_user_policy(UserName="bounded", PolicyName="all", PolicyDocument=document("*"))
    own = door.client("iam", iam.create_access_key(UserName="bounded")["AccessKey"])
    assert own.get_user()["User"]["UserName"] == "bounded"
    with pytest.raises(ClientError):
        own.list_users()
    with pytest.raises(ClientError):
        own.delete_user_permissions_boundary(UserName="bounded")
    with pytest.raises(iam.exceptions.DeleteConflictException):
        iam.delete_policy(PolicyArn=boundary)
    iam.delete_user_permissions_boundary(UserName="bounded")
    assert own.list_users()["Users"]
    iam.delete_policy(PolicyArn=boundary)


def test_resources_and_condition_keys_of_iam(door: Running) -> None:
    """Who may attach one policy only may not attach another: there is no way up."""
    iam = door.client("iam")
    iam.create_user(UserName="helper", Path="/staff/")
    iam.create_user(UserName="customer", Path="/guests/")
    only = {"ArnEquals": {"iam:PolicyARN": READ_ONLY}}
    guests = "arn:aws:iam::000000000000:user/guests/*"
    policy = document("iam:AttachUserPolicy", resource=guests, Condition=only)
    iam.put_user_policy(UserName="helper", PolicyName="attach", PolicyDocument=policy)
    helper = door.client("iam", iam.create_access_key(UserName="helper")["AccessKey"])
    helper.attach_user_policy(UserName="customer", PolicyArn=READ_ONLY)
    for name, arn in (("customer", "arn:aws:iam::aws:policy/AdministratorAccess"), ("helper", READ_ONLY)):
        with pytest.raises(ClientError) as caught:
            helper.attach_user_policy(UserName=name, PolicyArn=arn)
        assert caught.value.response["Error"]["Code"] == "AccessDenied"


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"Version": "2012-10-17"}', document("s3:GetObject", Principal="*"), document("s3:x", Foo=1)],
)
def test_malformed_policies(door: Running, text: str) -> None:
    iam = door.client("iam")
    with pytest.raises(iam.exceptions.MalformedPolicyDocumentException) as caught:
        iam.create_policy(PolicyName="bad", PolicyDocument=text)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_too_long_policies(door: Running) -> None:
    iam = door.client("iam")
    iam.create_user(UserName="long")
    with pytest.raises(iam.exceptions.LimitExceededException):
        iam.put_user_policy(
            UserName="long", PolicyName="x", PolicyDocument=document(*[f"s3:Get{n:05}" for n in range(200)])
        )


def test_a_role_from_birth_to_death(door: Running) -> None:
    iam = door.client("iam")
    made = iam.create_role(
        RoleName="reader",
        AssumeRolePolicyDocument=TRUST,
        Description="reads",
        MaxSessionDuration=7200,
        Tags=[{"Key": "k", "Value": "v"}],
    )["Role"]
    assert made["Arn"] == "arn:aws:iam::000000000000:role/reader" and made["RoleId"].startswith("AROA")
    role = iam.get_role(RoleName="reader")["Role"]
    assert role["AssumeRolePolicyDocument"]["Statement"]["Action"] == "sts:AssumeRole"
    assert (role["MaxSessionDuration"], role["Description"], role["Tags"]) == (
        7200,
        "reads",
        [{"Key": "k", "Value": "v"}],
    )
    iam.update_role(RoleName="reader", Description="", MaxSessionDuration=3600)
    assert iam.get_role(RoleName="reader")["Role"]["MaxSessionDuration"] == 3600
    assert iam.update_role_description(RoleName="reader", Description="new")["Role"]["Description"] == "new"
    with pytest.raises(iam.exceptions.MalformedPolicyDocumentException):
        iam.update_assume_role_policy(RoleName="reader", PolicyDocument=document("sts:AssumeRole"))
    iam.update_assume_role_policy(RoleName="reader", PolicyDocument=TRUST)
    iam.put_role_policy(RoleName="reader", PolicyName="p", PolicyDocument=document("s3:GetObject"))
    assert iam.list_role_policies(RoleName="reader")["PolicyNames"] == ["p"]
    iam.attach_role_policy(RoleName="reader", PolicyArn=READ_ONLY)
    assert [one["RoleName"] for one in iam.list_roles()["Roles"]] == ["reader"]
    assert [one["RoleName"] for one in iam.list_entities_for_policy(PolicyArn=READ_ONLY)["PolicyRoles"]] == ["reader"]
    assert iam.list_instance_profiles_for_role(RoleName="reader")["InstanceProfiles"] == []
    with pytest.raises(iam.exceptions.DeleteConflictException):
        iam.delete_role(RoleName="reader")
    iam.detach_role_policy(RoleName="reader", PolicyArn=READ_ONLY)
    iam.delete_role_policy(RoleName="reader", PolicyName="p")
    iam.delete_role(RoleName="reader")
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.get_role(RoleName="reader")


def test_simulation(door: Running) -> None:
    iam = door.client("iam")
    arn = iam.create_user(UserName="simulated")["User"]["Arn"]
    iam.put_user_policy(
        UserName="simulated", PolicyName="get", PolicyDocument=document("s3:GetObject", resource="arn:aws:s3:::b/*")
    )
    iam.put_user_policy(UserName="simulated", PolicyName="no", PolicyDocument=document("s3:Delete*", effect="Deny"))
    found = iam.simulate_principal_policy(
        PolicySourceArn=arn,
        ActionNames=["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
        ResourceArns=["arn:aws:s3:::b/k"],
    )["EvaluationResults"]
    assert [one["EvalDecision"] for one in found] == ["allowed", "implicitDeny", "explicitDeny"]
