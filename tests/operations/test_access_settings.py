"""Policies, ACLs, ownership controls and the public access block: put, shown, removed, and refused in S3's words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from s3gate.catalog.identity_rows import IdentityRow
from s3gate.iam.acl import ALL_USERS
from s3gate.s3 import xml_acl
from tests.operations.bench import Bench, Reply, code
from tests.operations.fakes import NOW

OPEN = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::box/*"}
OBJECT = "/box/key"


def policy(**changes: Any) -> bytes:
    return json.dumps({"Version": "2012-10-17", "Statement": [{**OPEN, **changes}]}).encode()


def ownership(value: str) -> bytes:
    return f"<OwnershipControls><Rule><ObjectOwnership>{value}</ObjectOwnership></Rule></OwnershipControls>".encode()


def block(**switches: bool) -> bytes:
    inner = "".join(f"<{name}>{str(value).lower()}</{name}>" for name, value in switches.items())
    return f"<PublicAccessBlockConfiguration>{inner}</PublicAccessBlockConfiguration>".encode()


@pytest.fixture
async def open_bench(bench: Bench) -> Bench:
    """The box with ACLs enabled and nothing public blocked."""
    assert (await bench.ask("DELETE", "/box?publicAccessBlock")).status == 204
    assert (await bench.ask("PUT", "/box?ownershipControls", ownership("ObjectWriter"))).status == 200
    return bench


def grants(reply: Reply) -> list[tuple[str, str]]:
    """(grantee, permission) of the answer to GetBucketAcl or GetObjectAcl."""
    found = xml_acl.access_control_policy(reply.body)[1]
    return [(grant.grantee, grant.permission) for grant in found]


# --- policies


async def test_the_life_of_a_policy(open_bench: Bench) -> None:
    for target in ("/box?policy", "/box?policyStatus"):
        assert await code(open_bench.ask("GET", target)) == "NoSuchBucketPolicy"
    assert (await open_bench.ask("PUT", "/box?policy", policy())).status == 204
    found = await open_bench.ask("GET", "/box?policy")
    assert (found.body, found.headers["content-type"]) == (policy(), "application/json")
    assert (await open_bench.ask("GET", "/box?policyStatus")).text("IsPublic") == "true"
    closed = policy(Condition={"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}})
    assert (await open_bench.ask("PUT", "/box?policy", closed)).status == 204
    assert (await open_bench.ask("GET", "/box?policyStatus")).text("IsPublic") == "false"
    for _ in range(2):
        assert (await open_bench.ask("DELETE", "/box?policy")).status == 204
    assert await code(open_bench.ask("GET", "/box?policy")) == "NoSuchBucketPolicy"


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (b"", "MissingRequestBodyError"),
        (b"no policy", "MalformedPolicy"),
        (policy(Resource="arn:aws:s3:::other/*"), "MalformedPolicy"),
        (policy(Principal={"AWS": "999999999999"}), "MalformedPolicy"),
        (policy(Principal={"CanonicalUser": "9" * 64}), "MalformedPolicy"),
        (policy(Principal={"Service": ["logging.s3.amazonaws.com", "logging"]}), "MalformedPolicy"),
        (policy(Principal={"AWS": "arn:aws:iam::999999999999:user/nobody"}), "MalformedPolicy"),
        (policy(Sid="x" * 20_480), "MalformedPolicy"),
        (policy(Condition={"StringEquals": {"s3:prefix": "a"}}), "MalformedPolicy"),
    ],
)
async def test_policies_that_are_refused(open_bench: Bench, document: bytes, expected: str) -> None:
    assert await code(open_bench.ask("PUT", "/box?policy", document)) == expected
    assert await code(open_bench.ask("GET", "/box?policy")) == "NoSuchBucketPolicy"


@pytest.mark.parametrize(
    ("arn", "exists"),
    [
        ("arn:aws:iam::999999999999:user/team/bob", True),
        ("arn:aws:iam::999999999999:user/bob", False),
        ("arn:aws:iam::999999999999:user/team/Bob", False),
        ("arn:aws:iam::999999999999:role/worker", True),
        ("arn:aws:sts::999999999999:assumed-role/worker/any-session", True),
        ("arn:aws:sts::999999999999:assumed-role/nobody/any-session", False),
    ],
)
async def test_those_whom_a_policy_names_exist(open_bench: Bench, arn: str, exists: bool) -> None:
    for kind, name, path in (("user", "bob", "/team/"), ("role", "worker", "/")):
        row = IdentityRow("999999999999", kind, name, "AIDAX", path, b"", NOW)
        open_bench.identities.tables.rows["999999999999", kind, name] = row
    asked = open_bench.ask("PUT", "/box?policy", policy(Principal={"AWS": arn}))
    if exists:
        assert (await asked).status == 204
    else:
        assert await code(asked) == "MalformedPolicy"


async def test_public_policies_can_be_blocked(bench: Bench) -> None:
    """As they are on every new bucket."""
    assert await code(bench.ask("PUT", "/box?policy", policy())) == "AccessDenied"
    assert (await bench.ask("PUT", "/box?policy", policy(Effect="Deny"))).status == 204
    assert (await bench.ask("PUT", "/box?publicAccessBlock", block(BlockPublicAcls=True))).status == 200
    assert (await bench.ask("PUT", "/box?policy", policy())).status == 204


# --- the public access block and ownership


async def test_the_public_access_block_of_a_new_bucket_is_whole(bench: Bench) -> None:
    found = await bench.ask("GET", "/box?publicAccessBlock")
    names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    assert [found.text(name) for name in names] == ["true"] * 4
    assert (await bench.ask("PUT", "/box?publicAccessBlock", block(IgnorePublicAcls=True))).status == 200
    found = await bench.ask("GET", "/box?publicAccessBlock")
    assert [found.text(name) for name in names] == ["false", "true", "false", "false"]
    assert (await bench.ask("DELETE", "/box?publicAccessBlock")).status == 204
    assert await code(bench.ask("GET", "/box?publicAccessBlock")) == "NoSuchPublicAccessBlockConfiguration"
    assert await code(bench.ask("PUT", "/box?publicAccessBlock", b"<x/>")) == "MalformedXML"


async def test_ownership_controls(bench: Bench) -> None:
    assert (await bench.ask("GET", "/box?ownershipControls")).text("ObjectOwnership") == "BucketOwnerEnforced"
    assert (await bench.ask("PUT", "/box?ownershipControls", ownership("BucketOwnerPreferred"))).status == 200
    assert (await bench.ask("GET", "/box?ownershipControls")).text("ObjectOwnership") == "BucketOwnerPreferred"
    assert (await bench.ask("DELETE", "/box?ownershipControls")).status == 204
    assert await code(bench.ask("GET", "/box?ownershipControls")) == "OwnershipControlsNotFoundError"
    assert await code(bench.ask("PUT", "/box?ownershipControls", ownership("Mine"))) == "MalformedXML"


async def test_a_new_bucket_may_choose(bench: Bench) -> None:
    headers = {"x-amz-object-ownership": "ObjectWriter", "x-amz-acl": "public-read"}
    assert await code(bench.ask("PUT", "/new-box", headers=headers)) == "AccessDenied"  # public ACLs are blocked
    headers["x-amz-acl"] = "log-delivery-write"
    assert (await bench.ask("PUT", "/new-box", headers=headers)).status == 200
    assert (await bench.ask("GET", "/new-box?ownershipControls")).text("ObjectOwnership") == "ObjectWriter"
    assert len(grants(await bench.ask("GET", "/new-box?acl"))) == 3


# --- ACLs


async def test_disabled_acls_can_be_read_only(bench: Bench) -> None:
    await bench.put(OBJECT, headers={"x-amz-acl": "bucket-owner-full-control"})
    for target in ("/box?acl", f"{OBJECT}?acl"):
        assert [permission for _, permission in grants(await bench.ask("GET", target))] == ["FULL_CONTROL"]
        headers = {"x-amz-acl": "private"}
        assert await code(bench.ask("PUT", target, headers=headers)) == "AccessControlListNotSupported"
    assert (await bench.put(OBJECT, headers={"x-amz-acl": "private"})).status == 200  # that is what it is anyway
    assert await code(bench.put(OBJECT, headers={"x-amz-acl": "public-read"})) == "AccessControlListNotSupported"


@pytest.mark.parametrize("target", ["/box?acl", f"{OBJECT}?acl"])
async def test_the_life_of_an_acl(open_bench: Bench, target: str) -> None:
    await open_bench.put(OBJECT)
    found = await open_bench.ask("GET", target)
    [(owner, permission)] = grants(found)
    assert permission == "FULL_CONTROL"
    assert (await open_bench.ask("PUT", target, headers={"x-amz-acl": "public-read"})).status == 200
    shown = await open_bench.ask("GET", target)
    assert grants(shown) == [(owner, "FULL_CONTROL"), (ALL_USERS, "READ")]
    assert (await open_bench.ask("PUT", target, found.body)).status == 200  # what is answered may be put
    assert (await open_bench.ask("GET", target)).body == found.body
    assert (await open_bench.ask("PUT", target, shown.body)).status == 200
    assert (await open_bench.ask("GET", target)).body == shown.body
    headers = {"x-amz-grant-read": f'uri="{ALL_USERS}"', "x-amz-grant-write-acp": f"id={owner}"}
    assert (await open_bench.ask("PUT", target, headers=headers)).status == 200
    assert grants(await open_bench.ask("GET", target)) == [(ALL_USERS, "READ"), (owner, "WRITE_ACP")]


@pytest.mark.parametrize("target", ["/box?acl", f"{OBJECT}?acl"])
async def test_acls_that_are_refused(open_bench: Bench, target: str) -> None:
    await open_bench.put(OBJECT)
    found = (await open_bench.ask("GET", target)).body
    stranger = found.replace(grants(await open_bench.ask("GET", target))[0][0].encode(), b"9" * 64)
    for body, headers, expected in (
        (b"", {}, "MissingSecurityHeader"),
        (b"<x/>", {}, "MalformedACLError"),
        (stranger, {}, "AccessDenied"),
        (found, {"x-amz-acl": "private"}, "UnexpectedContent"),
        (b"", {"x-amz-acl": "nonsense"}, "InvalidArgument"),
        (b"", {"x-amz-acl": "private", "x-amz-grant-read": f'uri="{ALL_USERS}"'}, "InvalidRequest"),
        (b"", {"x-amz-grant-read": f"id={'9' * 64}"}, "InvalidArgument"),
        (b"", {"x-amz-grant-read": "emailAddress=nobody@example.com"}, "UnresolvableGrantByEmailAddress"),
    ):
        assert await code(open_bench.ask("PUT", target, body, headers)) == expected
    assert (await open_bench.ask("GET", target)).body == found


async def test_new_objects_come_with_acls(open_bench: Bench) -> None:
    headers = {"x-amz-acl": "public-read"}
    await open_bench.put("/box/put", headers=headers)
    await open_bench.put("/box/copy", b"", {"x-amz-copy-source": "box/put", "x-amz-acl": "authenticated-read"})
    await open_bench.put("/box/plain", b"", {"x-amz-copy-source": "box/put"})
    counts = [len(grants(await open_bench.ask("GET", f"/box/{key}?acl"))) for key in ("put", "copy", "plain")]
    assert counts == [2, 2, 1]


async def test_uploads_keep_their_acl_for_the_object(open_bench: Bench) -> None:
    made = await open_bench.ask("POST", "/box/k?uploads", headers={"x-amz-acl": "public-read"})
    upload = made.text("UploadId")
    part = await open_bench.put(f"/box/k?uploadId={upload}&partNumber=1")
    etag = part.headers["etag"]
    body = (
        f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    )
    assert (await open_bench.ask("POST", f"/box/k?uploadId={upload}", body.encode())).status == 200
    assert grants(await open_bench.ask("GET", "/box/k?acl"))[1] == (ALL_USERS, "READ")


async def test_acls_are_disabled_only_where_none_grants(open_bench: Bench) -> None:
    assert (await open_bench.ask("PUT", "/box?acl", headers={"x-amz-acl": "public-read"})).status == 200
    enforced = ownership("BucketOwnerEnforced")
    assert (
        await code(open_bench.ask("PUT", "/box?ownershipControls", enforced)) == "InvalidBucketAclWithObjectOwnership"
    )
    assert (await open_bench.ask("PUT", "/box?acl", headers={"x-amz-acl": "private"})).status == 200
    assert (await open_bench.ask("PUT", "/box?ownershipControls", enforced)).status == 200


async def test_blocked_acls(open_bench: Bench) -> None:
    await open_bench.put(OBJECT)
    assert (await open_bench.ask("PUT", "/box?publicAccessBlock", block(BlockPublicAcls=True))).status == 200
    headers = {"x-amz-acl": "public-read"}
    for target in ("/box?acl", f"{OBJECT}?acl", OBJECT):
        assert await code(open_bench.ask("PUT", target, headers=headers)) == "AccessDenied"
        assert (await open_bench.ask("PUT", target, headers={"x-amz-acl": "private"})).status == 200
