"""Version ids as they stand on the wire: opaque text for clients, a version's counter and id for us.

The null version has no id and is called "null". Any other text is 24 bytes: the counter, by which the versions of a
key are ordered, and the id that its writer gave it. Whether a key has such a version is not known here.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

from s3gate.s3.errors import S3Error, invalid_argument

NULL = "null"
_CHARACTERS = 32
_COUNTER_BYTES = 8


def encode(version: int, version_id: bytes) -> str:
    """What clients call the version."""
    if not version_id:
        return NULL
    return urlsafe_b64encode(version.to_bytes(_COUNTER_BYTES, "big") + version_id).decode("ascii")


def decode(text: str, parameter: str = "versionId") -> tuple[int, bytes]:
    """(counter, id): (0, b"") for the null version. InvalidArgument for what was never given out."""
    if text == NULL:
        return 0, b""
    if not text:
        raise invalid_argument(parameter, text, "Version id cannot be the empty string")
    try:
        raw = urlsafe_b64decode(text) if len(text) == _CHARACTERS else b""
    except ValueError:
        raw = b""
    version, version_id = int.from_bytes(raw[:_COUNTER_BYTES], "big"), raw[_COUNTER_BYTES:]
    if version >> 63 or encode(version, version_id) != text:  # base64 skips what is not of its alphabet: look again
        raise invalid_argument(parameter, text, "Invalid version id specified")
    return version, version_id


def no_such_version(key: bytes, version_id: str) -> S3Error:
    """The key may be there, but this version of it is not."""
    return S3Error.of("NoSuchVersion", Key=key.decode("utf-8", "replace"), VersionId=version_id)
