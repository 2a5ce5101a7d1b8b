"""Parameters of listings: AWS's limits, defaults, refusals, and places to resume."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3gate.s3 import listing
from s3gate.s3.errors import S3Error
from s3gate.s3.request import Query


def refused(read, query: bytes) -> S3Error:
    with pytest.raises(S3Error) as caught:
        read(Query.parse(query))
    return caught.value


@pytest.mark.parametrize(
    ("query", "limit"),
    [(b"", 1000), (b"max-keys=", 1000), (b"max-keys=0", 0), (b"max-keys=7", 7), (b"max-keys=5000", 1000)],
)
def test_max_keys(query: bytes, limit: int) -> None:
    assert listing.list_objects(Query.parse(query)).selection.limit == limit


@pytest.mark.parametrize("value", [b"-1", b"x", b"1.5", b"2147483648", b"9" * 50, b"%0A", b"%D9%A1"])
@pytest.mark.parametrize(
    ("read", "name"),
    [
        (listing.list_objects, b"max-keys"),
        (listing.list_objects_v2, b"max-keys"),
        (listing.list_object_versions, b"max-keys"),
        (listing.list_multipart_uploads, b"max-uploads"),
        (listing.list_parts, b"max-parts"),
        (listing.list_parts, b"part-number-marker"),
    ],
)
def test_numbers_that_are_none(read, name: bytes, value: bytes) -> None:
    error = refused(read, name + b"=" + value)
    assert error.code == "InvalidArgument"
    assert error.extra["ArgumentName"] == name.decode()


@pytest.mark.parametrize(
    ("read", "query", "message"),
    [
        (listing.list_objects, b"max-keys=-1", "Argument maxKeys must be an integer between 0 and 2147483647"),
        (listing.list_objects, b"max-keys=2147483648", "Provided max-keys not an integer or within integer range"),
        (listing.list_object_versions, b"versions&max-keys=-1", "max-keys cannot be negative"),
        (listing.list_parts, b"max-parts=-1", "Argument max-parts must be an integer between 0 and 2147483647"),
        (
            listing.list_multipart_uploads,
            b"max-uploads=x",
            "Provided max-uploads not an integer or within integer range",
        ),
        (listing.list_buckets, b"max-buckets=x", "Provided max-buckets not an integer or within integer range"),
        (listing.list_buckets, b"max-buckets=0", "Argument max-buckets must be an integer between 1 and 10000"),
    ],
)
def test_what_is_said_of_numbers_that_are_none(read, query: bytes, message: str) -> None:
    assert refused(read, query).message == message


@pytest.mark.parametrize("value", [b"0", b"10001", b"-1", b"x", b""])
def test_max_buckets(value: bytes) -> None:
    assert refused(listing.list_buckets, b"max-buckets=" + value).code == "InvalidArgument"
    assert listing.list_buckets(Query.parse(b"")).limit == 10_000


def test_encoding_type() -> None:
    assert listing.list_objects(Query.parse(b"encoding-type=url")).selection.url
    assert not listing.list_objects(Query.parse(b"encoding-type=")).selection.url
    assert refused(listing.list_objects, b"encoding-type=base64").code == "InvalidArgument"


def test_empty_parameters_mean_none() -> None:
    asked = listing.list_objects_v2(Query.parse(b"delimiter=&start-after=&prefix=&continuation-token="))
    assert asked.selection == listing.Selection(b"", b"", b"", 1000, False)
    assert asked.token == ""
    assert asked.start_after == b""


def test_a_token_wins_over_start_after() -> None:
    token = listing.encode_token(b"k").encode()
    asked = listing.list_objects_v2(Query.parse(b"start-after=z&continuation-token=" + token))
    assert asked.selection.after == b"k"
    assert asked.start_after == b"z"


@given(st.binary(max_size=1100))
def test_tokens_come_back(entry: bytes) -> None:
    token = listing.encode_token(entry)
    assert listing.decode_token(token) == entry
    assert token.replace("-", "").replace("_", "").replace("=", "").isalnum()


@given(st.text(max_size=40))
def test_foreign_tokens_are_refused(token: str) -> None:
    with pytest.raises(S3Error) as caught:
        listing.decode_token(token)
    assert caught.value.code == "InvalidArgument"


def test_a_mangled_token_is_refused() -> None:
    token = listing.encode_token(b"some/key")
    assert refused(listing.list_objects_v2, b"continuation-token=" + token[:-4].encode()).code == "InvalidArgument"


@pytest.mark.parametrize(
    ("prefix", "delimiter", "after", "resumes"),
    [
        (b"", b"", b"a/b", b"a/b"),
        (b"", b"/", b"a/b", b"a/"),
        (b"", b"/", b"a/", b"a/"),
        (b"", b"/", b"a", b"a"),
        (b"a/", b"/", b"a/b", b"a/b"),
        (b"a/", b"/", b"a/b/c", b"a/b/"),
        (b"x/", b"/", b"a/b", b"a/b"),
        (b"", b"ab", b"1ab2", b"1ab"),
    ],
)
def test_a_marker_inside_a_prefix_stands_for_it(prefix: bytes, delimiter: bytes, after: bytes, resumes: bytes) -> None:
    assert listing.resume_point(prefix, delimiter, after) == resumes


def test_version_markers() -> None:
    asked = listing.list_object_versions(Query.parse(b"key-marker=k&version-id-marker=null"))
    assert asked.selection.after == b"k"
    assert refused(listing.list_object_versions, b"version-id-marker=null").code == "InvalidArgument"
    assert refused(listing.list_object_versions, b"key-marker=k&version-id-marker=v7").code == "InvalidArgument"


def test_upload_markers() -> None:
    upload = b"0123456789abcdef" * 2
    asked = listing.list_multipart_uploads(Query.parse(b"key-marker=k&upload-id-marker=" + upload))
    assert asked.after_upload == bytes.fromhex(upload.decode())
    lone = listing.list_multipart_uploads(Query.parse(b"upload-id-marker=junk"))
    assert (lone.after_upload, lone.upload_id_marker) == (b"", "")
    error = refused(listing.list_multipart_uploads, b"key-marker=k&upload-id-marker=junk")
    assert error.code == "InvalidArgument"


@pytest.mark.parametrize("text", ["", "zz" * 16, "00" * 15, "00" * 17, " 0" * 16, "é" * 32])
def test_what_was_never_an_upload_id(text: str) -> None:
    assert listing.upload_id(text) is None


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=12), max_size=4), st.data())
def test_only_s3_errors_escape(junk: dict[str, str], data: st.DataObject) -> None:
    names = "max-keys marker prefix delimiter encoding-type continuation-token start-after fetch-owner key-marker "
    names += "version-id-marker upload-id-marker max-uploads max-parts part-number-marker max-buckets"
    pairs = {data.draw(st.sampled_from(names.split())): value for value in junk.values()}
    query = Query(b"x", list(pairs.items()))
    readers = (
        listing.list_objects,
        listing.list_objects_v2,
        listing.list_object_versions,
        listing.list_multipart_uploads,
        listing.list_parts,
        listing.list_buckets,
    )
    for read in readers:
        try:
            read(query)
        except S3Error as error:
            assert error.status == 400
