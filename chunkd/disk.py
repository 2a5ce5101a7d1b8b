"""Every call that touches the disk, in one class, so that a test can record, cut or fail any of them.

Knows file descriptors, paths and bytes; knows nothing of packs, shards or the index. SQLite does its own
writing and passes through `commit` only.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from chunkd.errors import SyncFailed

Buffer = bytes | bytearray | memoryview

MAX_BUFFERS = 1000
"""Below the kernel's IOV_MAX of 1024."""


class Space(NamedTuple):
    """Of the file system that holds a path."""

    capacity_bytes: int
    free_bytes: int
    device: str


class Disk:
    """The real disk. Methods raise OSError; the three syncs raise SyncFailed (law 8)."""

    def open(self, path: Path, flags: int) -> int:
        """Open or create a file, readable by its owner only."""
        return os.open(path, flags | os.O_CLOEXEC, 0o600)

    def close(self, fd: int) -> None:
        """Give a descriptor back."""
        os.close(fd)

    def write(self, fd: int, buffers: Sequence[Buffer], offset: int) -> None:
        """Write all buffers one after the other at an offset, however often the kernel stops short."""
        for first in range(0, len(buffers), MAX_BUFFERS):
            part = buffers[first : first + MAX_BUFFERS]
            total = sum(map(len, part))
            done = os.pwritev(fd, part, offset)
            if done < total:
                self._write_rest(fd, memoryview(b"".join(part))[done:], offset + done)
            offset += total

    def _write_rest(self, fd: int, rest: memoryview, offset: int) -> None:
        while rest:
            done = os.pwrite(fd, rest, offset)
            rest = rest[done:]
            offset += done

    def read(self, fd: int, size: int, offset: int) -> bytes:
        """Up to `size` bytes; fewer only at the end of the file."""
        data = os.pread(fd, size, offset)
        while 0 < len(data) < size:
            more = os.pread(fd, size - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data

    def read_cached(self, fd: int, buffer: bytearray | memoryview, offset: int) -> int:
        """Fill from the page cache alone; BlockingIOError when the disk would have to be asked."""
        return os.preadv(fd, [buffer], offset, os.RWF_NOWAIT)

    def fdatasync(self, fd: int) -> None:
        """The content, and what is needed to find it, is on stable storage."""
        try:
            os.fdatasync(fd)
        except OSError as error:
            raise SyncFailed(error.errno, f"fdatasync: {error.strerror}") from error

    def fsync(self, fd: int) -> None:
        """Content and all attributes are on stable storage."""
        try:
            os.fsync(fd)
        except OSError as error:
            raise SyncFailed(error.errno, f"fsync: {error.strerror}") from error

    def sync_directory(self, path: Path) -> None:
        """The names in a directory are on stable storage."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        except OSError as error:
            raise SyncFailed(error.errno, f"fsync of {path}: {error.strerror}") from error
        finally:
            os.close(fd)

    def truncate(self, fd: int, size: int) -> None:
        """Cut a file."""
        os.ftruncate(fd, size)

    def allocate(self, fd: int, size: int) -> None:
        """Reserve room, so that a large write meets ENOSPC at its beginning."""
        os.posix_fallocate(fd, 0, size)

    def rename(self, source: Path, target: Path) -> None:
        """Replace `target` atomically."""
        os.rename(source, target)

    def unlink(self, path: Path) -> None:
        """Remove a name."""
        os.unlink(path)

    def mkdir(self, path: Path) -> None:
        """Make a directory for the owner only."""
        os.mkdir(path, 0o700)

    def rmdir(self, path: Path) -> None:
        """Remove an empty directory."""
        os.rmdir(path)

    def names(self, path: Path) -> list[str]:
        """What a directory holds, sorted."""
        return sorted(os.listdir(path))

    def exists(self, path: Path) -> bool:
        """Whether a name is there."""
        return os.path.lexists(path)

    def size(self, fd: int) -> int:
        """How long an open file is."""
        return os.fstat(fd).st_size

    def identity(self, fd: int) -> tuple[int, int]:
        """Device and inode of an open file."""
        status = os.fstat(fd)
        return status.st_dev, status.st_ino

    def space(self, path: Path) -> Space:
        """Capacity and what is free for us, of the file system under a path."""
        status = os.statvfs(path)
        device = os.stat(path).st_dev
        name = f"{os.major(device)}:{os.minor(device)}"
        return Space(status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize, name)

    def commit(self, connection: sqlite3.Connection, path: Path) -> None:
        """Commit SQLite's transaction on the index at `path`."""
        connection.commit()
