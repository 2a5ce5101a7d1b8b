"""The engine: what a node can do with shards. Storage behind it, no HTTP before it.

    store, put, put_bundle  small shards into a pack with group commit
    begin                   a large one into a file of its own
    find, read, list        what is there, every byte verified (law 7)
    trash                   deletion, durable when it returns; readable until it is purged

Used from one event loop. Acknowledged means durable (law 2); a shard is never changed (law 3).
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from chunkd.blocks import crc32c
from chunkd.bundle import Packed
from chunkd.core import Core, milliseconds
from chunkd.database import FILE, LIVE, TRASHED, Damage, Entry
from chunkd.disk import Buffer, Disk
from chunkd.errors import (
    BadChecksum,
    ShardConflict,
    ShardCorrupt,
    ShardMissing,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreRefused,
    SyncFailed,
)
from chunkd.large import LargeWrite, PutResult, same_shard
from chunkd.limits import Limits
from chunkd.packs import Draft
from chunkd.reads import Gone, Mismatch
from chunkd.records import PUT, TRASH
from chunkd.recovery import recover
from chunkd.superblock import (
    TMP,
    DirectoryLock,
    Superblock,
    load_superblock,
    mark_read_only,
    read_only_reason,
    save_superblock,
)
from chunkd.upkeep import Upkeep
from chunkd.wire import LIST_ALL, NODE_FULL, NODE_OK, NODE_READ_ONLY, SHARD_ID_BYTES, SHARD_LIVE, SHARD_TRASH, Place

__all__ = [
    "BadChecksum",
    "Disk",
    "LargeWrite",
    "Limits",
    "PutResult",
    "ShardConflict",
    "ShardCorrupt",
    "ShardInfo",
    "ShardMissing",
    "Shards",
    "StoreError",
    "StoreFull",
    "StoreReadOnly",
    "StoreRefused",
    "Superblock",
    "Usage",
]

_READ_TRIES = 4
_TRASH_RECORDS = 256
"""Deleted in one go: others have their turn in between."""


Stored = Callable[["list[PutResult | StoreError]"], None]


class ShardInfo(NamedTuple):
    """What is known of a shard without reading it."""

    length: int
    crc32c: int
    state: str


@dataclass(frozen=True, slots=True)
class Usage:
    """For /health and /metrics."""

    state: str
    reason: str
    capacity_bytes: int
    free_bytes: int
    used_bytes: int
    shards: int
    trashed: int
    queue: int
    queued_bytes: int
    fsync_seconds: float
    io_errors: int
    damaged: int
    unsaved: int
    packs: int
    device: str


class Shards:
    """An open store."""

    def __init__(self, core: Core, superblock: Superblock, lock: DirectoryLock) -> None:
        self.superblock = superblock
        self._core = core
        self._lock = lock
        self._upkeep = Upkeep(core)
        self._temporary = 0

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        limits: Limits,
        disk: Disk | None = None,
        now: Callable[[], float],
        cluster_id: bytes | None = None,
    ) -> Shards:
        """Lock, recover and sync; StoreRefused when this is not a directory to write to."""
        disk = disk or Disk()
        load_superblock(directory, disk)
        lock = DirectoryLock(directory, disk)
        try:
            superblock = load_superblock(directory, disk)
            if cluster_id is not None and superblock.cluster_id != cluster_id:
                raise StoreRefused(f"{directory} belongs to cluster {superblock.cluster_id.hex()}")
            reason = read_only_reason(directory)
            index = recover(directory, superblock, disk, milliseconds(now()), read_only=reason is not None)
            return cls(Core(directory, superblock, disk, limits, now, index, reason), superblock, lock)
        except SyncFailed as error:
            # Law 8: the next start must not simply try again.
            with contextlib.suppress(OSError):
                mark_read_only(directory, f"while recovering: {error}", disk)
            lock.release()
            raise StoreRefused(f"{directory} is read-only from now on, recovery failed: {error}") from error
        except BaseException:
            lock.release()
            raise

    def save_superblock(self, *, incarnation: int, nonce: bytes) -> None:
        """Remember a step of joining: atomic, and durable when it returns. Takes a few milliseconds."""
        if self._core.read_only is not None:
            raise StoreReadOnly(self._core.read_only)
        superblock = dataclasses.replace(self.superblock, incarnation=incarnation, nonce=nonce)
        save_superblock(self._core.directory, superblock, self._core.disk)
        self.superblock = superblock

    # --- writing ---

    def store(self, shards: Sequence[Packed], stored: Stored) -> bool:
        """Begin to store small shards, no two of one id, with one sync. `stored` hears, now or later, of each in turn
        that it is durable or why it was refused. False, and nothing has begun, if they have to wait before."""
        core = self._core
        size = 0
        for shard_id, body, _ in shards:
            # None is claimed before all can be: two bundles that wait for each other's would wait for ever.
            if shard_id in core.pending:
                return False
            size += len(body)
        if not core.admits(size):
            return False
        results: list[PutResult | StoreError] = []
        drafts: list[Draft] = []
        time = milliseconds(core.now())
        size = 0
        for shard_id, body, crc in shards:
            try:
                self._check_small(shard_id, body, crc)
                known = core.index.find(shard_id)
                if known is not None:
                    results.append(same_shard(known, len(body), crc))
                    continue
                draft = Draft(PUT, shard_id, time, body, crc)
                core.require_room(draft.size)
            except StoreError as error:
                results.append(error)
                continue
            size += draft.size
            drafts.append(draft)
            results.append(PutResult.CREATED)
        if not drafts:
            stored(results)
            return True

        def written(error: StoreError | None) -> None:
            stored(results if error is None else [error if one is PutResult.CREATED else one for one in results])

        for draft in drafts:
            core.pending[draft.shard_id] = []
        core.committer.submit(drafts, size, written)
        return True

    async def put_bundle(self, shards: Sequence[Packed]) -> list[PutResult | StoreError]:
        """`store`, after waiting as long as need be: what became of each."""
        core = self._core
        outcome: asyncio.Future[list[PutResult | StoreError]] = asyncio.get_running_loop().create_future()

        def stored(results: list[PutResult | StoreError]) -> None:
            if not outcome.done():
                outcome.set_result(results)

        while not self.store(shards, stored):
            await core.admit(sum([len(one.body) for one in shards]))
            while (busy := next((one.shard_id for one in shards if one.shard_id in core.pending), None)) is not None:
                await core.settled(busy)
        return await outcome

    async def put(self, shard_id: bytes, body: Buffer, crc: int) -> PutResult:
        """Store a small shard: durable when it returns."""
        (result,) = await self.put_bundle((Packed(shard_id, body, crc),))
        if isinstance(result, StoreError):
            raise result
        return result

    def _check_small(self, shard_id: bytes, body: Buffer, crc: int) -> None:
        length = len(body)
        if length > self._core.limits.small_shard_bytes or len(shard_id) != SHARD_ID_BYTES:
            raise ValueError(f"not a small shard: {length} bytes, an id of {len(shard_id)}")
        if crc32c(body) != crc:
            raise BadChecksum("the body does not match its checksum")

    def begin(self, shard_id: bytes, length: int) -> LargeWrite:
        """Begin a shard that gets a file of its own."""
        if length < 0 or len(shard_id) != SHARD_ID_BYTES:
            raise ValueError(f"not a shard: {length} bytes, an id of {len(shard_id)}")
        self._core.require_room(length)
        self._temporary += 1
        path = self._core.directory / TMP / f"{shard_id.hex()}.{self._temporary}"
        return LargeWrite(self._core, shard_id, length, path)

    async def trash(self, ids: Sequence[bytes]) -> None:
        """Delete shards: durable when it returns. What is not there is not there already."""
        core = self._core
        if core.read_only is not None:
            raise StoreReadOnly(core.read_only)
        for first in range(0, len(ids), _TRASH_RECORDS):
            some = ids[first : first + _TRASH_RECORDS]
            while (busy := next((one for one in some if one in core.pending), None)) is not None:
                await core.settled(busy)
            core.index.fetch(some)
            time = milliseconds(core.now())
            drafts: list[Draft] = []
            for shard_id in some:
                known = core.index.find(shard_id)
                if known is not None and known.state == LIVE:
                    drafts.append(Draft(TRASH, shard_id, time))
            if drafts:
                await core.append(drafts)

    # --- reading ---

    def find(self, shard_id: bytes) -> ShardInfo | None:
        """What is known of a shard; None if it is not here."""
        entry = self._core.index.find(shard_id)
        return None if entry is None else _info(entry)

    def look(self, shard_id: bytes) -> Entry | None:
        """Where a shard lies, for `read_now`; None if it is not here."""
        return self._core.index.find(shard_id)

    def read_now(
        self, shard_id: bytes, entry: Entry, start: int, stop: int
    ) -> tuple[memoryview, int, ShardInfo] | None:
        """What `read` would return, verified as there, if it is in memory where the entry says; else None."""
        try:
            data = self._core.reader.cached(shard_id, entry, start, stop)
        except Mismatch:
            return None
        if data is None:
            return None
        crc = crc32c(data)
        return None if stop - start == entry.length and crc != entry.crc else (data, crc, _info(entry))

    def place(self, shard_id: bytes, entry: Entry, start: int, stop: int) -> Place | None:
        """Where its bytes can be read by whoever verifies them, if the page cache has these; else None."""
        return self._core.reader.place(shard_id, entry, start, stop)

    async def read(self, shard_id: bytes, start: int, stop: int) -> tuple[memoryview, int, ShardInfo]:
        """The bytes [start, stop), their checksum, and what is known of the shard. Verified (law 7)."""
        core = self._core
        entry: Entry | None = None
        mismatch: Mismatch | None = None
        for _ in range(_READ_TRIES):
            before, entry = entry, core.index.find(shard_id)
            if entry is None:
                raise ShardMissing(shard_id.hex())
            if not 0 <= start <= stop <= entry.length:
                raise ValueError(f"[{start}, {stop}) is not within the {entry.length} bytes of {shard_id.hex()}")
            if mismatch is not None and before is not None and before[3:5] == entry[3:5]:
                break
            try:
                data = await core.reader.read(shard_id, entry, start, stop)
            except Mismatch as error:
                mismatch = error
                core.reader.drop(shard_id if entry.pack == FILE else entry.pack)
                continue
            crc = crc32c(data)
            if stop - start == entry.length and crc != entry.crc:
                mismatch = Mismatch("the whole does not match its checksum")
                continue
            return data, crc, _info(entry)
        assert entry is not None
        if isinstance(mismatch, Gone) and entry.state == TRASHED:
            # Its file is unlinked before its PURGE is logged: it is on its way out.
            raise ShardMissing(shard_id.hex())
        now = milliseconds(core.now())
        core.damaged(Damage(entry.pack, entry.place, entry.length, shard_id, str(mismatch), now))
        raise ShardCorrupt(f"{shard_id.hex()}: {mismatch}")

    def list(
        self, prefix: bytes, after: bytes, limit: int, state: str
    ) -> tuple[list[tuple[bytes, ShardInfo]], bytes | None]:
        """Shards whose ids begin with `prefix` and come after `after`, in order; after which one there may be more."""
        first, inclusive = (after, False) if after >= prefix else (prefix, True)
        found: list[tuple[bytes, ShardInfo]] = []
        most = self._core.limits.list_entries
        walk = self._core.index.walk(first, inclusive=inclusive)
        try:
            for looked_at, (shard_id, entry) in enumerate(walk, 1):
                if not shard_id.startswith(prefix):
                    break
                info = _info(entry)
                if state in (LIST_ALL, info.state):
                    if len(found) == limit:
                        return found, found[-1][0]
                    found.append((shard_id, info))
                if looked_at == most:
                    return found, shard_id
            return found, None
        finally:
            walk.close()

    def usage(self) -> Usage:
        """How things stand."""
        core = self._core
        at = core.index.at
        state = NODE_READ_ONLY if core.read_only is not None else NODE_FULL if core.full else NODE_OK
        return Usage(
            state=state,
            reason=core.read_only or "",
            capacity_bytes=core.space.capacity_bytes,
            free_bytes=max(0, core.space.free_bytes - core.limits.free_floor_bytes),
            used_bytes=at.file_bytes + sum(totals.bytes for totals in core.index.packs.values()),
            shards=at.shards,
            trashed=at.trashed,
            queue=core.committer.queued,
            queued_bytes=core.committer.queued_bytes,
            fsync_seconds=core.sync_seconds,
            io_errors=core.io_errors,
            damaged=len(core.index.damage),
            unsaved=core.index.unsaved,
            packs=len(core.index.packs),
            device=core.space.device,
        )

    def damage(self) -> Sequence[Damage]:
        """The places that did not match their checksums: quarantined, never deleted."""
        return tuple(self._core.index.damage)

    # --- the life of a store ---

    async def run_background(self) -> None:
        """Checkpoints, zeros ahead, trash, compaction, scrub: until cancelled."""
        await self._upkeep.run()

    async def checkpoint(self) -> None:
        """Bring the index on disk up to date now."""
        await self._core.checkpoint()

    async def close(self) -> None:
        """Finish what is queued, take a checkpoint, unlock. `run_background` was cancelled before."""
        try:
            await self._core.close()
        finally:
            self._lock.release()


def _info(entry: Entry) -> ShardInfo:
    return ShardInfo(entry.length, entry.crc, SHARD_LIVE if entry.state == LIVE else SHARD_TRASH)
