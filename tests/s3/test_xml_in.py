"""Documents from clients: what is accepted, and that whatever is not is MalformedXML and never a fault."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3gate.s3 import xml_in
from s3gate.s3.errors import S3Error
from s3gate.s3.xml_out import NAMESPACE

PARSERS = (xml_in.create_bucket_configuration, xml_in.delete, xml_in.complete_multipart_upload)
NS = f' xmlns="{NAMESPACE}"'


def refused(parser, data: bytes) -> str:
    with pytest.raises(S3Error) as caught:
        parser(data)
    return caught.value.code


@pytest.mark.parametrize("namespace", ["", NS])
def test_delete_with_and_without_the_namespace(namespace: str) -> None:
    body = (
        f"<Delete{namespace}><Object><Key>a &amp; b</Key></Object><Object><Key> c </Key>"
        '<VersionId>null</VersionId><ETag>"e"</ETag></Object><Quiet>true</Quiet></Delete>'
    )
    entries, quiet = xml_in.delete(body.encode())
    assert quiet
    assert entries == [
        xml_in.DeleteEntry(b"a & b"),
        xml_in.DeleteEntry(b" c ", "null", '"e"'),
    ]


def test_prefixed_namespace_comments_and_cdata() -> None:
    body = (
        f'<s:Delete xmlns:s="{NAMESPACE}"><!-- x --><?pi y?><s:Object><s:Key><![CDATA[<k>]]></s:Key></s:Object>'
        "</s:Delete>"
    )
    assert xml_in.delete(body.encode()) == ([xml_in.DeleteEntry(b"<k>")], False)


def test_keys_are_utf8_bytes() -> None:
    entries, _ = xml_in.delete("<Delete><Object><Key>ключ/😀</Key></Object></Delete>".encode())
    assert entries[0].key == "ключ/😀".encode()


def test_entries_have_conditions() -> None:
    def read(inner: str) -> xml_in.DeleteEntry:
        return xml_in.delete(f"<Delete><Object><Key>k</Key>{inner}</Object></Delete>".encode())[0][0]

    moment = datetime(2026, 11, 23, 5, 6, 7, tzinfo=UTC)
    assert read("<Size>12</Size>").size == 12
    assert read("<LastModifiedTime>Mon, 23 Nov 2026 05:06:07 GMT</LastModifiedTime>").modified_at == moment
    assert read("<LastModifiedTime>2026-11-23T05:06:07Z</LastModifiedTime>").modified_at == moment
    for wrong in ("<Size>-1</Size>", "<Size>x</Size>", "<LastModifiedTime>soon</LastModifiedTime>"):
        with pytest.raises(S3Error, match="MalformedXML"):
            read(wrong)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<Delete></Delete>",
        b"<Delete><Quiet>true</Quiet></Delete>",
        b"<Delete><Object/></Delete>",
        b"<Delete><Object><Key></Key></Object></Delete>",
        b"<Delete><Object><Key>k</Key><Nonsense/></Object></Delete>",
        b"<Delete><Object><Key>k</Key></Object><Quiet>maybe</Quiet></Delete>",
        b"<Delete><Object><Key>k</Key></Object></Delete>trailing",
        b'<Delete xmlns="urn:other"><Object><Key>k</Key></Object></Delete>',
        b"<Delet><Object><Key>k</Key></Object></Delet>",
        b"<Delete><Object><Key>\xff</Key></Object></Delete>",
        b"<Delete><Object><Key>&#0;</Key></Object></Delete>",
        b"<Delete>" + b"<Object><Key>k</Key></Object>" * 1001 + b"</Delete>",
        '<?xml version="1.0" encoding="utf-16"?><Delete/>'.encode("utf-16"),
    ],
)
def test_delete_refuses(body: bytes) -> None:
    assert refused(xml_in.delete, body) == "MalformedXML"


def test_a_thousand_entries_are_accepted() -> None:
    entries, _ = xml_in.delete(b"<Delete>" + b"<Object><Key>k</Key></Object>" * 1000 + b"</Delete>")
    assert len(entries) == 1000


@pytest.mark.parametrize("namespace", ["", NS])
def test_complete(namespace: str) -> None:
    body = (
        f"<CompleteMultipartUpload{namespace}><Part><ETag>&quot;aa&quot;</ETag><PartNumber>1</PartNumber></Part>"
        "<Part><PartNumber>7</PartNumber><ETag>bb</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part>"
        "</CompleteMultipartUpload>"
    )
    parts = xml_in.complete_multipart_upload(body.encode())
    assert parts == [
        xml_in.CompletedPart(1, '"aa"', {}),
        xml_in.CompletedPart(7, "bb", {"CRC32": "AAAAAA=="}),
    ]


@pytest.mark.parametrize(
    "inner",
    [
        "",
        "<Part/>",
        "<Part><PartNumber>1</PartNumber></Part>",
        "<Part><ETag>a</ETag></Part>",
        "<Part><PartNumber>--1</PartNumber><ETag>a</ETag></Part>",
        "<Part><PartNumber>x</PartNumber><ETag>a</ETag></Part>",
        "<Part><PartNumber>\u0661</PartNumber><ETag>a</ETag></Part>",
        "<Part><PartNumber>99999999999999999999</PartNumber><ETag>a</ETag></Part>",
        "<Part><PartNumber>1</PartNumber><ETag>a</ETag><Other/></Part>",
        "<Other/>",
        "<Part><PartNumber>1</PartNumber><ETag>a</ETag></Part>" * 10_001,
    ],
)
def test_complete_refuses(inner: str) -> None:
    body = f"<CompleteMultipartUpload>{inner}</CompleteMultipartUpload>"
    assert refused(xml_in.complete_multipart_upload, body.encode()) == "MalformedXML"


def test_ten_thousand_parts_are_quick() -> None:
    part = "<Part><PartNumber>{}</PartNumber><ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag></Part>"
    inner = "".join(part.format(number) for number in range(1, 10_001))
    body = f"<CompleteMultipartUpload>{inner}</CompleteMultipartUpload>".encode()
    assert len(body) < xml_in.COMPLETE_LIMIT_BYTES
    started = time.process_time()
    assert len(xml_in.complete_multipart_upload(body)) == 10_000
    assert time.process_time() - started < 1


def test_create_bucket_configuration() -> None:
    read = xml_in.create_bucket_configuration
    assert read(b"") == read(b" \n") == xml_in.BucketConfiguration("")
    body = f"<CreateBucketConfiguration{NS}><LocationConstraint>eu-1</LocationConstraint></CreateBucketConfiguration>"
    assert read(body.encode()).location == "eu-1"
    assert read(b"<CreateBucketConfiguration/>").location == ""
    assert refused(read, b"<CreateBucketConfiguration><X/></CreateBucketConfiguration>") == "MalformedXML"
    tag = "<Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags>"
    body = f"<CreateBucketConfiguration>{tag}</CreateBucketConfiguration>"
    assert read(body.encode()).tags == (("a", "b"),)
    for name in ("Location", "Bucket"):
        body = f"<CreateBucketConfiguration><{name}/></CreateBucketConfiguration>"
        assert refused(read, body.encode()) == "NotImplemented"


LAUGHS = (
    b'<!DOCTYPE l [<!ENTITY a "ha">'
    + b"".join(b'<!ENTITY %c "%b">' % (letter, b"&%c;" % (letter - 1) * 10) for letter in b"bcdefghijk")
    + b"]>"
)


@pytest.mark.parametrize(
    "prolog",
    [
        LAUGHS,
        b'<!DOCTYPE Delete SYSTEM "file:///etc/passwd">',
        b'<!DOCTYPE Delete [<!ENTITY k SYSTEM "file:///etc/passwd">]>',
        b'<!DOCTYPE Delete [<!ENTITY % p SYSTEM "http://127.0.0.1:9/x"> %p;]>',
        b"<!DOCTYPE Delete>",
    ],
)
@pytest.mark.parametrize(
    "document",
    [
        b"<Delete><Object><Key>k</Key></Object></Delete>",
        b"<Delete><Object><Key>&k;</Key></Object></Delete>",
        b'<Delete a="&k;"><Object><Key>k</Key></Object></Delete>',
        b"<Delete>&k;</Delete>",
    ],
)
def test_entities_and_dtds_are_refused_without_being_expanded(prolog: bytes, document: bytes) -> None:
    started = time.process_time()
    assert refused(xml_in.delete, prolog + document) == "MalformedXML"
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize("parser", PARSERS)
def test_huge_and_deep_documents_are_refused(parser) -> None:
    assert refused(parser, b"<a>" * 100_000) == "MalformedXML"
    assert refused(parser, b"<Delete>" + b"x" * (11 << 20) + b"</Delete>") == "MalformedXML"


TAGS = ("Delete", "Object", "Key", "CompleteMultipartUpload", "Part", "PartNumber", "ETag", "CreateBucketConfiguration")
PIECES = [f"<{tag}>" for tag in TAGS] + [f"</{tag}>" for tag in TAGS]
PIECES += ["<LocationConstraint/>", "1", "k", "&lt;", "&x;", "<!--c-->", "<?p?>", "<![CDATA[", "]]>", "\x00", "\ud7ff"]
FRAGMENTS = st.lists(st.sampled_from(PIECES)).map("".join)


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        FRAGMENTS.map(str.encode),
        st.text(max_size=50).map(lambda t: t.encode("utf-8", "replace")),
    )
)
def test_only_s3_errors_escape(data: bytes) -> None:
    for parser in PARSERS:
        try:
            parser(data)
        except S3Error as error:
            assert error.code in ("MalformedXML", "NotImplemented")
