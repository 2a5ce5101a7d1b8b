"""A small store for tests: everything tiny, a clock that is set by hand, faults on demand."""

from __future__ import annotations

import dataclasses
import errno
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from chunkd.blocks import crc32c
from chunkd.disk import Buffer, Disk, Space
from chunkd.errors import SyncFailed
from chunkd.shards import Limits, PutResult, Shards
from chunkd.superblock import initialise

TINY = Limits(
    small_shard_bytes=256 * 1024,
    pack_bytes=64 * 1024,
    batch_bytes=32 * 1024,
    fill_bytes=32 * 1024,
    write_bytes=64 * 1024,
    generation_files=3,
    free_floor_bytes=0,
    free_short_bytes=0,
    trash_seconds=100.0,
    compaction_bytes=16 * 1024,
    disk_threads=2,
)


class FaultyDisk(Disk):
    """Fails when it is told to."""

    def __init__(self) -> None:
        self.fail_sync = False
        self.fail_directory_sync = False
        self.fail_commit = False
        self.room: int | None = None
        self.free: int | None = None

    def fdatasync(self, fd: int) -> None:
        if self.fail_sync:
            raise SyncFailed(errno.EIO, "fdatasync: injected")
        super().fdatasync(fd)

    def sync_directory(self, path: Path) -> None:
        if self.fail_directory_sync:
            raise SyncFailed(errno.EIO, "directory: injected")
        super().sync_directory(path)

    def write(self, fd: int, buffers: Sequence[Buffer], offset: int) -> None:
        if self.room is not None:
            size = sum(map(len, buffers))
            if size > self.room:
                super().write(fd, [b"".join(buffers)[: self.room]], offset)
                raise OSError(errno.ENOSPC, "injected")
            self.room -= size
        super().write(fd, buffers, offset)

    def allocate(self, fd: int, size: int) -> None:
        if self.room is not None and size > self.room:
            raise OSError(errno.ENOSPC, "injected")
        super().allocate(fd, size)

    def space(self, path: Path) -> Space:
        space = super().space(path)
        return space if self.free is None else space._replace(free_bytes=self.free)


class Clock:
    """Time as the test says it is."""

    def __init__(self) -> None:
        self.seconds = 1_000_000.0

    def __call__(self) -> float:
        return self.seconds


def make_store(directory: Path) -> Path:
    """A new store in a directory of its own."""
    store = directory / "store"
    initialise(store, cluster_id=b"c" * 16)
    return store


@asynccontextmanager
async def opened(
    store: Path, *, disk: Disk | None = None, clock: Clock | None = None, **limits: Any
) -> AsyncIterator[Shards]:
    """An open store, closed at the end."""
    shards = Shards.open(store, limits=dataclasses.replace(TINY, **limits), disk=disk, now=clock or Clock())
    try:
        yield shards
    finally:
        await shards.close()


def sid(number: int) -> bytes:
    """A shard id."""
    return number.to_bytes(17, "big")


async def put(shards: Shards, number: int, body: bytes) -> PutResult:
    """A small shard."""
    return await shards.put(sid(number), body, crc32c(body))


async def put_large(shards: Shards, number: int, body: bytes, step: int = 50_000) -> PutResult:
    """A large shard, in steps."""
    write = shards.begin(sid(number), len(body))
    for at in range(0, len(body), step):
        await write.write(body[at : at + step])
    result, crc = await write.commit()
    assert crc == crc32c(body)
    return result


async def whole(shards: Shards, number: int) -> bytes:
    """The body of a shard."""
    info = shards.find(sid(number))
    assert info is not None
    data, crc, _ = await shards.read(sid(number), 0, info.length)
    assert crc == info.crc32c
    return bytes(data)


async def settle(shards: Shards, rounds: int = 200) -> None:
    """Background work until there is none."""
    for _ in range(rounds):
        if not await shards._upkeep.unit():
            return
    raise AssertionError("background work does not end")


async def purge(shards: Shards) -> None:
    """Purge what is due, and do nothing else."""
    await shards.checkpoint()
    while await shards._upkeep.purger.step():
        pass


def forget_last_checkpoint(shards: Shards) -> None:
    """Closing will not write the index: as if the process were killed now."""

    async def none(*, force: bool = False) -> None:
        del force

    shards._core.checkpoint = none  # type: ignore[method-assign]


def state_of(shards: Shards, number: int) -> str | None:
    """live, trash or None."""
    info = shards.find(sid(number))
    return None if info is None else info.state
