"""Pages of listings as XML: keys, uploads and parts, in the order of AWS's documents.

A page of 1,000 keys is the hottest document of an object store: one formatted string per entry, no tree.
Like `xml_out` this knows element names only; entries are whatever has the few attributes that are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeAlias

from s3gate.s3.listing import ListObjects, ListObjectsV2, ListParts, ListUploads, Selection
from s3gate.s3.parts import StoredPart
from s3gate.s3.storage_class import NO_LABELS, STANDARD, label_of
from s3gate.s3.xml_out import (
    NO_OWNERS,
    Owner,
    checksum_value_xml,
    checksum_xml,
    common_prefixes,
    document,
    element,
    encoded_key,
    encoded_keys,
    owner_xml,
    timestamp,
)

KeyEntry: TypeAlias = tuple[bytes, int, str, datetime, str]
"""A key of a page: its bytes, size, entity tag, when it was modified, checksum."""


class UploadEntry(Protocol):
    """An upload of a page."""

    @property
    def upload_id(self) -> bytes: ...
    @property
    def key(self) -> bytes: ...
    @property
    def initiated_at(self) -> datetime: ...
    @property
    def checksum_algorithm(self) -> str: ...
    @property
    def checksum_type(self) -> str: ...
    @property
    def headers(self) -> bytes: ...


class PartEntry(StoredPart, Protocol):
    """A part of a page."""

    @property
    def modified_at(self) -> datetime | None: ...


def _flag(value: bool) -> str:
    return "true" if value else "false"


def page_head(bucket: str, asked: Selection, truncated: bool, limit_name: str) -> str:
    """What every page of keys begins with."""
    delimiter = f"<Delimiter>{encoded_key(asked.delimiter, asked.url)}</Delimiter>" if asked.delimiter else ""
    return (
        element("Bucket" if limit_name == "MaxUploads" else "Name", bucket)
        + f"<Prefix>{encoded_key(asked.prefix, asked.url)}</Prefix>"
        f"<{limit_name}>{asked.limit}</{limit_name}>{delimiter}"
        f"{'<EncodingType>url</EncodingType>' if asked.url else ''}"
        f"<IsTruncated>{_flag(truncated)}</IsTruncated>"
    )


def _contents(
    entries: Sequence[KeyEntry],
    url: bool,
    owner: Owner | None,
    classes: Mapping[bytes, str],
    owners: Mapping[bytes, Owner],
) -> str:
    """The keys of a page. Entity tags are hex, so they go as they are; the rest is as `xml_out` writes it."""

    def after(label: str, whose: Owner | None) -> str:
        return f"</Size>{owner_xml(whose) if whose else ''}{element('StorageClass', label)}</Contents>"

    plain = after(STANDARD, owner)
    special = {key: after(classes.get(key, STANDARD), owners.get(key, owner)) for key in {*classes, *owners}}
    names = encoded_keys([entry[0] for entry in entries], url)
    when, how = timestamp, checksum_xml
    return "".join(
        [
            f"<Contents><Key>{name}</Key><LastModified>{when(modified_at)}</LastModified>"
            f"<ETag>&quot;{etag}&quot;</ETag>{how(checksum)}<Size>{size}{special.get(key, plain)}"
            for name, (key, size, etag, modified_at, checksum) in zip(names, entries, strict=True)
        ]
    )


def list_objects(
    asked: ListObjects,
    bucket: str,
    owner: Owner,
    keys: Sequence[KeyEntry],
    prefixes: Sequence[bytes],
    last: bytes | None,
    classes: Mapping[bytes, str] = NO_LABELS,
    owners: Mapping[bytes, Owner] = NO_OWNERS,
) -> bytes:
    """V1. `last` is the last entry of a truncated page; NextMarker exists only beside a delimiter.

    `classes` are the storage classes of those keys that have another than STANDARD, and `owners` the owners of those
    that the bucket's owner does not own.
    """
    choice = asked.selection
    url = choice.url
    parts = [page_head(bucket, choice, last is not None, "MaxKeys")]
    parts.append(f"<Marker>{encoded_key(asked.marker, url)}</Marker>")
    if last is not None and choice.delimiter:
        parts.append(f"<NextMarker>{encoded_key(last, url)}</NextMarker>")
    parts += [_contents(keys, url, owner, classes, owners), common_prefixes(prefixes, url)]
    return document("ListBucketResult", parts)


def list_objects_v2(
    asked: ListObjectsV2,
    bucket: str,
    owner: Owner,
    keys: Sequence[KeyEntry],
    prefixes: Sequence[bytes],
    next_token: str | None,
    classes: Mapping[bytes, str] = NO_LABELS,
    owners: Mapping[bytes, Owner] = NO_OWNERS,
) -> bytes:
    """V2: KeyCount counts keys and prefixes, and the owner comes only when it was asked for."""
    choice = asked.selection
    url = choice.url
    parts = [page_head(bucket, choice, next_token is not None, "MaxKeys")]
    parts.append(f"<KeyCount>{len(keys) + len(prefixes)}</KeyCount>")
    if asked.start_after is not None:
        parts.append(f"<StartAfter>{encoded_key(asked.start_after, url)}</StartAfter>")
    parts += [element("ContinuationToken", asked.token), element("NextContinuationToken", next_token)]
    shown = owner if asked.fetch_owner else None
    parts += [_contents(keys, url, shown, classes, owners), common_prefixes(prefixes, url)]
    return document("ListBucketResult", parts)


def list_multipart_uploads(
    asked: ListUploads,
    bucket: str,
    uploads: Sequence[tuple[UploadEntry, Owner, Owner]],
    prefixes: Sequence[bytes],
    last: tuple[bytes, str] | None,
    truncated: bool,
) -> bytes:
    """Uploads under way, each with who began it and whose it is.

    `last` is the page's last (key or prefix, upload id or ""): AWS says it on every page that has one, truncated or
    not.
    """
    choice = asked.selection
    url = choice.url
    parts = [page_head(bucket, choice, truncated, "MaxUploads")]
    parts.append(f"<KeyMarker>{encoded_key(asked.key_marker, url)}</KeyMarker>")
    parts.append(element("UploadIdMarker", asked.upload_id_marker))
    if last is not None:
        parts.append(f"<NextKeyMarker>{encoded_key(last[0], url)}</NextKeyMarker>")
        parts.append(element("NextUploadIdMarker", last[1]))
    for entry, initiator, owner in uploads:
        shown = owner_xml(initiator, "Initiator") + owner_xml(owner)
        parts.append(
            f"<Upload><Key>{encoded_key(entry.key, url)}</Key><UploadId>{entry.upload_id.hex()}</UploadId>{shown}"
            f"{element('StorageClass', label_of(entry.headers))}<Initiated>{timestamp(entry.initiated_at)}</Initiated>"
            f"{element('ChecksumAlgorithm', entry.checksum_algorithm or None)}"
            f"{element('ChecksumType', entry.checksum_type or None)}</Upload>"
        )
    parts.append(common_prefixes(prefixes, url))
    return document("ListMultipartUploadsResult", parts)


def list_parts(
    asked: ListParts,
    bucket: str,
    people: tuple[Owner, Owner],
    upload: UploadEntry,
    parts: Sequence[PartEntry],
    truncated: bool,
) -> bytes:
    """Parts of one upload, by number; `people` are who began it and whose it is.

    AWS says NextPartNumberMarker even on the last page.
    """
    last = parts[-1].part_number if parts else 0
    lines = [
        element("Bucket", bucket),
        f"<Key>{encoded_key(upload.key, False)}</Key><UploadId>{upload.upload_id.hex()}</UploadId>",
        owner_xml(people[0], "Initiator"),
        owner_xml(people[1]),
        element("StorageClass", label_of(upload.headers)),
        element("ChecksumAlgorithm", upload.checksum_algorithm or None),
        element("ChecksumType", upload.checksum_type or None),
        f"<PartNumberMarker>{asked.after}</PartNumberMarker><NextPartNumberMarker>{last}</NextPartNumberMarker>",
        f"<MaxParts>{asked.limit}</MaxParts><IsTruncated>{_flag(truncated)}</IsTruncated>",
    ]
    for part in parts:
        modified = "" if part.modified_at is None else timestamp(part.modified_at)
        lines.append(
            f"<Part><PartNumber>{part.part_number}</PartNumber><LastModified>{modified}</LastModified>"
            f"<ETag>&quot;{part.etag}&quot;</ETag><Size>{part.size}</Size>"
            f"{checksum_value_xml(part.checksum, kind=False)}</Part>"
        )
    return document("ListPartsResult", lines)
