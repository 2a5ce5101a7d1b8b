"""The canonical forms that Signature Version 4 is computed over: path, query, headers, and the derived key.

Pure functions of what came over the wire. They know neither scopes nor clocks, and never normalise a path.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import quote, quote_from_bytes

from s3gate.s3.errors import S3Error
from s3gate.s3.request import Headers, decode_path

TERMINATOR = "aws4_request"
SIGNING_KEYS_CACHED = 1024

_PLAIN_PATH = re.compile(rb"[A-Za-z0-9_.~/-]*").fullmatch
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9_.~-]*").fullmatch


@lru_cache(maxsize=SIGNING_KEYS_CACHED)
def signing_key_of(secret: str, date: str, region: str, service: str) -> bytes:
    """The key of a day, region and service; it is the same for every request of that scope."""
    key = hmac.digest(b"AWS4" + secret.encode(), date.encode(), "sha256")
    for step in (region, service, TERMINATOR):
        key = hmac.digest(key, step.encode(), "sha256")
    return key


def canonical_path(raw_path: bytes) -> bytes:
    """Every byte but the unreserved ones and "/" escaped once, whatever the client escaped."""
    if _PLAIN_PATH(raw_path):
        return raw_path
    return quote_from_bytes(decode_path(raw_path), safe="/").encode()


def canonical_query(pairs: Iterable[tuple[str, str]]) -> bytes:
    """Names and values escaped anew (s3fs sends "/" bare) and sorted by their escaped form."""
    encoded = [
        (
            name if _PLAIN_VALUE(name) else quote(name, safe=""),
            value if _PLAIN_VALUE(value) else quote(value, safe=""),
        )
        for name, value in pairs
        if name != "X-Amz-Signature"
    ]
    encoded.sort()
    return "&".join([f"{name}={value}" for name, value in encoded]).encode()


def canonical_headers(headers: Headers, signed_headers: str) -> bytes:
    """One line a signed header, and an empty one. Refuses a header that had to be signed and was not."""
    names = signed_headers.encode().split(b";")
    lines = []
    for name in names:
        value = headers.get_bytes(name) or b""
        if b"  " in value or b"\t" in value:
            value = b" ".join(value.split())
        lines.append(b"%b:%b\n" % (name, value.strip()))
    unsigned = [name for name in headers.names() if name.startswith(b"x-amz-") and name not in names]
    if b"host" not in names:
        unsigned.insert(0, b"host")
    if unsigned:
        raise S3Error.of(
            "AccessDenied",
            "There were headers present in the request which were not signed",
            HeadersNotSigned=", ".join(name.decode("latin-1") for name in unsigned),
        )
    host = headers.get_bytes(b"host")
    if not host or b"," in host:
        raise S3Error.of("InvalidRequest", "A request must have exactly one Host header")
    return b"".join(lines)
