"""The headers that an object keeps: from a request into stored bytes, and out into a response.

They are rendered once, when they are stored; a GET only splits them. The stored form is name, NUL, value,
NUL, name …: no header holds a NUL. What every object has beside them (ETag, date) is added by `of_object`.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from datetime import datetime

from s3gate.s3.dates import http_date
from s3gate.s3.errors import S3Error, invalid_argument
from s3gate.s3.request import Headers, Query

Pairs = list[tuple[bytes, bytes]]

MAX_METADATA_BYTES = 2048
DEFAULT_CONTENT_TYPE = b"binary/octet-stream"
META_PREFIX = b"x-amz-meta-"
REDIRECT = b"x-amz-website-redirect-location"
STORAGE_CLASS = b"x-amz-storage-class"
INITIATOR = b"x-amz-initiator"
"""Not a header: it stands among those of an upload for as long as that is one, and says who began it."""

_SYSTEM = (
    b"cache-control",
    b"content-disposition",
    b"content-language",
    b"expires",
)
_OF_NOT_MODIFIED = frozenset((b"cache-control", b"expires"))
"""What a cache has to hear again of what it has: RFC 9110, section 15.4.5."""
_OVERRIDES = {
    f"response-{name}": name.encode()
    for name in (
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-type",
        "expires",
    )
}
_NOT_OVERRIDABLE = (
    "is not in the set of overridable response headers. Please refer to the S3 API documentation for a complete list "
    "of overridable response headers."
)
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]").search


def stored(headers: Headers) -> bytes:
    """What to keep of a PutObject, CreateMultipartUpload or replacing CopyObject. Raises S3Error."""
    get = headers.get_bytes
    fields = [b"content-type", (get(b"content-type") or b"").strip() or DEFAULT_CONTENT_TYPE]
    for name in _SYSTEM:
        value = get(name)
        if value:
            fields += (name, value.strip())
    encoding = get(b"content-encoding")
    if encoding:
        encoding = _without_framing(encoding)
        if encoding:
            fields += (b"content-encoding", encoding)
    redirect = get(REDIRECT)
    if redirect is not None:
        fields += (REDIRECT, _checked_redirect(redirect))
    label = (get(STORAGE_CLASS) or b"").strip()
    if label and label != b"STANDARD":
        fields += (STORAGE_CLASS, label)
    total = 0
    for name, value in headers.items():
        if name.startswith(META_PREFIX):
            value = value.strip()
            total += len(name) - len(META_PREFIX) + len(value)
            fields += (name, _printable(value))
    if total > MAX_METADATA_BYTES:
        raise S3Error.of("MetadataTooLarge", Size=str(total), MaxSizeAllowed=str(MAX_METADATA_BYTES))
    if _CONTROL(b"".join(fields)) is not None:
        raise S3Error.of("InvalidRequest", "A header cannot contain control characters.")
    return b"\0".join(fields)


def pairs(stored: bytes) -> Pairs:
    """The header pairs of a response, a fresh list."""
    fields = stored.split(b"\0")
    return list(zip(fields[::2], fields[1::2], strict=True)) if stored else []


def begun_by(stored: bytes, initiator: str) -> bytes:
    """The headers of an upload, which nobody but this one has begun."""
    return b"\0".join((stored, INITIATOR, initiator.encode()))


def initiator_of(stored: bytes) -> str:
    """Who began the upload with these headers; "" where nobody in particular is named."""
    fields = stored.rsplit(b"\0", 2)
    return fields[2].decode() if fields[1:2] == [INITIATOR] else ""


def completed(stored: bytes) -> bytes:
    """Of the object that the upload becomes."""
    fields = stored.rsplit(b"\0", 2)
    return fields[0] if fields[1:2] == [INITIATOR] else stored


def of_object(stored: bytes, etag: str, modified_at: datetime) -> Pairs:
    """What GET and HEAD answer of every object; length, range and checksum are the caller's."""
    found = pairs(stored)
    found.append((b"etag", b'"%b"' % etag.encode()))
    found.append((b"last-modified", http_date(modified_at)))
    found.append((b"accept-ranges", b"bytes"))
    return found


def of_not_modified(stored: bytes) -> dict[str, str]:
    """What a 304 says beside ETag and date."""
    return {name.decode(): value.decode("latin-1") for name, value in pairs(stored) if name in _OF_NOT_MODIFIED}


def override(found: Pairs, query: Query, *, signed: bool) -> Pairs:
    """The headers with those replaced that `response-*` parameters name: only who signs a request may name any."""
    if not query.raw:
        return found
    chosen: dict[bytes, bytes] = {}
    for parameter, text in query:
        if parameter in _OVERRIDES:
            chosen.setdefault(_OVERRIDES[parameter], _header_value(parameter, text))
        elif parameter.startswith("response-"):
            raise invalid_argument(parameter, text, f"{parameter} {_NOT_OVERRIDABLE}")
    if not chosen:
        return found
    if not signed:
        raise S3Error.of(
            "InvalidRequest", "Request specific response headers cannot be used for anonymous GET requests."
        )
    return [pair for pair in found if pair[0] not in chosen] + list(chosen.items())


def _without_framing(encoding: bytes) -> bytes:
    """Content-Encoding without aws-chunked, which is how the body came and not what the object is."""
    if b"aws-chunked" not in encoding.lower():
        return encoding.strip()
    codings: Iterable[bytes] = (coding.strip() for coding in encoding.split(b","))
    return b",".join([coding for coding in codings if coding and coding.lower() != b"aws-chunked"])


def _checked_redirect(value: bytes) -> bytes:
    value = value.strip()
    if len(value) > MAX_METADATA_BYTES or not value.startswith((b"/", b"http://", b"https://")):
        raise S3Error.of("InvalidRedirectLocation")
    return value


def _printable(value: bytes) -> bytes:
    """A metadata value as a response can carry it: RFC 2047 when it is not ASCII."""
    if value.isascii():
        return value
    try:
        value.decode()
    except UnicodeDecodeError:
        value = value.decode("latin-1").encode()
    return b"=?UTF-8?B?%b?=" % b64encode(value)


def _header_value(parameter: str, text: str) -> bytes:
    """A value from the query, which could hold anything: a line break would begin another header."""
    if _CONTROL(text.encode()) is not None:
        raise invalid_argument(parameter, text, "Header value cannot contain control characters.")
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        message = "Header value cannot be represented using ISO-8859-1."
        raise invalid_argument(parameter, text, message) from None
