"""Every bound of the engine by its name and unit (law 9). Holds numbers only."""

from __future__ import annotations

from dataclasses import dataclass

from chunkd.wire import SMALL_SHARD_BYTES

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class Limits:
    """What an engine may use. The defaults are for a real disk; tests make everything small."""

    small_shard_bytes: int = SMALL_SHARD_BYTES
    """Longer shards get a file of their own."""
    pack_bytes: int = 256 * MIB
    """A pack that would grow beyond this is left and the next one begun."""
    batch_bytes: int = 8 * MIB
    """One group commit carries about this much at most."""
    queue_bytes: int = 16 * MIB
    """Bodies that wait for their commit; further writers wait outside."""
    fill_bytes: int = 8 * MIB
    """How far the pack is filled with zeros ahead of its end."""
    write_bytes: int = 256 * KIB
    """A large shard is written in steps of this size."""
    small_read_bytes: int = 256 * KIB
    """Up to here, header and blocks of a record are fetched by one read."""
    open_files: int = 256
    """Read handles kept open, packs and large shards together."""
    list_entries: int = 20_000
    """What one page of the list looks at, be it listed or not: the loop waits for it."""
    disk_threads: int = 4
    """Threads that read cold pages and write large shards."""
    generation_files: int = 1024
    """Files in a directory before the next one is begun; start-up looks at the newest only."""

    checkpoint_entries: int = 20_000
    """Changes held in memory before they are written to the index."""
    checkpoint_bytes: int = 32 * MIB
    """Log written since the last checkpoint before the next; what start-up replays at most, roughly."""
    checkpoint_seconds: float = 10.0
    """A change waits no longer than this for a checkpoint."""

    free_floor_bytes: int = 1024 * MIB
    """Below this much free space the store calls itself full."""
    free_short_bytes: int = 2048 * MIB
    """Below this the trash is emptied before its time."""
    trash_seconds: float = 86_400.0
    """How long a deleted shard stays readable: longer than the longest read (law 5)."""
    purge_batch: int = 256
    """Shards purged in one unit of background work."""

    compaction_live_fraction: float = 0.5
    """A full pack with less than this part alive is rewritten."""
    compaction_bytes: int = 2 * MIB
    """Moved in one unit of background work."""
    compaction_pause_seconds: float = 0.02
    """Rest between two units."""

    scrub_seconds: float = 30 * 86_400.0
    """One verification of everything takes this long."""
    scrub_bytes: int = 1 * MIB
    """Verified in one unit of background work."""
    tick_seconds: float = 1.0
    """The background task looks around this often when nothing wakes it."""
