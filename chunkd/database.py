"""The index on disk: SQLite, written at checkpoints only. The only SQL of chunkd.

A cache: packs and files are the truth, and it can be rebuilt from them. It is written in one transaction per
checkpoint, WAL with synchronous=FULL, so a power cut leaves the last checkpoint or the one before. Knows rows,
not what they mean. One connection reads (the event loop), one writes (a background thread).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from chunkd.disk import Disk
from chunkd.errors import StoreRefused, SyncFailed

LIVE, TRASHED = 0, 1
FILE, NOWHERE = 0, -1
"""Pack numbers begin at 1. FILE: a file of its own, `place` is its generation. NOWHERE: so far only a TRASH record
was seen (while an index is rebuilt)."""

SCHEMA_VERSION = 1
SCHEMA = """
-- Where each shard is. WITHOUT ROWID: one tree, looked up by id.
CREATE TABLE shard (
    id BLOB PRIMARY KEY, length INTEGER NOT NULL, crc INTEGER NOT NULL, state INTEGER NOT NULL,
    pack INTEGER NOT NULL, place INTEGER NOT NULL, marked INTEGER NOT NULL
) WITHOUT ROWID;
-- What to purge next.
CREATE INDEX shard_trash ON shard (marked, id) WHERE state = 1;
-- Packs that must exist. leaving = 1: being unlinked, may be gone.
CREATE TABLE pack (
    number INTEGER PRIMARY KEY, bytes INTEGER NOT NULL, live INTEGER NOT NULL, leaving INTEGER NOT NULL
);
-- Directories that must exist.
CREATE TABLE generation (number INTEGER PRIMARY KEY, files INTEGER NOT NULL);
-- What did not match its checksum. id is NULL where the header is lost.
CREATE TABLE damage (
    pack INTEGER NOT NULL, place INTEGER NOT NULL, length INTEGER NOT NULL, id BLOB, reason TEXT NOT NULL,
    found INTEGER NOT NULL, PRIMARY KEY (pack, place, id)
);
-- One row: everything in the log before this is in the tables above.
CREATE TABLE checkpoint (
    one INTEGER PRIMARY KEY CHECK (one = 1), pack INTEGER NOT NULL, tail INTEGER NOT NULL, batch INTEGER NOT NULL,
    generation INTEGER NOT NULL, shards INTEGER NOT NULL, trashed INTEGER NOT NULL, file_bytes INTEGER NOT NULL,
    scrub_pack INTEGER NOT NULL, scrub_place INTEGER NOT NULL, scrub_id BLOB NOT NULL
);
"""


class Entry(NamedTuple):
    """What is known of a shard. `marked`: when it went to the trash, in milliseconds."""

    length: int
    crc: int
    state: int
    pack: int
    place: int
    marked: int


@dataclass(slots=True)
class Checkpoint:
    """How far the tables go, and the totals at that point."""

    pack: int = 1
    tail: int = 0
    batch: int = 0
    generation: int = 1
    shards: int = 0
    trashed: int = 0
    file_bytes: int = 0
    scrub_pack: int = 0
    scrub_place: int = 0
    scrub_id: bytes = b""


@dataclass(slots=True)
class PackTotals:
    """Of one pack: how long its log is, how much of it is alive, and whether it is being unlinked."""

    bytes: int = 0
    live: int = 0
    leaving: bool = False


class Damage(NamedTuple):
    """A place whose content does not match its checksum. Nothing there is ever deleted."""

    pack: int
    place: int
    length: int
    shard_id: bytes | None
    reason: str
    found: int


@dataclass(slots=True)
class Changes:
    """What one checkpoint writes. An entry of None is a shard that is gone."""

    entries: dict[bytes, Entry | None]
    checkpoint: Checkpoint
    packs: dict[int, PackTotals]
    generations: dict[int, int]
    damage: list[Damage] = field(default_factory=list)


_ROW_CHUNK = 500
_UPSERT = "INSERT OR REPLACE INTO shard VALUES "
_CHECKPOINT = "SELECT pack, tail, batch, generation, shards, trashed, file_bytes, scrub_pack, scrub_place, scrub_id"


class Database:
    """One index file. Raises sqlite3.DatabaseError when it is damaged, SyncFailed when it cannot be written."""

    def __init__(self, path: Path, disk: Disk, *, create: bool = False) -> None:
        self.path = path
        self._disk = disk
        if not create and not disk.exists(path):
            raise FileNotFoundError(path)
        self._writer = self._connect()
        try:
            if create:
                self._create()
            (version,) = self._writer.execute("PRAGMA user_version").fetchone()
            if version == 0:
                raise sqlite3.DatabaseError("the index is empty")
            if version != SCHEMA_VERSION:
                raise StoreRefused(f"{path} was written by another version: run chunkd rebuild-index")
            self._reader = self._connect()
            self._find = self._reader.cursor()
        except BaseException:
            self._writer.close()
            raise

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None, timeout=30.0)
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA cache_size=-6144")
        connection.execute("PRAGMA wal_autocheckpoint=0")
        return connection

    def _create(self) -> None:
        self._writer.execute("PRAGMA journal_mode=WAL")
        self._writer.execute("BEGIN IMMEDIATE")
        for statement in SCHEMA.split(";\n"):
            self._writer.execute(statement)
        self._writer.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        self.save(Changes({}, Checkpoint(), {}, {}), begun=True)
        os.chmod(self.path, 0o600)
        self._disk.sync_directory(self.path.parent)

    def load(self) -> Changes:
        """The last checkpoint without its entries."""
        row = self._reader.execute(f"{_CHECKPOINT} FROM checkpoint").fetchone()
        if row is None:
            raise sqlite3.DatabaseError("the index has no checkpoint")
        packs = {
            number: PackTotals(size, live, bool(leaving))
            for number, size, live, leaving in self._reader.execute("SELECT number, bytes, live, leaving FROM pack")
        }
        generations = dict(self._reader.execute("SELECT number, files FROM generation").fetchall())
        damage = [
            Damage(*found)
            for found in self._reader.execute("SELECT pack, place, length, id, reason, found FROM damage")
        ]
        return Changes({}, Checkpoint(*row), packs, generations, damage)

    def find(self, shard_id: bytes) -> Entry | None:
        """One shard by its id."""
        row = self._find.execute(
            "SELECT length, crc, state, pack, place, marked FROM shard WHERE id = ?", (shard_id,)
        ).fetchone()
        return None if row is None else Entry._make(row)

    def find_all(self, ids: list[bytes]) -> dict[bytes, Entry]:
        """Those of many shards that are here: half as dear as a statement each."""
        found: dict[bytes, Entry] = {}
        for some in _chunks(ids):
            marks = ", ".join("?" * len(some))
            rows = self._find.execute(
                f"SELECT length, crc, state, pack, place, marked, id FROM shard WHERE id IN ({marks})", some
            )
            found.update([(row[6], Entry._make(row[:6])) for row in rows])
        return found

    def highest(self, prefix: bytes) -> bytes:
        """The highest id that begins so, or nothing."""
        (found,) = self._find.execute(
            "SELECT max(id) FROM shard WHERE id >= ? AND id <= ?", (prefix, prefix + b"\xff" * 32)
        ).fetchone()
        return found or b""

    def rows(self, first: bytes, *, inclusive: bool = False) -> Iterator[tuple[bytes, Entry]]:
        """Shards in the order of their ids from one on; close the iterator when done with it."""
        comparison = ">=" if inclusive else ">"
        cursor = self._reader.execute(
            f"SELECT length, crc, state, pack, place, marked, id FROM shard WHERE id {comparison} ? ORDER BY id",
            (first,),
        )
        try:
            for row in cursor:
                yield row[6], Entry._make(row[:6])
        finally:
            cursor.close()

    def trash_after(self, marked: int, shard_id: bytes, until: int, limit: int) -> list[tuple[bytes, Entry]]:
        """Trashed shards in the order in which they were marked, after a given one."""
        found = self._reader.execute(
            "SELECT length, crc, state, pack, place, marked, id FROM shard WHERE state = 1"
            " AND (marked, id) > (?, ?) AND marked <= ? ORDER BY marked, id LIMIT ?",
            (marked, shard_id, until, limit),
        ).fetchall()
        return [(row[6], Entry._make(row[:6])) for row in found]

    def in_pack(self, pack: int, start: int, stop: int) -> list[tuple[bytes, Entry]]:
        """Shards in a stretch of a pack: a walk over everything, for damage only."""
        found = self._reader.execute(
            "SELECT length, crc, state, pack, place, marked, id FROM shard WHERE pack = ? AND place >= ? AND place < ?",
            (pack, start, stop),
        ).fetchall()
        return [(row[6], Entry._make(row[:6])) for row in found]

    def save(self, changes: Changes, *, begun: bool = False) -> None:
        """One checkpoint, durable when it returns."""
        writer = self._writer
        try:
            if not begun:
                writer.execute("BEGIN IMMEDIATE")
            self._save_entries(changes.entries)
            for table in ("pack", "generation", "checkpoint"):
                writer.execute(f"DELETE FROM {table}")
            writer.executemany(
                "INSERT INTO pack VALUES (?, ?, ?, ?)",
                ((number, p.bytes, p.live, int(p.leaving)) for number, p in changes.packs.items()),
            )
            writer.executemany("INSERT INTO generation VALUES (?, ?)", changes.generations.items())
            writer.executemany("INSERT OR REPLACE INTO damage VALUES (?, ?, ?, ?, ?, ?)", changes.damage)
            c = changes.checkpoint
            writer.execute(
                "INSERT INTO checkpoint VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                astuple(c),
            )
            self._disk.commit(writer, self.path)
            writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            if writer.in_transaction:
                writer.rollback()
            raise _as_disk_error(error) from error

    def _save_entries(self, entries: dict[bytes, Entry | None]) -> None:
        """Many rows per statement: each statement lets go of the interpreter only once."""
        kept = [(shard_id, *entry) for shard_id, entry in entries.items() if entry is not None]
        gone = [shard_id for shard_id, entry in entries.items() if entry is None]
        for rows in _chunks(kept):
            values = ", ".join(["(?, ?, ?, ?, ?, ?, ?)"] * len(rows))
            self._writer.execute(_UPSERT + values, [value for row in rows for value in row])
        for ids in _chunks(gone):
            self._writer.execute(f"DELETE FROM shard WHERE id IN ({', '.join('?' * len(ids))})", ids)

    def drop_unplaced(self) -> int:
        """Forget TRASH records whose shard was never seen, at the end of a rebuild. Returns how many."""
        self._writer.execute("BEGIN IMMEDIATE")
        dropped = self._writer.execute(f"DELETE FROM shard WHERE pack = {NOWHERE}").rowcount
        self._disk.commit(self._writer, self.path)
        return dropped

    def close(self) -> None:
        """Close both connections; the last one folds the WAL into the file."""
        self._reader.close()
        self._writer.close()


def _chunks(items: list[Any]) -> Iterable[list[Any]]:
    return (items[at : at + _ROW_CHUNK] for at in range(0, len(items), _ROW_CHUNK))


def _as_disk_error(error: sqlite3.Error) -> Exception:
    """SQLite's words for what the kernel said: full is full, an I/O error falls under law 8."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return OSError(28, "no space for the index")
    if code == sqlite3.SQLITE_IOERR:
        return SyncFailed(5, f"index: {error}")
    return error
