"""Keys made of keys, and keys kept under keys: HKDF-SHA256 and AES-256-GCM. Pure but for random bytes."""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from s3gate.crypto.errors import Tampered

KEY_BYTES = 32
SALT_BYTES = 16
_ONCE = bytes(12)
"""The nonce of a key that seals one thing."""


def derive(key: bytes, salt: bytes, purpose: bytes) -> bytes:
    """A key for one purpose."""
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=purpose).derive(key)


def wrap(key: bytes, secret: bytes, context: bytes) -> bytes:
    """The secret sealed under a key, for this context only.

    A fresh salt makes a key for this wrapping alone: random nonces under the lasting key would not do for as many
    objects as a store may have.
    """
    salt = os.urandom(SALT_BYTES)
    return salt + AESGCM(derive(key, salt, b"s3gate wrap")).encrypt(_ONCE, secret, context)


def unwrap(key: bytes, wrapped: bytes, context: bytes) -> bytes:
    """The secret again, or Tampered: another key, another context, other bytes."""
    salt, sealed = wrapped[:SALT_BYTES], wrapped[SALT_BYTES:]
    try:
        return AESGCM(derive(key, salt, b"s3gate wrap")).decrypt(_ONCE, sealed, context)
    except InvalidTag:
        raise Tampered("this key did not wrap that") from None
