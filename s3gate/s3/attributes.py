"""What GetObjectAttributes asks for: which attributes, and which page of the parts. Pure: headers in, a value out."""

from __future__ import annotations

from dataclasses import dataclass

from s3gate.s3.errors import S3Error, invalid_argument
from s3gate.s3.listing import PAGE_LIMIT
from s3gate.s3.request import Headers

ATTRIBUTES = "x-amz-object-attributes"
MAX_PARTS = "x-amz-max-parts"
MARKER = "x-amz-part-number-marker"

ETAG, CHECKSUM, OBJECT_PARTS, STORAGE_CLASS, OBJECT_SIZE = KNOWN = (
    "ETag",
    "Checksum",
    "ObjectParts",
    "StorageClass",
    "ObjectSize",
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The attributes, and of the parts those after a number, so many at most."""

    names: frozenset[str]
    after: int
    limit: int


def wanted(headers: Headers) -> Wanted:
    """Raises InvalidRequest without any attribute, InvalidArgument for one that there is not."""
    names = [name.strip() for name in (headers.get(ATTRIBUTES) or "").split(",")]
    names = [name for name in names if name]
    if not names:
        message = f"The {ATTRIBUTES} header specifying the attributes to be retrieved is either missing or empty"
        raise S3Error.of("InvalidRequest", message)
    for name in names:
        if name not in KNOWN:
            raise invalid_argument(ATTRIBUTES, name, "Invalid attribute name specified.")
    limit = _number(headers, MAX_PARTS, PAGE_LIMIT)
    return Wanted(frozenset(names), _number(headers, MARKER, 0), min(limit, PAGE_LIMIT))


def _number(headers: Headers, name: str, default: int) -> int:
    """AWS takes what is not a number for nothing said."""
    text = headers.get(name) or ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 9 else default
