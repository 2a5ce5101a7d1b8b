"""What may go wrong with keys and sealed bytes, in this room's own words. It knows no S3."""

from __future__ import annotations


class CryptoError(Exception):
    """Anything that keeps sealed bytes sealed."""


class Tampered(CryptoError):
    """Sealed bytes are not what was sealed under this key, in this place: changed, moved, cut short, or another key."""


class KeyNotFound(CryptoError):
    """No key has this name, or the key has no such version."""

    def __init__(self, key_id: str) -> None:
        super().__init__(key_id)
        self.key_id = key_id


class KeyDisabled(CryptoError):
    """The key is there, and its keeper says that it is not to be used now."""

    def __init__(self, key_id: str) -> None:
        super().__init__(key_id)
        self.key_id = key_id


class KeyFileError(CryptoError):
    """The key file cannot be used; the message says why."""
