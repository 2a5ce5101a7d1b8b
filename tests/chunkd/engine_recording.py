"""A disk that remembers: every write, rename, unlink and sync, in order, and what a power cut may leave of them.

Works on a real directory and keeps a log beside it. `CrashStates.materialise` makes the directory that could
be found after a cut at some point of the log: what was synced before the cut is there; of the rest any page or
sector may be missing, and any name may not have been made, changed or removed yet.
"""

from __future__ import annotations

import os
import random
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from chunkd.disk import Buffer, Disk

PAGE, SECTOR = 4096, 512


class Op(NamedTuple):
    """One entry of the log. `since`: for syncs, what was logged before this index is covered."""

    kind: str
    inode: int = 0
    path: str = ""
    target: str = ""
    offset: int = 0
    data: bytes = b""
    since: int = 0
    note: Any = None


class RecordingDisk(Disk):
    """Logs before it acts, and syncs when they are done: a cut in between leaves the act half done."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.log: list[Op] = []
        self.initial: dict[str, tuple[int, bytes]] = {}
        self.initial_directories: set[str] = set()
        self._lock = threading.Lock()
        self._names: dict[str, int] = {}
        self._open: dict[int, int] = {}
        self._inodes = 0
        for folder, _, names in os.walk(root):
            self.initial_directories.add(self._relative(Path(folder)))
            for name in names:
                if not name.endswith(("-wal", "-shm")):
                    path = Path(folder) / name
                    self.initial[self._relative(path)] = (self._name(path), path.read_bytes())

    def _relative(self, path: Path) -> str:
        return os.path.relpath(path, self.root)

    def _name(self, path: Path) -> int:
        self._inodes += 1
        self._names[self._relative(path)] = self._inodes
        return self._inodes

    def _add(self, op: Op) -> int:
        with self._lock:
            self.log.append(op)
            return len(self.log)

    def note(self, what: Any) -> int:
        """Put something of the test's own between the acts."""
        return self._add(Op("note", note=what))

    # --- what is recorded ---

    def open(self, path: Path, flags: int) -> int:
        with self._lock:
            inode = self._names.get(self._relative(path))
            if inode is None and flags & os.O_CREAT:
                inode = self._name(path)
                self.log.append(Op("create", inode, self._relative(path)))
            elif inode is not None and flags & os.O_TRUNC:
                self.log.append(Op("truncate", inode, offset=0))
            fd = super().open(path, flags)
            self._open[fd] = inode or 0
            return fd

    def close(self, fd: int) -> None:
        with self._lock:
            self._open.pop(fd, None)
            super().close(fd)

    def write(self, fd: int, buffers: Sequence[Buffer], offset: int) -> None:
        self._add(Op("write", self._open[fd], offset=offset, data=b"".join(buffers)))
        super().write(fd, buffers, offset)

    def truncate(self, fd: int, size: int) -> None:
        self._add(Op("truncate", self._open[fd], offset=size))
        super().truncate(fd, size)

    def allocate(self, fd: int, size: int) -> None:
        super().allocate(fd, size)

    def fdatasync(self, fd: int) -> None:
        since = len(self.log)
        super().fdatasync(fd)
        self._add(Op("sync", self._open[fd], since=since))

    def fsync(self, fd: int) -> None:
        since = len(self.log)
        super().fsync(fd)
        self._add(Op("sync", self._open[fd], since=since))

    def sync_directory(self, path: Path) -> None:
        since = len(self.log)
        super().sync_directory(path)
        self._add(Op("syncdir", path=self._relative(path), since=since))

    def rename(self, source: Path, target: Path) -> None:
        with self._lock:
            inode = self._names.pop(self._relative(source))
            self._names[self._relative(target)] = inode
            self.log.append(Op("rename", inode, self._relative(source), self._relative(target)))
        super().rename(source, target)

    def unlink(self, path: Path) -> None:
        with self._lock:
            if self._names.pop(self._relative(path), None) is not None:
                self.log.append(Op("unlink", path=self._relative(path)))
        super().unlink(path)

    def mkdir(self, path: Path) -> None:
        self._add(Op("mkdir", path=self._relative(path)))
        super().mkdir(path)

    def rmdir(self, path: Path) -> None:
        self._add(Op("rmdir", path=self._relative(path)))
        super().rmdir(path)

    def commit(self, connection: sqlite3.Connection, path: Path) -> None:
        """SQLite keeps its own promise (WAL, synchronous=FULL): after a commit the new content, before it the old."""
        with self._lock:
            inode = self._names.get(self._relative(path))
            if inode is None:
                inode = self._name(path)
                self.log.append(Op("create", inode, self._relative(path)))
            self.log.append(Op("image-begin", inode))
            begin = len(self.log) - 1
        super().commit(connection, path)
        self._add(Op("image-end", inode, data=connection.serialize(), since=begin))


class CrashStates:
    """Directories that a power cut may leave, drawn at random from a log."""

    def __init__(self, disk: RecordingDisk) -> None:
        self._disk = disk

    def materialise(self, cut: int, directory: Path, random_: random.Random) -> None:
        """Make the directory as it may be found when the power goes after `cut` entries."""
        log = self._disk.log[:cut]
        synced: dict[int, int] = {}
        synced_directories: dict[str, int] = {}
        for op in log:
            if op.kind == "sync":
                synced[op.inode] = max(synced.get(op.inode, 0), op.since)
            elif op.kind == "syncdir":
                synced_directories[op.path] = max(synced_directories.get(op.path, 0), op.since)
        names, directories = self._names(log, synced_directories, random_)
        contents = self._contents(log, synced, random_, cut)
        for folder in sorted(directories):
            if (directory / folder).parent.exists():
                (directory / folder).mkdir(exist_ok=True)
        for path, inode in names.items():
            if (directory / path).parent.exists():
                (directory / path).write_bytes(contents.get(inode, b""))

    def _names(self, log: list[Op], synced: dict[str, int], random_: random.Random) -> tuple[dict[str, int], set[str]]:
        """Which names exist. Unsynced changes: all, none, those up to a point, or any."""
        names = {path: inode for path, (inode, _) in self._disk.initial.items()}
        directories = set(self._disk.initial_directories)
        mode = random_.choice(("all", "none", "prefix", "any", "any"))
        point = random_.randrange(len(log) + 1)
        for at, op in enumerate(log):
            if op.kind not in ("create", "rename", "unlink", "mkdir", "rmdir"):
                continue
            durable = at < synced.get(os.path.dirname(op.target or op.path) or ".", 0)
            happened = (
                durable
                or mode == "all"
                or (mode == "prefix" and at < point)
                or (mode == "any" and random_.random() < 0.5)
            )
            if not happened:
                continue
            if op.kind == "create":
                names[op.path] = op.inode
            elif op.kind == "rename":
                names.pop(op.path, None)
                names[op.target] = op.inode
            elif op.kind == "unlink":
                names.pop(op.path, None)
            elif op.kind == "mkdir":
                directories.add(op.path)
            else:
                directories.discard(op.path)
        return names, directories

    def _contents(
        self, log: list[Op], synced: dict[int, int], random_: random.Random, cut: int
    ) -> dict[int, bytearray]:
        contents = {inode: bytearray(data) for inode, data in self._disk.initial.values()}
        unit = random_.choice((PAGE, PAGE, SECTOR))
        kept = random_.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        for at, op in enumerate(log):
            if op.kind == "write":
                content = contents.setdefault(op.inode, bytearray())
                if at < synced.get(op.inode, 0):
                    _put(content, op.offset, op.data)
                else:
                    _put_some(content, op.offset, op.data, unit, kept, random_)
            elif op.kind == "truncate":
                content = contents.setdefault(op.inode, bytearray())
                if at < synced.get(op.inode, 0) or random_.random() < kept:
                    del content[op.offset :]
                    content.extend(bytes(op.offset - len(content)))
            elif op.kind == "image-end":
                contents[op.inode] = bytearray(op.data)
        self._commit_under_way(log, contents, random_, cut)
        return contents

    def _commit_under_way(
        self, log: list[Op], contents: dict[int, bytearray], random_: random.Random, cut: int
    ) -> None:
        """A commit that the cut meets is there or not."""
        done = {op.since for op in log if op.kind == "image-end"}
        begun = {at for at, op in enumerate(log) if op.kind == "image-begin"} - done
        for op in self._disk.log[cut:]:
            if op.kind == "image-end" and op.since in begun and random_.random() < 0.5:
                contents[op.inode] = bytearray(op.data)


def _put(content: bytearray, offset: int, data: bytes | memoryview) -> None:
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


def _put_some(content: bytearray, offset: int, data: bytes, unit: int, kept: float, random_: random.Random) -> None:
    """Some of the pages or sectors that a write touches."""
    end = offset + len(data)
    at = offset
    while at < end:
        following = min(end, at - at % unit + unit)
        if random_.random() < kept:
            _put(content, at, data[at - offset : following - offset])
        at = following
