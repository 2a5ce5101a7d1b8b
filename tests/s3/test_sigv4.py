"""Signature Version 4: AWS's published examples, botocore as the signer, and every way to be refused."""

from __future__ import annotations

import itertools
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from s3gate.s3.authenticate import authenticate
from s3gate.s3.credentials import Authentication, Credential, PayloadMode, claimed_key
from s3gate.s3.errors import S3Error
from s3gate.s3.request import Request
from tests.s3.signing import ACCESS_KEY, EMPTY_SHA256, NOW, SECRET_KEY, received, secret_of, sign

HOST = "http://examplebucket.s3.amazonaws.com"
DOMAINS = ("s3.amazonaws.com",)
SCOPE = f"{ACCESS_KEY}/20130524/us-east-1/s3/aws4_request"


def verify(request: Request, now=NOW, secrets=secret_of, region="us-east-1", **options) -> Authentication:
    return authenticate(request, now, secrets, region, **options)


def refusal(request: Request, **options) -> S3Error:
    with pytest.raises(S3Error) as caught:
        verify(request, **options)
    return caught.value


def published(method: str, path: str, headers: dict[str, str], signed: str, signature: str) -> Request:
    authorization = f"AWS4-HMAC-SHA256 Credential={SCOPE},SignedHeaders={signed},Signature={signature}"
    date = {"x-amz-date": "20130524T000000Z", "authorization": authorization}
    return received(method, HOST + path, headers | date, DOMAINS)


# https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
PUBLISHED = [
    (
        "GET",
        "/test.txt",
        {"range": "bytes=0-9", "x-amz-content-sha256": EMPTY_SHA256},
        "host;range;x-amz-content-sha256;x-amz-date",
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ),
    (
        "PUT",
        "/test%24file.text",
        {
            "date": "Fri, 24 May 2013 00:00:00 GMT",
            "x-amz-storage-class": "REDUCED_REDUNDANCY",
            "x-amz-content-sha256": "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
        },
        "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ),
    (
        "GET",
        "/?lifecycle",
        {"x-amz-content-sha256": EMPTY_SHA256},
        "host;x-amz-content-sha256;x-amz-date",
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ),
    (
        "GET",
        "/?max-keys=2&prefix=J",
        {"x-amz-content-sha256": EMPTY_SHA256},
        "host;x-amz-content-sha256;x-amz-date",
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
]
PRESIGNED = (
    "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
    f"&X-Amz-Credential={SCOPE.replace('/', '%2F')}&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400"
    "&X-Amz-SignedHeaders=host"
    "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
)


@pytest.mark.parametrize("example", PUBLISHED, ids=lambda example: f"{example[0]} {example[1]}")
def test_published_examples_verify(example):
    found = verify(published(*example))
    assert found.access_key == ACCESS_KEY
    assert (found.payload, found.payload_sha256) == (PayloadMode.SIGNED, example[2]["x-amz-content-sha256"])
    assert found.scope == SCOPE.removeprefix(ACCESS_KEY + "/")
    assert found.seed_signature == example[4]
    assert not found.presigned and not found.is_anonymous


def test_published_presigned_example_verifies():
    found = verify(received("GET", HOST + PRESIGNED, {}, DOMAINS))
    assert (found.access_key, found.payload, found.presigned) == (ACCESS_KEY, PayloadMode.UNSIGNED, True)


@pytest.mark.parametrize("index", range(len(PUBLISHED)))
def test_one_changed_character_is_a_mismatch(index):
    method, path, headers, signed, signature = PUBLISHED[index]
    changed = ("1" if signature[0] != "1" else "2") + signature[1:]
    error = refusal(published(method, path, headers, signed, changed))
    assert (error.code, error.status) == ("SignatureDoesNotMatch", 403)
    assert error.extra["SignatureProvided"] == changed
    assert error.extra["StringToSign"].startswith("AWS4-HMAC-SHA256\n20130524T000000Z\n")
    assert error.extra["CanonicalRequest"].startswith(method + "\n")
    assert refusal(published("POST", path, headers, signed, signature)).code == "SignatureDoesNotMatch"
    assert refusal(published(method, "/x" + path[1:], headers, signed, signature)).code == "SignatureDoesNotMatch"


ODD_PATHS = [
    "/",
    "/bucket",
    "/bucket/",
    "/bucket/plain.txt",
    "/bucket//a//b/",
    "/bucket/../a/./b",
    "/bucket/a%20b%2Bc%26d",
    "/bucket/%C3%A4%E2%82%AC%F0%9F%98%80",
    "/bucket/a%2Fb%2F%2Fc",
    "/bucket/%25%2525",
    "/bucket/%7Etilde~!%27()*",
    "/bucket/a:b@c=d,e;f$g",
    "/bucket/%01%7F%0A",
]
ODD_QUERIES = [
    "",
    "?uploads",
    "?delete=",
    "?list-type=2&prefix=&delimiter=%2F",
    "?prefix=a%20b%2Bc&max-keys=5&encoding-type=url",
    "?partNumber=1&uploadId=AbC%3D%3D",
    "?b=2&a=1&a=0&B=3",
    "?prefix=%C3%A4&x-id=GetObject",
]


@pytest.mark.parametrize(("path", "query"), [*itertools.product(ODD_PATHS, ODD_QUERIES)])
def test_botocore_signs_and_we_agree(path, query):
    url = f"http://localhost:9000{path}{query}"
    headers = {"x-amz-meta-spaced": "  a   b\tc ", "Content-Type": "text/plain", "x-amz-meta-b": "1"}
    assert verify(sign("v4", "PUT", url, headers, data=b"hello")).payload is PayloadMode.SIGNED
    assert verify(sign("v4-query", "GET", url)).presigned


def test_a_path_signed_as_it_is_spelled():
    """curl signs what it sends; the spelling vouches for that spelling alone."""
    request = sign("v4", "GET", "http://localhost/b/a(1)%2Fb")
    headers = {name.decode(): value.decode() for name, value in request.headers}
    assert verify(request).access_key == ACCESS_KEY
    assert refusal(received("GET", "http://localhost/b/a%281%29/b", headers)).code == "SignatureDoesNotMatch"


def test_unescaped_query_is_signed_escaped():
    """s3fs sends delimiter=/ and signs delimiter=%2F."""
    request = sign("v4", "GET", "http://localhost/b/?delimiter=%2F&prefix=a%2F")
    bare = received(
        "GET",
        "http://localhost/b/?delimiter=/&prefix=a/",
        {name.decode(): value.decode() for name, value in request.headers},
    )
    assert verify(bare).access_key == ACCESS_KEY


def test_path_escapes_are_one_form_and_nothing_is_normalised():
    request = sign("v4", "GET", "http://localhost/b/a%24..~")
    headers = {name.decode(): value.decode() for name, value in request.headers}
    assert verify(received("GET", "http://localhost/b/a$%2e%2E%7e", headers)).access_key == ACCESS_KEY
    assert refusal(received("GET", "http://localhost/b/a%2524..~", headers)).code == "SignatureDoesNotMatch"
    assert refusal(received("GET", "http://localhost/b//a$..~", headers)).code == "SignatureDoesNotMatch"


@pytest.mark.parametrize(
    ("header", "wanted"),
    [("x-amz-copy-source", "x-amz-copy-source"), ("x-amz-acl", "x-amz-acl"), ("x-amz-meta-a", "x-amz-meta-a")],
)
@pytest.mark.parametrize("signer", ["v4", "v4-query"])
def test_every_amz_header_must_be_signed(signer, header, wanted):
    request = sign(signer, "PUT", "http://localhost/b/k")
    request.headers = type(request.headers)([*request.headers.raw, (header.encode(), b"/other/secret")])
    error = refusal(request)
    assert (error.code, error.extra["HeadersNotSigned"]) == ("AccessDenied", wanted)


def test_host_must_be_signed_present_and_alone():
    example = PUBLISHED[2]
    without = published(*example[:3], "x-amz-content-sha256;x-amz-date", example[4])
    assert refusal(without).extra["HeadersNotSigned"] == "host"
    request = sign("v4", "GET", "http://localhost/b/k")
    kind = type(request.headers)
    request.headers = kind([*request.headers.raw, (b"host", b"other")])
    assert refusal(request).code == "InvalidRequest"
    request.headers = kind([pair for pair in request.headers.raw if pair[0] != b"host"])
    assert refusal(request).code == "InvalidRequest"


@pytest.mark.parametrize("seconds", [-900, -899, 0, 899, 900])
def test_clock_may_be_a_quarter_of_an_hour_off(seconds):
    request = sign("v4", "GET", "http://localhost/b/k")
    assert verify(request, now=NOW + timedelta(seconds=seconds)).access_key == ACCESS_KEY


@pytest.mark.parametrize("seconds", [-901, 901, 86_000])
def test_skew(seconds):
    error = refusal(sign("v4", "GET", "http://localhost/b/k"), now=NOW + timedelta(seconds=seconds))
    assert (error.code, error.status) == ("RequestTimeTooSkewed", 403)
    assert error.extra["MaxAllowedSkewMilliseconds"] == "900000"


def test_wrong_region_tells_the_right_one_and_an_alias_is_accepted():
    request = sign("v4", "GET", "http://localhost/b/k", region="US")
    error = refusal(request)
    assert (error.code, error.status, error.extra["Region"]) == ("AuthorizationHeaderMalformed", 400, "us-east-1")
    assert verify(request, region_aliases=frozenset({"US"})).scope == "20130524/US/s3/aws4_request"
    presigned = sign("v4-query", "GET", "http://localhost/b/k", region="eu-west-1")
    assert refusal(presigned).code == "AuthorizationQueryParametersError"
    assert refusal(presigned).extra["Region"] == "us-east-1"


def with_header(name: str, value: str) -> Request:
    method, path, headers, signed, signature = PUBLISHED[2]
    request = published(method, path, headers, signed, signature)
    raw = [(sent, value.encode() if sent == name.encode() else old) for sent, old in request.headers.raw]
    request.headers = type(request.headers)(raw)
    return request


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        ("AWS4-HMAC-SHA256 ", "AuthorizationHeaderMalformed"),
        ("AWS4-HMAC-SHA256 Credential=a", "AuthorizationHeaderMalformed"),
        ("AWS4-HMAC-SHA256 Credential=a/b/c,SignedHeaders=host,Signature=x", "AuthorizationHeaderMalformed"),
        ("AWS4-HMAC-SHA256 Credential=,SignedHeaders=host,Signature=", "AuthorizationHeaderMalformed"),
        (f"AWS4-HMAC-SHA256 Credential={SCOPE},SignedHeaders=host,Signature=x,A=b", "AuthorizationHeaderMalformed"),
        (
            f"AWS4-HMAC-SHA256 Credential={SCOPE.replace('/s3/', '/sns/')},SignedHeaders=host,Signature=x",
            "AuthorizationHeaderMalformed",
        ),
        (
            f"AWS4-HMAC-SHA256 Credential={SCOPE.replace('aws4', 'aws5')},SignedHeaders=host,Signature=x",
            "AuthorizationHeaderMalformed",
        ),
        (
            f"AWS4-HMAC-SHA256 Credential={SCOPE.replace('0524', '0523')},SignedHeaders=host,Signature=x",
            "AuthorizationHeaderMalformed",
        ),
        (f"AWS4-HMAC-SHA256 Credential=X{SCOPE},SignedHeaders=host,Signature=x", "InvalidAccessKeyId"),
        ("AWS4-ECDSA-P256-SHA256 Credential=a", "NotImplemented"),
        ("Basic dXNlcjpwYXNz", "InvalidArgument"),
        ("Bearer token", "InvalidArgument"),
    ],
)
def test_broken_authorization(authorization, code):
    assert refusal(with_header("authorization", authorization)).code == code


def test_an_empty_authorization_names_nobody():
    assert verify(with_header("authorization", "")).is_anonymous
    link = received("GET", HOST + PRESIGNED, {"authorization": ""}, DOMAINS)
    assert (claimed_key(link), verify(link).access_key) == ((ACCESS_KEY, ""), ACCESS_KEY)


@pytest.mark.parametrize(
    ("claim", "code"),
    [
        ("", "InvalidArgument"),
        ("abc", "InvalidArgument"),
        ("STREAMING-NEW-PAYLOAD", "InvalidArgument"),
        ("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "NotImplemented"),
        ("hash", "InvalidArgument"),
    ],
)
def test_unknown_payload_claims(claim, code):
    assert refusal(with_header("x-amz-content-sha256", claim)).code == code


def test_payload_claim_is_obligatory():
    request = sign("v4", "GET", "http://localhost/b/k")
    kept = [pair for pair in request.headers.raw if pair[0] != b"x-amz-content-sha256"]
    request.headers = type(request.headers)(kept)
    assert refusal(request).code == "InvalidRequest"


@pytest.mark.parametrize("date", ["", "yesterday", "20130524", "20131324T000000Z", "20130524T000000"])
def test_a_date_is_obligatory(date):
    assert refusal(with_header("x-amz-date", date)).code == "AccessDenied"


@pytest.mark.parametrize("name", ["Algorithm", "Credential", "Signature", "Date", "SignedHeaders", "Expires"])
def test_presigned_parameters_are_obligatory(name):
    path, _, query = PRESIGNED.partition("?")
    kept = "&".join(field for field in query.split("&") if not field.startswith(f"X-Amz-{name}="))
    error = refusal(received("GET", f"{HOST}{path}?{kept}", {}, DOMAINS))
    assert (error.code, error.status) == ("AuthorizationQueryParametersError", 400)


@pytest.mark.parametrize(
    ("expires", "code"),
    [
        ("0", "AccessDenied"),
        ("-1", "AuthorizationQueryParametersError"),
        ("--1", "AuthorizationQueryParametersError"),
        ("604801", "AuthorizationQueryParametersError"),
        ("9" * 5000, "AuthorizationQueryParametersError"),
        ("soon", "AuthorizationQueryParametersError"),
        ("1.5", "AuthorizationQueryParametersError"),
        ("%D9%A1", "AuthorizationQueryParametersError"),
        ("604800", "SignatureDoesNotMatch"),
    ],
)
def test_presigned_expiry_bounds(expires, code):
    url = HOST + PRESIGNED.replace("Expires=86400", f"Expires={expires}")
    assert refusal(received("GET", url, {}, DOMAINS)).code == code


def test_presigned_window():
    request = sign("v4-query", "GET", "http://localhost/b/k", expires=60)
    assert verify(request, now=NOW + timedelta(seconds=60)).presigned
    error = refusal(request, now=NOW + timedelta(seconds=61))
    assert (error.code, error.message) == ("AccessDenied", "Request has expired")
    assert error.extra["X-Amz-Expires"] == "60" and error.extra["Expires"] == "2013-05-24T00:01:00Z"
    assert refusal(request, now=NOW - timedelta(minutes=16)).message == "Request is not valid yet"


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", "NotImplemented"),
        ("AWS4-HMAC-SHA256", "AWS4-HMAC-MD5", "AuthorizationQueryParametersError"),
        ("X-Amz-Date=20130524T000000Z", "X-Amz-Date=20130524", "AuthorizationQueryParametersError"),
        ("SignedHeaders=host", "SignedHeaders=%E2%82%AC", "AccessDenied"),
        ("Signature=a", "Signature=%E2%82%AC", "SignatureDoesNotMatch"),
        ("Credential=", "Credential=%E2%82%AC", "InvalidAccessKeyId"),
        ("X-Amz-Expires", "X-Amz-Content-Sha256=%E2%82%AC&X-Amz-Expires", "InvalidArgument"),
        ("X-Amz-Expires", "X-Amz-Security-Token=t&X-Amz-Expires", "InvalidToken"),
        ("X-Amz-Expires", "Signature=t&X-Amz-Expires", "InvalidArgument"),
    ],
)
def test_broken_presigned_urls(old, new, code):
    assert refusal(received("GET", HOST + PRESIGNED.replace(old, new, 1), {}, DOMAINS)).code == code


def test_two_mechanisms_at_once_are_refused():
    request = sign("v4-query", "GET", "http://localhost/b/k")
    request.headers = type(request.headers)([*request.headers.raw, (b"authorization", b"AWS4-HMAC-SHA256 x")])
    assert refusal(request).code == "InvalidArgument"


def temporary(access_key: str) -> Credential:
    return Credential(access_key, SECRET_KEY, "session+token/1=")


@pytest.mark.parametrize("signer", ["v4", "v4-query", "v2", "v2-query"])
def test_session_tokens(signer):
    request = sign(signer, "GET", "http://localhost/b/k", token="session+token/1=")
    assert verify(request, secrets=temporary).access_key == ACCESS_KEY
    assert refusal(request).code == "InvalidToken"
    other = sign(signer, "GET", "http://localhost/b/k", token="another")
    assert refusal(other, secrets=temporary).code == "InvalidToken"
    assert refusal(sign(signer, "GET", "http://localhost/b/k"), secrets=temporary).code == "InvalidAccessKeyId"


def test_wrong_secret():
    for signer in ("v4", "v4-query", "v2", "v2-query"):
        request = sign(signer, "GET", "http://localhost/b/k", secret="wrong")
        assert refusal(request).code == "SignatureDoesNotMatch"


def test_anonymous():
    assert verify(received("GET", "http://localhost/b/k?x=y", {})) is Authentication.ANONYMOUS
    framed = {"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}
    found = verify(received("PUT", "http://localhost/b/k", framed))
    assert found.is_anonymous and found.payload is PayloadMode.STREAMING_UNSIGNED_TRAILER
    signed = {"x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}
    assert refusal(received("PUT", "http://localhost/b/k", signed)).code == "AccessDenied"


def test_headers_hoisted_into_a_presigned_url_become_headers():
    request = sign("v4-query", "PUT", "http://localhost/b/k?x-amz-acl=public-read&x-amz-meta-a=b%20c&prefix=1")
    assert request.headers.get("x-amz-acl") is None
    verify(request)
    assert (request.headers.get("x-amz-acl"), request.headers.get("x-amz-meta-a")) == ("public-read", "b c")
    assert "prefix" not in request.headers and "x-amz-signature" not in request.headers
    bad = sign("v4-query", "PUT", "http://localhost/b/k?x-amz-meta-a%0D%0Ab=1")
    assert refusal(bad).code == "InvalidArgument"


def test_unsigned_query_parameters_do_not_become_headers():
    request = received("PUT", "http://localhost/b/k?x-amz-acl=public-read", {})
    verify(request)
    assert "x-amz-acl" not in request.headers


AUTHORIZATIONS = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [f"AWS4-HMAC-SHA256 Credential={SCOPE},SignedHeaders={{}},Signature={{}}", "AWS4-HMAC-SHA256 {}", "AWS {}:{}"]
    ).flatmap(lambda form: st.tuples(st.text(max_size=20), st.text(max_size=20)).map(lambda two: _utf8(form, two))),
)
DATES = st.one_of(
    st.binary(max_size=30),
    st.sampled_from([b"20130524T000000Z", b"99991231T235959Z", b"00010101T000000Z", b"Fri, 24 May 2013 00:00:00 GMT"]),
    st.text(alphabet="0123456789 :-+,.MonJanTGZ", max_size=30).map(str.encode),
)


def _utf8(form: str, words: tuple[str, str]) -> bytes:
    return form.format(*words).encode("utf-8", "replace")


@settings(max_examples=300, deadline=None)
@given(AUTHORIZATIONS, DATES, DATES, st.sampled_from([b"UNSIGNED-PAYLOAD", b"", b"\xff"]))
def test_only_s3_errors_escape_from_headers(authorization, amz_date, date, claim):
    raw = [(b"host", b"h"), (b"authorization", authorization), (b"date", date), (b"x-amz-content-sha256", claim)]
    assume(authorization.strip())
    for headers in (raw, [*raw, (b"x-amz-date", amz_date)]):
        with pytest.raises(S3Error):
            verify(Request.parse("GET", b"/b/k", b"", headers))


PARAMETERS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "X-Amz-Algorithm",
                "X-Amz-Credential",
                "X-Amz-Signature",
                "X-Amz-Date",
                "X-Amz-SignedHeaders",
                "X-Amz-Expires",
                "X-Amz-Security-Token",
                "Signature",
                "AWSAccessKeyId",
                "Expires",
                "x-amz-meta-ä",
            ]
        ),
        st.one_of(
            st.text(max_size=20),
            st.sampled_from([SCOPE, ACCESS_KEY, "AWS4-HMAC-SHA256", "20130524T000000Z", "host", "60", "1369353600"]),
        ),
    ),
    max_size=9,
)


@settings(max_examples=400, deadline=None)
@given(PARAMETERS, st.booleans())
def test_only_s3_errors_escape_from_queries(parameters, complete):
    pairs = [(name, value.encode("utf-8", "replace")) for name, value in parameters]
    query = urlencode(pairs) + ("&" + PRESIGNED.partition("?")[2] if complete else "")
    try:
        found = verify(Request.parse("GET", b"/test.txt", query.encode(), [(b"host", b"h")]))
    except S3Error:
        return
    assert found.is_anonymous
