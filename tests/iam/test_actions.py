"""Which leave each operation asks: the whole dispatch table, versions, headers, copies and deletions of many."""

from __future__ import annotations

from typing import Any

import pytest

from s3gate.iam import vocabulary
from s3gate.iam.actions import (
    ASKED_ELSEWHERE,
    Ask,
    ask_to_list,
    asks,
    asks_of_copied_tags,
    asks_of_deletion,
    asks_of_source,
)
from s3gate.s3.operation import BUCKET, OBJECT, OPERATIONS, SERVICE
from s3gate.s3.request import Request

OWNER = "a" * 64
PATHS = {SERVICE: b"/", BUCKET: b"/bucket", OBJECT: b"/bucket/a/key"}
ARNS = {SERVICE: "arn:aws:s3:::*", BUCKET: "arn:aws:s3:::bucket", OBJECT: "arn:aws:s3:::bucket/a/key"}


def asked(name: str, query: bytes = b"", **headers: Any) -> list[str]:
    return [each.action for each in asked_of(name, query, **headers)]


def asked_of(name: str, query: bytes = b"", **headers: str) -> tuple[Ask, ...]:
    row = OPERATIONS[name]
    raw = [(header.replace("_", "-").encode(), value.encode()) for header, value in headers.items()]
    request = Request.parse(row.method, PATHS[row.level], query, raw)
    return asks(row, request, OWNER)


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in ASKED_ELSEWHERE])
def test_every_operation_asks_for_its_action_on_its_resource(name: str) -> None:
    row = OPERATIONS[name]
    first = asked_of(name)[0]
    assert first.action == row.action
    assert first.arn == (ARNS[OBJECT] if name == "PostObject" else ARNS[row.level]) or name == "PostObject"
    assert first.on_object is (row.level == OBJECT or name == "PostObject")


def test_what_is_asked_elsewhere() -> None:
    assert [name for name in OPERATIONS if not asked_of(name)] == ["DeleteObjects", "OptionsObject"]


@pytest.mark.parametrize("name", OPERATIONS)
def test_bucket_policies_know_every_action_that_is_asked(name: str) -> None:
    """A bucket's policy may speak of it, on the level at which it is asked."""
    for each in asked_of(name):
        if each.action.startswith("s3:") and each.bucket:
            bucket_level, object_level = vocabulary.levels(each.action)
            assert object_level if each.on_object else bucket_level, each.action


@pytest.mark.parametrize(
    ("name", "plain", "versioned"),
    [
        ("GetObject", ["s3:GetObject"], ["s3:GetObjectVersion"]),
        ("HeadObject", ["s3:GetObject"], ["s3:GetObjectVersion"]),
        ("DeleteObject", ["s3:DeleteObject"], ["s3:DeleteObjectVersion"]),
        ("GetObjectAcl", ["s3:GetObjectAcl"], ["s3:GetObjectVersionAcl"]),
        ("PutObjectAcl", ["s3:PutObjectAcl"], ["s3:PutObjectVersionAcl"]),
        ("GetObjectTagging", ["s3:GetObjectTagging"], ["s3:GetObjectVersionTagging"]),
        ("PutObjectTagging", ["s3:PutObjectTagging"], ["s3:PutObjectVersionTagging"]),
        ("DeleteObjectTagging", ["s3:DeleteObjectTagging"], ["s3:DeleteObjectVersionTagging"]),
        (
            "GetObjectAttributes",
            ["s3:GetObjectAttributes", "s3:GetObject"],
            ["s3:GetObjectVersionAttributes", "s3:GetObjectVersion"],
        ),
        ("GetObjectRetention", ["s3:GetObjectRetention"], ["s3:GetObjectRetention"]),
        ("PutObjectLegalHold", ["s3:PutObjectLegalHold"], ["s3:PutObjectLegalHold"]),
    ],
)
def test_versions_have_their_own_actions(name: str, plain: list[str], versioned: list[str]) -> None:
    assert asked(name) == plain
    assert asked(name, b"versionId=null") == versioned


PUT, ACL, TAG = "s3:PutObject", "s3:PutObjectAcl", "s3:PutObjectTagging"


@pytest.mark.parametrize("name", ["PutObject", "CreateMultipartUpload", "PostObject"])
@pytest.mark.parametrize(
    ("headers", "actions"),
    [
        ({"x_amz_acl": "public-read"}, [PUT, ACL]),
        ({"x_amz_acl": "private"}, [PUT]),
        ({"x_amz_acl": "bucket-owner-full-control"}, [PUT]),
        ({"x_amz_grant_full_control": f"id={OWNER}"}, [PUT]),
        ({"x_amz_grant_read": f"id={'b' * 64}"}, [PUT, ACL]),
        ({"x_amz_tagging": "a=b"}, [PUT, TAG]),
        ({"x_amz_tagging": ""}, [PUT]),
        ({"x_amz_object_lock_mode": "GOVERNANCE"}, [PUT, "s3:PutObjectRetention"]),
        ({"x_amz_object_lock_retain_until_date": "x"}, [PUT, "s3:PutObjectRetention"]),
        ({"x_amz_object_lock_legal_hold": "ON"}, [PUT, "s3:PutObjectLegalHold"]),
        (
            {"x_amz_acl": "public-read", "x_amz_tagging": "a=b", "x_amz_object_lock_legal_hold": "ON"},
            [PUT, ACL, TAG, "s3:PutObjectLegalHold"],
        ),
    ],
)
def test_headers_of_what_makes_an_object(name: str, headers: dict[str, Any], actions: list[str]) -> None:
    assert asked(name, b"", **headers) == actions


def test_parts_ask_for_nothing_more() -> None:
    for name in ("UploadPart", "UploadPartCopy", "CompleteMultipartUpload"):
        assert asked(name, x_amz_acl="public-read", x_amz_tagging="a=b") == [PUT]
    assert asked("AbortMultipartUpload") == ["s3:AbortMultipartUpload"]


@pytest.mark.parametrize(
    ("name", "query", "actions"),
    [
        ("DeleteObject", b"versionId=null", ["s3:DeleteObjectVersion", "s3:BypassGovernanceRetention"]),
        ("PutObjectRetention", b"", ["s3:PutObjectRetention", "s3:BypassGovernanceRetention"]),
        ("GetObject", b"", ["s3:GetObject"]),
    ],
)
def test_bypassing_governance(name: str, query: bytes, actions: list[str]) -> None:
    assert asked(name, query, x_amz_bypass_governance_retention="True") == actions
    assert asked(name, query, x_amz_bypass_governance_retention="false") == actions[:1]


def test_creating_a_bucket() -> None:
    assert asked("CreateBucket") == ["s3:CreateBucket"]
    assert asked("CreateBucket", x_amz_acl="private") == ["s3:CreateBucket"]
    assert asked(
        "CreateBucket",
        x_amz_acl="authenticated-read",
        x_amz_bucket_object_lock_enabled="true",
        x_amz_object_ownership="ObjectWriter",
    ) == [
        "s3:CreateBucket",
        "s3:PutBucketAcl",
        "s3:PutBucketObjectLockConfiguration",
        "s3:PutBucketVersioning",
        "s3:PutBucketOwnershipControls",
    ]


def test_copies() -> None:
    assert asked("CopyObject", x_amz_tagging="a=b") == [PUT]
    assert asked("CopyObject", x_amz_tagging="a=b", x_amz_tagging_directive="REPLACE") == [PUT, TAG]
    assert asked("CopyObject", x_amz_acl="public-read") == [PUT, ACL]
    arn = "arn:aws:s3:::source/k"
    assert asks_of_source("source", b"k", versioned=False) == (Ask("s3:GetObject", arn, "source", True),)
    assert asks_of_source("source", b"k", versioned=True) == (Ask("s3:GetObjectVersion", arn, "source", True),)
    request = Request.parse("PUT", b"/bucket/copy", b"", [])
    reading, writing = asks_of_copied_tags(request, "source", b"k", versioned=False)
    assert reading == (Ask("s3:GetObjectTagging", arn, "source", True),)
    assert writing == (Ask(TAG, "arn:aws:s3:::bucket/copy", "bucket", True, True),)


def test_deletions_of_many() -> None:
    arn = "arn:aws:s3:::b/ä"
    assert asks_of_deletion("b", "ä".encode(), versioned=False, bypass=False) == (
        Ask("s3:DeleteObject", arn, "b", True),
    )
    found = asks_of_deletion("b", "ä".encode(), versioned=True, bypass=True)
    assert [each.action for each in found] == ["s3:DeleteObjectVersion", "s3:BypassGovernanceRetention"]


def test_asking_to_list() -> None:
    assert ask_to_list("b") == Ask("s3:ListBucket", "arn:aws:s3:::b", "b")
