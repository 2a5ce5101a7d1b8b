"""Policy documents: what is read, and what is refused where."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from s3gate.iam.policy import Kind, check_keys, parse
from s3gate.s3.errors import S3Error

BUCKET = "my-bucket"
ARN = f"arn:aws:s3:::{BUCKET}"
PLAIN: dict[str, Any] = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"{ARN}/*"}
ABSENT = object()


def document(*statements: object, **more: object) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements), **more})


def changed(**changes: object) -> str:
    """The plain statement with other elements."""
    return document({name: value for name, value in {**PLAIN, **changes}.items() if value is not ABSENT})


def refusal(text: str | bytes, kind: Kind = "bucket") -> tuple[str, str, str]:
    with pytest.raises(S3Error) as caught:
        parse(text, kind, BUCKET)
    return caught.value.code, caught.value.message, caught.value.extra.get("Detail", "")


@pytest.mark.parametrize(
    "text",
    [
        changed(),
        changed(Sid="a sentence with spaces, which only IAM minds"),
        changed(Principal={"AWS": "111122223333"}),
        changed(Principal={"AWS": ["arn:aws:iam::111122223333:root", "arn:aws:iam::111122223333:user/a/bob"]}),
        changed(Principal={"AWS": "arn:aws:sts::111122223333:assumed-role/role/session"}),
        changed(Principal={"CanonicalUser": "a" * 64}),
        changed(Principal={"Service": "logging.s3.amazonaws.com"}),
        changed(Principal={"AWS": "AIDAEXAMPLEID1234"}),
        changed(Principal=ABSENT, NotPrincipal={"AWS": "111122223333"}, Effect="Deny"),
        changed(Action=["s3:Get*", "s3:PutObject"]),
        changed(Action="*"),
        changed(Action="S3:getobject"),
        changed(Action=ABSENT, NotAction="s3:DeleteBucket"),
        changed(Resource=ABSENT, NotResource=f"{ARN}/private/*"),
        changed(Resource=[ARN, f"{ARN}/*"], Action=["s3:ListBucket", "s3:GetObject"]),
        changed(Resource=f"{ARN}*", Action=["s3:ListBucket", "s3:GetObject"]),
        changed(Condition={}),
        changed(Condition={"StringEquals": {"s3:ExistingObjectTag/security": ["public", "open"]}}),
        changed(Condition={"Bool": {"aws:SecureTransport": False}}),
        changed(Condition={"NumericLessThan": {"s3:max-keys": 10}}),
        changed(Condition={"Null": {"s3:x-amz-server-side-encryption": "true"}}),
        changed(Condition={"ForAllValues:StringLike": {"s3:RequestObjectTagKeys": ["a", "b"]}}),
        document(PLAIN, Id="policy-1"),
        json.dumps({"Statement": PLAIN}),
        json.dumps({"Version": "2008-10-17", "Statement": [PLAIN]}),
        "\n  " + changed(),
    ],
)
def test_bucket_policies_that_are_taken(text: str) -> None:
    assert parse(text, "bucket", BUCKET).statements


@pytest.mark.parametrize(
    ("action", "key", "fits"),
    [
        ("s3:ListBucket", "s3:prefix", True),
        ("s3:GetObject", "s3:prefix", False),
        (["s3:ListBucket", "s3:GetBucketLocation"], "s3:prefix", False),
        ("s3:PutObject", "S3:X-Amz-Acl", True),
        ("S3:putobject", "s3:x-amz-server-side-encryption", True),
        ("s3:GetObject", "s3:x-amz-acl", False),
        (["s3:PutObject", "s3:GetObject"], "s3:x-amz-acl", False),
        ("s3:PutObjectTagging", "s3:RequestObjectTag/a", True),
        ("s3:GetObjectVersionTagging", "s3:ExistingObjectTag/a", True),
        ("s3:DeleteObject", "s3:ExistingObjectTag/a", False),
        ("s3:GetObject", "s3:VersionId", False),
        ("s3:GetObjectVersion", "s3:versionid", True),
        ("s3:PutObjectRetention", "s3:object-lock-remaining-retention-days", True),
        ("s3:Get*", "s3:ExistingObjectTag/a", True),
        ("s3:Delete*", "s3:prefix", False),
        ("s3:*", "s3:prefix", True),
        ("*", "s3:x-amz-acl", True),
        ("s3:GetObject", "aws:SourceIp", True),
        ("s3:GetObject", "s3:TlsVersion", True),
    ],
)
def test_conditions_are_on_what_the_actions_have(action: str | list[str], key: str, fits: bool) -> None:
    condition = {"Null": {key: "true"}}
    text = changed(Resource=[ARN, f"{ARN}/*"], Action=action, Condition=condition).encode()
    assert parse(text, "bucket", BUCKET), "as one that was kept before"
    if fits:
        check_keys(text)
        return
    with pytest.raises(S3Error, match="Conditions do not apply to combination of actions and resources") as caught:
        check_keys(text)
    assert caught.value.extra["Detail"] == f'Statement[0].Condition: "{key}"'


def test_of_other_actions_nothing_is_known() -> None:
    condition = {"Null": {"s3:prefix": "true"}}
    check_keys(changed(Action=ABSENT, NotAction="s3:GetObject", Condition=condition).encode())


FIRST = "Statement[0]"


@pytest.mark.parametrize(
    ("text", "message", "where"),
    [
        ("", "Policies must be valid JSON and the first byte must be '{'", ""),
        ("[]", "Policies must be valid JSON and the first byte must be '{'", ""),
        ("{", "This policy contains invalid Json", ""),
        ('{"a": NaN}', "This policy contains invalid Json", ""),
        ("{}{}", "This policy contains invalid Json", ""),
        ('{"a": ' + "[" * 15_000, "This policy contains invalid Json", ""),
        ('{"Statement": 1, "Statement": 2}', "Duplicate field Statement", ""),
        ("{}", "Missing required field Statement", ""),
        (document(), "Could not parse the policy: Statement is empty!", ""),
        (document(PLAIN, Extra=1), "Unknown field Extra", ""),
        (
            document(PLAIN, Version="2012-10-18"),
            "The policy must contain a valid version string",
            'Version: "2012-10-18"',
        ),
        (document(PLAIN, Id=1), "Invalid policy syntax.", 'Id: "1"'),
        (document("x"), "Invalid policy syntax.", FIRST),
        (document(PLAIN, {**PLAIN, "What": 1}), "Unknown field What", "Statement[1]"),
        (
            document({**PLAIN, "Sid": "a"}, {**PLAIN, "Sid": "a"}),
            "Statement IDs (SID) in a single policy must be unique.",
            'Statement[1].Sid: "a"',
        ),
        (changed(Effect=ABSENT), "Missing required field Effect", FIRST),
        (changed(Effect="allow"), "Invalid effect: allow", f'{FIRST}.Effect: "allow"'),
        (changed(Principal=ABSENT), "Missing required field Principal", FIRST),
        (changed(NotPrincipal="*"), "Statement has both Principal and NotPrincipal", FIRST),
        (
            changed(Principal=ABSENT, NotPrincipal={"AWS": "111122223333"}),
            "Allow with NotPrincipal is not allowed.",
            f"{FIRST}.NotPrincipal",
        ),
        (changed(Principal="bob"), "Invalid principal in policy", f'{FIRST}.Principal: "bob"'),
        (changed(Principal={}), "Invalid principal in policy", f'{FIRST}.Principal: "{{}}"'),
        (changed(Principal={"AWS": []}), "Invalid principal in policy", f'{FIRST}.Principal.AWS: "[]"'),
        (changed(Principal={"AWS": "bob"}), "Invalid principal in policy", f'{FIRST}.Principal.AWS: "bob"'),
        (
            changed(Principal={"AWS": "arn:aws:iam::111122223333:user/b*"}),
            "Invalid principal in policy",
            f'{FIRST}.Principal.AWS: "arn:aws:iam::111122223333:user/b*"',
        ),
        (
            changed(Principal={"AWS": "arn:aws:iam::1:root"}),
            "Invalid principal in policy",
            f'{FIRST}.Principal.AWS: "arn:aws:iam::1:root"',
        ),
        (
            changed(Principal={"CanonicalUser": "*"}),
            "Invalid principal in policy",
            f'{FIRST}.Principal.CanonicalUser: "*"',
        ),
        (changed(Principal={"Someone": "x"}), "Invalid principal in policy", f'{FIRST}.Principal.Someone: "x"'),
        (changed(Action=ABSENT), "Missing required field Action", FIRST),
        (changed(Action=[]), "Policy has invalid action", f'{FIRST}.Action: "[]"'),
        (changed(Action="s3:GetObjects"), "Policy has invalid action", f'{FIRST}.Action: "s3:GetObjects"'),
        (changed(Action="s3:Fetch*"), "Policy has invalid action", f'{FIRST}.Action: "s3:Fetch*"'),
        (changed(Action="iam:GetUser"), "Policy has invalid action", f'{FIRST}.Action: "iam:GetUser"'),
        (changed(Action="GetObject"), "Policy has invalid action", f'{FIRST}.Action: "GetObject"'),
        (changed(Action=7), "Policy has invalid action", f'{FIRST}.Action: "7"'),
        (changed(NotAction="s3:GetObject"), "Statement has both Action and NotAction", FIRST),
        (changed(Resource=ABSENT), "Missing required field Resource", FIRST),
        (changed(Resource="*"), "Policy has invalid resource", f'{FIRST}.Resource: "*"'),
        (
            changed(Resource="arn:aws:s3:::other/*"),
            "Policy has invalid resource",
            f'{FIRST}.Resource: "arn:aws:s3:::other/*"',
        ),
        (changed(Resource=f"{ARN}2/*"), "Policy has invalid resource", f'{FIRST}.Resource: "{ARN}2/*"'),
        (changed(Resource="arn:aws:s3:::"), "Policy has invalid resource", f'{FIRST}.Resource: "arn:aws:s3:::"'),
        (changed(Resource=f"{ARN}/${{a b}}"), "Policy has invalid resource", f'{FIRST}.Resource: "${{a b}}"'),
        (
            changed(Resource=ARN),
            "Action does not apply to any resource(s) in statement",
            f'{FIRST}.Action: "s3:GetObject"',
        ),
        (
            changed(Action="s3:ListBucket"),
            "Action does not apply to any resource(s) in statement",
            f'{FIRST}.Action: "s3:ListBucket"',
        ),
        (changed(Condition=[]), "Invalid policy syntax.", f'{FIRST}.Condition: "[]"'),
        (
            changed(Condition={"StringIs": {"aws:userid": "x"}}),
            "Invalid Condition type : StringIs",
            f"{FIRST}.Condition",
        ),
        (changed(Condition={"StringEquals": "x"}), "Invalid policy syntax.", f'{FIRST}.Condition.StringEquals: "x"'),
        (
            changed(Condition={"StringEquals": {"s3:nothing": "x"}}),
            "Policy has an invalid condition key",
            f'{FIRST}.Condition.StringEquals: "s3:nothing"',
        ),
        (
            changed(Condition={"StringEquals": {"s3:ExistingObjectTag/": "x"}}),
            "Policy has an invalid condition key",
            f'{FIRST}.Condition.StringEquals: "s3:ExistingObjectTag/"',
        ),
        (
            changed(Condition={"IpAddress": {"aws:SourceIp": "here"}}),
            "Policy has an invalid condition value",
            f'{FIRST}.Condition.IpAddress.aws:SourceIp: "here"',
        ),
        (
            changed(Condition={"StringEquals": {"aws:userid": {}}}),
            "Policy has an invalid condition value",
            f'{FIRST}.Condition.StringEquals.aws:userid: "{{}}"',
        ),
        (changed(Sid="x" * 20_480), "Policy exceeds the maximum allowed document size.", ""),
    ],
)
def test_bucket_policies_that_are_refused(text: str, message: str, where: str) -> None:
    assert refusal(text) == ("MalformedPolicy", message, where)


OWN: dict[str, Any] = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}


def test_identity_policies_may_speak_of_every_service() -> None:
    found = parse(
        document({**OWN, "Action": ["iam:*", "kms:Decrypt", "*"], "Resource": ["arn:aws:iam::1:user/x", "*"]}),
        "identity",
    )
    assert found.statements[0].principals is None


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ({**OWN, "Principal": "*"}, f"Policy document should not specify a principal. ({FIRST}.Principal)"),
        ({**OWN, "Sid": "a b"}, f'Statement IDs (SID) must be alpha-numeric. ({FIRST}.Sid: "a b")'),
        (
            {**OWN, "Action": "GetObject"},
            f'Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc. ({FIRST}.Action: "GetObject")',
        ),
        ({**OWN, "Resource": "bucket"}, f'Resource bucket must be in ARN format or "*". ({FIRST}.Resource)'),
        (
            {**OWN, "Resource": "arn:azure:s3:::b"},
            f'Partition "azure" is not valid for resource "arn:azure:s3:::b". ({FIRST}.Resource)',
        ),
        (
            {**OWN, "NotResource": "arn:aws:s3:eu-west-1::b", "Resource": ...},
            f"Resource arn:aws:s3:eu-west-1::b can not contain region information. ({FIRST}.NotResource)",
        ),
        (
            {**OWN, "Resource": "arn:aws:iam:eu-west-1:1:user/x"},
            f"IAM resource arn:aws:iam:eu-west-1:1:user/x cannot contain region information. ({FIRST}.Resource)",
        ),
        (
            {**OWN, "Action": "s3:Get:Object"},
            f'Actions/Condition can contain only one colon. ({FIRST}.Action: "s3:Get:Object")',
        ),
        ({**OWN, "Action": "s3*:Get"}, f'Vendor s3* is not valid ({FIRST}.Action: "s3*:Get")'),
        ({**OWN, "Condition": {"Bool": {"here": "true"}}}, f'Invalid condition key ({FIRST}.Condition.Bool: "here")'),
    ],
)
def test_identity_policies_that_are_refused(statement: object, message: str) -> None:
    assert isinstance(statement, dict)
    given = {name: value for name, value in statement.items() if value is not ...}
    assert refusal(document(given), "identity") == ("MalformedPolicyDocument", message, "")


TRUST = {"Effect": "Allow", "Principal": {"AWS": "111122223333"}, "Action": "sts:AssumeRole"}


def test_trust_policies() -> None:
    assert parse(document(TRUST), "trust").statements[0].resources is None
    assert refusal(document({**TRUST, "Resource": "*"}), "trust")[1].startswith("Has prohibited field Resource")
    for action in ("s3:GetObject", "sts:GetCallerIdentity", "sts:Get*", "*"):
        refused = refusal(document({**TRUST, "Action": action}), "trust")[1]
        assert refused.startswith("AssumeRole policy may only specify STS AssumeRole actions.")
    for action in ("sts:*", "sts:assumerole*", "sts:TagSession", "sts:SetSourceIdentity"):
        parse(document({**TRUST, "Action": action}), "trust")


def test_providers_and_services() -> None:
    for good in (
        {"Federated": "arn:aws:iam::111122223333:oidc-provider/example.com/realm"},
        {"Federated": ["accounts.google.com", "arn:aws:iam::111122223333:saml-provider/x"]},
        {"Service": ["ec2.amazonaws.com", "logs.eu-west-1.amazonaws.com"]},
    ):
        parse(document({**TRUST, "Principal": good}), "trust")
    for bad in ({"Federated": "example.com"}, {"Service": "ec2"}, {"Service": "ec2.example.com"}, {"Federated": "*"}):
        text = document({**TRUST, "Principal": bad})
        assert refusal(text, "trust")[1].startswith("Invalid principal in policy")
        parse(text, "trust", kept=True)  # as it could be put once


def test_what_was_put_by_fewer_rules_is_read() -> None:
    region = document({**OWN, "Resource": "arn:aws:s3:eu-west-1::b"})
    assert refusal(region, "identity")[0] == "MalformedPolicyDocument"
    parse(region, "identity", kept=True)
    parse(document({**OWN, "Action": "*:*"}), "identity")


def test_limits_of_length_know_no_white_space() -> None:
    text = document({**OWN, "Sid": "x" * 6000})
    assert parse(text.replace("{", "{" + " " * 500), "identity")
    longer = document({**OWN, "Sid": "x" * 6144})
    assert refusal(longer, "identity")[:2] == ("LimitExceeded", "Cannot exceed quota for PolicySize: 6144")
    assert parse(longer, "identity", limit=10_240)
    assert refusal(longer, "session")[0] == "PackedPolicyTooLarge"


def test_what_a_policy_asks_of_the_request() -> None:
    condition = {"StringEquals": {"s3:ExistingObjectTag/a": "${aws:PrincipalTag/team}"}}
    tagged = {**PLAIN, "Sid": "tagged", "Action": "s3:GetObject", "Condition": condition}
    put = {**PLAIN, "Action": "s3:PutObject"}
    found = parse(document(tagged, put), "bucket", BUCKET)
    assert found.keys == {"s3:existingobjecttag", "aws:principaltag"}
    assert found.needs_object_tags("s3:GetObject")
    assert not found.needs_object_tags("s3:PutObject")


def test_a_thousand_statements_are_read_and_asked_fast() -> None:
    resources = [f"arn:aws:s3:::{BUCKET}/{number}/*" for number in range(1000)]
    text = document(*({**OWN, "Action": "s3:GetObject", "Resource": each} for each in resources))
    began = time.process_time()
    found = parse(text, "identity", limit=1 << 20)
    assert time.process_time() - began < 1
    began = time.process_time()
    for _ in range(10):
        assert sum(each.applies(f"{ARN}/999/x", lambda _: None) for each in found.about("s3:GetObject")[1]) == 1
    assert time.process_time() - began < 0.2
