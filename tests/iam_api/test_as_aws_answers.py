"""Smaller things that clients of AWS rely on: found by walking through its reference with boto3."""

from __future__ import annotations

import json
import uuid
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.iam_api.fix_door import ROOT, Running
from tests.iam_api.test_policies_and_roles import READ_ONLY
from tests.iam_api.test_sts import code_of, new_user


def trust(**principal: str) -> dict[str, str]:
    """The arguments that name a role, and a policy that trusts this principal."""
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return {"RoleName": f"r{uuid.uuid4().hex[:8]}", "AssumeRolePolicyDocument": json.dumps({"Statement": statement})}


def test_a_role_trusts_nobody_who_does_not_exist(door: Running) -> None:
    iam = door.client("iam")
    for principal in (
        {"AWS": "arn:aws:iam::000000000000:user/nobody"},
        {"AWS": "arn:aws:iam::999999999999:root"},
        {"AWS": "999999999999"},
        {"CanonicalUser": "f" * 64},
    ):
        assert code_of(iam.create_role, **trust(**principal)) == "MalformedPolicyDocument", principal
    made = trust(AWS="000000000000")
    iam.create_role(**made)
    document = trust(AWS="arn:aws:iam::000000000000:role/none")["AssumeRolePolicyDocument"]
    change = {"RoleName": made["RoleName"], "PolicyDocument": document}
    assert code_of(iam.update_assume_role_policy, **change) == "MalformedPolicyDocument"
    iam.create_role(**trust(AWS=f"arn:aws:sts::000000000000:assumed-role/{made['RoleName']}/any"))


def test_a_key_that_asked_who_it_is_was_used(door: Running) -> None:
    iam, key = door.client("iam"), new_user(door)
    used = iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])["AccessKeyLastUsed"]
    assert (used["ServiceName"], used["Region"], used.get("LastUsedDate")) == ("N/A", "N/A", None)
    door.client("sts", key).get_caller_identity()
    used = iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])["AccessKeyLastUsed"]
    assert used["ServiceName"] == "sts" and used["LastUsedDate"]


def test_tags_that_are_not_to_be_set(door: Running) -> None:
    iam, user = door.client("iam"), new_user(door)["UserName"]
    many = [{"Key": f"k{number}", "Value": ""} for number in range(51)]
    assert code_of(iam.tag_user, UserName=user, Tags=many) == "ValidationError"
    iam.tag_user(UserName=user, Tags=many[:50])
    assert code_of(iam.tag_user, UserName=user, Tags=many[50:]) == "LimitExceeded"
    assert code_of(iam.tag_user, UserName=user, Tags=[{"Key": "AWS:a", "Value": ""}]) == "InvalidInput"


def test_policies_of_aws_have_no_tags(door: Running) -> None:
    iam = door.client("iam")
    assert iam.list_policy_tags(PolicyArn=READ_ONLY)["Tags"] == []
    assert code_of(iam.tag_policy, PolicyArn=READ_ONLY, Tags=[{"Key": "a", "Value": ""}]) == "AccessDenied"


def test_temporary_keys_without_their_token(door: Running) -> None:
    """Before anybody used them and after."""
    session = door.client("sts", new_user(door)).get_session_token()["Credentials"]
    alone = {name: session[name] for name in ("AccessKeyId", "SecretAccessKey")}
    assert code_of(door.client("sts", alone).get_caller_identity) == "InvalidClientTokenId"
    door.client("sts", session).get_caller_identity()
    assert code_of(door.client("sts", alone).get_caller_identity) == "InvalidClientTokenId"


@pytest.mark.parametrize("service", ["iam", "sts"])
def test_signed_for_another_region(door: Running, service: str) -> None:
    client = boto3.session.Session(ROOT.access_key, ROOT.secret_key, region_name="eu-west-1").client(
        service, endpoint_url=door.endpoint, config=Config(retries={"max_attempts": 1})
    )
    ask = client.get_user if service == "iam" else client.get_caller_identity
    assert code_of(ask) == "SignatureDoesNotMatch"


def test_what_nobody_has_here(door: Running) -> None:
    """Tools that clean up ask for it, and go on when there is none."""
    iam, key = door.client("iam"), new_user(door)
    name = {"UserName": key["UserName"]}
    asked: list[tuple[Any, str]] = [
        (iam.list_mfa_devices, "MFADevices"),
        (iam.list_ssh_public_keys, "SSHPublicKeys"),
        (iam.list_service_specific_credentials, "ServiceSpecificCredentials"),
        (iam.list_signing_certificates, "Certificates"),
    ]
    for ask, element in asked:
        assert ask(**name)[element] == []
        assert code_of(ask, UserName="nobody") == "NoSuchEntity"
    assert iam.list_instance_profiles()["InstanceProfiles"] == []
    assert iam.list_server_certificates()["ServerCertificateMetadataList"] == []
    assert code_of(iam.get_login_profile, **name) == code_of(iam.delete_login_profile, **name) == "NoSuchEntity"
    assert code_of(iam.get_account_password_policy) == "NoSuchEntity"
    assert code_of(door.client("iam", key).list_mfa_devices) == "AccessDenied"


def test_ten_policies_are_attached_and_no_more(door: Running) -> None:
    iam, user = door.client("iam"), new_user(door)["UserName"]
    document = json.dumps({"Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}})
    names = [f"p{uuid.uuid4().hex[:8]}" for _ in range(11)]
    arns = [iam.create_policy(PolicyName=name, PolicyDocument=document)["Policy"]["Arn"] for name in names]
    for arn in arns[:10]:
        iam.attach_user_policy(UserName=user, PolicyArn=arn)
    assert code_of(iam.attach_user_policy, UserName=user, PolicyArn=arns[10]) == "LimitExceeded"
    iam.attach_user_policy(UserName=user, PolicyArn=arns[0])
    summary = iam.get_account_summary()["SummaryMap"]
    assert summary["AttachedPoliciesPerUserQuota"] == 10


def test_entities_of_a_policy_below_a_path(door: Running) -> None:
    iam, users = door.client("iam"), {}
    arn = iam.create_policy(PolicyName="below", PolicyDocument=trust_nobody())["Policy"]["Arn"]
    for path in ("/one/", "/two/"):
        users[path] = iam.create_user(UserName=f"u{uuid.uuid4().hex[:8]}", Path=path)["User"]["UserName"]
        iam.attach_user_policy(UserName=users[path], PolicyArn=arn)
    found = iam.list_entities_for_policy(PolicyArn=arn, PathPrefix="/two/")["PolicyUsers"]
    assert [one["UserName"] for one in found] == [users["/two/"]]


def trust_nobody() -> str:
    """A policy that takes everything away."""
    return json.dumps({"Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}})


def test_policies_that_nobody_has_are_simulated(door: Running) -> None:
    iam = door.client("iam")
    condition = {"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}}
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": condition}
    asked = {"PolicyInputList": [json.dumps({"Statement": statement})], "ActionNames": ["s3:GetObject"]}

    def decision(*keys: str, **more: Any) -> str:
        entry = {"ContextKeyName": "aws:TagKeys", "ContextKeyValues": list(keys), "ContextKeyType": "stringList"}
        answer = iam.simulate_custom_policy(**asked, ContextEntries=[entry], **more)
        return str(answer["EvaluationResults"][0]["EvalDecision"])

    assert (decision("a", "b"), decision("a", "c")) == ("allowed", "implicitDeny")
    assert decision("a", PermissionsBoundaryPolicyInputList=[trust_nobody()]) == "explicitDeny"
    user = new_user(door)["UserName"]
    arn = iam.get_user(UserName=user)["User"]["Arn"]
    more = iam.simulate_principal_policy(PolicySourceArn=arn, **asked)["EvaluationResults"]
    assert more[0]["EvalDecision"] == "allowed"
    assert code_of(iam.simulate_custom_policy, **asked, CallerArn=arn) == "ValidationError"


def test_what_is_wrong_with_names_and_numbers(door: Running) -> None:
    iam = door.client("iam")

    def message(call: Any, **arguments: Any) -> str:
        with pytest.raises(ClientError) as caught:
            call(**arguments)
        assert caught.value.response["Error"]["Code"] == "ValidationError"
        return str(caught.value.response["Error"]["Message"])

    assert "greater than or equal to 1" in message(iam.list_users, MaxItems=-1)
    assert "The specified value for userName is invalid." in message(iam.create_user, UserName="a b")
    assert "The specified value for path is invalid." in message(iam.create_user, UserName="ab", Path="/x")
    assert "at 'policyArn'" in message(iam.get_policy, PolicyArn="foo")
    assert code_of(iam.list_users, MaxItems="many") == "MalformedInput"
    assert code_of(iam.get_user, UserName="u" * 100) == "NoSuchEntity"
    assert code_of(iam.create_user, UserName="u" * 100) == "ValidationError"
    assert iam.list_virtual_mfa_devices()["VirtualMFADevices"] == []
    assert iam.list_saml_providers()["SAMLProviderList"] == []
