"""XML that leaves the gate: errors and results, written by joining strings.

A page of 1,000 keys is the hottest document of an object store, so nothing here builds a tree. This module
knows AWS's element names and their order; it never knows where the values came from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

if TYPE_CHECKING:
    from s3gate.s3.errors import S3Error

Deletion = tuple[bytes, str | None, str | None]
"""(key, version id as the client gave it, version id of the delete marker that was made or removed)."""
DeleteFailure = tuple[bytes, str | None, str, str]
"""(key, version id as the client gave it, code, message)."""

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

# What text cannot carry as itself: markup, a carriage return (a parser would turn it into a newline), and the
# characters outside XML 1.0's Char production. AWS writes the latter as references although XML 1.0 forbids
# that too: clients that list such keys ask for encoding-type=url.
_SPECIAL = re.compile('[&<>"\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]')
# What an error document echoes of a bad request must not spoil the document itself.
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_PLAIN = re.compile(rb"[A-Za-z0-9_./-]*").fullmatch  # needs no escape of either kind: nearly every key there is
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAMED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}


def _reference(match: re.Match[str]) -> str:
    character = match.group()
    return _NAMED.get(character) or f"&#x{ord(character):x};"


def escape(text: str) -> str:
    """Text as element content."""
    return _SPECIAL.sub(_reference, text) if _SPECIAL.search(text) else text


def timestamp(moment: datetime) -> str:
    """ISO 8601, cut to the second as headers are: S3 writes milliseconds, and they are always zero.

    The moment is in UTC, as everything that reaches this layer.
    """
    since = moment - _EPOCH
    return _timestamp(since.days, since.seconds)


@lru_cache(maxsize=4096)  # the keys of a page were often written within minutes
def _timestamp(days: int, seconds: int) -> str:
    return f"{(_EPOCH + timedelta(days, seconds)).isoformat('T', 'seconds')[:19]}.000Z"


def encoded_key(key: bytes, url: bool) -> str:
    """A key, prefix, delimiter or marker as element content, under encoding-type=url or without it.

    A space becomes %20 and not AWS's "+": both of the decoders in use (with and without plus) read it right.
    """
    if _PLAIN(key):
        return key.decode("ascii")
    return quote(key, safe="/") if url else escape(key.decode("utf-8", "replace"))


def encoded_keys(keys: Sequence[bytes], url: bool) -> list[str]:
    """The same of many: one look tells that none of them needs an escape."""
    if _PLAIN(b"".join(keys)):
        return list(map(bytes.decode, keys))
    return [encoded_key(key, url) for key in keys]


def element(name: str, value: str | None) -> str:
    """One element, or nothing at all for None."""
    return "" if value is None else f"<{name}>{escape(value)}</{name}>"


def document(root: str, parts: Iterable[str]) -> bytes:
    """A result: the declaration, the root in S3's namespace, and its content."""
    text = "".join((f'{DECLARATION}<{root} xmlns="{NAMESPACE}">', *parts, f"</{root}>"))
    return text.encode("utf-8", "replace")


def error_xml(error: S3Error, resource: str, request_id: str, host_id: str) -> bytes:
    """The `<Error>` document. It has no namespace, its RequestId equals the header's, and it always parses."""
    parts = [DECLARATION, "<Error>", element("Code", error.code), element("Message", writable(error.message))]
    parts.extend(element(name, writable(value)) for name, value in error.extra.items())
    if "Resource" not in error.extra:
        parts.append(element("Resource", resource))
    parts += [element("RequestId", request_id), element("HostId", host_id), "</Error>"]
    return "".join(parts).encode("utf-8", "replace")


def writable(text: str) -> str:
    """Without what no document can hold, however it is escaped."""
    return _UNWRITABLE.sub("\ufffd", text)


class Owner(NamedTuple):
    """An account as documents show it: its canonical id and, where it was given one, its name."""

    canonical_id: str
    name: str = ""


NO_OWNERS: Mapping[Any, Owner] = MappingProxyType({})


def owner_xml(owner: Owner, name: str = "Owner") -> str:
    """An owner. AWS stopped sending display names in November 2025; clients that compare them expect them still."""
    return f"<{name}>{account_xml(owner)}</{name}>"


def account_xml(account: Owner) -> str:
    """What identifies an account."""
    return f"<ID>{escape(account.canonical_id)}</ID>{element('DisplayName', account.name or None)}"


def checksum_xml(checksum: str) -> str:
    """The two elements by which a listing says how an object's checksum was made."""
    return _checksum_kind(checksum[: checksum.rfind(":")]) if checksum else ""


@lru_cache(maxsize=32)  # ten algorithms, two types
def _checksum_kind(kind: str) -> str:
    algorithm, _, how = kind.partition(":")
    return f"<ChecksumAlgorithm>{algorithm}</ChecksumAlgorithm><ChecksumType>{how}</ChecksumType>"


def checksum_value_xml(checksum: str, *, kind: bool = True) -> str:
    """The value under its algorithm's name, and (where the document has it) the type."""
    if not checksum:
        return ""
    algorithm, checksum_type, value = checksum.split(":", 2)
    text = f"<Checksum{algorithm}>{value}</Checksum{algorithm}>"
    return text + f"<ChecksumType>{checksum_type}</ChecksumType>" if kind else text


def common_prefixes(prefixes: Iterable[bytes], url: bool) -> str:
    """Every common prefix of a page, after its keys."""
    return "".join(
        f"<CommonPrefixes><Prefix>{encoded_key(prefix, url)}</Prefix></CommonPrefixes>" for prefix in prefixes
    )


def location(region: str) -> bytes:
    """us-east-1 is the empty element, as it has been since there was only one region."""
    inner = "" if region == "us-east-1" else escape(region)
    return f'{DECLARATION}<LocationConstraint xmlns="{NAMESPACE}">{inner}</LocationConstraint>'.encode()


def ownership_controls(ownership: str) -> bytes:
    """Who owns the objects that others write into a bucket."""
    return document("OwnershipControls", ("<Rule>", element("ObjectOwnership", ownership), "</Rule>"))


def list_buckets(
    owner: Owner, buckets: Iterable[tuple[str, datetime, str]], prefix: str | None, token: str | None
) -> bytes:
    """(name, created, region) of each bucket of one page."""
    items = "".join(
        f"<Bucket><Name>{escape(name)}</Name><CreationDate>{timestamp(created)}</CreationDate>"
        f"<BucketRegion>{escape(region)}</BucketRegion></Bucket>"
        for name, created, region in buckets
    )
    tail = element("Prefix", prefix) + element("ContinuationToken", token)
    return document("ListAllMyBucketsResult", (owner_xml(owner), "<Buckets>", items, "</Buckets>", tail))


def initiate_multipart_upload(bucket: str, key: bytes, upload_id: str) -> bytes:
    """The answer to CreateMultipartUpload."""
    content = (
        element("Bucket", bucket),
        f"<Key>{encoded_key(key, False)}</Key>",
        element("UploadId", upload_id),
    )
    return document("InitiateMultipartUploadResult", content)


def complete_multipart_upload(where: str, bucket: str, key: bytes, etag: str, checksum: str) -> bytes:
    """The answer to CompleteMultipartUpload, the same for a retry of what succeeded."""
    content = (
        element("Location", where),
        element("Bucket", bucket),
        f"<Key>{encoded_key(key, False)}</Key>",
        element("ETag", f'"{etag}"'),
        checksum_value_xml(checksum),
    )
    return document("CompleteMultipartUploadResult", content)


def post_response(where: str, bucket: str, key: bytes, etag: str) -> bytes:
    """What a POST form is answered that asked for 201. Like errors, it has no namespace."""
    content = (
        element("Location", where),
        element("Bucket", bucket),
        f"<Key>{encoded_key(key, False)}</Key>",
        element("ETag", f'"{etag}"'),
    )
    return f"{DECLARATION}<PostResponse>{''.join(content)}</PostResponse>".encode("utf-8", "replace")


def copy_result(root: str, etag: str, modified: datetime, checksum: str) -> bytes:
    """CopyObjectResult, with the checksum's type; CopyPartResult, without it."""
    content = (
        f"<LastModified>{timestamp(modified)}</LastModified>",
        element("ETag", f'"{etag}"'),
        checksum_value_xml(checksum, kind=root == "CopyObjectResult"),
    )
    return document(root, content)


def delete_result(deleted: Sequence[Deletion], errors: Sequence[DeleteFailure]) -> bytes:
    """What is gone, and what failed."""
    parts = []
    for key, version_id, marker in deleted:
        of_marker = (
            "" if marker is None else f"<DeleteMarker>true</DeleteMarker>{element('DeleteMarkerVersionId', marker)}"
        )
        parts.append(
            f"<Deleted><Key>{encoded_key(key, False)}</Key>{element('VersionId', version_id)}{of_marker}</Deleted>"
        )
    for key, version_id, code, message in errors:
        parts.append(
            f"<Error><Key>{encoded_key(key, False)}</Key>{element('VersionId', version_id)}"
            f"{element('Code', code)}{element('Message', message)}</Error>"
        )
    return document("DeleteResult", parts)
