"""What is public, and how ownership, ACLs and the public access block act together."""

from __future__ import annotations

import json
from typing import Any

import pytest

from s3gate.iam import acl, public
from s3gate.iam.policy import parse
from s3gate.s3 import xml_access
from s3gate.s3.errors import S3Error
from s3gate.s3.request import Headers
from s3gate.s3.xml_access import ALL_BLOCKED, NO_BLOCK, Block

OWNER, WRITER = "a" * 64, "b" * 64
ENFORCED, PREFERRED, WRITERS = "BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"


def policy(principal: Any = "*", effect: str = "Allow", condition: Any = None) -> bytes:
    statement = {"Effect": effect, "Principal": principal, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}
    if condition is not None:
        statement["Condition"] = condition
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}).encode()


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (policy(), True),
        (policy({"AWS": "*"}), True),
        (policy({"AWS": ["111122223333", "*"]}), True),
        (policy({"AWS": "111122223333"}), False),
        (policy({"Service": "logging.s3.amazonaws.com"}), False),
        (policy(effect="Deny"), False),
        (policy(condition={"StringLike": {"aws:SourceVpc": "vpc-*"}}), True),
        (policy(condition={"StringEquals": {"aws:SourceVpc": "vpc-91237329"}}), False),
        (policy(condition={"StringLike": {"aws:SourceVpc": "vpc-91237329"}}), False),
        (policy(condition={"StringNotEquals": {"aws:SourceVpc": "vpc-91237329"}}), True),
        (policy(condition={"StringEqualsIfExists": {"aws:SourceVpc": "vpc-91237329"}}), True),
        (policy(condition={"ForAllValues:StringEquals": {"aws:SourceVpc": "vpc-91237329"}}), True),
        (policy(condition={"StringEquals": {"aws:SourceVpc": "${aws:PrincipalTag/vpc}"}}), True),
        (policy(condition={"ArnLike": {"aws:SourceArn": "arn:aws:sns:eu:1:x"}}), False),
        (policy(condition={"ArnLike": {"aws:SourceArn": "arn:aws:sns:*:1:x"}}), True),
        (policy(condition={"StringEquals": {"aws:userid": "AIDAEXAMPLE"}}), False),
        (policy(condition={"StringLike": {"aws:userid": "AROAEXAMPLE:*"}}), True),
        (policy(condition={"StringEquals": {"aws:PrincipalOrgID": "o-1"}}), False),
        (policy(condition={"StringEquals": {"aws:Referer": "https://example.com/"}}), True),
        (policy(condition={"Bool": {"aws:SecureTransport": "true"}}), True),
        (policy(condition={"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}), False),
        (policy(condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}), False),
        (policy(condition={"IpAddress": {"aws:SourceIp": "0.0.0.0/1"}}), True),
        (policy(condition={"IpAddress": {"aws:SourceIp": ["203.0.113.0/24", "0.0.0.0/0"]}}), True),
        (policy(condition={"IpAddress": {"aws:SourceIp": "2001:db8::/31"}}), True),
        (policy(condition={"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}}), True),
    ],
)
def test_public_policies(document: bytes, expected: bool) -> None:
    assert public.is_public(parse(document, "bucket", "b")) is expected


def headers(given: dict[str, str]) -> Headers:
    return Headers([(name.encode(), value.encode()) for name, value in given.items()])


CANNED, READ_BY = "x-amz-acl", "x-amz-grant-read"
OWNED_BY_BUCKET_OWNER = acl.private(OWNER)
NOT_SUPPORTED, DENIED = "AccessControlListNotSupported", "AccessDenied"


@pytest.mark.parametrize(
    ("ownership", "given", "expected"),
    [
        (ENFORCED, {}, OWNED_BY_BUCKET_OWNER),
        (ENFORCED, {CANNED: "bucket-owner-full-control"}, OWNED_BY_BUCKET_OWNER),
        (ENFORCED, {"x-amz-grant-full-control": f"id={OWNER}"}, OWNED_BY_BUCKET_OWNER),
        (ENFORCED, {"x-amz-grant-full-control": f"id={WRITER}"}, NOT_SUPPORTED),
        (ENFORCED, {CANNED: "private"}, NOT_SUPPORTED),
        (ENFORCED, {CANNED: "public-read"}, NOT_SUPPORTED),
        (ENFORCED, {READ_BY: f"id={OWNER}"}, NOT_SUPPORTED),
        (ENFORCED, {CANNED: "nonsense"}, "InvalidArgument"),
        (PREFERRED, {}, acl.private(WRITER)),
        (PREFERRED, {CANNED: "bucket-owner-full-control"}, OWNED_BY_BUCKET_OWNER),
        (PREFERRED, {CANNED: "public-read"}, acl.canned("public-read", WRITER, OWNER, on_bucket=False)),
        (WRITERS, {}, acl.private(WRITER)),
        (WRITERS, {CANNED: "private"}, acl.private(WRITER)),
        (
            WRITERS,
            {CANNED: "bucket-owner-full-control"},
            acl.canned("bucket-owner-full-control", WRITER, OWNER, on_bucket=False),
        ),
    ],
)
def test_acls_of_new_objects(ownership: str, given: dict[str, str], expected: acl.Acl | str) -> None:
    def make() -> acl.Acl:
        return public.acl_of_new_object(
            headers(given), writer=WRITER, bucket_owner=OWNER, ownership=ownership, block=NO_BLOCK
        )

    if isinstance(expected, acl.Acl):
        assert make() == expected
    else:
        with pytest.raises(S3Error) as caught:
            make()
        assert caught.value.code == expected


@pytest.mark.parametrize(("writer", "accepted"), [(OWNER, True), (WRITER, False)])
def test_a_private_acl_says_what_is_so_anyway(writer: str, accepted: bool) -> None:
    """Of the bucket owner's own objects: clients that send it always work where ACLs are disabled."""
    given: dict[str, Any] = {"bucket_owner": OWNER, "ownership": ENFORCED, "block": ALL_BLOCKED}
    if accepted:
        assert public.acl_of_new_object(headers({CANNED: "private"}), writer=writer, **given) == OWNED_BY_BUCKET_OWNER
    else:
        with pytest.raises(S3Error, match=NOT_SUPPORTED):
            public.acl_of_new_object(headers({CANNED: "private"}), writer=writer, **given)


def test_what_nobody_writes_has_an_owner_too() -> None:
    found = public.acl_of_new_object(headers({}), writer="", bucket_owner=OWNER, ownership=WRITERS, block=NO_BLOCK)
    assert found == acl.private(acl.NOBODY)


@pytest.mark.parametrize(
    "given", [{CANNED: "public-read"}, {CANNED: "authenticated-read"}, {READ_BY: f"uri={acl.ALL_USERS}"}]
)
def test_blocked_acls(given: dict[str, str]) -> None:
    for block in (ALL_BLOCKED, Block(block_acls=True)):
        with pytest.raises(S3Error) as caught:
            public.acl_of_new_object(headers(given), writer=WRITER, bucket_owner=OWNER, ownership=WRITERS, block=block)
        assert caught.value.code == DENIED
        with pytest.raises(S3Error) as caught:
            public.acl_of_new_bucket(headers(given), owner=OWNER, ownership=WRITERS, block=block)
        assert caught.value.code == DENIED
    others_on = Block(ignore_acls=True, block_policy=True, restrict_buckets=True)
    assert public.acl_of_new_bucket(headers(given), owner=OWNER, ownership=WRITERS, block=others_on).is_public


def test_acls_of_new_buckets() -> None:
    def made(given: dict[str, str], ownership: str = ENFORCED) -> acl.Acl:
        return public.acl_of_new_bucket(headers(given), owner=OWNER, ownership=ownership, block=NO_BLOCK)

    assert made({}) == made({CANNED: "private"}) == acl.private(OWNER)
    with pytest.raises(S3Error) as caught:
        made({CANNED: "public-read"})
    assert caught.value.code == "InvalidBucketAclWithObjectOwnership"
    assert made({CANNED: "public-read"}, PREFERRED).is_public


def test_acls_are_disabled_only_where_there_are_none() -> None:
    public.check_ownership(ENFORCED, acl.private(OWNER))
    granting = acl.canned("public-read", OWNER, OWNER, on_bucket=True)
    public.check_ownership(PREFERRED, granting)
    with pytest.raises(S3Error) as caught:
        public.check_ownership(ENFORCED, granting)
    assert caught.value.code == "InvalidBucketAclWithObjectOwnership"
    with pytest.raises(S3Error) as caught:
        public.check_acls_enabled(ENFORCED)
    assert caught.value.code == NOT_SUPPORTED
    public.check_acls_enabled(PREFERRED)


# --- the documents


def test_the_public_access_block() -> None:
    for block in (ALL_BLOCKED, NO_BLOCK, Block(True, False, True, False)):
        assert xml_access.public_access_block(xml_access.public_access_block_document(block)) == block
    some = b"<PublicAccessBlockConfiguration><IgnorePublicAcls>TRUE</IgnorePublicAcls></PublicAccessBlockConfiguration>"
    assert xml_access.public_access_block(some) == Block(ignore_acls=True)


@pytest.mark.parametrize(
    "inner",
    [
        "<BlockPublicAcls>yes</BlockPublicAcls>",
        "<BlockAll>true</BlockAll>",
        "<BlockPublicAcls>true</BlockPublicAcls><BlockPublicAcls>true</BlockPublicAcls>",
    ],
)
def test_public_access_blocks_that_are_refused(inner: str) -> None:
    with pytest.raises(S3Error, match="MalformedXML"):
        xml_access.public_access_block(
            f"<PublicAccessBlockConfiguration>{inner}</PublicAccessBlockConfiguration>".encode()
        )


def controls(*rules: str) -> bytes:
    inner = "".join(f"<Rule><ObjectOwnership>{rule}</ObjectOwnership></Rule>" for rule in rules)
    return f"<OwnershipControls>{inner}</OwnershipControls>".encode()


def test_ownership_controls() -> None:
    for ownership in (ENFORCED, PREFERRED, WRITERS):
        assert xml_access.ownership(controls(ownership)) == ownership
    for data in (
        controls(),
        controls("Mine"),
        controls(ENFORCED, WRITERS),
        b"<OwnershipControls><Rule/></OwnershipControls>",
    ):
        with pytest.raises(S3Error, match="MalformedXML"):
            xml_access.ownership(data)


def test_the_status_of_a_policy() -> None:
    assert b"<IsPublic>true</IsPublic>" in xml_access.policy_status(True)
    assert b"<IsPublic>false</IsPublic>" in xml_access.policy_status(False)
