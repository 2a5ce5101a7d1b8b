"""Reading shards: the page cache first, a thread only when the disk has to be asked; every block verified (law 7).

A Handle closes its descriptor when nobody uses it any more, so a pack may be unlinked under a reader. What does
not match is raised as Mismatch: whoever asked looks the place up again before believing it.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

from chunkd.blocks import matches, span, table_bytes
from chunkd.database import FILE, Entry
from chunkd.disk import Buffer, Disk
from chunkd.files import Files, read_footer
from chunkd.packs import pack_path
from chunkd.records import HEADER_BYTES, Record, decode_head, pack_salt
from chunkd.wire import BLOCK_BYTES, MAX_READ_BYTES, Place

_Fetch = Callable[[int, int, int], Buffer]


class Mismatch(Exception):
    """What was read is not what the index or a checksum says. Perhaps the record has moved."""


class Gone(Mismatch):
    """The file is not there any more."""


class Handle:
    """An open file. Its last user closes it, by dropping it: reference counts are exact here."""

    __slots__ = ("_disk", "fd", "identity", "path", "salt", "table")

    def __init__(self, disk: Disk, fd: int, path: Path, *, salt: int = 0) -> None:
        self._disk = disk
        self.fd = fd
        self.path = str(path.absolute())
        self.identity = disk.identity(fd)
        self.salt = salt
        self.table = b""

    def __del__(self) -> None:
        self._disk.close(self.fd)


class Reader:
    """Verified reads of packs and files, with a bounded number of open handles."""

    def __init__(
        self,
        packs: Path,
        files: Files,
        disk: Disk,
        store_salt: bytes,
        threads: Executor,
        *,
        open_files: int,
        small: int,
    ) -> None:
        self._packs = packs
        self._files = files
        self._disk = disk
        self._store_salt = store_salt
        self._threads = threads
        self._open_files = open_files
        self._small = small
        self._handles: OrderedDict[int | bytes, Handle] = OrderedDict()
        self._cache_only = True
        self._scratch = memoryview(bytearray(MAX_READ_BYTES))

    def cached(self, shard_id: bytes, entry: Entry, start: int, stop: int) -> memoryview | None:
        """What `read` would return, if the file is open and the page cache has it; None if that is to be asked."""
        handle = self._handle(_key(shard_id, entry))
        if handle is None or not self._cache_only:
            return None
        try:
            return self._extract(self._fetch_cached, handle, shard_id, entry, start, stop)
        except BlockingIOError:
            return None
        except OSError as error:
            # What is wrong with the disk is for `read` to meet.
            self._cache_only = error.errno != errno.EOPNOTSUPP
            return None

    def place(self, shard_id: bytes, entry: Entry, start: int, stop: int) -> Place | None:
        """Where a shard lies, if its file is open and the page cache has the bytes [start, stop). Verifies its head.

        All of them are read: to look for a page or two would make the kernel fetch, in small steps, what is not there.
        """
        handle = self._handle(_key(shard_id, entry))
        if handle is None or not self._cache_only or not 0 < stop - start <= len(self._scratch):
            return None
        head_bytes = 0 if entry.pack == FILE else HEADER_BYTES + table_bytes(entry.length)
        offset = 0 if entry.pack == FILE else entry.place + head_bytes
        table = handle.table
        try:
            if self._disk.read_cached(handle.fd, self._scratch[: stop - start], offset + start) < stop - start:
                return None
            if head_bytes:
                table = _record(self._fetch_cached(handle.fd, head_bytes, entry.place), handle, shard_id, entry).table
        except (Mismatch, OSError):
            # Both are for `read` to meet.
            return None
        return Place(*handle.identity, handle.path, offset, table)

    async def read(self, shard_id: bytes, entry: Entry, start: int, stop: int) -> memoryview:
        """The bytes [start, stop) of a shard that lies where the entry says, by a thread."""
        key = _key(shard_id, entry)
        known = self._handle(key)
        loop = asyncio.get_running_loop()
        try:
            handle, data = await loop.run_in_executor(self._threads, self._look, known, shard_id, entry, start, stop)
        except FileNotFoundError as error:
            raise Gone(f"{error.filename} is missing") from error
        except OSError as error:
            if error.errno == errno.EIO:
                raise Mismatch(f"the disk could not read it: {error}") from error
            raise
        if handle is not known:
            self._remember(key, handle)
        return data

    def _look(
        self, known: Handle | None, shard_id: bytes, entry: Entry, start: int, stop: int
    ) -> tuple[Handle, memoryview]:
        """In a thread. Holds the handle, and with it the descriptor, until the read is over."""
        handle = known or self._open(shard_id, entry)
        return handle, self._extract(self._disk.read, handle, shard_id, entry, start, stop)

    def _open(self, shard_id: bytes, entry: Entry) -> Handle:
        if entry.pack != FILE:
            path = pack_path(self._packs, entry.pack)
            fd = self._disk.open(path, os.O_RDONLY)
            return Handle(self._disk, fd, path, salt=pack_salt(self._store_salt, entry.pack))
        path = self._files.path(shard_id, entry.place)
        handle = Handle(self._disk, self._disk.open(path, os.O_RDONLY), path)
        footer = read_footer(self._disk, handle.fd)
        if footer is None or footer[0].shard_id != shard_id or footer[0].length != entry.length:
            raise Mismatch("its footer does not match")
        handle.table = footer[1]
        return handle

    def _extract(
        self, fetch: _Fetch, handle: Handle, shard_id: bytes, entry: Entry, start: int, stop: int
    ) -> memoryview:
        if start >= stop:
            return memoryview(b"")
        first, last = span(start, stop, entry.length)
        if entry.pack == FILE:
            blocks = memoryview(fetch(handle.fd, last - first, first))
            return _verified(blocks, handle.table, first, last, start, stop)
        head = HEADER_BYTES + table_bytes(entry.length)
        whole = head + last <= self._small or not first
        data = fetch(handle.fd, head + last if whole else head, entry.place)
        record = _record(data, handle, shard_id, entry)
        if whole:
            blocks = memoryview(data)[head + first : head + last]
        else:
            blocks = memoryview(fetch(handle.fd, last - first, entry.place + head + first))
        return _verified(blocks, record.table, first, last, start, stop)

    def _fetch_cached(self, fd: int, size: int, offset: int) -> Buffer:
        buffer = bytearray(size)
        if self._disk.read_cached(fd, buffer, offset) < size:
            raise BlockingIOError
        return buffer

    def _handle(self, key: int | bytes) -> Handle | None:
        handle = self._handles.get(key)
        if handle is not None:
            self._handles.move_to_end(key)
        return handle

    def _remember(self, key: int | bytes, handle: Handle) -> None:
        self._handles[key] = handle
        while len(self._handles) > self._open_files:
            self._handles.popitem(last=False)

    def drop(self, key: int | bytes) -> None:
        """Forget a handle: its file is unlinked, or is to be looked at anew."""
        self._handles.pop(key, None)

    def close(self) -> None:
        """Forget all handles."""
        self._handles.clear()


def _key(shard_id: bytes, entry: Entry) -> int | bytes:
    return shard_id if entry.pack == FILE else entry.pack


def _record(head: Buffer, handle: Handle, shard_id: bytes, entry: Entry) -> Record:
    record = decode_head(head, 0, entry.place, handle.salt)
    if record is None or not record.is_shard or record.shard_id != shard_id or record.length != entry.length:
        raise Mismatch("its record's header does not match")
    return record


def _verified(blocks: memoryview, table: bytes, first: int, last: int, start: int, stop: int) -> memoryview:
    if len(blocks) != last - first or not matches(table, first // BLOCK_BYTES, blocks):
        raise Mismatch("a block does not match its checksum")
    return blocks[start - first : stop - first]
