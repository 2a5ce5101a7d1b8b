"""The form and the places of large shards: a file each, the checksums at its end.

    body | crc32c of each 64 KiB block | footer, 64 bytes: magic, id, length, crc32c of body and table, its own

Files lie in numbered directories, the generations, so that start-up looks only at those newer than the last
checkpoint. A file gets its name there after its content was synced. Knows neither index nor log.
"""

from __future__ import annotations

import os
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from chunkd.blocks import crc32c, table_bytes
from chunkd.disk import Disk
from chunkd.wire import SHARD_ID_BYTES

FOOTER_BYTES = 64
MAGIC = b"sgF1"
_FIELDS = struct.Struct("<4sx17sxxQIIQ12x")
_CRC = struct.Struct("<I")
assert _FIELDS.size == FOOTER_BYTES - 4


class Footer(NamedTuple):
    """What the end of a file says of it. `time` in milliseconds."""

    shard_id: bytes
    length: int
    crc: int
    table_crc: int
    time: int


def encode_footer(footer: Footer) -> bytes:
    """The last 64 bytes of a file."""
    fields = _FIELDS.pack(MAGIC, *footer)
    return fields + _CRC.pack(crc32c(fields))


def decode_footer(data: bytes) -> Footer | None:
    """None when these are not the last 64 bytes of a file."""
    if len(data) != FOOTER_BYTES or _CRC.unpack_from(data, FOOTER_BYTES - 4)[0] != crc32c(data[:-4]):
        return None
    magic, *fields = _FIELDS.unpack_from(data)
    return Footer(*fields) if magic == MAGIC else None


def read_footer(disk: Disk, fd: int) -> tuple[Footer, bytes] | None:
    """Footer and table of an open file, both checked."""
    size = disk.size(fd)
    footer = decode_footer(disk.read(fd, FOOTER_BYTES, max(0, size - FOOTER_BYTES)))
    if footer is None or size != footer.length + table_bytes(footer.length) + FOOTER_BYTES:
        return None
    table = disk.read(fd, table_bytes(footer.length), footer.length)
    return (footer, table) if crc32c(table) == footer.table_crc else None


class Files:
    """The generations. `reserve` and `settle` are for the event loop, `keep` and `remove` for threads."""

    def __init__(self, directory: Path, disk: Disk, *, generation: int, count: int, most: int) -> None:
        self.directory = directory
        self._disk = disk
        self._generation = generation
        self._count = count
        self._most = most
        self._under_way: Counter[int] = Counter()
        self._made: set[int] = set()
        self._making = threading.Lock()

    def folder(self, generation: int) -> Path:
        """The directory of a generation."""
        return self.directory / f"{generation:08d}"

    def path(self, shard_id: bytes, generation: int) -> Path:
        """Where a shard's file lies."""
        return self.folder(generation) / shard_id.hex()

    def reserve(self) -> int:
        """The generation for one more file; `settle` follows when it is in the index, or has failed."""
        if self._count >= self._most:
            self._generation += 1
            self._count = 0
        self._count += 1
        self._under_way[self._generation] += 1
        return self._generation

    def settle(self, generation: int) -> None:
        """A file is in the index, or will never be."""
        self._under_way[generation] -= 1
        if not self._under_way[generation]:
            del self._under_way[generation]

    @property
    def oldest_open(self) -> int:
        """Start-up has to look at this generation and later ones."""
        return min(self._under_way, default=self._generation)

    @property
    def current(self) -> int:
        """The generation that takes new files."""
        return self._generation

    def keep(self, temporary: Path, shard_id: bytes, generation: int) -> None:
        """Give a synced file its name, durably."""
        with self._making:
            if generation not in self._made:
                if not self._disk.exists(self.folder(generation)):
                    self._disk.mkdir(self.folder(generation))
                self._disk.sync_directory(self.directory)
                self._made.add(generation)
        self._disk.rename(temporary, self.path(shard_id, generation))
        self._disk.sync_directory(self.folder(generation))

    def remove(self, places: list[tuple[bytes, int]]) -> None:
        """Unlink files, durably. One that is gone already was unlinked before a crash."""
        for shard_id, generation in places:
            path = self.path(shard_id, generation)
            if self._disk.exists(path):
                self._disk.unlink(path)
        for generation in {generation for _, generation in places}:
            if self._disk.exists(self.folder(generation)):
                self._disk.sync_directory(self.folder(generation))

    def remove_folders(self, kept: set[int]) -> None:
        """Remove the directories of generations without files, but for those that are still used."""
        for generation in generations(self.directory, self._disk):
            folder = self.folder(generation)
            if generation not in kept and generation < self.oldest_open and not self._disk.names(folder):
                self._disk.rmdir(folder)


def generations(directory: Path, disk: Disk) -> list[int]:
    """The generations that are there, in order."""
    return [int(name) for name in disk.names(directory) if name.isdigit()]


def shard_files(directory: Path, generation: int, disk: Disk) -> Iterator[tuple[bytes, Path]]:
    """Ids and paths of one generation, in order."""
    folder = directory / f"{generation:08d}"
    for name in disk.names(folder):
        try:
            shard_id = bytes.fromhex(name)
        except ValueError:
            continue
        if len(shard_id) == SHARD_ID_BYTES:
            yield shard_id, folder / name


def open_footer(disk: Disk, path: Path) -> tuple[Footer, bytes] | None:
    """Footer and table of a file by its path."""
    fd = disk.open(path, os.O_RDONLY)
    try:
        return read_footer(disk, fd)
    finally:
        disk.close(fd)
