"""Version ids, and listings of versions."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from s3gate.s3 import listing, versions, xml_versions
from s3gate.s3.errors import S3Error
from s3gate.s3.request import Query
from s3gate.s3.xml_out import Owner

NOW = datetime(2026, 11, 23, 5, 6, 7, 89_000, tzinfo=UTC)


@given(st.integers(1, (1 << 63) - 1), st.binary(min_size=16, max_size=16))
def test_ids_come_back(version: int, version_id: bytes) -> None:
    text = versions.encode(version, version_id)
    assert len(text) == 32
    assert versions.decode(text) == (version, version_id)


def test_the_null_version() -> None:
    assert versions.encode(7, b"") == "null"
    assert versions.decode("null") == (0, b"")


@given(st.one_of(st.text(max_size=40), st.binary(min_size=24, max_size=24).map(lambda raw: raw.hex()[:32])))
def test_what_was_never_given_out_is_invalid(text: str) -> None:
    if text == "null":
        return
    try:
        version, version_id = versions.decode(text)
    except S3Error as error:
        assert (error.code, error.extra["ArgumentName"]) == ("InvalidArgument", "versionId")
    else:
        assert versions.encode(version, version_id) == text


def test_an_empty_id_is_refused_in_its_own_words() -> None:
    with pytest.raises(S3Error, match="Version id cannot be the empty string"):
        versions.decode("")


def marker_of(query: bytes) -> tuple[int, bytes] | None:
    return listing.list_object_versions(Query.parse(query)).after_version


def test_where_a_page_of_versions_begins() -> None:
    named = versions.encode(3, bytes(16))
    assert marker_of(b"versions") is None
    assert marker_of(b"versions&key-marker=k") is None
    assert marker_of(b"versions&key-marker=k&version-id-marker=" + named.encode()) == (3, bytes(16))
    assert marker_of(b"versions&key-marker=k&version-id-marker=null") == (0, b"")
    inside = b"versions&key-marker=a/k&delimiter=/&version-id-marker=null"
    assert marker_of(inside) is None, "the marker is inside a common prefix, which stands for all of it"
    for query in (b"versions&version-id-marker=null", b"versions&key-marker=k&version-id-marker=x"):
        with pytest.raises(S3Error) as caught:
            marker_of(query)
        assert caught.value.extra["ArgumentName"] == "version-id-marker"


def test_a_page_of_versions_and_markers() -> None:
    asked = listing.list_object_versions(Query.parse(b"versions&max-keys=2&encoding-type=url"))
    base = {"key": b"a b", "size": 5, "etag": "e", "modified_at": NOW, "checksum": "CRC32:FULL_OBJECT:x"}
    marker = SimpleNamespace(**base, version=2, version_id=bytes(16), marker=True, is_latest=True)
    null = SimpleNamespace(**base, version=1, version_id=b"", marker=False, is_latest=False)
    document = xml_versions.list_object_versions(asked, "b", Owner("me"), [marker, null], [b"p/"], (b"a b", "null"))
    root = etree.fromstring(document)
    names = [etree.QName(child).localname for child in root]
    assert names[-3:] == ["DeleteMarker", "Version", "CommonPrefixes"]
    text = document.decode()
    assert text.count("<IsLatest>true</IsLatest>") == 1
    assert "<VersionId>null</VersionId><IsLatest>false</IsLatest>" in text
    assert "<NextKeyMarker>a%20b</NextKeyMarker><NextVersionIdMarker>null</NextVersionIdMarker>" in text
    assert text.count("<ETag>") == 1


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("<Status>Enabled</Status>", "Enabled"),
        ("<Status>Suspended</Status><MfaDelete>Disabled</MfaDelete>", "Suspended"),
        ("<Status>enabled</Status>", "MalformedXML"),
        ("<Status>Enabled</Status><Status>Enabled</Status>", "MalformedXML"),
        ("<X/>", "MalformedXML"),
        ("", "IllegalVersioningConfigurationException"),
        ("<MfaDelete>Disabled</MfaDelete>", "IllegalVersioningConfigurationException"),
        ("<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>", "NotImplemented"),
        ("<Status>Enabled</Status><MfaDelete>yes</MfaDelete>", "MalformedXML"),
    ],
)
def test_versioning_configurations(inner: str, expected: str) -> None:
    data = f"<VersioningConfiguration>{inner}</VersioningConfiguration>".encode()
    try:
        assert xml_versions.versioning_configuration(data) == expected
    except S3Error as error:
        assert error.code == expected
