"""Verifying everything a store holds: bytes against checksums, the index against the bytes. Changes nothing.

For an operator, with the node stopped. Builds a second index from the data alone and compares it with the first.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from chunkd.database import FILE, TRASHED, Damage, Database, Entry
from chunkd.disk import Disk
from chunkd.errors import StoreRefused
from chunkd.files import generations, shard_files
from chunkd.index import Index
from chunkd.packs import pack_numbers
from chunkd.recovery import INDEX, Recovery, last_checkpoint, save
from chunkd.scrub import verify_file
from chunkd.superblock import FILES, PACKS, DirectoryLock, load_superblock

_MOST_PROBLEMS = 1000


@dataclass(slots=True)
class Report:
    """What `check` found. `problems` are sentences for an operator; there are none in a sound store."""

    shards: int = 0
    trashed: int = 0
    packs: int = 0
    files: int = 0
    torn: bool = False
    damage: list[Damage] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Nothing is wrong. A torn tail is not: it holds nothing that was acknowledged."""
        return not self.problems

    def add(self, problem: str) -> None:
        """Remember a problem, up to a limit."""
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(problem)


def check(directory: Path, disk: Disk | None = None) -> Report:
    """Verify everything in a store that nobody has open; StoreRefused if somebody has, or if it is none."""
    disk = disk or Disk()
    load_superblock(directory, disk)
    with DirectoryLock(directory, disk), tempfile.TemporaryDirectory(prefix="chunkd-check-") as scratch:
        report = Report()
        recovery = Recovery(directory, load_superblock(directory, disk), disk, 0)
        truth = Index(Database(Path(scratch) / INDEX, disk, create=True))
        try:
            _read_data(directory, disk, recovery, truth, report)
            _compare(directory, recovery, truth, report)
        finally:
            truth.database.close()
        return report


def _read_data(directory: Path, disk: Disk, recovery: Recovery, truth: Index, report: Report) -> None:
    """The index as the data alone has it, and every byte against its checksum."""
    recovery.add_files(truth, 0, flush=True)
    numbers = pack_numbers(directory / PACKS, disk)
    tail = recovery.replay_packs(truth, numbers, 0, last_checkpoint(directory, disk), flush=True)
    save(truth, truth.at.generation)
    report.torn = tail.torn
    report.packs = len(numbers)
    report.shards, report.trashed = truth.at.shards, truth.at.trashed
    report.damage = truth.damage
    for damage in truth.damage:
        whose = f" (shard {damage.shard_id.hex()})" if damage.shard_id else ""
        report.add(f"pack {damage.pack} at {damage.place}: {damage.reason}{whose}")
    for generation in generations(directory / FILES, disk):
        for shard_id, path in shard_files(directory / FILES, generation, disk):
            report.files += 1
            if not _is_whole(disk, path, shard_id):
                report.add(f"{path} does not match its checksums")


def _is_whole(disk: Disk, path: Path, shard_id: bytes) -> bool:
    fd = disk.open(path, os.O_RDONLY)
    try:
        return verify_file(disk, fd, shard_id) is not None
    finally:
        disk.close(fd)


def _compare(directory: Path, recovery: Recovery, truth: Index, report: Report) -> None:
    """The index with its tail replayed, beside the one made from the data."""
    try:
        index = recovery.run(read_only=True)
    except FileNotFoundError:
        report.add(f"{directory} has no index; it is rebuilt when the node starts")
        return
    except sqlite3.DatabaseError as error:
        report.add(f"the index of {directory} cannot be read: {error}")
        return
    except StoreRefused as error:
        report.add(str(error))
        return
    try:
        for shard_id, wanted, got in _side_by_side(truth, index):
            if got is None:
                report.add(f"shard {shard_id.hex()} is on disk but not in the index")
            elif wanted is None and (got.pack, got.state) == (FILE, TRASHED):
                continue  # unlinked, and a crash came before its PURGE was logged
            elif wanted is None:
                report.add(f"shard {shard_id.hex()} is in the index but not on disk")
            elif wanted[:5] != got[:5]:
                report.add(f"shard {shard_id.hex()} is {wanted[:5]} on disk and {got[:5]} in the index")
    finally:
        index.database.close()


Walk = Generator[tuple[bytes, Entry], None, None]


def _side_by_side(left: Index, right: Index) -> Iterator[tuple[bytes, Entry | None, Entry | None]]:
    """Both indexes in the order of ids."""
    walks: tuple[Walk, Walk] = left.walk(b""), right.walk(b"")
    one, other = next(walks[0], None), next(walks[1], None)
    while one is not None or other is not None:
        if other is None or (one is not None and one[0] < other[0]):
            assert one is not None
            yield one[0], one[1], None
            one = next(walks[0], None)
        elif one is None or other[0] < one[0]:
            yield other[0], None, other[1]
            other = next(walks[1], None)
        else:
            yield one[0], one[1], other[1]
            one, other = next(walks[0], None), next(walks[1], None)
