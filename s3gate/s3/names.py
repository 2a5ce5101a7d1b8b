"""What a bucket and a key may be called, and how x-amz-copy-source names one.

It judges names only; whether something has that name is not known here.
"""

from __future__ import annotations

import re

from s3gate.s3.errors import S3Error, invalid_argument
from s3gate.s3.request import decode_path

MAX_KEY_BYTES = 1024

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]").fullmatch
_NOT_BUCKET = re.compile(r"\.\.|\.-|-\.|\A[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+\Z").search
_RESERVED_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")


def check_bucket_name(name: str) -> None:
    """InvalidBucketName unless a bucket may be called so."""
    if (
        _BUCKET(name) is None
        or _NOT_BUCKET(name) is not None
        or name.startswith(_RESERVED_PREFIXES)
        or name.endswith(_RESERVED_SUFFIXES)
    ):
        raise S3Error.of("InvalidBucketName", BucketName=name)


def check_key(key: bytes) -> None:
    """KeyTooLongError when the key has more bytes than S3 allows. Every other key is a key."""
    if len(key) > MAX_KEY_BYTES:
        raise S3Error.of("KeyTooLongError", Size=str(len(key)), MaxSizeAllowed=str(MAX_KEY_BYTES))


def parse_copy_source(header: str) -> tuple[str, bytes, str | None]:
    """(bucket, key, version id) of an x-amz-copy-source.

    One leading slash is dropped, the version is cut off, the bucket ends at the first slash as it was sent,
    and only then is anything decoded, once ("+" stays "+"): a key may hold escaped slashes and "?".
    """
    source, _, version = header.encode("latin-1").removeprefix(b"/").partition(b"?versionId=")
    bucket, slash, key = source.partition(b"/")
    if not slash and b"%2f" in bucket.lower():  # a client that escaped the first slash as well
        bucket, _, key = decode_path(bucket).partition(b"/")
        decoded_bucket, decoded_key = bucket.decode(), key
    else:
        decoded_bucket, decoded_key = decode_path(bucket).decode(), decode_path(key)
    if not decoded_bucket or not decoded_key:
        missing = "object key" if decoded_bucket else "bucket name"
        raise invalid_argument("x-amz-copy-source", header, f"Invalid copy source {missing}")
    check_key(decoded_key)
    return decoded_bucket, decoded_key, decode_path(version).decode() or None
