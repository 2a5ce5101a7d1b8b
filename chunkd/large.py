"""Writing one large shard: temporary file, steps of some 256 KiB in a thread, footer, sync, name, directory sync.

At most one step is under way while the next gathers, so memory is bounded whatever the length. Knows neither the
index nor other shards: the engine decides whether the finished file may have its name.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
from concurrent.futures import Executor
from enum import Enum
from pathlib import Path

from chunkd.blocks import crc32c
from chunkd.core import Core, log, milliseconds
from chunkd.database import FILE, LIVE, Entry
from chunkd.disk import Buffer, Disk
from chunkd.errors import BadChecksum, ShardConflict, StoreError, StoreFull, StoreReadOnly
from chunkd.files import Footer, encode_footer
from chunkd.packs import is_full
from chunkd.wire import BLOCK_BYTES


class PutResult(Enum):
    """Whether a write made the shard or found it there."""

    CREATED = "created"
    EXISTS = "exists"


class Spool:
    """A temporary file and its checksums. All methods but `write` and `drain` are for threads."""

    def __init__(self, path: Path, length: int, disk: Disk, threads: Executor, step: int) -> None:
        self.path = path
        self.length = length
        self.crc = 0
        self._disk = disk
        self._threads = threads
        self._step = max(step - step % BLOCK_BYTES, BLOCK_BYTES)
        self._fd = -1
        self._gathered: list[Buffer] = []
        self._gathered_bytes = 0
        self._received = 0
        self._sent = 0
        self._sums: list[int] = []
        self._under_way: asyncio.Future[None] | None = None

    async def write(self, data: Buffer) -> None:
        """Take the next bytes. They must not change afterwards: they may be kept for a while."""
        self._received += len(data)
        if self._received > self.length:
            raise BadChecksum(f"more than the {self.length} bytes that were announced")
        self._gathered.append(data)
        self._gathered_bytes += len(data)
        if self._gathered_bytes >= self._step:
            await self._send(self._gathered_bytes - self._gathered_bytes % BLOCK_BYTES)

    async def drain(self) -> None:
        """Everything is in the file, though not synced."""
        if self._received != self.length:
            raise BadChecksum(f"{self._received} bytes came, {self.length} were announced")
        if self._gathered_bytes or self._fd < 0:
            await self._send(self._gathered_bytes)
        await self.wait()

    async def _send(self, size: int) -> None:
        await self.wait()
        joined = memoryview(b"".join(self._gathered))
        step, rest = joined[:size], joined[size:]
        self._gathered = [rest] if rest else []
        self._gathered_bytes = len(rest)
        offset, self._sent = self._sent, self._sent + size
        loop = asyncio.get_running_loop()
        self._under_way = loop.run_in_executor(self._threads, self._put, step, offset)

    async def wait(self) -> None:
        """Until no step is under way. A cancelled waiter leaves the step alone."""
        if self._under_way is not None:
            await asyncio.shield(self._under_way)
            self._under_way = None

    def _put(self, step: memoryview, offset: int) -> None:
        if self._fd < 0:
            self._fd = self._disk.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
            if self.length:
                self._disk.allocate(self._fd, self.length)
        for at in range(0, len(step), BLOCK_BYTES):
            self._sums.append(crc32c(step[at : at + BLOCK_BYTES]))
        self.crc = crc32c(step, self.crc)
        self._disk.write(self._fd, [step], offset)

    def sync(self, shard_id: bytes, time: int) -> None:
        """Write the end of the file, sync it and close it."""
        table = struct.pack(f"<{len(self._sums)}I", *self._sums)
        footer = encode_footer(Footer(shard_id, self.length, self.crc, crc32c(table), time))
        self._disk.write(self._fd, [table, footer], self.length)
        self._disk.fdatasync(self._fd)
        self._close()

    def discard(self) -> None:
        """Close and unlink what was written."""
        if self._fd >= 0:
            self._close()
        with contextlib.suppress(FileNotFoundError):
            self._disk.unlink(self.path)

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        self._disk.close(fd)


class LargeWrite:
    """One large shard on its way in: `write` until all is there, then `commit`; or `abort`, at any time."""

    def __init__(self, core: Core, shard_id: bytes, length: int, path: Path) -> None:
        self._core = core
        self._shard_id = shard_id
        self._length = length
        self._spool = Spool(path, length, core.disk, core.writers, core.limits.write_bytes)
        self._ended = False

    async def write(self, data: Buffer) -> None:
        """Take the next bytes. They must not change afterwards."""
        try:
            await self._spool.write(data)
        except OSError as error:
            raise self._store_error(error) from error

    async def commit(self) -> tuple[PutResult, int]:
        """Durable, named and in the index when it returns, with the checksum of what was stored."""
        core, shard_id = self._core, self._shard_id
        try:
            await self._spool.drain()
        except OSError as error:
            raise self._store_error(error) from error
        await core.settled(shard_id)
        known = core.index.find(shard_id)
        if known is not None:
            await self.abort()
            return same_shard(known, self._length, self._spool.crc), self._spool.crc
        if core.read_only is not None:
            raise StoreReadOnly(core.read_only)
        core.pending[shard_id] = []
        self._ended = True
        await asyncio.shield(asyncio.ensure_future(self._finish()))
        return PutResult.CREATED, self._spool.crc

    async def _finish(self) -> None:
        """From here on it is not cancelled: the file gets its name, and then its place in the index."""
        core, spool = self._core, self._spool
        generation = core.files.reserve()
        try:
            await core.call(core.writers, self._keep, generation)
            core.index.add(self._shard_id, self._length, spool.crc, FILE, generation)
        except BaseException:
            with contextlib.suppress(OSError, StoreError):
                await core.call(core.writers, spool.discard)
            raise
        finally:
            core.files.settle(generation)
            core.release(self._shard_id)

    def _keep(self, generation: int) -> None:
        self._spool.sync(self._shard_id, milliseconds(self._core.now()))
        self._core.files.keep(self._spool.path, self._shard_id, generation)

    async def abort(self) -> None:
        """Throw away what was written. Does nothing after `commit`."""
        if self._ended:
            return
        self._ended = True
        with contextlib.suppress(OSError):
            await self._spool.wait()
        try:
            await self._core.call(self._core.writers, self._spool.discard)
        except (OSError, StoreError) as error:
            log.error("%s stays until the next start: %s", self._spool.path, error)

    def _store_error(self, error: OSError) -> StoreError:
        if is_full(error):
            self._core.measure_space()
            return StoreFull(str(error))
        self._core.fail(f"writing a file: {error}")
        return StoreReadOnly(str(error))


def same_shard(known: Entry, length: int, crc: int) -> PutResult:
    """EXISTS if what is there is what was sent; an id is never used for anything else (law 3)."""
    if known.state != LIVE:
        raise ShardConflict("this shard was deleted")
    if known.length != length or known.crc != crc:
        raise ShardConflict("this id is taken by other content")
    return PutResult.EXISTS
