"""What the engine can answer besides success. Knows nothing of HTTP: the door chooses a status for each."""

from __future__ import annotations


class StoreError(Exception):
    """The root of everything the engine raises on purpose."""


class StoreRefused(StoreError):
    """The directory is not opened: not ours, in use, unmounted, or an index whose data is gone."""


class StoreFull(StoreError):
    """Free space is below the floor, or the file system said so."""


class StoreReadOnly(StoreError):
    """A sync failed once (law 8); nothing is written until an operator clears it."""


class ShardConflict(StoreError):
    """The id is taken by other content, or by content on its way out."""


class BadChecksum(StoreError):
    """The body is not what its checksum says."""


class ShardMissing(StoreError):
    """No shard of this id is stored."""


class ShardCorrupt(StoreError):
    """What the disk gave does not match its checksum (law 7)."""


class SyncFailed(OSError):
    """fdatasync, fsync or a directory sync failed: never retried (law 8)."""
