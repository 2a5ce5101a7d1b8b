"""Headers, the query and the path as S3 reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3gate.s3.errors import S3Error
from s3gate.s3.request import Headers, Query, Request, split_path

DOMAINS = ("s3.local", "store.example.com")


@pytest.mark.parametrize(
    ("raw_path", "host", "wanted"),
    [
        (b"/", "localhost", ("", b"")),
        (b"//", "localhost", ("", b"")),
        (b"/bucket", "localhost", ("bucket", b"")),
        (b"/bucket/", "localhost", ("bucket", b"")),
        (b"/bucket//", "localhost", ("bucket", b"/")),
        (b"/bucket/k", "localhost:9000", ("bucket", b"k")),
        (b"/bucket/k/", "localhost", ("bucket", b"k/")),
        (b"/bucket//k", "localhost", ("bucket", b"/k")),
        (b"/bucket/a/../b/./c//", "localhost", ("bucket", b"a/../b/./c//")),
        (b"/bucket/%2e%2e%2Fa", "localhost", ("bucket", b"../a")),
        (b"/bucket/a+b%20c%2B", "localhost", ("bucket", b"a+b c+")),
        (b"/bucket/%25%32%35", "localhost", ("bucket", b"%25")),
        (b"/bucket/%C3%A4", "localhost", ("bucket", "ä".encode())),
        (b"/bucket/%00%0a", "localhost", ("bucket", b"\x00\n")),
        (b"/bucket%2Fk", "localhost", ("bucket/k", b"")),
        (b"/k", "bucket.s3.local", ("bucket", b"k")),
        (b"/", "bucket.s3.local:9000", ("bucket", b"")),
        (b"//k", "Bucket.S3.Local:", ("bucket", b"/k")),
        (b"/k", "a.b.store.example.com", ("a.b", b"k")),
        (b"/bucket/k", "s3.local:9000", ("bucket", b"k")),
        (b"/bucket/k", ".s3.local", ("bucket", b"k")),
        (b"/bucket/k", "others3.local", ("bucket", b"k")),
        (b"/bucket/k", "[::1]:9000", ("bucket", b"k")),
        (b"/bucket/k", "[::1]", ("bucket", b"k")),
        (b"/bucket/k", "b.s3.local:port", ("bucket", b"k")),
        (b"/bucket/k", "", ("bucket", b"k")),
    ],
)
def test_split_path(raw_path, host, wanted):
    assert split_path(raw_path, host, DOMAINS) == wanted


@pytest.mark.parametrize(
    "raw_path",
    [
        b"",
        b"*",
        b"bucket",
        b"/bucket/%",
        b"/bucket/%zz",
        b"/bucket/%4",
        b"/bucket/%FF%FE",
        b"/%C3",
        b"/b/\xff",
        b"/b/%ED%A0%80",
    ],
)
def test_bad_paths(raw_path):
    for host in ("localhost", "bucket.s3.local"):
        with pytest.raises(S3Error) as caught:
            split_path(raw_path, host, DOMAINS)
        assert (caught.value.code, caught.value.status) == ("InvalidURI", 400)


def test_query():
    query = Query.parse(b"uploads&prefix=a%2Fb+c&empty=&a=1&a=2&&%C3%A4=%C3%B6&x=1=2")
    assert list(query) == [
        ("uploads", ""),
        ("prefix", "a/b c"),
        ("empty", ""),
        ("a", "1"),
        ("a", "2"),
        ("ä", "ö"),
        ("x", "1=2"),
    ]
    assert (query.get("a"), query.all("a"), query.get("none")) == ("1", ["1", "2"], None)
    assert "uploads" in query and "Uploads" not in query
    assert len(query) == 7 and set(query.names()) == {"uploads", "prefix", "empty", "a", "ä", "x"}
    assert len(Query.parse(b"")) == 0


@pytest.mark.parametrize("raw", [b"a=%", b"%zz=1", b"a=%FF", b"\xff", b"a=%ED%A0%80"])
def test_bad_queries(raw):
    with pytest.raises(S3Error) as caught:
        Query.parse(raw)
    assert caught.value.code == "InvalidURI"


def test_headers():
    headers = Headers([(b"host", b"h"), (b"x-amz-meta-a", b" 1 "), (b"x-amz-meta-a", b"\t2"), (b"range", b"\xe4")])
    assert (headers.get("host"), headers.get("none"), headers.get("range")) == ("h", None, "ä")
    assert (headers.get("x-amz-meta-a"), headers.all("x-amz-meta-a")) == ("1,2", ["1", "2"])
    assert "host" in headers and "x" not in headers
    assert (headers.get_bytes(b"host"), headers.get_bytes(b"none")) == (b"h", None)
    assert len(headers) == 4 and len(list(headers)) == 4
    assert set(headers.names()) == {b"host", b"x-amz-meta-a", b"range"}
    assert dict(headers.items())[b"x-amz-meta-a"] == b" 1,2"


def test_request_parse():
    raw = [(b"host", b"b.s3.local:1")]
    request = Request.parse("GET", b"/k%20", b"acl", raw, scheme="https", remote="1.2.3.4", base_domains=DOMAINS)
    assert (request.bucket, request.key, request.raw_path, request.host) == ("b", b"k ", b"/k%20", "b.s3.local:1")
    assert (request.scheme, request.remote, request.method) == ("https", "1.2.3.4", "GET")
    assert Request.parse("GET", b"/b/k", b"", []).host == ""


@given(st.binary(max_size=60), st.binary(max_size=60), st.sampled_from(["", "h", "b.s3.local"]))
def test_only_s3_errors_escape(path, query, host):
    try:
        request = Request.parse("GET", b"/" + path, query, [(b"host", host.encode())], base_domains=DOMAINS)
    except S3Error as error:
        assert error.code == "InvalidURI"
        return
    request.key.decode()


@given(st.text(min_size=1, max_size=20), st.text(max_size=20))
def test_escaped_round_trip(name, value):
    from urllib.parse import quote

    try:
        raw = f"{quote(name, safe='')}={quote(value, safe='')}".encode()
    except UnicodeEncodeError:  # a lone surrogate is not text
        return
    assert list(Query.parse(raw)) == [(name, value)]
