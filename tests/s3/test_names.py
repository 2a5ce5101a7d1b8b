"""Names of buckets and keys, and x-amz-copy-source."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3gate.s3 import names
from s3gate.s3.errors import S3Error


@pytest.mark.parametrize(
    "name",
    [
        "abc",
        "a" * 63,
        "my-bucket",
        "my.bucket.1",
        "1bucket",
        "bucket1",
        "192.168.1",
        "a--b",
        "1.2.3.4.5",
        "256.300.1.x",
    ],
)
def test_good_buckets(name):
    names.check_bucket_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "ab",
        "a",
        "Bucket",
        "under_score",
        "-abc",
        "abc-",
        ".abc",
        "abc.",
        "a..b",
        "a.-b",
        "a-.b",
        "192.168.1.1",
        "999.1.1.1",
        "xn--abc",
        "sthree-abc",
        "amzn-s3-demo-abc",
        "abc-s3alias",
        "abc--ol-s3",
        "abc.mrap",
        "abc--x-s3",
        "abc--table-s3",
        "a/b",
        "a%b",
        "bücket",
        "",
        "a" * 64,
        "abc\n",
        "a b c",
    ],
)
def test_bad_buckets(name):
    with pytest.raises(S3Error) as caught:
        names.check_bucket_name(name)
    assert (caught.value.code, caught.value.extra) == ("InvalidBucketName", {"BucketName": name})


def test_keys_are_measured_in_bytes():
    names.check_key("ä".encode() * 512)
    with pytest.raises(S3Error) as caught:
        names.check_key("ä".encode() * 512 + b"x")
    assert caught.value.code == "KeyTooLongError"


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("bucket/key", ("bucket", b"key", None)),
        ("/bucket/key", ("bucket", b"key", None)),
        ("/bucket//key", ("bucket", b"/key", None)),
        ("bucket/a%20b%2Bc+d", ("bucket", b"a b+c+d", None)),
        ("bucket/a%2Fb%3FversionId=1", ("bucket", b"a/b?versionId=1", None)),
        ("bucket/%2525", ("bucket", b"%25", None)),
        ("bucket/key?versionId=abc", ("bucket", b"key", "abc")),
        ("bucket/key?versionId=", ("bucket", b"key", None)),
        ("bucket%2Fa%2Fb", ("bucket", b"a/b", None)),
        ("bucket/%C3%A4", ("bucket", "ä".encode(), None)),
        ("bucket/ä".encode().decode("latin-1"), ("bucket", "ä".encode(), None)),
        ("bucket/k?x=1", ("bucket", b"k?x=1", None)),
    ],
)
def test_copy_source(header, wanted):
    assert names.parse_copy_source(header) == wanted


@pytest.mark.parametrize(
    "header", ["", "/", "bucket", "bucket/", "/bucket", "//key", "b/%", "b/%FF", "b/" + "k" * 1025]
)
def test_bad_copy_source(header):
    with pytest.raises(S3Error) as caught:
        names.parse_copy_source(header)
    assert caught.value.code in ("InvalidArgument", "InvalidURI", "KeyTooLongError")
    if caught.value.code == "InvalidArgument":
        missing = "bucket name" if header in ("", "/", "//key") else "object key"
        assert caught.value.message == f"Invalid copy source {missing}"


@given(st.binary(max_size=50))
def test_only_s3_errors_escape(header):
    try:
        bucket, key, _ = names.parse_copy_source(header.decode("latin-1"))
    except S3Error:
        return
    assert bucket and key
