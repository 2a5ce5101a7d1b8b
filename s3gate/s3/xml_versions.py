"""Versions as XML: a bucket's versioning, and pages of ListObjectVersions.

It knows AWS's element names and their order. A version is whatever has the few attributes that are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from s3gate.s3.errors import S3Error
from s3gate.s3.listing import ListVersions
from s3gate.s3.storage_class import NO_LABELS, STANDARD
from s3gate.s3.versions import encode
from s3gate.s3.xml_in import local_name, malformed, parse_root, text_of
from s3gate.s3.xml_out import (
    NO_OWNERS,
    Owner,
    checksum_xml,
    common_prefixes,
    document,
    element,
    encoded_key,
    owner_xml,
    timestamp,
)
from s3gate.s3.xml_pages import page_head

VERSIONING_LIMIT_BYTES = 64 * 1024

ENABLED, SUSPENDED = "Enabled", "Suspended"


class VersionEntry(Protocol):
    """A version or delete marker of a page."""

    @property
    def key(self) -> bytes: ...
    @property
    def size(self) -> int: ...
    @property
    def etag(self) -> str: ...
    @property
    def modified_at(self) -> datetime: ...
    @property
    def checksum(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def version_id(self) -> bytes: ...
    @property
    def marker(self) -> bool: ...
    @property
    def is_latest(self) -> bool: ...


def versioning_configuration(data: bytes) -> str:
    """Of PutBucketVersioning: the state that is asked for. Deletes that need a second factor are not built."""
    status = ""
    for child in parse_root(data, "VersioningConfiguration"):
        name, text = local_name(child), text_of(child)
        if name == "Status" and not status and text in (ENABLED, SUSPENDED):
            status = text
        elif name == "MfaDelete" and text in ("Enabled", "Disabled"):
            if text == "Enabled":
                raise S3Error.of("NotImplemented", "MfaDelete is not implemented", Operation="PutBucketVersioning")
        else:
            raise malformed()
    if not status:
        raise S3Error.of("IllegalVersioningConfigurationException", "The Versioning element must be specified")
    return status


def versioning(status: str) -> bytes:
    """The answer of GetBucketVersioning; it says nothing of a bucket that never had versioning."""
    return document("VersioningConfiguration", (element("Status", status or None),))


def list_object_versions(
    asked: ListVersions,
    bucket: str,
    owner: Owner,
    versions: Sequence[VersionEntry],
    prefixes: Sequence[bytes],
    last: tuple[bytes, str] | None,
    classes: Mapping[tuple[bytes, int], str] = NO_LABELS,
    owners: Mapping[tuple[bytes, int], Owner] = NO_OWNERS,
) -> bytes:
    """Versions and delete markers as they lie. `last` is (key or prefix, version id or "") of a truncated page.

    `classes` are the storage classes of those versions that have another than STANDARD, by key and counter, and
    `owners` the owners of those that the bucket's owner does not own.
    """
    choice = asked.selection
    url = choice.url
    parts = [page_head(bucket, choice, last is not None, "MaxKeys")]
    parts.append(f"<KeyMarker>{encoded_key(asked.key_marker, url)}</KeyMarker>")
    parts.append(element("VersionIdMarker", asked.version_id_marker))
    if last is not None:
        parts.append(f"<NextKeyMarker>{encoded_key(last[0], url)}</NextKeyMarker>")
        parts.append(element("NextVersionIdMarker", last[1] or None))
    for each in versions:
        place = (each.key, each.version)
        parts.append(_entry(each, url, owner_xml(owners.get(place, owner)), classes.get(place, STANDARD)))
    parts.append(common_prefixes(prefixes, url))
    return document("ListVersionsResult", parts)


def _entry(entry: VersionEntry, url: bool, owner: str, storage_class: str) -> str:
    start = (
        f"<Key>{encoded_key(entry.key, url)}</Key><VersionId>{encode(entry.version, entry.version_id)}</VersionId>"
        f"<IsLatest>{'true' if entry.is_latest else 'false'}</IsLatest>"
        f"<LastModified>{timestamp(entry.modified_at)}</LastModified>"
    )
    if entry.marker:
        return f"<DeleteMarker>{start}{owner}</DeleteMarker>"
    return (
        f"<Version>{start}<ETag>&quot;{entry.etag}&quot;</ETag>{checksum_xml(entry.checksum)}"
        f"<Size>{entry.size}</Size>{owner}{element('StorageClass', storage_class)}</Version>"
    )
