"""GetAccountAuthorizationDetails, which tools that audit an account read."""

from __future__ import annotations

import uuid
from typing import Any

from tests.iam_api.fix_door import Running
from tests.iam_api.test_policies_and_roles import READ_ONLY, TRUST, document
from tests.iam_api.test_sts import code_of


def test_everything_an_account_may_do(door: Running) -> None:
    iam, x = door.client("iam"), uuid.uuid4().hex[:6]
    user, group, role, policy = f"u{x}", f"g{x}", f"r{x}", f"p{x}"
    arn = iam.create_policy(PolicyName=policy, PolicyDocument=document("s3:*"))["Policy"]["Arn"]
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=document("s3:Get*"), SetAsDefault=True)
    iam.create_user(UserName=user, Tags=[{"Key": "a", "Value": "b"}], PermissionsBoundary=arn)
    iam.create_group(GroupName=group)
    iam.create_role(RoleName=role, AssumeRolePolicyDocument=TRUST)
    iam.add_user_to_group(GroupName=group, UserName=user)
    iam.put_user_policy(UserName=user, PolicyName="own", PolicyDocument=document("s3:*"))
    iam.attach_group_policy(GroupName=group, PolicyArn=READ_ONLY)
    iam.attach_role_policy(RoleName=role, PolicyArn=arn)

    def all_of(**more: Any) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for page in iam.get_paginator("get_account_authorization_details").paginate(**more):
            for element, noun in (("User", "UserName"), ("Group", "GroupName"), ("Role", "RoleName")):
                found |= {one[noun]: one for one in page[f"{element}DetailList"]}
            found |= {one["PolicyName"]: one for one in page["Policies"]}
        return found

    found = all_of()
    assert found == all_of(PaginationConfig={"PageSize": 1})
    assert found[user]["GroupList"] == [group] and found[user]["Tags"] == [{"Key": "a", "Value": "b"}]
    assert found[user]["UserPolicyList"][0]["PolicyName"] == "own"
    assert found[user]["UserPolicyList"][0]["PolicyDocument"]["Statement"]
    assert found[user]["PermissionsBoundary"]["PermissionsBoundaryArn"] == arn
    assert found[group]["AttachedManagedPolicies"][0]["PolicyArn"] == READ_ONLY
    assert found[role]["AssumeRolePolicyDocument"]["Statement"] and found[role]["RolePolicyList"] == []
    assert found[policy]["DefaultVersionId"] == "v2" and len(found[policy]["PolicyVersionList"]) == 2
    assert READ_ONLY.rpartition("/")[2] in found
    assert set(all_of(Filter=["Group"])) >= {group} and user not in all_of(Filter=["Group"])
    assert code_of(iam.get_account_authorization_details, Filter=["Everything"]) == "ValidationError"
