"""Documents that leave: well-formed, escaped, in AWS's names, and cheap."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lxml import etree

from s3gate.s3 import listing, xml_out, xml_pages
from s3gate.s3.errors import S3Error
from s3gate.s3.request import Query
from s3gate.s3.xml_out import Owner

NOW = datetime(2026, 11, 23, 5, 6, 7, 89_000, tzinfo=UTC)
OWNER = Owner("0" * 64, "A & Co")
STARTER = Owner("arn:aws:iam::111111111111:user/a&b", "a&b")
SHOWN = {"ID": [OWNER.canonical_id], "DisplayName": [OWNER.name]}


class Entry(NamedTuple):
    key: bytes
    size: int = 5
    etag: str = "5d41402abc4b2a76b9719d911017c592"
    modified_at: datetime = NOW
    checksum: str = "CRC32:FULL_OBJECT:AAAAAA=="


class Upload(NamedTuple):
    upload_id: bytes
    key: bytes
    initiated_at: datetime = NOW
    checksum_algorithm: str = "CRC32"
    checksum_type: str = "COMPOSITE"
    headers: bytes = b""


class Part(NamedTuple):
    part_number: int
    size: int = 5
    etag: str = "5d41402abc4b2a76b9719d911017c592"
    checksum: str = "SHA256:COMPOSITE:abc="
    modified_at: datetime = NOW


def tree(document: bytes) -> dict:
    """The document as nested dicts of lists, without its namespace."""

    def fold(node):
        if not len(node):
            return node.text or ""
        out: dict = {}
        for child in node:
            out.setdefault(etree.QName(child).localname, []).append(fold(child))
        return out

    root = etree.fromstring(document)
    assert etree.QName(root).namespace == xml_out.NAMESPACE
    return fold(root) or {}


def test_error_has_no_namespace_and_ends_with_the_ids() -> None:
    error = S3Error.of("NoSuchKey", Key="a<b&c>")
    document = xml_out.error_xml(error, "/b/a", "REQ", "HOST")
    root = etree.fromstring(document)
    assert root.tag == "Error"
    assert [child.tag for child in root] == ["Code", "Message", "Key", "Resource", "RequestId", "HostId"]
    assert root.findtext("Key") == "a<b&c>"
    assert document.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<Error>')


def test_error_survives_what_utf8_cannot_carry() -> None:
    xml_out.error_xml(S3Error.of("InvalidURI"), "\udcff", "R", "H").decode()


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain", "plain"),
        ('<&>"', "&lt;&amp;&gt;&quot;"),
        ("a\x01b\x00", "a&#x1;b&#x0;"),
        ("\r\n\t", "&#xd;\n\t"),
        ("\x7f\x85\uffff", "&#x7f;&#x85;&#xffff;"),
        ("é😀", "é😀"),
    ],
)
def test_escape(text: str, written: str) -> None:
    assert xml_out.escape(text) == written


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufffe\uffff", min_codepoint=32)))
def test_escaped_text_comes_back(text: str) -> None:
    root = etree.fromstring(f"<a>{xml_out.escape(text)}</a>".encode())
    assert (root.text or "") == text


@pytest.mark.parametrize(
    ("key", "url"),
    [
        ("a b+c", "a%20b%2Bc"),
        ("dir/é", "dir/%C3%A9"),
        ("test_file(3).png", "test_file%283%29.png"),
        ("\x01%", "%01%25"),
    ],
)
def test_url_encoding(key: str, url: str) -> None:
    assert xml_out.encoded_key(key.encode(), True) == url


def test_timestamps_are_whole_seconds_with_milliseconds() -> None:
    """What a listing says of an object is what its Last-Modified says."""
    assert xml_out.timestamp(NOW) == "2026-11-23T05:06:07.000Z"


@given(st.datetimes(timezones=st.just(UTC)))
@example(datetime.max.replace(tzinfo=UTC))
@example(datetime.min.replace(tzinfo=UTC))
def test_a_timestamp_is_cut_and_never_rounded(moment: datetime) -> None:
    assert xml_out.timestamp(moment) == moment.isoformat("T", "seconds")[:19] + ".000Z"


@given(st.lists(st.text(min_size=1)), st.booleans())
def test_many_keys_are_encoded_as_each_of_them(keys: list[str], url: bool) -> None:
    sent = [key.encode("utf-8", "replace") for key in keys]
    assert xml_out.encoded_keys(sent, url) == [xml_out.encoded_key(key, url) for key in sent]


@pytest.mark.parametrize("url", [True, False])
def test_a_key_that_needs_an_escape_may_stand_between_others(url: bool) -> None:
    asked = listing.list_objects_v2(Query.parse(b"encoding-type=url" if url else b""))
    keys = [b"a", b"b &c", b"d"]
    got = tree(xml_pages.list_objects_v2(asked, "b", OWNER, [Entry(key) for key in keys], [], None))
    assert [each["Key"] for each in got["Contents"]] == [["a"], ["b%20%26c" if url else "b &c"], ["d"]]


def test_location_of_the_classic_region_is_empty() -> None:
    assert tree(xml_out.location("us-east-1")) == {}
    assert b">eu-west-1</LocationConstraint>" in xml_out.location("eu-west-1")


def test_buckets() -> None:
    got = tree(xml_out.list_buckets(OWNER, [("b1", NOW, "r"), ("b2", NOW, "r")], "b", "tok"))
    assert [bucket["Name"] for bucket in got["Buckets"][0]["Bucket"]] == [["b1"], ["b2"]]
    assert got["Prefix"] == ["b"]
    assert got["ContinuationToken"] == ["tok"]
    assert got["Owner"] == [SHOWN]


def test_v1_next_marker_only_beside_a_delimiter() -> None:
    plain = listing.list_objects(Query.parse(b"max-keys=1&marker=a"))
    got = tree(xml_pages.list_objects(plain, "b", OWNER, [Entry(b"k")], [], b"k"))
    assert got["IsTruncated"] == ["true"]
    assert "NextMarker" not in got
    assert got["Marker"] == ["a"]
    assert got["Contents"][0]["Owner"] == [SHOWN]
    assert got["Contents"][0]["ETag"] == ['"5d41402abc4b2a76b9719d911017c592"']
    assert got["Contents"][0]["ChecksumType"] == ["FULL_OBJECT"]
    folded = listing.list_objects(Query.parse(b"max-keys=1&delimiter=/&encoding-type=url"))
    got = tree(xml_pages.list_objects(folded, "b", OWNER, [], [b"p q/"], b"p q/"))
    assert got["NextMarker"] == ["p%20q/"]
    assert got["CommonPrefixes"] == [{"Prefix": ["p%20q/"]}]
    assert got["EncodingType"] == ["url"]


def test_v2_echoes_and_counts() -> None:
    asked = listing.list_objects_v2(Query.parse(b"list-type=2&start-after=s&continuation-token=&prefix=p"))
    got = tree(xml_pages.list_objects_v2(asked, "b", OWNER, [Entry(b"p1")], [b"p2/"], None))
    assert got["KeyCount"] == ["2"]
    assert got["StartAfter"] == ["s"]
    assert got["ContinuationToken"] == [""]
    assert got["IsTruncated"] == ["false"]
    assert "NextContinuationToken" not in got
    assert "Owner" not in got["Contents"][0]
    asked = listing.list_objects_v2(Query.parse(b"list-type=2&fetch-owner=true"))
    assert "Owner" in tree(xml_pages.list_objects_v2(asked, "b", OWNER, [Entry(b"k")], [], "t"))["Contents"][0]


def test_uploads_and_parts() -> None:
    upload = Upload(bytes(16), b"k")
    asked = listing.list_multipart_uploads(Query.parse(b"uploads&max-uploads=1"))
    got = tree(xml_pages.list_multipart_uploads(asked, "b", [(upload, STARTER, OWNER)], [], (b"k", "0" * 32), False))
    assert got["Bucket"] == ["b"] and got["IsTruncated"] == ["false"]
    assert got["Upload"][0]["UploadId"] == ["0" * 32]
    began = [{"ID": [STARTER.canonical_id], "DisplayName": [STARTER.name]}]
    assert (got["Upload"][0]["Initiator"], got["Upload"][0]["Owner"]) == (began, [SHOWN])
    assert got["NextUploadIdMarker"] == ["0" * 32]
    wanted = listing.list_parts(Query.parse(b"uploadId=x&max-parts=2"))
    got = tree(xml_pages.list_parts(wanted, "b", (STARTER, OWNER), upload, [Part(1), Part(4)], True))
    assert got["NextPartNumberMarker"] == ["4"]
    assert (got["Initiator"], got["Owner"]) == (began, [SHOWN])
    assert [part["PartNumber"] for part in got["Part"]] == [["1"], ["4"]]
    assert got["Part"][0]["ChecksumSHA256"] == ["abc="]
    assert got["IsTruncated"] == ["true"]


def test_results_of_writes() -> None:
    got = tree(xml_out.initiate_multipart_upload("b", b"k&", "u"))
    assert got == {"Bucket": ["b"], "Key": ["k&"], "UploadId": ["u"]}
    got = tree(xml_out.complete_multipart_upload("http://h/b/k", "b", b"k", "e-1", "CRC32:COMPOSITE:x-1"))
    assert got["ETag"] == ['"e-1"']
    assert got["ChecksumCRC32"] == ["x-1"]
    assert got["ChecksumType"] == ["COMPOSITE"]
    got = tree(xml_out.copy_result("CopyPartResult", "e", NOW, "CRC32:FULL_OBJECT:x"))
    assert "ChecksumType" not in got
    got = tree(xml_out.delete_result([(b"k", None, None), (b"m", "v", "v")], [(b"f", "v", "AccessDenied", "no")]))
    marker = {"Key": ["m"], "VersionId": ["v"], "DeleteMarker": ["true"], "DeleteMarkerVersionId": ["v"]}
    assert got["Deleted"] == [{"Key": ["k"]}, marker]
    assert got["Error"] == [{"Key": ["f"], "VersionId": ["v"], "Code": ["AccessDenied"], "Message": ["no"]}]


@pytest.mark.parametrize("query", [b"list-type=2&encoding-type=url", b"list-type=2"])
def test_a_page_of_a_thousand_keys_is_cheap(query: bytes) -> None:
    asked = listing.list_objects_v2(Query.parse(query))
    entries = [Entry(b"photos/2026/11/image-%06d.jpg" % number) for number in range(1000)]
    best = 1.0
    for _ in range(10):
        started = time.process_time()
        xml_pages.list_objects_v2(asked, "b", OWNER, entries, [], "token")
        best = min(best, time.process_time() - started)
    # The target is 1 ms on the development machine; a busy CI machine gets room.
    print(f"{best * 1000:.2f} ms")
    assert best < 0.02
