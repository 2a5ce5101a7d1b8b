"""Walking a pack from record to record. Reads and verifies; decides nothing about what it finds.

The walk yields a Found for each valid header (its body may be bad) and a Gap for each stretch in which no valid
header stands although something is written there or later. Zeros up to the end of the file end the walk.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from chunkd.blocks import matches
from chunkd.disk import Disk
from chunkd.records import ALIGNMENT, HEADER_BYTES, MAGIC, MAX_HEAD_BYTES, Record, decode_head

WINDOW_BYTES = 4 * 1024 * 1024
_ZEROS = bytes(64 * 1024)


class Found(NamedTuple):
    """A record, and whether its body is what its table says."""

    record: Record
    intact: bool


class Gap(NamedTuple):
    """No header from `start` to `end`, where the next one stands or the file ends."""

    start: int
    end: int


class PackScan:
    """One pack, open for reading. `batch` is the least that a record may bear: an older one is a remnant."""

    def __init__(self, disk: Disk, fd: int, salt: int, *, bodies: bool = True) -> None:
        self._disk = disk
        self._fd = fd
        self._salt = salt
        self._bodies = bodies
        self._window = b""
        self._window_at = 0
        self.size = disk.size(fd)

    def _view(self, offset: int, size: int) -> memoryview:
        """Bytes of the pack, by way of a window that moves forward."""
        end = min(offset + size, self.size)
        if offset < self._window_at or end > self._window_at + len(self._window):
            self._window = self._disk.read(self._fd, max(WINDOW_BYTES, end - offset), offset)
            self._window_at = offset
        at = offset - self._window_at
        return memoryview(self._window)[at : at + max(0, end - offset)]

    def walk(self, offset: int, batch: int = 0) -> Iterator[Found | Gap]:
        """From an offset at which a record may begin."""
        while offset < self.size:
            record = self._head(offset, batch)
            if record is None:
                end = self._next_head(offset, batch)
                if end is None:
                    if not self._is_zero(offset):
                        yield Gap(offset, self.size)
                    return
                yield Gap(offset, end)
                offset = end
                continue
            yield Found(record, self._intact(record))
            offset = record.end
            batch = record.batch

    def _head(self, offset: int, batch: int) -> Record | None:
        record = decode_head(self._view(offset, MAX_HEAD_BYTES), 0, offset, self._salt)
        return None if record is None or record.batch < batch else record

    def _intact(self, record: Record) -> bool:
        if not self._bodies or not record.length:
            return True
        body = self._view(record.body_offset, record.length)
        return len(body) == record.length and matches(record.table, 0, body)

    def _next_head(self, offset: int, batch: int) -> int | None:
        """The next place after `offset` at which a valid header stands."""
        offset += ALIGNMENT
        while offset + HEADER_BYTES <= self.size:
            view = bytes(self._view(offset, WINDOW_BYTES))
            at = view.find(MAGIC)
            while at >= 0:
                if at % ALIGNMENT == 0 and self._head(offset + at, batch) is not None:
                    return offset + at
                at = view.find(MAGIC, at + 1)
            offset += max(ALIGNMENT, len(view) - len(view) % ALIGNMENT)
        return None

    def _is_zero(self, offset: int) -> bool:
        while offset < self.size:
            view = self._view(offset, len(_ZEROS))
            if view != memoryview(_ZEROS)[: len(view)]:
                return False
            offset += len(view)
        return True
