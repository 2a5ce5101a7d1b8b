"""Reading everything slowly, so that damage is found before somebody needs the shard.

A round takes `scrub_seconds`; the place reached is part of each checkpoint. What does not match is reported and
left where it is. Knows no repair: who has another copy decides that.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from chunkd.blocks import matches
from chunkd.core import Core, milliseconds
from chunkd.database import FILE, Damage
from chunkd.disk import Disk
from chunkd.files import Footer, generations, read_footer, shard_files
from chunkd.limits import MIB
from chunkd.packs import pack_path
from chunkd.records import pack_salt
from chunkd.scan import Found, Gap, PackScan
from chunkd.superblock import PACKS
from chunkd.wire import BLOCK_BYTES

_FILES_PHASE = -1


class Verified(NamedTuple):
    """What one unit read: how much, what was bad, and where to go on (None: this pack is done)."""

    size: int
    bad: list[Found | Gap]
    following: int | None


class Scrubber:
    """Packs in order, then files in order, then again."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._next_at = core.now()

    async def step(self) -> bool:
        """Verify a little if it is time and nobody waits for the disk."""
        core = self._core
        if core.now() < self._next_at or core.committer.busy:
            return False
        at = core.index.at
        if at.scrub_pack == _FILES_PHASE:
            size = await self._file()
        else:
            size = await self._pack()
        total = at.file_bytes + sum(totals.bytes for totals in core.index.packs.values())
        self._next_at = core.now() + core.limits.scrub_seconds * max(size, 1) / max(total, core.limits.scrub_bytes)
        return True

    async def _pack(self) -> int:
        core = self._core
        at = core.index.at
        numbers = sorted(n for n, t in core.index.packs.items() if n >= at.scrub_pack and t.bytes and not t.leaving)
        if not numbers:
            at.scrub_pack, at.scrub_place, at.scrub_id = _FILES_PHASE, 0, b""
            return 0
        number = numbers[0]
        offset = at.scrub_place if number == at.scrub_pack else 0
        end = core.index.packs[number].bytes
        try:
            part = await core.call(core.background, self._verify, number, offset, end)
        except FileNotFoundError:
            part = Verified(0, [], None)
        for bad in part.bad:
            self._report(number, bad)
        at.scrub_pack = number if part.following is not None else number + 1
        at.scrub_place = part.following or 0
        return part.size

    def _verify(self, number: int, offset: int, end: int) -> Verified:
        core = self._core
        fd = core.disk.open(pack_path(core.directory / PACKS, number), os.O_RDONLY)
        bad: list[Found | Gap] = []
        try:
            scan = PackScan(core.disk, fd, pack_salt(core.salt, number))
            scan.size = min(scan.size, end)
            for event in scan.walk(offset):
                following = event.end if isinstance(event, Gap) else event.record.end
                if isinstance(event, Gap) or not event.intact:
                    bad.append(event)
                if following - offset >= core.limits.scrub_bytes and following < end:
                    return Verified(following - offset, bad, following)
            return Verified(max(0, end - offset), bad, None)
        finally:
            core.disk.close(fd)

    def _report(self, number: int, bad: Found | Gap) -> None:
        core, now = self._core, milliseconds(self._core.now())
        if isinstance(bad, Gap):
            size = bad.end - bad.start
            core.damaged(Damage(number, bad.start, size, None, "no record", now))
            for shard_id, lost in core.index.within(number, bad.start, bad.end):
                core.damaged(Damage(number, lost.place, lost.length, shard_id, "its record is lost", now))
            return
        record = bad.record
        entry = core.index.find(record.shard_id)
        if entry is not None and (entry.pack, entry.place) == (number, record.offset):
            reason = "body does not match"
            core.damaged(Damage(number, record.offset, record.length, record.shard_id, reason, now))

    async def _file(self) -> int:
        core = self._core
        at = core.index.at
        found = await core.call(core.background, self._verify_next, at.scrub_place, at.scrub_id)
        if found is None:
            at.scrub_pack, at.scrub_place, at.scrub_id = 0, 0, b""
            return 0
        generation, shard_id, size, intact = found
        at.scrub_place, at.scrub_id = generation, shard_id
        entry = core.index.find(shard_id)
        if not intact and entry is not None and (entry.pack, entry.place) == (FILE, generation):
            now = milliseconds(core.now())
            core.damaged(Damage(FILE, generation, size, shard_id, "its file does not match", now))
        return size

    def _verify_next(self, generation: int, after: bytes) -> tuple[int, bytes, int, bool] | None:
        """The first file behind a place, and whether it is intact."""
        files, disk = self._core.files, self._core.disk
        for number in generations(files.directory, disk):
            if number < generation:
                continue
            for shard_id, path in shard_files(files.directory, number, disk):
                if (number, shard_id) <= (generation, after):
                    continue
                try:
                    fd = disk.open(path, os.O_RDONLY)
                except FileNotFoundError:
                    continue
                try:
                    return number, shard_id, disk.size(fd), verify_file(disk, fd, shard_id) is not None
                finally:
                    disk.close(fd)
        return None


def verify_file(disk: Disk, fd: int, shard_id: bytes) -> Footer | None:
    """Read a whole file; its footer if everything matches."""
    opened = read_footer(disk, fd)
    if opened is None or opened[0].shard_id != shard_id:
        return None
    footer, table = opened
    for at in range(0, footer.length, MIB):
        size = min(MIB, footer.length - at)
        blocks = disk.read(fd, size, at)
        if len(blocks) != size or not matches(table, at // BLOCK_BYTES, blocks):
            return None
    return footer
