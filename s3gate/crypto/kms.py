"""Who keeps keys: the interface, and the keeper that reads a file.

Another one (an HSM, a service) would only have to wrap and unwrap 32 bytes: master keys never leave their keeper.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple, Protocol

from s3gate.crypto.derivation import unwrap, wrap
from s3gate.crypto.errors import KeyDisabled, KeyFileError, KeyNotFound
from s3gate.crypto.keyfile import KeyFile, MasterKey


class Wrapped(NamedTuple):
    """A data key under the current version of a key."""

    version: int
    blob: bytes


class Kms(Protocol):
    """Keeps keys. All of its questions may go over a network."""

    async def sse_s3_key(self) -> str:
        """The name of the key of SSE-S3."""

    async def resolve(self, key_id: str) -> str:
        """The name of the key that a request means by an id, an ARN or an alias; "" is the default. KeyNotFound."""

    async def wrap(self, name: str, data_key: bytes, context: bytes) -> Wrapped:
        """Under the current version. KeyNotFound, KeyDisabled."""

    async def unwrap(self, name: str, wrapped: Wrapped, context: bytes) -> bytes:
        """The data key again. KeyNotFound, KeyDisabled, Tampered."""

    async def current_version(self, name: str) -> int:
        """What `wrap` would use: what is wrapped under another one is due to be wrapped anew. KeyNotFound."""

    def arn(self, name: str) -> str:
        """How S3 names the key."""


class LocalKms:
    """The keys of a file. It is read again when it has changed, so that a rotation is noticed at once."""

    def __init__(self, path: Path, region: str, account: str) -> None:
        self._path = path
        self._prefix = f"arn:aws:kms:{region}:{account}:"
        self._seen: tuple[int, int, int] | None = None
        self._file = KeyFile.read(path)

    async def sse_s3_key(self) -> str:
        return self._keys().sse_s3

    async def resolve(self, key_id: str) -> str:
        file = self._keys()
        if not key_id:
            return file.default
        name = key_id.removeprefix(self._prefix).removeprefix("key/")
        if name.startswith("alias/"):
            name = next((one for one, key in file.keys.items() if name in key.aliases), name)
        if name not in file.keys or name == file.sse_s3:  # which is not for customers
            raise KeyNotFound(key_id)
        return name

    async def wrap(self, name: str, data_key: bytes, context: bytes) -> Wrapped:
        key = self._usable(name)
        return Wrapped(key.current, wrap(key.versions[key.current], data_key, context))

    async def unwrap(self, name: str, wrapped: Wrapped, context: bytes) -> bytes:
        key = self._usable(name)
        master = key.versions.get(wrapped.version)
        if master is None:
            raise KeyNotFound(name)
        return unwrap(master, wrapped.blob, context)

    async def current_version(self, name: str) -> int:
        return self._usable(name).current

    def arn(self, name: str) -> str:
        return f"{self._prefix}key/{name}"

    def _usable(self, name: str) -> MasterKey:
        key = self._keys().keys.get(name)
        if key is None:
            raise KeyNotFound(name)
        if not key.enabled:
            raise KeyDisabled(name)
        return key

    def _keys(self) -> KeyFile:
        """A look at the file's date is microseconds. A file that went or got broken leaves the keys that were read."""
        try:
            now = os.stat(self._path)
            seen = (now.st_mtime_ns, now.st_ino, now.st_size)
            if seen != self._seen:
                self._file, self._seen = KeyFile.read(self._path), seen
        except (OSError, KeyFileError):
            pass
        return self._file
