"""The answers that many operations have in common."""

from __future__ import annotations

from urllib.parse import quote

from s3gate.catalog.rows import BucketRow, Committed, Deleted, ObjectRow
from s3gate.operations.exchange import RawHeaders, Response
from s3gate.s3 import versions
from s3gate.s3.request import Request

_XML = (b"content-type", b"application/xml")


def xml(document: bytes, headers: RawHeaders | None = None) -> Response:
    """A document as the body of a success."""
    return Response(headers=[_XML] if headers is None else [_XML, *headers], body=document)


def url_of(request: Request, key: bytes) -> str:
    """Where an object that was made can be found, in the style of the request. S3 escapes its key's slashes, too."""
    bucket = "" if request.bucket_in_host else f"/{request.bucket}"
    return f"{request.scheme}://{request.host}{bucket}/{quote(key, safe='')}"


def etag_header(etag: str) -> tuple[bytes, bytes]:
    """Rows hold entity tags bare; the wire has them quoted."""
    return b"etag", b'"%b"' % etag.encode()


def version_header(version: int, version_id: bytes) -> tuple[bytes, bytes]:
    """The version by the name that clients know it by."""
    return b"x-amz-version-id", versions.encode(version, version_id).encode("ascii")


def row_version(bucket: BucketRow, row: ObjectRow) -> RawHeaders:
    """The version that was read: said where there is or was versioning, and nowhere else."""
    return [version_header(row.version, row.version_id)] if bucket.versioning else []


def made_version(done: Committed) -> RawHeaders:
    """The version that a write made. Of the null version AWS says nothing, though a GET names it."""
    return [version_header(done.version, done.version_id)] if done.version_id else []


def marked_version(bucket: BucketRow, done: Committed) -> RawHeaders:
    """The version that was changed in place, where there is or was versioning."""
    return [version_header(done.version, done.version_id)] if bucket.versioning else []


def source_version(bucket: BucketRow, row: ObjectRow) -> RawHeaders:
    """The version that a copy was made from."""
    if not bucket.versioning:
        return []
    return [(b"x-amz-copy-source-version-id", versions.encode(row.version, row.version_id).encode("ascii"))]


def deleted_version(deleted: Deleted | None) -> RawHeaders:
    """What a delete that named no version did: the marker it made, if it made one."""
    if deleted is None or not deleted.marker:
        return []
    return [(b"x-amz-delete-marker", b"true"), version_header(deleted.version, deleted.version_id)]


def checksum_headers(checksum: str, kind: str = "") -> RawHeaders:
    """`CRC32:FULL_OBJECT:value` as the two headers of a response; nothing for "". A part has its object's kind."""
    if not checksum:
        return []
    algorithm, own, value = checksum.encode().split(b":", 2)
    return [(b"x-amz-checksum-" + algorithm.lower(), value), (b"x-amz-checksum-type", kind.encode() or own)]
