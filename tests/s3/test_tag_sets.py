"""Tags: what a set of them may be, in headers and documents."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3gate.s3 import tags, xml_tagging
from s3gate.s3.errors import S3Error
from s3gate.s3.request import Headers

LETTERS = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=20)


def of_header(text: str) -> bytes:
    return tags.of_header(Headers([(b"x-amz-tagging", text.encode())]))


def refusal(call, *arguments: object) -> tuple[str, str]:
    with pytest.raises(S3Error) as caught:
        call(*arguments)
    return caught.value.code, caught.value.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("a=b", [("a", "b")]),
        ("a=b&c", [("a", "b"), ("c", "")]),
        ("z=1&a=2", [("z", "1"), ("a", "2")]),
        ("a%20b=c+d", [("a b", "c d")]),
        ("%C3%A9=%E6%97%A5", [("é", "日")]),
        ("a=b=c", [("a", "b=c")]),
    ],
)
def test_headers(text: str, expected: list[tags.Tag]) -> None:
    kept = of_header(text)
    assert tags.unpack(kept) == expected
    assert tags.count(kept) == len(expected)


@given(st.dictionaries(LETTERS, LETTERS, max_size=10))
def test_what_is_kept_comes_back(given_tags: dict[str, str]) -> None:
    kept = tags.pack(list(given_tags.items()))
    assert tags.unpack(kept) == list(given_tags.items())
    assert tags.count(kept) == len(given_tags)


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("a=1&a=2", "InvalidArgument", "The header 'x-amz-tagging' shall be encoded"),
        ("a=%FF", "InvalidArgument", "The header 'x-amz-tagging' shall be encoded"),
        ("=1", "InvalidArgument", "The header 'x-amz-tagging' shall be encoded"),
        ("a=%zz", "InvalidArgument", "The header 'x-amz-tagging' shall be encoded"),
        (f"{'k' * 129}=1", "InvalidTag", "The TagKey you have provided is invalid"),
        (f"k={'v' * 257}", "InvalidTag", "The TagValue you have provided is invalid"),
        ("a%00=1", "InvalidTag", "The TagKey you have provided is invalid"),
        ("a=%3Cb%3E", "InvalidTag", "The TagValue you have provided is invalid"),
        ("aws:a=1", "InvalidTag", "System tags cannot be added/updated by requester"),
        ("&".join(f"k{n}=v" for n in range(11)), "BadRequest", "Object tags cannot be greater than 10"),
    ],
)
def test_headers_that_are_refused(text: str, code: str, message: str) -> None:
    found = refusal(of_header, text)
    assert (found[0], found[1][: len(message)]) == (code, message)


def test_what_is_wrong_is_named() -> None:
    for pairs, extra in (
        ([("a!", "v")], {"TagKey": "a!"}),
        ([("a", "v!")], {"TagKey": "a", "TagValue": "v!"}),
        ([("a", "1"), ("a", "2")], {"TagKey": "a"}),
    ):
        with pytest.raises(S3Error) as caught:
            tags.check_object_tags(pairs)
        assert caught.value.extra == extra


def test_limits_are_of_characters() -> None:
    tags.check_object_tags([("é" * 128, "日" * 256)])


def document(pairs: list[tags.Tag]) -> bytes:
    return xml_tagging.tagging(pairs)


def test_documents() -> None:
    pairs = [("a b", "<&>"), ("", "x")]
    assert b"<Key>a b</Key><Value>&lt;&amp;&gt;</Value>" in document(pairs)
    assert xml_tagging.object_tags(document([("a", "1"), ("b", "")])) == [("a", "1"), ("b", "")]
    assert xml_tagging.object_tags(document([])) == []
    fifty = [(f"k{n}", "v") for n in range(50)]
    assert xml_tagging.bucket_tags(document(fifty)) == fifty
    assert refusal(xml_tagging.bucket_tags, document([*fifty, ("x", "y")]))[0] == "BadRequest"
    assert refusal(xml_tagging.object_tags, document(fifty)) == ("BadRequest", "Object tags cannot be greater than 10")
    twice = refusal(xml_tagging.object_tags, document([("a", "1"), ("a", "2")]))
    assert twice == ("InvalidTag", "Cannot provide multiple Tags with the same key")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<Tagging/>",
        b"<Tagging><TagSet/><TagSet/></Tagging>",
        b"<Tagging><Tags/></Tagging>",
        b"<Tagging><TagSet><X/></TagSet></Tagging>",
        b"<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>",
        b"<Tagging><TagSet><Tag><Value>a</Value></Tag></TagSet></Tagging>",
        b"<Tagging><TagSet><Tag><Key>a</Key><Key>b</Key><Value>a</Value></Tag></TagSet></Tagging>",
        b"<TagSet><Tag><Key>a</Key><Value>a</Value></Tag></TagSet>",
    ],
)
def test_documents_that_are_none(body: bytes) -> None:
    assert refusal(xml_tagging.object_tags, body)[0] == "MalformedXML"
