"""Emptying the trash: what was deleted long enough ago is purged, earlier when space is short.

A file is unlinked, durably, before its PURGE is logged; the bytes in a pack stay until compaction. One unit may
run twice, or stop anywhere (law 10): what was not logged is found again. Only compaction and this purge, one
after the other.
"""

from __future__ import annotations

from chunkd.core import Core, milliseconds
from chunkd.database import FILE, TRASHED
from chunkd.packs import Draft
from chunkd.records import PURGE


class Purger:
    """Walks the trash in the order in which it was filled."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._after = (0, b"")

    async def step(self) -> bool:
        """Purge some; whether there may be more."""
        core = self._core
        now = milliseconds(core.now())
        short = core.short
        if short and core.index.recent:
            await core.checkpoint()
        until = now if short else now - milliseconds(core.limits.trash_seconds)
        due = core.index.database.trash_after(*self._after, until, core.limits.purge_batch)
        if not due:
            self._after = (0, b"")
            return False
        last_id, last = due[-1]
        self._after = (last.marked, last_id)
        core.index.remember(dict(due))
        await self._purge([shard_id for shard_id, _ in due], now)
        return len(due) == core.limits.purge_batch

    async def _purge(self, ids: list[bytes], now: int) -> None:
        core = self._core
        drafts: list[Draft] = []
        files: list[tuple[bytes, int]] = []
        for shard_id in ids:
            entry = core.index.find(shard_id)
            if entry is None or entry.state != TRASHED:
                continue
            drafts.append(Draft(PURGE, shard_id, now, reference=entry.pack))
            if entry.pack == FILE:
                files.append((shard_id, entry.place))
                core.reader.drop(shard_id)
        if files:
            await core.call(core.background, core.files.remove, files)
        if drafts:
            await core.append(drafts)
