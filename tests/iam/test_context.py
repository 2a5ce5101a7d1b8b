"""The condition keys of a request: each that a bucket policy may ask for is computed, or known to be absent."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from s3gate.iam import context, principal, vocabulary
from s3gate.iam.context import Facts
from s3gate.iam.patterns import canonical_key
from s3gate.iam.principal import ANONYMOUS
from s3gate.s3.credentials import Authentication, PayloadMode
from s3gate.s3.request import Request

NOW = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
ISSUED = int(NOW.timestamp())
SIGNED = Authentication(
    "AKID", PayloadMode.SIGNED, scope="20260506/us-east-1/s3/aws4_request", timestamp="20260506T070808Z"
)
BOB = principal.user("111122223333", "a" * 64, "bob", "AIDABOB", path="/team/", tags={"Team": "red"})
SESSION = principal.role_session("111122223333", "a" * 64, "role", "AROA1", "job", path="/p/")


def facts(
    operation: str = "PutObject",
    query: bytes = b"",
    who: principal.Principal = BOB,
    auth: Authentication = SIGNED,
    scheme: str = "https",
    **headers: str,
) -> Facts:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    request = Request.parse("PUT", b"/bucket/key", query, raw, scheme=scheme, remote="203.0.113.5", tls_version=0x0304)
    return Facts(request, operation, who, auth, NOW, region="eu-west-9", owner_account="444455556666")


def value(found: Facts, key: str) -> tuple[str, ...] | None:
    return found.values(canonical_key(key))


@pytest.mark.parametrize(
    ("key", "found", "expected"),
    [
        ("s3:prefix", facts(query=b"prefix=a/b"), "a/b"),
        ("s3:prefix", facts(query=b"prefix="), ""),
        ("s3:delimiter", facts(query=b"delimiter=%2F"), "/"),
        ("s3:max-keys", facts(query=b"max-keys=10"), "10"),
        ("s3:VersionId", facts(query=b"versionId=v1"), "v1"),
        ("s3:versionid", replace(facts(), version_id="v2"), "v2"),
        ("s3:x-amz-acl", facts(x_amz_acl="public-read"), "public-read"),
        ("s3:x-amz-grant-read", facts(x_amz_grant_read="id=1"), "id=1"),
        ("s3:x-amz-metadata-directive", facts(x_amz_metadata_directive="COPY"), "COPY"),
        ("s3:x-amz-server-side-encryption", facts(x_amz_server_side_encryption="AES256"), "AES256"),
        (
            "s3:x-amz-server-side-encryption-customer-algorithm",
            facts(x_amz_server_side_encryption_customer_algorithm="AES256"),
            "AES256",
        ),
        ("s3:x-amz-storage-class", facts(x_amz_storage_class="GLACIER"), "GLACIER"),
        ("s3:x-amz-content-sha256", facts(x_amz_content_sha256="UNSIGNED-PAYLOAD"), "UNSIGNED-PAYLOAD"),
        ("s3:if-none-match", facts(if_none_match="*"), "*"),
        ("s3:if-match", facts(if_match="x"), "x"),
        ("s3:ObjectCreationOperation", facts("CompleteMultipartUpload"), "true"),
        ("s3:ObjectCreationOperation", facts("UploadPart"), "false"),
        ("s3:RequestObjectTag/k", facts(x_amz_tagging="k=v&a=b"), "v"),
        ("s3:object-lock-mode", facts(x_amz_object_lock_mode="COMPLIANCE"), "COMPLIANCE"),
        ("s3:object-lock-legal-hold", facts(x_amz_object_lock_legal_hold="ON"), "ON"),
        (
            "s3:object-lock-retain-until-date",
            facts(x_amz_object_lock_retain_until_date="2026-05-08T07:08:09.000Z"),
            "2026-05-08T07:08:09Z",
        ),
        (
            "s3:object-lock-remaining-retention-days",
            facts(x_amz_object_lock_retain_until_date="2026-05-08T08:00:00Z"),
            "3",
        ),
        ("s3:signatureversion", facts(), "AWS4-HMAC-SHA256"),
        ("s3:signatureversion", facts(auth=replace(SIGNED, scope="", timestamp="")), "AWS"),
        ("s3:authType", facts(), "REST-HEADER"),
        ("s3:authType", facts(auth=replace(SIGNED, presigned=True)), "REST-QUERY-STRING"),
        ("s3:authType", facts("PostObject"), "POST"),
        ("s3:signatureAge", facts(), "1000"),
        ("s3:TlsVersion", facts(), "1.3"),
        ("s3:ResourceAccount", facts(), "444455556666"),
        ("aws:ResourceAccount", facts(), "444455556666"),
        ("aws:SecureTransport", facts(), "true"),
        ("aws:SecureTransport", facts(scheme="http"), "false"),
        ("aws:SourceIp", facts(), "203.0.113.5"),
        ("aws:UserAgent", facts(user_agent="curl"), "curl"),
        ("aws:Referer", facts(referer="https://example.com/"), "https://example.com/"),
        ("aws:CurrentTime", facts(), "2026-05-06T07:08:09Z"),
        ("aws:EpochTime", facts(), "1778051289"),
        ("aws:RequestedRegion", facts(), "eu-west-9"),
        ("aws:username", facts(), "bob"),
        ("aws:userid", facts(), "AIDABOB"),
        ("aws:userid", facts(who=SESSION), "AROA1:job"),
        ("aws:userid", facts(who=ANONYMOUS), "anonymous"),
        ("aws:PrincipalArn", facts(), "arn:aws:iam::111122223333:user/team/bob"),
        ("aws:PrincipalArn", facts(who=SESSION), "arn:aws:iam::111122223333:role/p/role"),
        ("aws:PrincipalAccount", facts(), "111122223333"),
        ("aws:PrincipalType", facts(), "User"),
        ("aws:PrincipalType", facts(who=SESSION), "AssumedRole"),
        ("aws:PrincipalType", facts(who=ANONYMOUS), "Anonymous"),
        ("aws:PrincipalType", facts(who=principal.root("111122223333", "a" * 64)), "Account"),
        ("aws:PrincipalTag/team", facts(), "red"),
        ("aws:PrincipalIsAWSService", facts(), "false"),
        ("aws:TokenIssueTime", replace(facts(), issued=ISSUED), "2026-05-06T07:08:09Z"),
        ("aws:MultiFactorAuthPresent", replace(facts(), issued=ISSUED), "false"),
        ("s3:ExistingObjectTag/k", replace(facts(), object_tags=b"k=v+w"), "v w"),
    ],
)
def test_keys(key: str, found: Facts, expected: str) -> None:
    assert value(found, key) == (expected,)


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("s3:prefix", facts()),
        ("s3:x-amz-acl", facts()),
        ("s3:x-amz-copy-source", facts()),
        ("s3:RequestObjectTag/k", facts()),
        ("s3:RequestObjectTag/K", facts(x_amz_tagging="k=v")),
        ("s3:RequestObjectTag/k", facts("GetObject", x_amz_tagging="k=v")),
        ("s3:RequestObjectTag/k", facts(x_amz_tagging="k=v&k=w")),
        ("s3:RequestObjectTagKeys", facts()),
        ("s3:ExistingObjectTag/k", facts()),
        ("s3:ExistingObjectTag/K", replace(facts(), object_tags=b"k=v")),
        ("s3:ObjectCreationOperation", facts("GetObject")),
        ("s3:object-lock-retain-until-date", facts(x_amz_object_lock_retain_until_date="soon")),
        ("s3:signatureversion", facts(auth=Authentication.ANONYMOUS)),
        ("s3:authType", facts(auth=Authentication.ANONYMOUS)),
        ("s3:signatureAge", facts(auth=Authentication.ANONYMOUS)),
        ("aws:username", facts(who=SESSION)),
        ("aws:username", facts(who=ANONYMOUS)),
        ("aws:PrincipalArn", facts(who=ANONYMOUS)),
        ("aws:PrincipalAccount", facts(who=ANONYMOUS)),
        ("aws:PrincipalTag/site", facts()),
        ("aws:MultiFactorAuthPresent", facts()),
        ("aws:ResourceTag/k", facts()),
        ("aws:SourceVpc", facts()),
        ("s3:nothing/k", facts()),
    ],
)
def test_absent_keys(key: str, found: Facts) -> None:
    assert value(found, key) is None


ELSEWHERE = {
    "calledvia",
    "calledviafirst",
    "calledvialast",
    "federatedprovider",
    "multifactorauthage",
    "principalorgid",
    "principalorgpaths",
    "principalservicename",
    "principalservicenameslist",
    "resourceorgid",
    "resourceorgpaths",
    "sourceaccount",
    "sourcearn",
    "sourceidentity",
    "sourceorgid",
    "sourceorgpaths",
    "sourceowner",
    "sourcevpc",
    "sourcevpcarn",
    "sourcevpce",
    "tagkeys",
    "vpcsourceip",
    "vpceaccount",
    "vpceorgid",
    "vpceorgpaths",
}


def test_every_key_is_answered_or_known_to_be_absent() -> None:
    """What is absent even from facts with everything in them is of services and organisations that are not here."""
    everything = replace(facts(), issued=ISSUED)
    names = [key for key in vocabulary.CONDITION_KEYS if key.startswith("aws:")]
    absent = {key.removeprefix("aws:") for key in names if everything.values(key) is None}
    assert absent == ELSEWHERE | {"useragent", "referer"}


@pytest.mark.parametrize(
    "sent", ["bucket/a%20key", "/bucket/a%20key", "/bucket/a%20key?versionId=v1", "bucket%2Fa key"]
)
def test_a_copy_source_is_one_thing_however_it_is_written(sent: str) -> None:
    assert value(facts("CopyObject", x_amz_copy_source=sent), "s3:x-amz-copy-source") == (
        "bucket/a key",
        "/bucket/a key",
    )


def test_tag_keys() -> None:
    assert value(facts(x_amz_tagging="k=v&a=b"), "s3:RequestObjectTagKeys") == ("k", "a")


def test_what_the_body_says() -> None:
    until = NOW + timedelta(days=2)
    said = {
        **context.said_tags([("k", "v"), ("a", "")]),
        **context.said_retention("GOVERNANCE", until, NOW),
        **context.said_hold("OFF"),
        **context.said_bucket("eu-west-9", [("t", "u")]),
    }
    found = replace(facts("PutObjectTagging"), said=said)
    assert value(found, "s3:RequestObjectTag/k") == ("v",)
    assert value(found, "s3:RequestObjectTag/a") == ("",)
    assert value(found, "s3:RequestObjectTagKeys") == ("k", "a")
    assert value(found, "s3:object-lock-mode") == ("GOVERNANCE",)
    assert value(found, "s3:object-lock-remaining-retention-days") == ("2",)
    assert value(found, "s3:object-lock-legal-hold") == ("OFF",)
    assert value(found, "s3:LocationConstraint") == ("eu-west-9",)
    assert value(found, "aws:RequestTag/t") == ("u",)
    assert value(found, "aws:TagKeys") == ("t",)
    assert {key.partition("/")[0] for key in said} == {
        "s3:locationconstraint",
        "aws:requesttag",
        "aws:tagkeys",
        "s3:object-lock-legal-hold",
        "s3:object-lock-mode",
        "s3:object-lock-retain-until-date",
        "s3:object-lock-remaining-retention-days",
        "s3:requestobjecttag",
        "s3:requestobjecttagkeys",
    }
    assert context.said_tags([]) == context.said_bucket("", []) == {}


def test_who_is_behind_a_session() -> None:
    said = {"host:1/realms/one:sub": ("carol",), "host:1/realms/one:amr": ("pwd", "otp")}
    provider = "arn:aws:iam::111122223333:oidc-provider/host:1/realms/one"
    who = principal.role_session(
        "111122223333", "a" * 64, "role", "AROA1", "job", source_identity="carol", provider=provider, claims=said
    )
    found = facts(who=who)
    assert value(found, "HOST:1/realms/one:sub") == ("carol",)
    assert value(found, "host:1/Realms/one:amr") == ("pwd", "otp")
    assert value(found, "host:2/realms/one:sub") is None
    assert value(found, "aws:SourceIdentity") == ("carol",)
    assert value(found, "aws:FederatedProvider") == (provider,)
    carol = principal.federated_user(BOB, "carol", {"Team": "blue"})
    found = facts(who=carol)
    assert value(found, "aws:PrincipalArn") == ("arn:aws:sts::111122223333:federated-user/carol",)
    assert value(found, "aws:userid") == ("111122223333:carol",)
    assert value(found, "aws:PrincipalType") == ("FederatedUser",)
    assert value(found, "aws:PrincipalTag/team") == ("blue",)
    assert value(found, "aws:username") is value(found, "aws:SourceIdentity") is None
