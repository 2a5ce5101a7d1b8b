"""Tags of sessions: from the request, from an identity provider's token, and from the session behind."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.iam_api.fix_door import Running
from tests.iam_api.fix_provider import Provider, serving
from tests.iam_api.test_policies_and_roles import document
from tests.iam_api.test_sts import ACCOUNT, code_of, new_role, new_user
from tests.iam_api.test_web_identity import assume

RED = {"StringEquals": {"aws:PrincipalTag/team": "red"}}
VISIT = {"RoleSessionName": "visit"}


def tags(**pairs: str) -> list[dict[str, str]]:
    """As requests have them."""
    return [{"Key": key, "Value": value} for key, value in pairs.items()]


def with_policy(door: Running, role: str, policy: str) -> str:
    """The role, once it has the policy."""
    door.client("iam").put_role_policy(RoleName=role.rpartition("/")[2], PolicyName="own", PolicyDocument=policy)
    return role


def test_transitive_tags_reach_the_next_role(door: Running) -> None:
    first = new_role(door, {"AWS": ACCOUNT}, "sts:*")
    second = with_policy(door, new_role(door, {"AWS": ACCOUNT}), document("iam:ListUsers", Condition=RED))
    sts = door.client("sts", new_user(door, "sts:*"))

    def chained(**more: Any) -> Any:
        session = sts.assume_role(RoleArn=first, Tags=tags(team="red", other="x"), **VISIT, **more)["Credentials"]
        return door.client("sts", session)

    session = chained(TransitiveTagKeys=["Team"]).assume_role(RoleArn=second, **VISIT)["Credentials"]
    assert door.client("iam", session).list_users()["Users"]
    session = chained().assume_role(RoleArn=second, **VISIT)["Credentials"]
    assert code_of(door.client("iam", session).list_users) == "AccessDenied"
    handed_on = chained(TransitiveTagKeys=["team"])
    assert code_of(handed_on.assume_role, RoleArn=second, Tags=tags(TEAM="blue"), **VISIT) == "ValidationError"
    handed_on.assume_role(RoleArn=second, Tags=tags(other="y"), **VISIT)
    assert code_of(sts.assume_role, RoleArn=first, TransitiveTagKeys=["team"], **VISIT) == "ValidationError"


def test_conditions_on_the_names_of_tags(door: Running) -> None:
    condition = {"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}, "Null": {"sts:TransitiveTagKeys": "true"}}
    role = new_role(door, {"AWS": ACCOUNT}, condition=condition)
    sts = door.client("sts", new_user(door, "sts:*"))
    sts.assume_role(RoleArn=role, Tags=tags(team="red"), **VISIT)
    assert code_of(sts.assume_role, RoleArn=role, Tags=tags(team="red", more="x"), **VISIT) == "AccessDenied"
    handed_on = {"Tags": tags(team="red"), "TransitiveTagKeys": ["team"]}
    assert code_of(sts.assume_role, RoleArn=role, **handed_on, **VISIT) == "AccessDenied"


def web_role(door: Running, provider: Provider, arn: str, condition: Any, *actions: str) -> str:
    """A role for the provider's subjects."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": arn},
        "Action": ["sts:AssumeRoleWithWebIdentity", *actions],
        "Condition": condition,
    }
    trust = json.dumps({"Version": "2012-10-17", "Statement": statement})
    name = f"w{uuid.uuid4().hex[:8]}"
    role: str = door.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    return with_policy(door, role, document("iam:ListUsers", Condition=RED))


def test_what_a_token_claims(door: Running) -> None:
    """Its tags need sts:TagSession of the role; `amr` has several values; `azp` is whom the token was given to."""
    with serving() as provider:
        arn = door.client("iam").create_open_id_connect_provider(Url=provider.issuer, ClientIDList=["client-1"])[
            "OpenIDConnectProviderArn"
        ]
        name = provider.issuer.removeprefix("http://")

        def refused(role: str, **claims: Any) -> str:
            with pytest.raises(ClientError) as caught:
                assume(door, role, provider.token(**claims))
            return str(caught.value.response["Error"]["Code"])

        red = {"principal_tags": {"team": ["red"]}, "transitive_tag_keys": ["team"]}
        claim: dict[str, Any] = {"https://aws.amazon.com/tags": red}
        unreadable: list[Any] = [[], {"principal_tags": {"team": ["red", "blue"]}}, {"principal_tags": 1}]
        requested = {"StringEquals": {"aws:RequestTag/team": "red"}}
        role = web_role(door, provider, arn, requested, "sts:TagSession")
        session = assume(door, role, provider.token(**claim))["Credentials"]
        assert door.client("iam", session).list_users()["Users"]
        assert refused(role) == "AccessDenied"
        assert refused(web_role(door, provider, arn, {}), **claim) == "AccessDenied"
        for bad in unreadable:
            assert refused(role, **{"https://aws.amazon.com/tags": bad}) == "InvalidIdentityToken"

        role = web_role(door, provider, arn, {"ForAnyValue:StringEquals": {f"{name}:amr": "authenticated"}})
        assume(door, role, provider.token(amr=["mfa", "authenticated"]))
        assert refused(role, amr=["unauthenticated"]) == refused(role) == "AccessDenied"

        role = web_role(door, provider, arn, {"StringEquals": {f"{name}:aud": "client-1", f"{name}:oaud": "account"}})
        assert assume(door, role, provider.token(aud="account", azp="client-1"))["Audience"] == "client-1"
        assert refused(role) == "AccessDenied"
