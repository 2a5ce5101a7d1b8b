"""From a directory to an index that may be served: check that the data is there, replay, erase, sync, checkpoint.

Everything that is replayed is synced before it is served, directories included: after a process kill the page
cache shows what a power cut would take. Holds no state; runs before the engine, or without one (`rebuild_index`).
"""

from __future__ import annotations

import logging
import os
import sqlite3
from pathlib import Path

from chunkd.database import FILE, Damage, Database
from chunkd.disk import Disk
from chunkd.errors import StoreRefused
from chunkd.files import generations, open_footer, shard_files
from chunkd.index import Index
from chunkd.packs import pack_numbers, pack_path
from chunkd.records import pack_salt
from chunkd.replay import Position, Replay, Tail
from chunkd.scan import PackScan
from chunkd.superblock import (
    FILES,
    PACKS,
    TMP,
    DirectoryLock,
    Superblock,
    load_superblock,
    read_only_reason,
)

log = logging.getLogger("chunkd")

INDEX, REBUILT = "index.sqlite", "index.rebuild"
_SIDE_FILES = ("", "-wal", "-shm", "-journal")
_FLUSH_ENTRIES = 20_000
_REMEDY = "mount or restore it, or run chunkd rebuild-index to go on without it"


def recover(directory: Path, superblock: Superblock, disk: Disk, now: int, *, read_only: bool) -> Index:
    """An index that knows everything durable in the directory."""
    recovery = Recovery(directory, superblock, disk, now)
    lost = "it is missing"
    if disk.exists(directory / INDEX):
        try:
            return recovery.run(read_only=read_only)
        except sqlite3.DatabaseError as error:
            if not is_lost(error):
                raise StoreRefused(f"the index of {directory} cannot be read: {error}") from error
            lost = str(error)
    if read_only:
        raise StoreRefused(f"{directory} is read-only and its index is lost: {lost}")
    if pack_numbers(directory / PACKS, disk) or generations(directory / FILES, disk):
        log.warning("rebuilding the index of %s: %s", directory, lost)
    recovery.rebuild((0, 0))
    return recovery.run(read_only=False)


def is_lost(error: sqlite3.DatabaseError) -> bool:
    """Whether SQLite says that this is no index any more, rather than that it cannot be read just now."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is None or code & 0xFF in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def rebuild_index(directory: Path, disk: Disk | None = None, *, now: int = 0) -> int:
    """Make the index anew from packs and files. Returns how many shards it holds."""
    disk = disk or Disk()
    load_superblock(directory, disk)
    with DirectoryLock(directory, disk):
        superblock = load_superblock(directory, disk)
        if read_only_reason(directory) is not None:
            raise StoreRefused(f"{directory} is read-only after a failed sync: clear that first")
        return Recovery(directory, superblock, disk, now).rebuild(last_checkpoint(directory, disk))


def save(index: Index, generation: int) -> None:
    """One checkpoint, here and now."""
    changes = index.freeze(generation)
    index.database.save(changes)
    index.saved(changes)


class Recovery:
    """One look at a directory."""

    def __init__(self, directory: Path, superblock: Superblock, disk: Disk, now: int) -> None:
        self._directory = directory
        self._packs = directory / PACKS
        self._files = directory / FILES
        self._salt = superblock.salt
        self._disk = disk
        self._now = now

    def run(self, *, read_only: bool) -> Index:
        """Open the index and bring it up to what packs and files say."""
        for room in (self._packs, self._files, self._directory / TMP):
            if not self._disk.exists(room):
                raise StoreRefused(f"{room} is missing: {_REMEDY}")
        index = Index(Database(self._directory / INDEX, self._disk))
        try:
            numbers = self._require_data(index)
            if not read_only:
                self._finish_unlinking(index)
            first = index.at.generation
            self.add_files(index, first)
            tail = self.replay_packs(index, numbers, index.at.tail, index.saved_position)
            if not read_only:
                self._make_durable(numbers, tail, first)
                self._clear_temporary()
                if index.dirty or tail.torn:
                    save(index, index.at.generation)
        except BaseException:
            index.database.close()
            raise
        return index

    def rebuild(self, confirmed: Position) -> int:
        """The same from the very beginning, into an index that gets its name when it is complete."""
        disk, rebuilt, final = self._disk, self._directory / REBUILT, self._directory / INDEX
        _remove_index(rebuilt, disk)
        database = Database(rebuilt, disk, create=True)
        try:
            index = Index(database)
            self.add_files(index, 0, flush=True)
            numbers = pack_numbers(self._packs, disk)
            tail = self.replay_packs(index, numbers, 0, confirmed, flush=True)
            self._make_durable(numbers, tail, 0)
            save(index, index.at.generation)
            index.at.trashed -= database.drop_unplaced()
            save(index, index.at.generation)
            shards = index.at.shards
        finally:
            database.close()
        # The old index goes first: its WAL must never meet the new file.
        _remove_index(final, disk)
        disk.rename(rebuilt, final)
        disk.sync_directory(self._directory)
        return shards

    def _require_data(self, index: Index) -> list[int]:
        """The packs to replay; StoreRefused when something is gone that the index knows of."""
        present = pack_numbers(self._packs, self._disk)
        for number, totals in index.packs.items():
            path = pack_path(self._packs, number)
            if totals.leaving or not totals.bytes:
                continue
            if number not in present:
                raise StoreRefused(f"the index names {path}, which is missing: {_REMEDY}")
            if path.stat().st_size < totals.bytes:
                raise StoreRefused(f"{path} is shorter than the index says: {_REMEDY}")
        for number, files in index.generations.items():
            folder = self._files / f"{number:08d}"
            if files > 0 and not self._disk.exists(folder):
                raise StoreRefused(f"the index names {folder}, which is missing: {_REMEDY}")
        unknown = [n for n in present if n < index.at.pack and n not in index.packs]
        if unknown:
            path = pack_path(self._packs, unknown[0])
            raise StoreRefused(f"the index does not know {path}: run chunkd rebuild-index")
        numbers = [number for number in present if number >= index.at.pack]
        if numbers != list(range(index.at.pack, index.at.pack + len(numbers))):
            raise StoreRefused(f"a pack between {index.at.pack} and {numbers[-1]} is missing: {_REMEDY}")
        return numbers

    def _finish_unlinking(self, index: Index) -> None:
        """Compaction had moved everything out of these packs, and said so in a checkpoint."""
        leaving = [number for number, totals in index.packs.items() if totals.leaving]
        for number in leaving:
            path = pack_path(self._packs, number)
            if self._disk.exists(path):
                self._disk.unlink(path)
        if leaving:
            self._disk.sync_directory(self._packs)
        for number in leaving:
            del index.packs[number]

    def add_files(self, index: Index, first: int, *, flush: bool = False) -> None:
        """Files of the generations from `first` on. Their content was synced before they got their names."""
        for generation in generations(self._files, self._disk):
            if generation < first:
                continue
            index.at.generation = max(index.at.generation, generation)
            for shard_id, path in shard_files(self._files, generation, self._disk):
                self._add_file(index, generation, shard_id, path)
            if flush:
                _flush(index)

    def _add_file(self, index: Index, generation: int, shard_id: bytes, path: Path) -> None:
        known = index.lookup(shard_id)
        if known is not None and (known.pack, known.place) == (FILE, generation):
            return
        opened = open_footer(self._disk, path)
        if opened is None or opened[0].shard_id != shard_id:
            index.report(Damage(FILE, generation, 0, shard_id, "footer does not match", self._now))
            return
        index.put(shard_id, opened[0].length, opened[0].crc, FILE, generation)

    def _has_file(self, shard_id: bytes, generation: int) -> bool:
        return self._disk.exists(self._files / f"{generation:08d}" / shard_id.hex())

    def replay_packs(
        self, index: Index, numbers: list[int], offset: int, confirmed: Position, *, flush: bool = False
    ) -> Tail:
        """Fold packs into the index, the first from an offset on."""
        replay = Replay(index, has_file=self._has_file, now=self._now, confirmed=confirmed)
        for number in numbers:
            fd = self._disk.open(pack_path(self._packs, number), os.O_RDONLY)
            try:
                scan = PackScan(self._disk, fd, pack_salt(self._salt, number))
                for event in scan.walk(offset, replay.batch + 1 if offset else replay.batch):
                    replay.add(number, event)
                    if flush:
                        _flush(index)
            finally:
                self._disk.close(fd)
            offset = 0
        return replay.finish()

    def _make_durable(self, numbers: list[int], tail: Tail, first_generation: int) -> None:
        """Erase the torn tail and sync all that was replayed.

        The last batch is written again before the sync: if its sync had failed when the process was killed, the
        kernel holds its pages for clean and would sync nothing (law 8).
        """
        disk = self._disk
        for number in numbers:
            fd = disk.open(pack_path(self._packs, number), os.O_RDWR)
            try:
                if number == tail.pack:
                    if tail.torn:
                        disk.truncate(fd, tail.offset)
                    last = disk.read(fd, tail.offset - tail.batch_start, tail.batch_start)
                    if last:
                        disk.write(fd, [last], tail.batch_start)
                disk.fsync(fd)
            finally:
                disk.close(fd)
        disk.sync_directory(self._packs)
        for generation in generations(self._files, disk):
            if generation >= first_generation:
                disk.sync_directory(self._files / f"{generation:08d}")
        disk.sync_directory(self._files)

    def _clear_temporary(self) -> None:
        """What was being written was never acknowledged."""
        for name in self._disk.names(self._directory / TMP):
            self._disk.unlink(self._directory / TMP / name)


def _flush(index: Index) -> None:
    if index.unsaved > _FLUSH_ENTRIES:
        save(index, index.at.generation)


def _remove_index(path: Path, disk: Disk) -> None:
    gone = False
    for suffix in _SIDE_FILES:
        side = path.with_name(path.name + suffix)
        if disk.exists(side):
            disk.unlink(side)
            gone = True
    if gone:
        disk.sync_directory(path.parent)


def last_checkpoint(directory: Path, disk: Disk) -> Position:
    """How far the old index goes, if it can still be read: what it confirms is no torn tail."""
    try:
        database = Database(directory / INDEX, disk)
    except (FileNotFoundError, sqlite3.DatabaseError, StoreRefused):
        return (0, 0)
    try:
        at = database.load().checkpoint
    except sqlite3.DatabaseError:
        return (0, 0)
    finally:
        database.close()
    return (at.pack, at.tail)
