"""OIDC providers, and roles for those whom they vouch for."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.iam_api.fix_door import Running
from tests.iam_api.fix_provider import Provider, encode, serving
from tests.iam_api.test_policies_and_roles import document


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    """One for the whole file."""
    with serving() as found:
        yield found


@pytest.fixture(scope="module")
def role(door: Running, provider: Provider) -> str:
    """Trusts the provider's subject-1 for client-1."""
    iam = door.client("iam")
    arn = iam.create_open_id_connect_provider(Url=provider.issuer, ClientIDList=["client-1"])[
        "OpenIDConnectProviderArn"
    ]
    name = provider.issuer.removeprefix("http://")
    assert arn == f"arn:aws:iam::000000000000:oidc-provider/{name}"
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": arn},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {f"{name}:sub": "subject-1", f"{name}:aud": "client-1"}},
    }
    trust = json.dumps({"Version": "2012-10-17", "Statement": statement})
    made = iam.create_role(RoleName=f"web{uuid.uuid4().hex[:6]}", AssumeRolePolicyDocument=trust)["Role"]
    iam.put_role_policy(RoleName=made["RoleName"], PolicyName="own", PolicyDocument=document("iam:ListUsers"))
    return str(made["Arn"])


def assume(door: Running, role: str, token: str, **more: Any) -> dict[str, Any]:
    """Without any signature."""
    config = Config(signature_version=UNSIGNED, retries={"max_attempts": 1})
    sts = boto3.session.Session().client("sts", "us-east-1", endpoint_url=door.endpoint, config=config)
    answer: dict[str, Any] = sts.assume_role_with_web_identity(
        RoleArn=role, RoleSessionName="visit", WebIdentityToken=token, **more
    )
    return answer


def code_of(door: Running, role: str, token: str) -> str:
    """Of the refusal."""
    with pytest.raises(ClientError) as caught:
        assume(door, role, token)
    return str(caught.value.response["Error"]["Code"])


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_a_good_token(door: Running, provider: Provider, role: str, algorithm: str) -> None:
    answer = assume(door, role, provider.token(algorithm))
    assert (answer["SubjectFromWebIdentityToken"], answer["Audience"]) == ("subject-1", "client-1")
    assert answer["Provider"] == provider.issuer
    iam = door.client("iam", answer["Credentials"])
    assert isinstance(iam.list_users()["Users"], list)
    with pytest.raises(ClientError):
        iam.list_roles()


def test_keys_are_kept(door: Running, provider: Provider, role: str) -> None:
    assume(door, role, provider.token())
    before = provider.asked
    for _ in range(3):
        assume(door, role, provider.token())
    assert code_of(door, role, provider.token(kid="unknown")) == "InvalidIdentityToken"
    assert provider.asked == before


def test_bad_tokens(door: Running, provider: Provider, role: str) -> None:
    now = time.time()
    assert code_of(door, role, provider.token(exp=now - 120)) == "ExpiredTokenException"
    assert code_of(door, role, provider.token(nbf=now + 600)) == "InvalidIdentityToken"
    assert code_of(door, role, provider.token(aud="other")) == "InvalidIdentityToken"
    assert code_of(door, role, provider.token(aud=["client-1", "other"], azp="other")) == "InvalidIdentityToken"
    assert code_of(door, role, provider.token(iss="https://elsewhere.example")) == "InvalidIdentityToken"
    assert code_of(door, role, provider.token(sub="subject-2")) == "AccessDenied"
    assert code_of(door, role + "x", provider.token()) == "AccessDenied"
    for text in ("abcd", "a.b.c", "a..b", provider.token() + "x", "x" + provider.token()):
        assert code_of(door, role, text) == "InvalidIdentityToken"


def test_forged_tokens(door: Running, provider: Provider, role: str) -> None:
    """No algorithm, somebody else's key, a body that was changed, a signature of another kind of key."""
    head, body, signature = provider.token().split(".")
    none = encode(b'{"alg":"none"}')
    shared = encode(b'{"alg":"HS256","kid":"r"}')
    other = encode(json.dumps({"iss": provider.issuer, "sub": "subject-1", "aud": "client-1", "exp": 9e9}).encode())
    for token in (f"{none}.{body}.", f"{none}.{body}.{signature}", f"{shared}.{body}.{signature}"):
        assert code_of(door, role, token) == "InvalidIdentityToken"
    assert code_of(door, role, f"{head}.{other}.{signature}") == "InvalidIdentityToken"
    stranger = Provider(1)
    stranger.issuer = provider.issuer
    for algorithm in ("RS256", "ES256"):
        assert code_of(door, role, stranger.token(algorithm)) == "InvalidIdentityToken"
        assert code_of(door, role, provider.token(algorithm, kid="e" if algorithm == "RS256" else "r")) == (
            "InvalidIdentityToken"
        )


def test_a_provider_that_does_not_answer(door: Running, role: str) -> None:
    gone = Provider(1)
    arn = door.client("iam").create_open_id_connect_provider(Url=gone.issuer, ClientIDList=["client-1"])
    assert code_of(door, role, gone.token()) == "IDPCommunicationError"
    door.client("iam").delete_open_id_connect_provider(OpenIDConnectProviderArn=arn["OpenIDConnectProviderArn"])


def test_providers(door: Running) -> None:
    iam = door.client("iam")
    url = "https://issuer.example.com/path"
    thumbprint = "a" * 40
    arn = iam.create_open_id_connect_provider(Url=url, ThumbprintList=[thumbprint])["OpenIDConnectProviderArn"]
    with pytest.raises(iam.exceptions.EntityAlreadyExistsException):
        iam.create_open_id_connect_provider(Url=url)
    iam.add_client_id_to_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="c")
    iam.update_open_id_connect_provider_thumbprint(OpenIDConnectProviderArn=arn, ThumbprintList=["b" * 40])
    found = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    assert (found["Url"], found["ClientIDList"], found["ThumbprintList"]) == (
        "issuer.example.com/path",
        ["c"],
        ["b" * 40],
    )
    iam.remove_client_id_from_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="c")
    assert iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)["ClientIDList"] == []
    assert arn in {one["Arn"] for one in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]}
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    for bad in ("http://issuer.example.com", "ftp://x", "https://a@b.example", "https://x.example?y"):
        with pytest.raises(ClientError):
            iam.create_open_id_connect_provider(Url=bad)


def test_trust_policies_may_name_the_claims_of_any_issuer(door: Running) -> None:
    """Names of hosts in condition keys have dots and slashes."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": "arn:aws:iam::000000000000:oidc-provider/token.example.com/a"},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {"token.example.com/a:sub": "x"}},
    }
    trust = json.dumps({"Version": "2012-10-17", "Statement": statement})
    door.client("iam").create_role(RoleName="dotted", AssumeRolePolicyDocument=trust)
