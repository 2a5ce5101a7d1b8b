"""Secrets as the database has them, and tokens as clients have them: sealed under keys of the installation.

Both are AES-256-GCM under keys derived from the cluster key, whose version is written before the seal, so that a
rotated cluster key still opens what its predecessor sealed. Nothing here is logged or quoted in an error.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Final

from chunkd.wire import ClusterKey, SigningKey
from s3gate.crypto.derivation import unwrap, wrap
from s3gate.crypto.errors import Tampered

SECRETS_PURPOSE: Final = "s3gate-secrets-v1"
SESSIONS_PURPOSE: Final = "s3gate-sessions-v1"
_VERSION_BYTES: Final = 8


class Sealer:
    """Seals for one purpose. The context says what a seal belongs to: it opens for nothing else."""

    def __init__(self, keys: Sequence[SigningKey]) -> None:
        self._current = keys[0]
        self._keys = {key.version.encode("ascii"): key.key for key in keys}

    @classmethod
    def of(cls, key: ClusterKey, purpose: str) -> Sealer:
        """With the cluster's keys for this purpose."""
        return cls(key.derive(purpose))

    def seal(self, secret: bytes, context: str) -> bytes:
        """Under the newest key."""
        sealed = wrap(self._current.key, secret, context.encode())
        return self._current.version.encode("ascii") + sealed

    def open(self, sealed: bytes, context: str) -> bytes:
        """The secret again, or Tampered."""
        key = self._keys.get(sealed[:_VERSION_BYTES])
        if key is None:
            raise Tampered("sealed under a key that is not known here")
        return unwrap(key, sealed[_VERSION_BYTES:], context.encode())

    def is_current(self, sealed: bytes) -> bool:
        """Whether it was sealed under the newest key."""
        return sealed[:_VERSION_BYTES] == self._current.version.encode("ascii")


def to_text(sealed: bytes) -> str:
    """A seal that goes into a header."""
    return base64.b64encode(sealed).decode("ascii")


def from_text(text: str) -> bytes:
    """The seal again; Tampered when it is none."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Tampered("not a token of ours") from None
