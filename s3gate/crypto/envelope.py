"""The envelope: what an encrypted object's row says of its encryption. Without a key outside of the row, nothing.

    format (1) scheme (1) flags (1) key version (4) salt (16)
    length (1) wrapped data key    length (2) key id    length (2) encryption context

The data key is wrapped for its place (bucket and key): an envelope moved to another object does not open. The salt
makes the content key of an object in one piece; the parts of an upload have salts of their own, in their rows.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from enum import IntEnum

from s3gate.crypto.derivation import SALT_BYTES
from s3gate.crypto.errors import Tampered

FORMAT = 1
BUCKET_KEY = 1
_HEAD = struct.Struct(f">BBBI{SALT_BYTES}sB")
_LENGTH = struct.Struct(">H")


class Scheme(IntEnum):
    """Who keeps the key that the data key is wrapped under."""

    SSE_S3 = 1
    SSE_KMS = 2
    SSE_C = 3


@dataclass(frozen=True, slots=True)
class Envelope:
    """`key_name` and `key_version` are the keeper's; empty under SSE-C, whose key comes with every request."""

    scheme: Scheme
    salt: bytes
    wrapped: bytes = b""
    key_name: str = ""
    key_version: int = 0
    context: bytes = b""
    """The encryption context of SSE-KMS, as the JSON that was given."""
    bucket_key: bool = False

    def encode(self) -> bytes:
        """As rows keep it."""
        flags = BUCKET_KEY if self.bucket_key else 0
        key_name = self.key_name.encode()
        return b"".join(
            (
                _HEAD.pack(FORMAT, self.scheme, flags, self.key_version, self.salt, len(self.wrapped)),
                self.wrapped,
                _LENGTH.pack(len(key_name)),
                key_name,
                _LENGTH.pack(len(self.context)),
                self.context,
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> Envelope:
        """The inverse of `encode`; Tampered for anything else."""
        try:
            form, scheme, flags, version, salt, size = _HEAD.unpack_from(data)
            wrapped, at = _cut(data, _HEAD.size, size)
            key_name, at = _cut(data, at + 2, _LENGTH.unpack_from(data, at)[0])
            context, at = _cut(data, at + 2, _LENGTH.unpack_from(data, at)[0])
            if form != FORMAT or at != len(data) or flags not in (0, BUCKET_KEY):
                raise ValueError
            return cls(Scheme(scheme), salt, wrapped, key_name.decode(), version, context, flags == BUCKET_KEY)
        except (ValueError, struct.error):
            raise Tampered("this is no envelope") from None

    def bound_to(self, bucket_id: int, key: bytes) -> bytes:
        """What the data key is wrapped with: everything that must not change but together with the wrapping."""
        bare = replace(self, wrapped=b"", key_version=0)
        return bare.encode() + bucket_id.to_bytes(8, "big") + key


def _cut(data: bytes, start: int, size: int) -> tuple[bytes, int]:
    if len(data) < start + size:
        raise ValueError
    return data[start : start + size], start + size
