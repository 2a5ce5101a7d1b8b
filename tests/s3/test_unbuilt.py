"""No header that asks for something is ignored."""

from __future__ import annotations

import pytest
from botocore.session import get_session

from s3gate.s3 import sse
from s3gate.s3.errors import S3Error
from s3gate.s3.operation import OPERATIONS
from s3gate.s3.request import Headers
from s3gate.s3.unbuilt import refuse_unbuilt

# what other modules and operations honour, and what asks for nothing where nobody pays for others' requests
HONOURED = [
    "x-amz-checksum-algorithm",
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-md5",
    "x-amz-checksum-mode",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
    "x-amz-checksum-sha512",
    "x-amz-checksum-type",
    "x-amz-checksum-xxhash128",
    "x-amz-checksum-xxhash3",
    "x-amz-checksum-xxhash64",
    "x-amz-copy-source-if-match",
    "x-amz-copy-source-if-modified-since",
    "x-amz-copy-source-if-none-match",
    "x-amz-copy-source-if-unmodified-since",
    "x-amz-copy-source-range",
    "x-amz-expected-bucket-owner",
    "x-amz-metadata-directive",
    "x-amz-mp-object-size",
    "x-amz-bucket-object-lock-token",
    "x-amz-confirm-remove-self-bucket-access",
    "x-amz-max-parts",
    "x-amz-object-attributes",
    "x-amz-optional-object-attributes",
    "x-amz-part-number-marker",
    "x-amz-request-payer",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-source-expected-bucket-owner",
    "x-amz-transition-default-minimum-object-size",
    "x-amz-website-redirect-location",
]


MAKERS = {"PutObject", "CopyObject", "CreateMultipartUpload"}
TAKING_ACLS = MAKERS | {"CreateBucket", "PutBucketAcl", "PutObjectAcl"}
HONOURED_BY = {
    "x-amz-acl": TAKING_ACLS,
    "x-amz-grant-full-control": TAKING_ACLS,
    "x-amz-grant-read": TAKING_ACLS,
    "x-amz-grant-read-acp": TAKING_ACLS,
    "x-amz-grant-write": TAKING_ACLS,
    "x-amz-grant-write-acp": TAKING_ACLS,
    "x-amz-bucket-object-lock-enabled": {"CreateBucket"},
    "x-amz-bypass-governance-retention": {"DeleteObject", "DeleteObjects", "PutObjectRetention"},
    "x-amz-if-match-last-modified-time": {"DeleteObject"},
    "x-amz-if-match-size": {"DeleteObject"},
    "x-amz-object-lock-legal-hold": MAKERS,
    "x-amz-object-lock-mode": MAKERS,
    "x-amz-object-lock-retain-until-date": MAKERS,
    "x-amz-object-ownership": {"CreateBucket"},
    "x-amz-tagging": MAKERS,
    "x-amz-tagging-directive": {"CopyObject"},
}


def refused(name: str, value: str, operation: str = "UploadPart") -> str | None:
    try:
        refuse_unbuilt(Headers([(b"host", b"h"), (name.encode(), value.encode())]), operation)
    except S3Error as error:
        return f"{error.code} {error.extra.get('Header', '')}".strip()
    return None


def model_headers() -> set[tuple[str, str]]:
    model = get_session().get_service_model("s3")
    found = set()
    for name in model.operation_names:
        shape = model.operation_model(name).input_shape
        if shape is not None and OPERATIONS[name].built:
            locations = [member.serialization for member in shape.members.values()]
            found |= {(name, at["name"].lower()) for at in locations if at.get("location") == "header"}
    return {(operation, name) for operation, name in found if name.startswith("x-amz-")}


@pytest.mark.parametrize(("operation", "name"), sorted(model_headers()))
def test_every_header_of_the_model_is_honoured_or_refused(operation, name):
    if (
        name in HONOURED
        or name == "x-amz-copy-source"
        or operation in HONOURED_BY.get(name, ())
        or name.encode().startswith(sse.PREFIXES)
    ):
        assert refused(name, "anything", operation) is None
    elif name == "x-amz-storage-class":
        assert refused(name, "GLACIER", operation) == f"NotImplemented {name}"
    else:
        assert refused(name, "anything", operation) == f"NotImplemented {name}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-amz-acl", "private"),
        ("x-amz-acl", "bucket-owner-full-control"),
        ("x-amz-storage-class", "STANDARD"),
        ("x-amz-bucket-object-lock-enabled", "false"),
        ("x-amz-tagging", ""),
        ("x-amz-tagging-directive", "COPY"),
        ("x-amz-object-ownership", "BucketOwnerEnforced"),
        ("x-amz-api-version", "2006-03-01"),
        ("x-amz-user-agent", "x"),
        ("x-amz-meta-server-side-encryption", "x"),
    ],
)
def test_what_asks_for_nothing_passes(name, value):
    assert refused(name, value) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-amz-acl", "public-read"),
        ("x-amz-acl", ""),
        ("x-amz-bucket-object-lock-enabled", "true"),
        ("x-amz-tagging", "a=b"),
        ("x-amz-grant-read", "id=1"),
        ("x-amz-storage-class", "STANDARD_IA"),
    ],
)
def test_what_asks_for_something_is_refused_by_name(name, value):
    assert refused(name, value) == f"NotImplemented {name}"


def test_an_unknown_storage_class_is_invalid():
    assert refused("x-amz-storage-class", "PAPER") == "InvalidStorageClass"
    assert refused("x-amz-storage-class", "standard") == "InvalidStorageClass"


# https://github.com/versity/versitygw/pull/1642 tells what AWS answers
@pytest.mark.parametrize(
    "operation", ["GetObject", "HeadBucket", "DeleteObject", "CompleteMultipartUpload", "CreateBucket"]
)
def test_a_source_is_named_by_copies_only(operation):
    assert refused("x-amz-copy-source", "bucket/key", operation) == "InvalidArgument"
