"""What nobody asks for: zeros ahead, checkpoints, trash, compaction, scrub. One unit, then rest.

Every unit may be cancelled, killed or run twice (law 10). Decides only what is next and when; each kind of work
is in a file of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3

from chunkd.compaction import Compactor
from chunkd.core import Core, log
from chunkd.errors import StoreError
from chunkd.scrub import Scrubber
from chunkd.trash import Purger

_PAUSE_AFTER_ERROR_SECONDS = 5.0


class Upkeep:
    """The background task of one store."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.purger = Purger(core)
        self.compactor = Compactor(core)
        self.scrubber = Scrubber(core)
        self._was_full = False

    async def run(self) -> None:
        """For ever; an error that is not the disk's end is logged and the work tried again later."""
        core = self._core
        while True:
            try:
                more = await self.unit()
            except (StoreError, OSError, sqlite3.Error) as error:
                log.error("background work: %s", error)
                await asyncio.sleep(_PAUSE_AFTER_ERROR_SECONDS)
                continue
            pause = core.limits.compaction_pause_seconds if more else core.limits.tick_seconds
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(core.wake.wait(), pause)

    async def unit(self) -> bool:
        """One round of what is due; whether there is more to do at once."""
        core = self._core
        core.wake.clear()
        core.measure_space()
        self._say_whether_full()
        if core.read_only is not None:
            return await self.scrubber.step()
        if not core.full and core.writer.needs_fill(core.limits.fill_bytes):
            await core.call(core.background, core.writer.fill, core.limits.fill_bytes)
        if core.checkpoint_due:
            await core.checkpoint()
            kept = set(core.index.generations)
            await core.call(core.background, core.files.remove_folders, kept)
        if await self.purger.step():
            return True
        if await self.compactor.step():
            return True
        await self.scrubber.step()
        return False

    def _say_whether_full(self) -> None:
        core = self._core
        if core.full != self._was_full:
            self._was_full = core.full
            state = "full, and takes no writes" if core.full else "no longer full"
            free, floor = core.space.free_bytes, core.limits.free_floor_bytes
            log.warning("%s is %s: %d bytes are free, the floor is %d", core.directory, state, free, floor)
