"""What GetObjectAttributes may be asked for, and how it answers."""

from __future__ import annotations

import pytest

from s3gate.s3 import attributes
from s3gate.s3.errors import S3Error
from s3gate.s3.request import Headers
from s3gate.s3.xml_attributes import PartsPage, object_attributes


def wanted(names: str | None, **more: str) -> attributes.Wanted:
    raw = [(f"x-amz-{name.replace('_', '-')}".encode(), value.encode()) for name, value in more.items()]
    if names is not None:
        raw.append((b"x-amz-object-attributes", names.encode()))
    return attributes.wanted(Headers(raw))


def test_names_and_pages() -> None:
    assert wanted("ETag, ObjectSize").names == {"ETag", "ObjectSize"}
    asked = wanted("ObjectParts", max_parts="2", part_number_marker="3")
    assert (asked.after, asked.limit) == (3, 2)
    assert wanted("ETag", max_parts="5000").limit == 1000


@pytest.mark.parametrize(
    ("names", "more", "code"),
    [
        (None, {}, "InvalidRequest"),
        ("", {}, "InvalidRequest"),
        ("Etag", {}, "InvalidArgument"),
        ("ETag,,Nothing", {}, "InvalidArgument"),
    ],
)
def test_refusals(names: str | None, more: dict[str, str], code: str) -> None:
    with pytest.raises(S3Error) as caught:
        wanted(names, **more)
    assert caught.value.code == code


def test_what_is_no_number_says_nothing() -> None:
    asked = wanted("ETag", max_parts="-1", part_number_marker="x")
    assert (asked.limit, asked.after) == (attributes.PAGE_LIMIT, 0)


def test_documents_say_what_was_asked_for() -> None:
    checksum = "SHA256:COMPOSITE:abc=-2"
    everything = wanted(",".join(attributes.KNOWN), max_parts="1")
    page = PartsPage(2, [(1, 5, "SHA256:FULL_OBJECT:x=")], True, True)
    text = object_attributes(everything, "e-2", checksum, page, "STANDARD", 9).decode()
    assert "<GetObjectAttributesResponse xmlns=" in text
    assert "<ETag>e-2</ETag><Checksum><ChecksumSHA256>abc=</ChecksumSHA256>" in text
    assert "<ChecksumType>COMPOSITE</ChecksumType></Checksum><ObjectParts><PartsCount>2</PartsCount>" in text
    assert "<NextPartNumberMarker>1</NextPartNumberMarker><MaxParts>1</MaxParts><IsTruncated>true" in text
    assert "<Part><PartNumber>1</PartNumber><Size>5</Size><ChecksumSHA256>x=</ChecksumSHA256></Part>" in text
    assert text.endswith(
        "<StorageClass>STANDARD</StorageClass><ObjectSize>9</ObjectSize></GetObjectAttributesResponse>"
    )
    only = object_attributes(wanted("ObjectSize,ObjectParts"), "e", "", None, "STANDARD", 9).decode()
    assert "ETag" not in only and "ObjectParts" not in only and "<ObjectSize>9" in only
    unlisted = object_attributes(wanted("ObjectParts"), "e-3", "", PartsPage(3, (), False, False), "", 9).decode()
    assert "<ObjectParts><PartsCount>3</PartsCount></ObjectParts>" in unlisted
