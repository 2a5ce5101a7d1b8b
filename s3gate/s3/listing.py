"""What a listing asks for: the parameters of S3's six listings, judged and decoded.

Pure: a `Query` comes in, a frozen request goes out. This file knows neither rows nor XML. Every place in a
listing is one `after`: the last entry that the client was given, a key or a common prefix.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from dataclasses import dataclass

from s3gate.s3 import versions
from s3gate.s3.errors import S3Error, invalid_argument
from s3gate.s3.request import Query

PAGE_LIMIT = 1000
BUCKETS_LIMIT = 10_000
_INTEGER_LIMIT = 2_147_483_647


@dataclass(frozen=True, slots=True)
class Selection:
    """What every listing of keys shares. `after` is where to resume, `limit` how many entries at most."""

    prefix: bytes
    delimiter: bytes
    after: bytes
    limit: int
    url: bool


@dataclass(frozen=True, slots=True)
class ListObjects:
    selection: Selection
    marker: bytes


@dataclass(frozen=True, slots=True)
class ListObjectsV2:
    selection: Selection
    start_after: bytes | None
    token: str | None
    fetch_owner: bool


@dataclass(frozen=True, slots=True)
class ListVersions:
    """`after_version` is the version of the key `after` behind which to resume, or None: behind all of them."""

    selection: Selection
    key_marker: bytes
    version_id_marker: str
    after_version: tuple[int, bytes] | None


@dataclass(frozen=True, slots=True)
class ListUploads:
    """`after_upload` is b"" where the listing resumes behind every upload of the key `after`."""

    selection: Selection
    key_marker: bytes
    upload_id_marker: str
    after_upload: bytes


@dataclass(frozen=True, slots=True)
class ListParts:
    after: int
    limit: int


@dataclass(frozen=True, slots=True)
class ListBuckets:
    prefix: str | None
    after: str
    limit: int
    region: str | None


def list_objects(query: Query) -> ListObjects:
    marker = (query.get("marker") or "").encode()
    return ListObjects(_selection(query, "max-keys", marker), marker)


def list_objects_v2(query: Query) -> ListObjectsV2:
    """A token wins over start-after; an empty token is the start of the list, and is echoed."""
    start_after = query.get("start-after")
    token = query.get("continuation-token")
    start = (start_after or "").encode()
    after = decode_token(token) if token else start
    fetch_owner = _boolean(query, "fetch-owner")
    return ListObjectsV2(
        _selection(query, "max-keys", after), None if start_after is None else start, token, fetch_owner
    )


def list_object_versions(query: Query) -> ListVersions:
    """A version marker inside a common prefix stands for all of the prefix, as its key marker does."""
    key_marker = (query.get("key-marker") or "").encode()
    version = query.get("version-id-marker") or ""
    if version and not key_marker:
        message = "A version-id marker cannot be specified without a key marker."
        raise invalid_argument("version-id-marker", version, message)
    after_version = versions.decode(version, "version-id-marker") if version else None
    selection = _selection(query, "max-keys", key_marker)
    return ListVersions(selection, key_marker, version, after_version if selection.after == key_marker else None)


def list_multipart_uploads(query: Query) -> ListUploads:
    """An upload-id-marker without a key-marker is ignored, as AWS documents."""
    key_marker = (query.get("key-marker") or "").encode()
    upload_marker = (query.get("upload-id-marker") or "") if key_marker else ""
    selection = _selection(query, "max-uploads", key_marker)
    after_upload = b""
    if upload_marker and selection.after == key_marker:
        after_upload = upload_id(upload_marker) or b""
        if not after_upload:
            raise invalid_argument("upload-id-marker", upload_marker, "Invalid uploadId marker")
    return ListUploads(selection, key_marker, upload_marker, after_upload)


def list_parts(query: Query) -> ListParts:
    after = _integer(query, "part-number-marker", 0)
    return ListParts(after, min(_integer(query, "max-parts", PAGE_LIMIT), PAGE_LIMIT))


def list_buckets(query: Query) -> ListBuckets:
    text = query.get("max-buckets")
    limit = BUCKETS_LIMIT if text is None else _number(text)
    if limit is None:
        raise _not_a_number("max-buckets", text or "")
    if not 1 <= limit <= BUCKETS_LIMIT:
        message = f"Argument max-buckets must be an integer between 1 and {BUCKETS_LIMIT}"
        raise invalid_argument("max-buckets", text or "", message)
    token = query.get("continuation-token")
    after = decode_token(token).decode("utf-8", "replace") if token else ""
    return ListBuckets(query.get("prefix"), after, limit, query.get("bucket-region"))


def upload_id(text: str) -> bytes | None:
    """An UploadId as it stands on the wire, or None for what was never one of ours."""
    if len(text) != 32:
        return None
    try:
        return bytes.fromhex(text) if text.isalnum() else None
    except ValueError:
        return None


def encode_token(entry: bytes) -> str:
    """An opaque token for the last entry. The checksum only tells a mangled token from one of ours."""
    return base64.urlsafe_b64encode(zlib.crc32(entry).to_bytes(4, "big") + entry).decode()


def decode_token(token: str) -> bytes:
    """The entry behind a token of ours; InvalidArgument for anything else."""
    try:
        raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raw = b""
    if len(raw) < 4 or zlib.crc32(raw[4:]) != int.from_bytes(raw[:4], "big"):
        message = "The continuation token provided is incorrect"
        raise S3Error.of("InvalidArgument", message, ArgumentName="continuation-token")
    return raw[4:]


def resume_point(prefix: bytes, delimiter: bytes, after: bytes) -> bytes:
    """Where a listing resumes: a marker inside a common prefix stands for all of it.

    So a prefix is never emitted twice, whether the marker is the prefix itself or a key below it.
    """
    if not delimiter or not after.startswith(prefix):
        return after
    end = after.find(delimiter, len(prefix))
    return after if end < 0 else after[: end + len(delimiter)]


def _selection(query: Query, limit_name: str, after: bytes) -> Selection:
    prefix = (query.get("prefix") or "").encode()
    delimiter = (query.get("delimiter") or "").encode()
    limit = min(_integer(query, limit_name, PAGE_LIMIT), PAGE_LIMIT)
    return Selection(prefix, delimiter, resume_point(prefix, delimiter, after), limit, _url(query))


def _url(query: Query) -> bool:
    encoding = query.get("encoding-type") or ""
    if encoding.lower() not in ("", "url"):
        raise invalid_argument("encoding-type", encoding, "Invalid Encoding Method specified in Request")
    return bool(encoding)


def _integer(query: Query, name: str, default: int) -> int:
    text = query.get(name)
    if not text:
        return default
    value = _number(text)
    if value is None:
        raise _not_a_number(name, text)
    if value < 0:
        raise invalid_argument(name, text, _negative(query, name))
    return value


def _not_a_number(name: str, text: str) -> S3Error:
    return invalid_argument(name, text, f"Provided {name} not an integer or within integer range")


def _negative(query: Query, name: str) -> str:
    """AWS has a sentence of its own for versions, and the only other name that it writes in its own way is maxKeys."""
    if name == "max-keys" and "versions" in query:
        return "max-keys cannot be negative"
    argument = "maxKeys" if name == "max-keys" else name
    return f"Argument {argument} must be an integer between 0 and {_INTEGER_LIMIT}"


def _number(text: str) -> int | None:
    """The number, if it is one of 32 bits, with its sign."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 10):
        return None
    value = int(text)
    return value if -_INTEGER_LIMIT <= value <= _INTEGER_LIMIT else None


def _boolean(query: Query, name: str) -> bool:
    text = (query.get(name) or "").lower()
    if text not in ("", "true", "false"):
        raise invalid_argument(name, text, f"Argument {name} must be a boolean")
    return text == "true"
