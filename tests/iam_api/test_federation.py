"""Who is behind a session: source identities that stay, and federated users who get what two policies allow both."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.iam_api.fix_door import Running
from tests.iam_api.fix_provider import serving
from tests.iam_api.test_policies_and_roles import READ_ONLY, document
from tests.iam_api.test_session_tags import web_role, with_policy
from tests.iam_api.test_sts import ACCOUNT, code_of, new_role, new_user
from tests.iam_api.test_web_identity import assume

VISIT = {"RoleSessionName": "visit"}


def role_for_sources(door: Running, condition: Any = None, *actions: str) -> str:
    """A role whose sessions may have a source identity."""
    role = new_role(door, {"AWS": ACCOUNT}, *actions)
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": ACCOUNT},
        "Action": ["sts:AssumeRole", "sts:SetSourceIdentity"],
        "Condition": condition or {},
    }
    trust = json.dumps({"Version": "2012-10-17", "Statement": statement})
    door.client("iam").update_assume_role_policy(RoleName=role.rpartition("/")[2], PolicyDocument=trust)
    return role


def test_a_source_identity_stays(door: Running) -> None:
    only_alice = {"StringEquals": {"sts:SourceIdentity": "alice"}}
    first, second = role_for_sources(door, only_alice, "sts:*"), role_for_sources(door)
    policy = document("iam:ListUsers", Condition={"StringEquals": {"aws:SourceIdentity": "alice"}})
    with_policy(door, second, policy)
    sts = door.client("sts", new_user(door, "sts:*"))
    assert code_of(sts.assume_role, RoleArn=first, SourceIdentity="bob", **VISIT) == "AccessDenied"
    assert code_of(sts.assume_role, RoleArn=first, **VISIT) == "AccessDenied"
    for bad in ("a", "a b", "x" * 65):
        assert code_of(sts.assume_role, RoleArn=first, SourceIdentity=bad, **VISIT) == "ValidationError"
    answer = sts.assume_role(RoleArn=first, SourceIdentity="alice", **VISIT)
    assert answer["SourceIdentity"] == "alice"
    chained = door.client("sts", answer["Credentials"])
    assert code_of(chained.assume_role, RoleArn=second, SourceIdentity="bob", **VISIT) == "AccessDenied"
    answer = chained.assume_role(RoleArn=second, **VISIT)
    assert answer["SourceIdentity"] == "alice"
    door.client("iam", answer["Credentials"]).list_users()
    # Who has one needs leave to bring it along, and who has none has none.
    assert code_of(chained.assume_role, RoleArn=new_role(door, {"AWS": ACCOUNT}), **VISIT) == "AccessDenied"
    plain = sts.assume_role(RoleArn=second, **VISIT)
    assert "SourceIdentity" not in plain
    assert code_of(door.client("iam", plain["Credentials"]).list_users) == "AccessDenied"


def test_a_source_identity_from_a_token(door: Running) -> None:
    with serving() as provider:
        arn = door.client("iam").create_open_id_connect_provider(Url=provider.issuer, ClientIDList=["client-1"])[
            "OpenIDConnectProviderArn"
        ]
        claim = {"https://aws.amazon.com/source_identity": "alice"}
        role = web_role(door, provider, arn, {}, "sts:SetSourceIdentity")
        condition = {"StringEquals": {"aws:SourceIdentity": "alice", "aws:FederatedProvider": arn}}
        with_policy(door, role, document("iam:ListUsers", Condition=condition))
        answer = assume(door, role, provider.token(**claim))
        assert answer["SourceIdentity"] == "alice"
        door.client("iam", answer["Credentials"]).list_users()
        assert code_of(door.client("iam", assume(door, role, provider.token())["Credentials"]).list_users) == (
            "AccessDenied"
        )
        without = web_role(door, provider, arn, {})
        with pytest.raises(ClientError, match="AccessDenied"):
            assume(door, without, provider.token(**claim))


def test_a_federated_user(door: Running) -> None:
    key = new_user(door, "sts:GetFederationToken", "s3:*")
    sts = door.client("sts", key)
    answer = sts.get_federation_token(Name="carol", Policy=document("s3:GetObject"))
    arn = f"arn:aws:sts::{ACCOUNT}:federated-user/carol"
    assert answer["FederatedUser"] == {"FederatedUserId": f"{ACCOUNT}:carol", "Arn": arn}
    assert 0 < answer["PackedPolicySize"] <= 100
    inside = door.client("sts", answer["Credentials"])
    found = inside.get_caller_identity()
    assert (found["Arn"], found["UserId"], found["Account"]) == (arn, f"{ACCOUNT}:carol", ACCOUNT)
    assert code_of(door.client("iam", answer["Credentials"]).list_users) == "InvalidClientTokenId"
    assert code_of(inside.get_federation_token, Name="again") == "AccessDenied"
    assert code_of(inside.get_session_token) == "AccessDenied"
    role = new_role(door, {"AWS": "*"})
    assert code_of(inside.assume_role, RoleArn=role, **VISIT) == "AccessDenied"
    door.client("iam").update_access_key(UserName=key["UserName"], AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert code_of(inside.get_caller_identity) == "InvalidClientTokenId"


def test_who_may_have_federated_users(door: Running) -> None:
    assert code_of(door.client("sts", new_user(door)).get_federation_token, Name="carol") == "AccessDenied"
    sts = door.client("sts", new_user(door, "sts:GetFederationToken"))
    assert "PackedPolicySize" not in sts.get_federation_token(Name="carol")
    tags = [{"Key": "team", "Value": "red"}]
    assert code_of(sts.get_federation_token, Name="carol", Tags=tags) == "AccessDenied"
    door.client("sts").get_federation_token(Name="carol", Tags=tags)
    for bad in ("c", "c d", "c" * 33):
        assert code_of(sts.get_federation_token, Name=bad) == "ValidationError"
    for seconds in (899, 129_601):
        assert code_of(sts.get_federation_token, Name="carol", DurationSeconds=seconds) == "ValidationError"
    sts.get_federation_token(Name="carol", PolicyArns=[{"arn": READ_ONLY}])
    assert code_of(sts.get_federation_token, Name="carol", Policy="{") == "MalformedPolicyDocument"
    session = door.client("sts", new_user(door, "sts:*")).get_session_token()["Credentials"]
    assert code_of(door.client("sts", session).get_federation_token, Name="carol") == "AccessDenied"


def test_there_are_no_encoded_messages(door: Running) -> None:
    sts = door.client("sts")
    assert code_of(sts.decode_authorization_message, EncodedMessage="x") == "InvalidAuthorizationMessageException"
    refused = door.client("sts", new_user(door)).decode_authorization_message
    assert code_of(refused, EncodedMessage="x") == "AccessDenied"


def test_what_a_token_said_is_asked_for_later(door: Running) -> None:
    """A folder, or here a name, of one's own for everybody whom the provider knows."""
    with serving() as provider:
        arn = door.client("iam").create_open_id_connect_provider(Url=provider.issuer, ClientIDList=["client-1"])[
            "OpenIDConnectProviderArn"
        ]
        name, second = provider.issuer.removeprefix("http://"), new_role(door, {"AWS": ACCOUNT})
        role = web_role(door, provider, arn, {})
        own = document(
            "iam:CreateUser",
            resource=f"arn:aws:iam::{ACCOUNT}:user/${{{name}:sub}}-*",
            Condition={"StringEquals": {f"{name}:aud": "client-1"}, "ForAnyValue:StringEquals": {f"{name}:amr": "otp"}},
        )
        with_policy(door, role, own)
        with_policy(door, second, own)
        door.client("iam").put_role_policy(
            RoleName=role.rpartition("/")[2], PolicyName="more", PolicyDocument=document("sts:AssumeRole")
        )
        session = assume(door, role, provider.token(sub="carol", amr=["pwd", "otp"]))["Credentials"]
        iam = door.client("iam", session)
        iam.create_user(UserName=f"carol-{name[-4:].replace('/', '')}")
        assert code_of(iam.create_user, UserName="dave-x") == "AccessDenied"
        without = door.client("iam", assume(door, role, provider.token(sub="dave"))["Credentials"])
        assert code_of(without.create_user, UserName="dave-x") == "AccessDenied"
        # A further role's session is nobody's whom the provider knows.
        chained = door.client("sts", session).assume_role(RoleArn=second, **VISIT)["Credentials"]
        assert code_of(door.client("iam", chained).create_user, UserName="carol-x") == "AccessDenied"
