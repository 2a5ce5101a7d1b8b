"""`admin make-keys`, `keys`, `add-key`, `rotate-keys`: the file of keys, and the rows that are wrapped under them.

A rotation adds a version to the file, and wraps every data key under it anew. No byte of an object is read or written.
Older versions stay in the file: what was wrapped meanwhile, by a gate that had not yet seen the new one, still opens,
and the walk is repeated until it finds nothing to do. It may be stopped and begun again at any point (law 10).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

from s3gate.catalog.rewrap import KINDS, START, Rewrap, Sealed
from s3gate.crypto.envelope import Envelope, Scheme
from s3gate.crypto.errors import CryptoError
from s3gate.crypto.keyfile import KeyFile
from s3gate.crypto.kms import Kms, Wrapped

MOST_WALKS = 10
"""How often all rows are looked at before what is left over is left to the next rotation."""


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """One key of the file, without any secret."""

    name: str
    used_for: str
    enabled: bool
    current: int
    versions: int


@dataclass(frozen=True, slots=True)
class Rotated:
    """What a rotation did. `left`: rows that could not be wrapped anew, and why."""

    looked_at: int
    rewrapped: int
    left: dict[str, int]


def make_keys(path: Path) -> bool:
    """A key file where there is none; whether there was none."""
    if path.exists():
        KeyFile.read(path)
        return False
    KeyFile.fresh().write(path)
    return True


def keys(path: Path) -> list[KeyInfo]:
    """The keys of the file."""
    file = KeyFile.read(path)
    uses = {file.sse_s3: "SSE-S3", file.default: "SSE-KMS, default"}
    return [
        KeyInfo(name, uses.get(name, "SSE-KMS"), key.enabled, key.current, len(key.versions))
        for name, key in sorted(file.keys.items())
    ]


def add_key(path: Path, name: str) -> None:
    """One more key for SSE-KMS."""
    KeyFile.read(path).with_key(name).write(path)


def add_versions(path: Path, name: str) -> None:
    """A fresh version of one key, or of all: new objects are wrapped under it from now on."""
    file = KeyFile.read(path)
    file.with_versions([name] if name else list(file.keys)).write(path)


async def rewrap(rows: Rewrap, kms: Kms) -> Rotated:
    """Walks all rows until nothing is wrapped under an older version any more."""
    looked_at = done = 0
    left: Counter[str] = Counter()
    for _ in range(MOST_WALKS):
        left.clear()
        changed = looked_at = 0
        for kind in KINDS:
            async for page in _pages(rows, kind):
                looked_at += len(page)
                due = [(row, new) for row in page if (new := await _anew(row, kms, left)) is not None]
                if due:
                    changed += await rows.change(kind, due)
        done += changed
        if not changed:
            break
    return Rotated(looked_at, done, dict(left))


async def _pages(rows: Rewrap, kind: str) -> AsyncIterator[list[Sealed]]:
    after = START
    while page := await rows.page(kind, after):
        yield page
        after = page[-1]


async def _anew(row: Sealed, kms: Kms, left: Counter[str]) -> bytes | None:
    """The row's envelope under the current version of its key, if it is under another one."""
    if not row.sse:
        return None
    try:
        envelope = Envelope.decode(row.sse)
        if envelope.scheme is Scheme.SSE_C or envelope.key_version == await kms.current_version(envelope.key_name):
            return None
        bound_to = envelope.bound_to(row.bucket_id, row.key)
        data_key = await kms.unwrap(envelope.key_name, Wrapped(envelope.key_version, envelope.wrapped), bound_to)
        version, blob = await kms.wrap(envelope.key_name, data_key, bound_to)
    except CryptoError as error:
        left[f"{type(error).__name__}: {error}"] += 1
        return None
    return replace(envelope, key_version=version, wrapped=blob).encode()
