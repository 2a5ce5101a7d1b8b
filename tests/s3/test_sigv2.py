"""Signature Version 2: AWS's published examples, botocore as the signer, and the refusals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from s3gate.s3.authenticate import authenticate
from s3gate.s3.credentials import Credential, PayloadMode
from s3gate.s3.errors import S3Error
from tests.s3.signing import ACCESS_KEY, NOW, SECRET_KEY, received, secret_of, sign

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/RESTAuthentication.html
PUBLISHED = [
    ("GET", "/photos/puppy.jpg", "Tue, 27 Mar 2007 19:36:42 +0000", {}, "qgk2+6Sv9/oM7G3qLEjTH1a1l1g="),
    (
        "PUT",
        "/photos/puppy.jpg",
        "Tue, 27 Mar 2007 21:15:45 +0000",
        {"content-type": "image/jpeg", "content-length": "94328"},
        "iqRzw+ileNPu1fhspnRs8nOjjIA=",
    ),
    (
        "GET",
        "/?prefix=photos&max-keys=50&marker=puppy",
        "Tue, 27 Mar 2007 19:42:41 +0000",
        {},
        "m0WP8eCtspQl5Ahe6L1SozdX9YA=",
    ),
    ("GET", "/?acl", "Tue, 27 Mar 2007 19:44:46 +0000", {}, "82ZHiFIjc+WbcwFKGUVEQspPn+0="),
]


def verify(request, now=NOW, **options):
    return authenticate(request, now, secret_of, "us-east-1", **options)


def refusal(request, **options) -> S3Error:
    with pytest.raises(S3Error) as caught:
        verify(request, **options)
    return caught.value


@pytest.mark.parametrize(("method", "path", "date", "headers", "signature"), PUBLISHED)
def test_published_examples(method, path, date, headers, signature):
    headers = headers | {"date": date, "authorization": f"AWS {ACCESS_KEY}:{signature}"}
    request = received(method, "http://awsexamplebucket1.us-west-1.s3.amazonaws.com" + path, headers)
    request.bucket, request.key = "awsexamplebucket1", path.split("?")[0][1:].encode()
    when = datetime.strptime(date, "%a, %d %b %Y %H:%M:%S %z")
    assert verify(request, now=when).access_key == ACCESS_KEY


PATHS = ["/bucket", "/bucket/", "/bucket/a", "/bucket/a//b/../%20%2B%C3%A4/", "/"]
QUERIES = ["", "?uploads", "?acl&versionId=3", "?response-content-type=text%2Fplain%2B&x-id=1", "?delete="]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("signer", ["v2", "v2-query"])
def test_botocore_signs_and_we_agree(signer, path, query):
    headers = {"Content-Type": "text/plain", "x-amz-meta-b": "2", "x-amz-acl": "private"}
    found = verify(sign(signer, "PUT", f"http://localhost:9000{path}{query}", headers))
    assert (found.access_key, found.payload) == (ACCESS_KEY, PayloadMode.UNSIGNED)


@pytest.mark.parametrize("signer", ["v2", "v2-query"])
def test_a_bucket_in_the_host_name(signer):
    request = sign(signer, "GET", "http://b.s3.local/b/x", auth_path="/b/b/x", base_domains=("s3.local",))
    assert (request.bucket, request.key) == ("b", b"b/x")
    assert verify(request).access_key == ACCESS_KEY
    path_style = sign(signer, "GET", "http://b.s3.local/b/x", base_domains=("s3.local",))
    assert refusal(path_style).code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("signer", ["v2", "v2-query"])
def test_the_bucket_itself_may_be_signed_with_or_without_its_slash(signer):
    for auth_path in ("/bucket", "/bucket/"):
        request = sign(signer, "GET", "http://localhost/bucket", auth_path=auth_path)
        assert verify(request).access_key == ACCESS_KEY


def test_an_added_amz_header_is_a_mismatch():
    for signer in ("v2", "v2-query"):
        request = sign(signer, "PUT", "http://localhost/b/k")
        request.headers = type(request.headers)([*request.headers.raw, (b"x-amz-copy-source", b"/a/b")])
        assert refusal(request).code == "SignatureDoesNotMatch"


def test_hoisted_headers_become_headers():
    request = sign("v2-query", "PUT", "http://localhost/b/k", {"Content-Type": "a/b", "x-amz-meta-c": "d"})
    verify(request)
    assert (request.headers.get("content-type"), request.headers.get("x-amz-meta-c")) == ("a/b", "d")


def test_expiry():
    request = sign("v2-query", "GET", "http://localhost/b/k", expires=60)
    assert verify(request, now=NOW + timedelta(seconds=59)).presigned
    error = refusal(request, now=NOW + timedelta(seconds=60))
    assert (error.code, error.status, error.message) == ("AccessDenied", 403, "Request has expired")


@pytest.mark.parametrize("expires", ["", "soon", "-1", "9" * 13, "999999999999", "%D9%A1"])
def test_bad_expiry(expires):
    query = f"?AWSAccessKeyId={ACCESS_KEY}&Signature=x&Expires={expires}"
    assert refusal(received("GET", "http://localhost/b/k" + query, {})).code == "AccessDenied"


def test_skew_and_dates():
    request = sign("v2", "GET", "http://localhost/b/k")
    assert refusal(request, now=NOW + timedelta(minutes=16)).code == "RequestTimeTooSkewed"
    for date in ("", "yesterday"):
        headers = {"date": date, "authorization": f"AWS {ACCESS_KEY}:x"}
        assert refusal(received("GET", "http://localhost/b/k", headers)).code == "AccessDenied"


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        ("AWS ", "InvalidArgument"),
        ("AWS x", "InvalidArgument"),
        ("AWS x:", "InvalidArgument"),
        ("AWS nobody:c2ln", "InvalidAccessKeyId"),
        (f"AWS {ACCESS_KEY}:\u20ac", "SignatureDoesNotMatch"),
    ],
)
def test_broken_authorization(authorization, code):
    headers = {"date": "Fri, 24 May 2013 00:00:00 GMT", "authorization": authorization}
    assert refusal(received("GET", "http://localhost/b/k", headers)).code == code


ONE_SPACE = "Authorization header is invalid -- one and only one ' ' (space) required"


@pytest.mark.parametrize(
    ("authorization", "message"),
    [
        ("AWS", ONE_SPACE),
        ("AWS  a:b", ONE_SPACE),
        ("Bearer", ONE_SPACE),
        ("AWS a", "AWS authorization header is invalid.  Expected AwsAccessKeyId:signature"),
        ("Bearer a:b", "Unsupported Authorization Type"),
    ],
)
def test_broken_authorization_is_shown(authorization, message):
    error = refusal(received("GET", "http://localhost/b/k", {"authorization": authorization}))
    assert (error.code, error.message) == ("InvalidArgument", message)
    assert error.extra == {"ArgumentName": "Authorization", "ArgumentValue": authorization}


def test_it_can_be_turned_off():
    for signer in ("v2", "v2-query"):
        request = sign(signer, "GET", "http://localhost/b/k")
        assert refusal(request, sigv2_enabled=False).code == "InvalidRequest"


def test_chunk_signatures_need_version_4():
    headers = {"x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}
    assert refusal(sign("v2", "PUT", "http://localhost/b/k", headers)).code == "InvalidRequest"
    headers = {"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}
    assert verify(sign("v2", "PUT", "http://localhost/b/k", headers)).payload.has_trailer


def test_credential_is_looked_up_once():
    asked: list[str] = []

    def secrets(access_key: str) -> Credential:
        asked.append(access_key)
        return Credential(access_key, SECRET_KEY)

    authenticate(sign("v2", "GET", "http://localhost/b/k"), NOW.astimezone(UTC), secrets, "us-east-1")
    assert asked == [ACCESS_KEY]
