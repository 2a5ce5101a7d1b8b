"""What an object keeps of its headers, and what a response makes of it."""

from __future__ import annotations

from base64 import b64decode
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3gate.s3 import headers
from s3gate.s3.errors import S3Error
from s3gate.s3.request import Headers, Query


def kept(*sent: tuple[bytes, bytes]) -> dict[bytes, bytes]:
    return dict(headers.pairs(headers.stored(Headers(list(sent)))))


def refusal(*sent: tuple[bytes, bytes]) -> str:
    with pytest.raises(S3Error) as caught:
        kept(*sent)
    return caught.value.code


def test_round_trip():
    sent = {
        b"content-type": b"text/plain; charset=utf-8",
        b"cache-control": b"max-age=1",
        b"content-disposition": b'attachment; filename="a"',
        b"content-encoding": b"gzip",
        b"content-language": b"de",
        b"expires": b"Thu, 01 Dec 2033 16:00:00 GMT",
        b"x-amz-website-redirect-location": b"/other",
        b"x-amz-meta-a": b"1",
        b"x-amz-meta-empty": b"",
    }
    assert kept(*sent.items(), (b"host", b"h"), (b"x-amz-date", b"d"), (b"authorization", b"a")) == sent


def test_default_content_type():
    assert kept() == {b"content-type": b"binary/octet-stream"}
    assert kept((b"content-type", b" ")) == {b"content-type": b"binary/octet-stream"}
    assert headers.pairs(b"") == []


@pytest.mark.parametrize(
    ("encoding", "wanted"),
    [
        (b"aws-chunked", None),
        (b"AWS-Chunked", None),
        (b"gzip", b"gzip"),
        (b"gzip,aws-chunked", b"gzip"),
        (b"aws-chunked, gzip", b"gzip"),
        (b"aws-chunked,gzip, aws-chunked ,br", b"gzip,br"),
        (b"gzip, br", b"gzip, br"),
        (b"aws-chunked,", None),
        (b"", None),
    ],
)
def test_framing_is_not_an_encoding(encoding, wanted):
    assert kept((b"content-encoding", encoding)).get(b"content-encoding") == wanted


def test_duplicate_metadata_is_joined():
    assert kept((b"x-amz-meta-a", b"1"), (b"x-amz-meta-a", b"2"))[b"x-amz-meta-a"] == b"1,2"


def test_metadata_that_is_not_ascii_goes_out_as_rfc_2047():
    for raw in ("grüße".encode(), "grüße".encode("latin-1")):
        value = kept((b"x-amz-meta-a", raw))[b"x-amz-meta-a"]
        assert value.startswith(b"=?UTF-8?B?") and value.endswith(b"?=")
        assert b64decode(value[10:-2]).decode() == "grüße"
    already = b"=?UTF-8?Q?gr=C3=BC=C3=9Fe?="
    assert kept((b"x-amz-meta-a", already))[b"x-amz-meta-a"] == already


def test_metadata_limit_counts_names_without_their_prefix():
    assert kept((b"x-amz-meta-ab", b"x" * 1000), (b"x-amz-meta-c", b"y" * 1045))
    assert refusal((b"x-amz-meta-ab", b"x" * 1000), (b"x-amz-meta-c", b"y" * 1046)) == "MetadataTooLarge"


@pytest.mark.parametrize("value", [b"other", b"", b"ftp://x", b"/" + b"x" * 2048])
def test_bad_redirects(value):
    assert refusal((b"x-amz-website-redirect-location", value)) == "InvalidRedirectLocation"


@pytest.mark.parametrize("value", [b"a\r\nb: c", b"a\0b", b"a\x7f"])
def test_control_characters_never_get_in(value):
    assert refusal((b"x-amz-meta-a", value)) == "InvalidRequest"
    assert refusal((b"content-type", value)) == "InvalidRequest"


@pytest.mark.parametrize("meta", ["x", "x-amz-initiator"])
def test_an_upload_knows_who_began_it_until_it_is_an_object(meta):
    stored = headers.stored(Headers([(b"x-amz-meta-a", meta.encode()), (b"x-amz-meta-b", b"2")]))
    assert (headers.initiator_of(stored), headers.completed(stored)) == ("", stored)
    begun = headers.begun_by(stored, "arn:aws:iam::1:user/\u00e4")
    assert (headers.initiator_of(begun), headers.completed(begun)) == ("arn:aws:iam::1:user/\u00e4", stored)


def test_of_object():
    modified = datetime(2024, 5, 6, 7, 8, 9, 999999, tzinfo=UTC)
    assert headers.of_object(headers.stored(Headers([])), "abc-2", modified) == [
        (b"content-type", b"binary/octet-stream"),
        (b"etag", b'"abc-2"'),
        (b"last-modified", b"Mon, 06 May 2024 07:08:09 GMT"),
        (b"accept-ranges", b"bytes"),
    ]


def test_overrides():
    found = [(b"content-type", b"a/b"), (b"etag", b'"x"')]
    assert headers.override(found, Query.parse(b""), signed=True) is found
    assert headers.override(found, Query.parse(b"x-id=GetObject"), signed=False) is found
    query = Query.parse(b"response-content-type=text%2Fplain&response-expires=0&response-cache-control=no-cache")
    assert dict(headers.override(found, query, signed=True)) == {
        b"content-type": b"text/plain",
        b"etag": b'"x"',
        b"expires": b"0",
        b"cache-control": b"no-cache",
    }


def test_nobody_overrides_without_a_signature():
    with pytest.raises(S3Error, match="anonymous") as caught:
        headers.override([], Query.parse(b"response-content-type=a%2Fb"), signed=False)
    assert (caught.value.status, caught.value.code) == (400, "InvalidRequest")


@pytest.mark.parametrize("value", [b"a%0d%0aset-cookie:x", b"%00", b"%E2%82%AC", b"%7F"])
def test_overrides_cannot_begin_another_header(value):
    with pytest.raises(S3Error) as caught:
        headers.override([], Query.parse(b"response-content-disposition=" + value), signed=True)
    assert (caught.value.code, caught.value.extra["ArgumentName"]) == (
        "InvalidArgument",
        "response-content-disposition",
    )


def test_only_some_headers_can_be_overridden():
    """https://github.com/versity/versitygw/issues/2075"""
    with pytest.raises(S3Error, match="response-age is not in the set of overridable response headers") as caught:
        headers.override([], Query.parse(b"response-age=1"), signed=True)
    assert caught.value.extra == {"ArgumentName": "response-age", "ArgumentValue": "1"}


NAMES = st.sampled_from([b"content-type", b"content-encoding", b"expires", b"x-amz-meta-a", b"x-amz-meta-\xc3\xa4"])


@given(st.lists(st.tuples(NAMES, st.binary(max_size=60)), max_size=6))
def test_only_s3_errors_escape_and_values_stay_on_their_line(sent):
    try:
        stored = headers.stored(Headers(sent))
    except S3Error:
        return
    for name, value in headers.pairs(stored):
        assert not set(name + value) & set(b"\0\r\n")
