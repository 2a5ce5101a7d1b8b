"""What all parts of the engine share: the index, the log's end, files, threads, space, and the read-only state.

The one place where a durable batch becomes visible, where a checkpoint is taken and where a failed sync stops all
writing (law 8). Lives in one event loop. Knows no request and decides nothing about shards.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from chunkd.committer import Batch, Committer
from chunkd.database import Damage
from chunkd.disk import Disk, Space
from chunkd.errors import StoreError, StoreFull, StoreReadOnly, SyncFailed
from chunkd.files import Files
from chunkd.index import Index
from chunkd.limits import MIB, Limits
from chunkd.packs import Draft, PackWriter, is_full
from chunkd.reads import Reader
from chunkd.records import MOVED, PUT, TRASH
from chunkd.superblock import FILES, PACKS, Superblock, mark_read_only

log = logging.getLogger("chunkd")

P = ParamSpec("P")
T = TypeVar("T")

_SPACE_SECONDS = 1.0
_SPACE_BYTES = 8 * MIB
_UNSAVED_FACTOR = 4
_SMOOTHING = 0.1


class Core:
    """The state of an open store."""

    def __init__(
        self,
        directory: Path,
        superblock: Superblock,
        disk: Disk,
        limits: Limits,
        now: Callable[[], float],
        index: Index,
        read_only: str | None,
    ) -> None:
        self.directory = directory
        self.disk = disk
        self.limits = limits
        self.now = now
        self.salt = superblock.salt
        self.index = index
        self.read_only = read_only
        self.io_errors = 0
        self.sync_seconds = 0.0
        self.pending: dict[bytes, list[asyncio.Future[None]]] = {}
        self.wake = asyncio.Event()
        self.readers = ThreadPoolExecutor(limits.disk_threads, "chunkd-read")
        self.writers = ThreadPoolExecutor(limits.disk_threads, "chunkd-write")
        self.background = ThreadPoolExecutor(2, "chunkd-background")
        at = index.at
        self.files = Files(
            directory / FILES,
            disk,
            generation=at.generation,
            count=index.generations.get(at.generation, 0),
            most=limits.generation_files,
        )
        self.reader = Reader(
            directory / PACKS,
            self.files,
            disk,
            superblock.salt,
            self.readers,
            open_files=limits.open_files,
            small=limits.small_read_bytes,
        )
        self.writer = PackWriter(
            directory / PACKS,
            disk,
            superblock.salt,
            number=at.pack,
            tail=at.tail,
            pack_bytes=limits.pack_bytes,
        )
        self.committer = Committer(
            self.writer,
            batch=at.batch,
            batch_bytes=limits.batch_bytes,
            queue_bytes=limits.queue_bytes,
            applied=self._applied,
            failed=self._failed,
        )
        self._checkpointing = asyncio.Lock()
        self._logged_bytes = 0
        self._saved_at = now()
        self.space = disk.space(directory)
        self._measured_at = now()
        self._unmeasured = 0

    # --- space ---

    def measure_space(self) -> Space:
        """Ask the file system again."""
        self.space = self.disk.space(self.directory)
        self._measured_at = self.now()
        self._unmeasured = 0
        return self.space

    def require_room(self, size: int) -> None:
        """StoreReadOnly or StoreFull, unless a write of this size may begin."""
        if self.read_only is not None:
            raise StoreReadOnly(self.read_only)
        self._unmeasured += size
        if self._unmeasured > _SPACE_BYTES or self.now() - self._measured_at > _SPACE_SECONDS:
            self.measure_space()
            self._unmeasured = size
        if self.space.free_bytes - self._unmeasured < self.limits.free_floor_bytes:
            raise StoreFull(f"{self.space.free_bytes} bytes are free, the floor is {self.limits.free_floor_bytes}")

    @property
    def full(self) -> bool:
        """Below the floor."""
        return self.space.free_bytes - self._unmeasured < self.limits.free_floor_bytes

    @property
    def short(self) -> bool:
        """Little enough room that the trash should go."""
        return self.space.free_bytes < self.limits.free_short_bytes

    # --- the log ---

    def admits(self, size: int) -> bool:
        """Whether queue and memory take one more write (law 9)."""
        return self.committer.has_room(size) and self.index.unsaved <= _UNSAVED_FACTOR * self.limits.checkpoint_entries

    async def admit(self, size: int) -> None:
        """Wait until they do."""
        await self.committer.room(size)
        if not self.admits(size):
            await self.checkpoint()

    async def append(self, drafts: Sequence[Draft]) -> None:
        """Write records; they are durable and in the index when this returns."""
        size = sum([draft.size for draft in drafts])
        await self.committer.room(size)
        written = asyncio.get_running_loop().create_future()
        self.committer.submit(drafts, size, partial(_tell, written))
        await written

    def _applied(self, batch: Batch) -> None:
        """A batch is durable: it becomes visible before anybody is told."""
        index = self.index
        pack = batch.pack
        for draft, offset in zip(batch.drafts, batch.offsets, strict=True):
            kind = draft.kind
            if kind == PUT:
                index.add(draft.shard_id, len(draft.body), draft.crc, pack, offset)
                self.release(draft.shard_id)
            elif kind == MOVED:
                index.move(draft.shard_id, len(draft.body), draft.crc, pack, offset)
            elif kind == TRASH:
                index.mark(draft.shard_id, draft.time)
            else:
                index.forget(draft.shard_id)
        index.advance(pack, batch.offsets[-1] + batch.drafts[-1].size, batch.number)
        self._logged_bytes += batch.size
        self.sync_seconds += _SMOOTHING * (batch.seconds - self.sync_seconds)
        if self._much_has_changed or self.writer.needs_fill(self.limits.fill_bytes):
            self.wake.set()

    def _failed(self, batch: Batch, error: BaseException) -> None:
        for draft in batch.drafts:
            if draft.kind == PUT:
                self.release(draft.shard_id)
        if is_full(error):
            with contextlib.suppress(OSError):  # nobody of the batch would be told
                self.measure_space()
        elif not isinstance(error, StoreReadOnly):
            self.fail(f"writing to a pack: {error}")

    def release(self, shard_id: bytes) -> None:
        """A write of this id has ended; those who waited for it look again."""
        for follower in self.pending.pop(shard_id, ()):
            if not follower.done():
                follower.set_result(None)

    async def settled(self, shard_id: bytes) -> None:
        """Wait until no write of this id is under way."""
        while (followers := self.pending.get(shard_id)) is not None:
            follower = asyncio.get_running_loop().create_future()
            followers.append(follower)
            await follower

    # --- failures ---

    def fail(self, reason: str) -> None:
        """Write nothing more until an operator has looked (law 8)."""
        self.io_errors += 1
        if self.read_only is not None:
            return
        self.read_only = reason
        self.committer.stop(reason)
        log.critical("%s is read-only from now on: %s", self.directory, reason)
        self.background.submit(self._mark, reason)

    def _mark(self, reason: str) -> None:
        try:
            mark_read_only(self.directory, reason, self.disk)
        except OSError as error:
            log.critical("%s: could not even note that it is read-only: %s", self.directory, error)

    def damaged(self, damage: Damage) -> None:
        """Something does not match its checksum. It stays where it is."""
        self.io_errors += 1
        if self.index.report(damage):
            log.error("damage in pack %d at %d: %s", damage.pack, damage.place, damage.reason)

    async def call(self, threads: ThreadPoolExecutor, act: Callable[P, T], *args: P.args, **_: P.kwargs) -> T:
        """Run something in a thread; a failed sync stops all writing, a full disk is StoreFull."""
        try:
            return await asyncio.get_running_loop().run_in_executor(threads, act, *args)
        except SyncFailed as error:
            self.fail(str(error))
            raise StoreReadOnly(str(error)) from error
        except OSError as error:
            if is_full(error):
                raise StoreFull(str(error)) from error
            raise

    # --- checkpoints ---

    @property
    def _much_has_changed(self) -> bool:
        limits = self.limits
        return len(self.index.recent) >= limits.checkpoint_entries or self._logged_bytes >= limits.checkpoint_bytes

    @property
    def checkpoint_due(self) -> bool:
        """Whether enough has changed, or long enough ago, for the index to be written."""
        return self._much_has_changed or (
            self.index.dirty and self.now() - self._saved_at >= self.limits.checkpoint_seconds
        )

    async def checkpoint(self, *, force: bool = False) -> None:
        """Bring the index on disk up to date. Runs to its end even if the caller is cancelled."""
        if self.read_only is None:
            await asyncio.shield(asyncio.ensure_future(self._checkpoint(force)))

    async def _checkpoint(self, force: bool) -> None:
        async with self._checkpointing:
            if not force and not self.index.dirty:
                return
            changes = self.index.freeze(self.files.oldest_open)
            self._logged_bytes = 0
            try:
                await self.call(self.background, self.index.database.save, changes)
            except BaseException:
                self.index.not_saved()
                raise
            self.index.saved(changes)
            self._saved_at = self.now()

    async def close(self) -> None:
        """Finish what is under way, take a last checkpoint, let go of everything."""
        await self.committer.close()
        try:
            await self.checkpoint(force=True)  # for the scrub's place, too
        except (StoreError, OSError) as error:
            log.error("no checkpoint at the end: %s", error)
        self.reader.close()
        loop = asyncio.get_running_loop()
        for threads in (self.readers, self.writers, self.background):
            await loop.run_in_executor(None, threads.shutdown)
        self.writer.close()
        with contextlib.suppress(Exception):
            self.index.database.close()


def _tell(written: asyncio.Future[None], error: StoreError | None) -> None:
    if not written.done():
        if error is None:
            written.set_result(None)
        else:
            written.set_exception(error)


def milliseconds(seconds: float) -> int:
    """Times in records and in the index."""
    return int(seconds * 1000)
