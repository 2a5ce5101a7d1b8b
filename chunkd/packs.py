"""The pack that is written to: appending batches, filling with zeros ahead, going on to the next pack.

`append` runs wherever the committer wants it, `fill` in a background thread; a lock keeps zeros and records apart. A
batch lies in one pack. Knows neither the index nor who waits for what.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chunkd.blocks import make_table
from chunkd.disk import Buffer, Disk
from chunkd.errors import SyncFailed
from chunkd.records import encode_head, pack_salt, record_bytes

ZERO_STEP = bytes(256 * 1024)
_PADDING = [bytes(size) for size in range(64)]
FILLED_FOR_BYTES = 128 * 1024
"""Larger batches are worth their journal commit: zeros ahead of them would write every byte twice."""
USUAL_BATCHES = 8
"""Over about so many batches the usual size is taken."""


def pack_path(packs: Path, number: int) -> Path:
    """The file of a pack."""
    return packs / f"{number:08d}.pack"


def pack_numbers(packs: Path, disk: Disk) -> list[int]:
    """The packs that are there, in order."""
    return [int(name[:-5]) for name in disk.names(packs) if name.endswith(".pack") and name[:-5].isdigit()]


class Draft:
    """A record before it has a place; `size` is what it will take of a pack."""

    __slots__ = ("body", "crc", "kind", "reference", "shard_id", "size", "time")

    def __init__(
        self, kind: int, shard_id: bytes, time: int, body: Buffer = b"", crc: int = 0, reference: int = 0
    ) -> None:
        self.kind = kind
        self.shard_id = shard_id
        self.time = time
        self.body = body
        self.crc = crc
        self.reference = reference
        self.size = record_bytes(len(body))


@dataclass(slots=True)
class OpenPack:
    """A pack open for appending: records up to `tail`, zeros from there to `size`."""

    number: int
    fd: int
    salt: int
    tail: int
    size: int


class PackWriter:
    """The end of the log."""

    def __init__(self, packs: Path, disk: Disk, store_salt: bytes, *, number: int, tail: int, pack_bytes: int) -> None:
        self._packs = packs
        self._disk = disk
        self._store_salt = store_salt
        self._pack_bytes = pack_bytes
        self._lock = threading.Lock()
        self._making = threading.Lock()
        self._next: OpenPack | None = None
        self._pack: OpenPack | None = None
        self._start = (number, tail)
        self._usual_bytes = 0.0  # of a batch, the latest ones weighing most

    def append(self, batch: int, drafts: Sequence[Draft]) -> tuple[int, list[int]]:
        """Write one batch and sync it. Returns its pack and the offset of each record."""
        total = sum([draft.size for draft in drafts])
        pack = self._pack or self._open_first()
        if pack.tail and pack.tail + total > self._pack_bytes:
            pack = self._go_on(pack)
        start = pack.tail
        buffers, offsets = _encode(batch, drafts, start, pack.salt)
        with self._lock:
            try:
                self._disk.write(pack.fd, buffers, start)
            except OSError:
                # What was written of it is not part of the log.
                self._disk.truncate(pack.fd, start)
                pack.size = start
                raise
            pack.tail = start + total
            pack.size = max(pack.size, pack.tail)
        self._disk.fdatasync(pack.fd)
        self._usual_bytes += (total - self._usual_bytes) / USUAL_BATCHES
        return pack.number, offsets

    def has_zeros(self, size: int) -> bool:
        """Whether a batch of this size goes into zeros that are there: no pack to open, no journal to commit."""
        pack = self._pack
        return pack is not None and pack.tail + size <= pack.size

    def _open_first(self) -> OpenPack:
        number, tail = self._start
        with self._making:
            if self._pack is None:
                self._pack = self._make(number, tail)
            return self._pack

    def _go_on(self, pack: OpenPack) -> OpenPack:
        """Leave a full pack. Its cut is synced, so that nothing behind its tail ever comes back."""
        with self._making:
            following = self._next or self._make(pack.number + 1, 0)
            self._disk.truncate(pack.fd, pack.tail)
            self._disk.fsync(pack.fd)
            with self._lock:
                self._pack, self._next = following, None
            self._disk.close(pack.fd)
        return following

    def _make(self, number: int, tail: int) -> OpenPack:
        """Open or create a pack; its name is durable before anything in it is acknowledged."""
        path = pack_path(self._packs, number)
        fd = self._disk.open(path, os.O_RDWR | os.O_CREAT)
        try:
            self._disk.fsync(fd)
            self._disk.sync_directory(self._packs)
            return OpenPack(number, fd, pack_salt(self._store_salt, number), tail, self._disk.size(fd))
        except OSError:
            self._disk.close(fd)
            raise

    def needs_fill(self, ahead: int) -> bool:
        """Whether less than half of what should be zeros ahead is there."""
        pack = self._pack
        if pack is None:
            return False
        if pack.size < self._pack_bytes:
            if self._usual_bytes > FILLED_FOR_BYTES:
                return False
            return pack.size - pack.tail < ahead // 2
        return self._next is None and self._pack_bytes - pack.tail < ahead

    def fill(self, ahead: int) -> None:
        """Write and sync zeros ahead: an append into them needs no commit of the file system's journal."""
        with self._making:
            pack = self._pack
            if pack is None:
                return
            if pack.size >= self._pack_bytes and self._next is None:
                pack = self._next = self._make(pack.number + 1, 0)
        self._fill(pack, min(ahead, self._pack_bytes))

    def _fill(self, pack: OpenPack, ahead: int) -> None:
        # A descriptor of its own: a failure that this sync meets is still reported to the committer's.
        fd = self._disk.open(pack_path(self._packs, pack.number), os.O_WRONLY)
        try:
            while True:
                with self._lock:
                    room = min(self._pack_bytes - pack.size, pack.tail + ahead - pack.size)
                    if room <= 0 or (pack is not self._pack and pack is not self._next):
                        break
                    zeros = memoryview(ZERO_STEP)[: min(room, len(ZERO_STEP))]
                    self._disk.write(fd, [zeros], pack.size)
                    pack.size += len(zeros)
            self._disk.fdatasync(fd)
        finally:
            self._disk.close(fd)

    def close(self) -> None:
        """Close the descriptors; nothing is under way any more."""
        for pack in (self._pack, self._next):
            if pack is not None:
                with contextlib.suppress(OSError):
                    self._disk.close(pack.fd)
        self._pack = self._next = None


def _encode(batch: int, drafts: Sequence[Draft], start: int, salt: int) -> tuple[list[Buffer], list[int]]:
    """The buffers of a batch and where each record begins."""
    buffers: list[Buffer] = []
    offsets: list[int] = []
    offset = start
    for draft in drafts:
        body = draft.body
        length = len(body)
        table = make_table(body, draft.crc)
        head = encode_head(
            salt,
            draft.kind,
            draft.shard_id,
            length,
            draft.crc,
            batch,
            draft.time,
            draft.reference,
            start,
            offset,
            table,
        )
        buffers.append(head)
        if length:
            buffers.append(body)
            padding = draft.size - len(head) - length
            if padding:
                buffers.append(_PADDING[padding])
        offsets.append(offset)
        offset += draft.size
    return buffers, offsets


def is_full(error: BaseException) -> bool:
    """Whether an error says that there is no room, which is not a failure of the disk."""
    return (
        isinstance(error, OSError) and not isinstance(error, SyncFailed) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    )
