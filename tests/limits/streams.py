"""Bodies of any size that nobody holds in memory: made while they are read, hashed while they pass."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from random import Random

BLOCK_BYTES = 1 << 20


class Stream:
    """A file object of `size` bytes, no two blocks alike; `digest` speaks of what was read from it."""

    def __init__(self, size: int, seed: int) -> None:
        self._left = size
        self._block = bytearray(Random(seed).randbytes(BLOCK_BYTES))
        self._number = 0
        self._rest = memoryview(b"")
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """The next bytes: exactly as many as asked for, until the end."""
        wanted = self._left if size < 0 else min(size, self._left)
        self._left -= wanted
        pieces = []
        while wanted:
            if not self._rest:
                self._rest = self._next_block()
            pieces.append(self._rest[:wanted])
            self._rest = self._rest[wanted:]
            wanted -= len(pieces[-1])
        data = b"".join(pieces)
        self._hash.update(data)
        return data

    def __iter__(self) -> Iterator[bytes]:
        while data := self.read(BLOCK_BYTES):
            yield data

    def _next_block(self) -> memoryview:
        self._number += 1
        self._block[:8] = self._number.to_bytes(8, "big")
        return memoryview(bytes(self._block))

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


class Sink:
    """Takes bytes in order and keeps their hash and number only."""

    def __init__(self) -> None:
        self.size = 0
        self._hash = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.size += len(data)
        self._hash.update(data)
        return len(data)

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()
