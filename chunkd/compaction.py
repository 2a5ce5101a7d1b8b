"""Getting space back from packs that are mostly dead, in bounded steps.

What must be kept of a full pack is appended again: shards as MOVED, TRASH while the id exists, PURGE while a pack
that may hold the shard's bytes exists. The old pack is unlinked only after a checkpoint said that nothing in it is
needed. A pack with damage is left alone. Purging never runs at the same time (the background task does one thing
after the other), so no record of a purged shard is written behind its PURGE.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from chunkd.core import Core, log, milliseconds
from chunkd.database import TRASHED, Damage
from chunkd.packs import Draft, pack_path
from chunkd.reads import Mismatch
from chunkd.records import HEADER_BYTES, MOVED, PURGE, TRASH, Record, pack_salt
from chunkd.scan import Gap, PackScan
from chunkd.superblock import PACKS

_SLICE_RECORDS = 512


class Slice(NamedTuple):
    """Some records of a pack, and where to go on; `gap` when the walk met no header."""

    records: list[Record]
    following: int | None
    gap: Gap | None


class Compactor:
    """One victim at a time. What is known of it is in memory only: after a restart it is begun again."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._victim: int | None = None
        self._offset = 0
        self._skipped: dict[int, int] = {}
        """Packs that were found not worth it: bytes of records that have to stay although no shard is in them."""

    async def step(self) -> bool:
        """Move a little; whether there is more to do."""
        if self._victim is None:
            self._victim = await self._choose()
            self._offset = 0
            if self._victim is None:
                return False
        victim = self._victim
        part = await self._slice(victim, self._offset)
        moved = await self._move(victim, part)
        if moved is None:
            self._give_up(victim)
        elif moved.following is None:
            self._victim = None
            await self._unlink(victim)
        else:
            self._offset = moved.following
        return True

    # --- choosing ---

    async def _choose(self) -> int | None:
        """The emptiest pack that is worth it."""
        index = self._core.index
        fraction = self._core.limits.compaction_live_fraction
        held = {damage.pack for damage in index.damage}
        candidates = [
            ((totals.live + self._skipped.get(number, 0)) / totals.bytes, number)
            for number, totals in index.packs.items()
            if number < index.at.pack and totals.bytes and not totals.leaving and number not in held
        ]
        for used, number in sorted(candidates):
            if used >= fraction:
                break
            if number in self._skipped:
                return number
            self._skipped[number] = await self._survey(number)
            totals = index.packs[number]
            if (totals.live + self._skipped[number]) / totals.bytes < fraction:
                return number
        return None

    async def _survey(self, number: int) -> int:
        """Bytes of TRASH and PURGE records in a pack that have to be kept."""
        kept = 0
        offset: int | None = 0
        while offset is not None:
            part = await self._slice(number, offset)
            kept += sum(HEADER_BYTES for r in part.records if not r.is_shard and self._keep(r, number))
            offset = part.following
        return kept

    async def _slice(self, number: int, offset: int) -> Slice:
        return await self._core.call(self._core.background, self._read_slice, number, offset)

    def _read_slice(self, number: int, offset: int) -> Slice:
        """In a thread: the headers from an offset on, up to the end of what the index knows of."""
        core = self._core
        fd = core.disk.open(pack_path(core.directory / PACKS, number), os.O_RDONLY)
        try:
            scan = PackScan(core.disk, fd, pack_salt(core.salt, number), bodies=False)
            scan.size = min(scan.size, core.index.packs[number].bytes)
            records: list[Record] = []
            size = 0
            for event in scan.walk(offset):
                if isinstance(event, Gap):
                    return Slice(records, event.end if event.end < scan.size else None, event)
                records.append(event.record)
                size += event.record.length
                if len(records) >= _SLICE_RECORDS or size >= core.limits.compaction_bytes:
                    return Slice(records, event.record.end, None)
            return Slice(records, None, None)
        finally:
            core.disk.close(fd)

    # --- moving ---

    def _keep(self, record: Record, victim: int) -> Draft | None:
        """What of a record has to be written again, without its body."""
        index = self._core.index
        entry = index.find(record.shard_id)
        if record.is_shard:
            if entry is not None and (entry.pack, entry.place) == (victim, record.offset):
                return Draft(MOVED, record.shard_id, record.time, b"", record.crc, victim)
            if entry is None and record.kind == MOVED and record.reference in index.packs:
                # Purged; but the pack it once came from is still there, and this one's PURGE may not outlive it.
                return Draft(PURGE, record.shard_id, record.time, reference=record.reference)
            return None
        if record.kind == TRASH:
            if entry is not None and entry.state == TRASHED:
                return Draft(TRASH, record.shard_id, entry.marked)
            return None
        if entry is None and record.reference != victim and record.reference in index.packs:
            return Draft(PURGE, record.shard_id, record.time, reference=record.reference)
        return None

    async def _move(self, victim: int, part: Slice) -> Slice | None:
        """Append what is needed of a slice; None when something in it is damaged."""
        core = self._core
        if part.gap is not None:
            size = part.gap.end - part.gap.start
            core.damaged(Damage(victim, part.gap.start, size, None, "no record", milliseconds(core.now())))
            return None
        drafts: list[Draft] = []
        for record in part.records:
            draft = self._keep(record, victim)
            if draft is None:
                continue
            entry = core.index.find(record.shard_id)
            if draft.kind == MOVED and entry is not None:
                try:
                    body = await core.reader.read(record.shard_id, entry, 0, record.length)
                except Mismatch as mismatch:
                    core.damaged(
                        Damage(
                            victim,
                            record.offset,
                            record.length,
                            record.shard_id,
                            str(mismatch),
                            milliseconds(core.now()),
                        )
                    )
                    return None
                draft = Draft(MOVED, record.shard_id, record.time, body, record.crc, victim)
            drafts.append(draft)
        if drafts:
            await core.append(drafts)
        return part

    def _give_up(self, victim: int) -> None:
        log.error("pack %d is damaged and is not compacted", victim)
        self._victim = None

    # --- unlinking ---

    async def _unlink(self, victim: int) -> None:
        """The pack goes, in an order that a crash may interrupt anywhere."""
        core = self._core
        totals = core.index.packs[victim]
        if totals.live:
            log.error("pack %d still has %d live bytes that no record accounts for", victim, totals.live)
            self._skipped[victim] = totals.bytes
            return
        totals.leaving = True
        await core.checkpoint(force=True)
        core.reader.drop(victim)
        await core.call(core.background, self._remove, victim)
        del core.index.packs[victim]
        self._skipped.clear()

    def _remove(self, victim: int) -> None:
        core = self._core
        path = pack_path(core.directory / PACKS, victim)
        if core.disk.exists(path):
            core.disk.unlink(path)
        core.disk.sync_directory(core.directory / PACKS)
