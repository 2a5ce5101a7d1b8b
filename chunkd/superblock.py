"""Whose directory this is: the superblock, the lock and the read-only marker.

    superblock   one line of JSON and its crc32c; replaced by temporary file, sync, rename, directory sync
    lock         held with flock while the directory is open
    read-only    there while law 8 forbids writing; says why

Knows nothing of shards. A directory without a superblock is never adopted: it may be a disk that is not mounted.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from chunkd.blocks import crc32c
from chunkd.disk import Disk
from chunkd.errors import StoreRefused

FORMAT = 1
SUPERBLOCK, LOCK, READ_ONLY = "superblock", "lock", "read-only"
PACKS, FILES, TMP = "packs", "files", "tmp"
ALLOWED_IN_NEW = {"lost+found", LOCK}
"""A fresh file system is not empty, and an earlier `initialise` may have stopped half-way."""


@dataclass(frozen=True, slots=True)
class Superblock:
    """Written at `initialise` and at each join. `salt` makes this store's records its own."""

    cluster_id: bytes
    node_id: bytes
    salt: bytes
    incarnation: int = 0
    nonce: bytes = b""
    format: int = FORMAT


def load_superblock(directory: Path, disk: Disk) -> Superblock:
    """What the directory says about itself, or StoreRefused."""
    path = directory / SUPERBLOCK
    if not disk.exists(path):
        why = "its disk is not mounted, or it is no node's yet (`chunkd init`, or an empty directory and --join)"
        raise StoreRefused(f"{directory} has no superblock: {why}")
    line, _, crc = path.read_bytes().rstrip(b"\n").partition(b"\n")
    if crc != b"%08x" % crc32c(line):
        raise StoreRefused(f"{path} is damaged: its checksum does not match")
    fields = json.loads(line)
    if fields["format"] != FORMAT:
        raise StoreRefused(f"{directory} has format {fields['format']}, this program reads format {FORMAT}")
    for name in ("cluster_id", "node_id", "salt", "nonce"):
        fields[name] = bytes.fromhex(fields[name])
    return Superblock(**fields)


def save_superblock(directory: Path, superblock: Superblock, disk: Disk) -> None:
    """Atomic, and durable when it returns."""
    fields = {
        name: value.hex() if isinstance(value, bytes) else value
        for name, value in dataclasses.asdict(superblock).items()
    }
    line = json.dumps(fields, sort_keys=True).encode("ascii")
    write_file(directory / SUPERBLOCK, line + b"\n%08x\n" % crc32c(line), disk)


def initialise(
    directory: Path, *, cluster_id: bytes, node_id: bytes | None = None, disk: Disk | None = None
) -> Superblock:
    """Make an empty directory a store. One that holds anything else is refused."""
    disk = disk or Disk()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with DirectoryLock(directory, disk):
        foreign = [
            name
            for name in disk.names(directory)
            if name not in ALLOWED_IN_NEW and not name.startswith(f"{SUPERBLOCK}.")
        ]
        empty_rooms = all(name in (PACKS, FILES, TMP) and not disk.names(directory / name) for name in foreign)
        if foreign and not empty_rooms:
            raise StoreRefused(f"{directory} is not empty: it holds {', '.join(foreign[:5])}")
        for name in (PACKS, FILES, TMP):
            if name not in foreign:
                disk.mkdir(directory / name)
        superblock = Superblock(cluster_id, node_id or secrets.token_bytes(16), secrets.token_bytes(16))
        save_superblock(directory, superblock, disk)
        disk.sync_directory(directory.parent)
    return superblock


class DirectoryLock:
    """One process has the directory. The kernel lets go when that process ends, however it ends."""

    def __init__(self, directory: Path, disk: Disk) -> None:
        self._fd = -1
        try:
            fd = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError as error:
            raise StoreRefused(f"{directory} does not exist") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(fd)
            raise StoreRefused(f"{directory} is in use by another process") from error
        self._fd = fd

    def release(self) -> None:
        """Let another process have it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> DirectoryLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def read_only_reason(directory: Path) -> str | None:
    """Why the directory must not be written to, if it must not."""
    try:
        return (directory / READ_ONLY).read_text(errors="replace").strip() or "unknown"
    except FileNotFoundError:
        return None


def mark_read_only(directory: Path, reason: str, disk: Disk) -> None:
    """Outlives a restart. The first reason stays."""
    if not disk.exists(directory / READ_ONLY):
        write_file(directory / READ_ONLY, reason.encode() + b"\n", disk)


def clear_read_only(directory: Path, disk: Disk | None = None) -> str | None:
    """The operator has seen to the disk. Returns the reason that was given."""
    disk = disk or Disk()
    load_superblock(directory, disk)
    with DirectoryLock(directory, disk):
        reason = read_only_reason(directory)
        if reason is not None:
            disk.unlink(directory / READ_ONLY)
            disk.sync_directory(directory)
        return reason


def write_file(path: Path, content: bytes, disk: Disk) -> None:
    """Replace a small file: a reader, or a crash, sees the old one or the new one."""
    temporary = path.with_name(path.name + ".new")
    fd = disk.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        disk.write(fd, [content], 0)
        disk.fsync(fd)
    finally:
        disk.close(fd)
    disk.rename(temporary, path)
    disk.sync_directory(path.parent)
