"""Small shards in memory, as stored. Shards never change and their ids are never reused (law 3), so nothing
here can be stale; whether a version still points to one is the catalog's to say, every time."""

from collections import OrderedDict

ENTRY_BYTES = 256
"""What an entry costs beyond its bytes."""


class ShardCache:
    """The most recently used shards, within a number of bytes; 0 keeps none."""

    __slots__ = ("_entries", "_size", "limit_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._entries: OrderedDict[bytes, bytes] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, shard_id: bytes) -> bytes | None:
        """The shard's bytes, if it is here."""
        data = self._entries.get(shard_id)
        if data is not None:
            self._entries.move_to_end(shard_id)
        return data

    def put(self, shard_id: bytes, data: bytes) -> None:
        """Keeps a shard and lets go of the least recently used."""
        if len(data) + ENTRY_BYTES > self.limit_bytes or shard_id in self._entries:
            return
        self._entries[shard_id] = data
        self._size += len(data) + ENTRY_BYTES
        while self._size > self.limit_bytes:
            _, dropped = self._entries.popitem(last=False)
            self._size -= len(dropped) + ENTRY_BYTES
