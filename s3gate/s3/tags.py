"""Tags of objects and buckets: what a set of them may be, and the form in which it is kept.

A set is kept as application/x-www-form-urlencoded text, in the order in which it was given. This file knows neither
XML nor what is tagged.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from unicodedata import category
from urllib.parse import parse_qsl, urlencode

from s3gate.s3.errors import S3Error, invalid_argument
from s3gate.s3.request import Headers

Tag = tuple[str, str]

OBJECT_TAGS = 10
BUCKET_TAGS = 50
MAX_KEY_CHARACTERS = 128
MAX_VALUE_CHARACTERS = 256
TAGGING = "x-amz-tagging"

_PUNCTUATION = frozenset("_.:/=+-@")
_SYSTEM_PREFIX = "aws:"
_BAD_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})").search
_UNREADABLE = (
    "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name "
    "duplicates."
)


def of_header(headers: Headers) -> bytes:
    """The object tags that x-amz-tagging asks for, as they are kept; b"" without the header."""
    text = headers.get(TAGGING)
    if not text:
        return b""
    try:
        tags = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=1000)
    except (ValueError, UnicodeDecodeError):
        raise invalid_argument(TAGGING, text, _UNREADABLE) from None
    keys = {key for key, _ in tags}
    if len(keys) != len(tags) or "" in keys or _BAD_ESCAPE(text) is not None:
        raise invalid_argument(TAGGING, text, _UNREADABLE)
    check_object_tags(tags)
    return pack(tags)


def check_object_tags(tags: Sequence[Tag]) -> None:
    """BadRequest for too many, InvalidTag for one that may not be."""
    if len(tags) > OBJECT_TAGS:
        raise S3Error.of("BadRequest", f"Object tags cannot be greater than {OBJECT_TAGS}")
    _check(tags)


def check_bucket_tags(tags: Sequence[Tag]) -> None:
    """The same for a bucket, which may have more."""
    if len(tags) > BUCKET_TAGS:
        raise S3Error.of("BadRequest", f"Bucket tag count cannot be greater than {BUCKET_TAGS}")
    _check(tags)


def pack(tags: Sequence[Tag]) -> bytes:
    """The form that is kept."""
    return urlencode(tags).encode("ascii")


def unpack(kept: bytes) -> list[Tag]:
    """The tags again."""
    return parse_qsl(kept.decode("ascii"), keep_blank_values=True)


def count(kept: bytes) -> int:
    """How many there are."""
    return kept.count(b"=") if kept else 0


def _check(tags: Sequence[Tag]) -> None:
    seen = set()
    for key, value in tags:
        if not 1 <= len(key) <= MAX_KEY_CHARACTERS or not _allowed(key):
            raise _invalid("The TagKey you have provided is invalid", key)
        if len(value) > MAX_VALUE_CHARACTERS or not _allowed(value):
            raise _invalid("The TagValue you have provided is invalid", key, TagValue=value)
        if key.lower().startswith(_SYSTEM_PREFIX):
            raise _invalid("System tags cannot be added/updated by requester", key)
        if key in seen:
            raise _invalid("Cannot provide multiple Tags with the same key", key)
        seen.add(key)


def _allowed(text: str) -> bool:
    """Letters, digits and spaces of any script, and a little punctuation."""
    return all(each in _PUNCTUATION or category(each)[0] in "LMNZ" for each in text)


def _invalid(message: str, key: str, **more: str) -> S3Error:
    return S3Error.of("InvalidTag", message, TagKey=key, **more)
