"""The key file: the keys of LocalKms, as JSON. It knows their form, and not what they are used for.

    {"format": 1,
     "sse-s3": "NAME",                      the key of SSE-S3
     "default": "NAME",                     the key of SSE-KMS requests that name none
     "keys": {"NAME": {"current": 2, "enabled": true, "aliases": ["alias/aws/s3"],
                       "versions": {"1": BASE64, "2": BASE64}}}}

A version that anything was wrapped under must stay. Losing this file is losing every object under SSE-S3 and SSE-KMS.
"""

from __future__ import annotations

import base64
import json
import os
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from s3gate.crypto.derivation import KEY_BYTES
from s3gate.crypto.errors import KeyFileError, KeyNotFound
from s3gate.files import write_secret

FORMAT = 1
DEFAULT_ALIAS = "alias/aws/s3"
MAX_FILE_BYTES = 16 << 20
_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}").fullmatch


@dataclass(frozen=True, slots=True)
class MasterKey:
    """One key with all its versions."""

    versions: Mapping[int, bytes]
    current: int
    enabled: bool = True
    aliases: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"MasterKey({len(self.versions)} versions, current={self.current}, enabled={self.enabled})"


@dataclass(frozen=True, slots=True)
class KeyFile:
    """All keys of a file. Immutable: changes make another one."""

    keys: Mapping[str, MasterKey]
    sse_s3: str
    default: str

    @classmethod
    def fresh(cls) -> KeyFile:
        """A key for SSE-S3 and a default one for SSE-KMS."""
        ours, default = str(uuid.uuid4()), str(uuid.uuid4())
        first = {1: os.urandom(KEY_BYTES)}, {1: os.urandom(KEY_BYTES)}
        keys = {ours: MasterKey(first[0], 1), default: MasterKey(first[1], 1, aliases=(DEFAULT_ALIAS,))}
        return cls(keys, ours, default)

    @classmethod
    def parse(cls, text: str) -> KeyFile:
        """Raises KeyFileError, which never quotes what the file holds."""
        try:
            found = json.loads(text)
            keys = {name: _master_key(name, value) for name, value in found["keys"].items()}
            form, ours, default = found["format"], found["sse-s3"], found["default"]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise KeyFileError(f"it does not have the form that was expected ({type(error).__name__})") from None
        if form != FORMAT:
            raise KeyFileError(f"its format is not {FORMAT}")
        for role, name in (("sse-s3", ours), ("default", default)):
            if name not in keys:
                raise KeyFileError(f"{role} names a key that is not there")
        return cls(keys, ours, default)

    @classmethod
    def read(cls, path: Path) -> KeyFile:
        """The file's keys, or KeyFileError."""
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                raise KeyFileError(f"{path}: it is larger than {MAX_FILE_BYTES} bytes")
            return cls.parse(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise KeyFileError(f"{path}: {error}") from None
        except KeyFileError as error:
            raise KeyFileError(f"{path}: {error}") from None

    def text(self) -> str:
        """As the file has it."""
        keys = {
            name: {
                "current": key.current,
                "enabled": key.enabled,
                "aliases": list(key.aliases),
                "versions": {str(number): base64.b64encode(one).decode() for number, one in key.versions.items()},
            }
            for name, key in self.keys.items()
        }
        return json.dumps({"format": FORMAT, "sse-s3": self.sse_s3, "default": self.default, "keys": keys}, indent=1)

    def write(self, path: Path) -> None:
        """In place of the file that is there: whole, durable, for its owner only."""
        write_secret(path, self.text())

    def with_key(self, name: str) -> KeyFile:
        """With one more key of this name."""
        if not _NAME(name):
            raise KeyFileError(f"{name!r}: a key's name has letters, digits, - and _, 128 at most")
        if name in self.keys:
            raise KeyFileError(f"there is a key {name} already")
        return replace(self, keys={**self.keys, name: MasterKey({1: os.urandom(KEY_BYTES)}, 1)})

    def with_versions(self, names: list[str]) -> KeyFile:
        """With a fresh version of each of these keys, which is the current one from now on."""
        changed = dict(self.keys)
        for name in names:
            key = changed.get(name)
            if key is None:
                raise KeyNotFound(f"there is no key {name}")
            number = max(key.versions) + 1
            changed[name] = replace(key, versions={**key.versions, number: os.urandom(KEY_BYTES)}, current=number)
        return replace(self, keys=changed)


def _master_key(name: str, value: Mapping[str, Any]) -> MasterKey:
    versions = {int(number): base64.b64decode(text, validate=True) for number, text in value["versions"].items()}
    current, enabled, aliases = value["current"], value.get("enabled", True), tuple(value.get("aliases", ()))
    if not _NAME(name) or any(len(one) != KEY_BYTES for one in versions.values()) or min(versions, default=0) < 1:
        raise ValueError
    if current not in versions or not isinstance(enabled, bool) or not all(isinstance(one, str) for one in aliases):
        raise ValueError
    return MasterKey(versions, current, enabled, aliases)
