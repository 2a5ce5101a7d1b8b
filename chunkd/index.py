"""Where every shard is: what is newer than the last checkpoint in memory, the rest in the database.

The rules of the log are here, for running and for replay alike: PUT and MOVED place a shard, TRASH marks it, PURGE
forgets it. Used by the event loop only, but for `Database.save`. Knows no file and no clock.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import replace

from chunkd.database import (
    FILE,
    LIVE,
    NOWHERE,
    TRASHED,
    Changes,
    Checkpoint,
    Damage,
    Database,
    Entry,
    PackTotals,
)
from chunkd.records import record_bytes

_UNKNOWN = object()
SESSION_BYTES = 8
"""What all ids of one writer begin with; after it they rise."""
MOST_SESSIONS = 1024
MOST_FETCHED = 4096
"""Shards of which is remembered what the database says."""


class Index:
    """The whole index. `recent` gathers changes, `_frozen` is being written by a checkpoint."""

    def __init__(self, database: Database) -> None:
        self.database = database
        state = database.load()
        self.at: Checkpoint = state.checkpoint
        self.packs: dict[int, PackTotals] = state.packs
        self.generations: dict[int, int] = state.generations
        self.damage: list[Damage] = state.damage
        self._saved_damage = len(state.damage)
        self.recent: dict[bytes, Entry | None] = {}
        self._frozen: dict[bytes, Entry | None] = {}
        self._fetched: dict[bytes, Entry | None] = {}
        self._highest: dict[bytes, bytes] = {}
        self.saved_position = (self.at.pack, self.at.tail)

    # --- looking ---

    def lookup(self, shard_id: bytes) -> Entry | None:
        """The entry as it stands, marks without a place included."""
        session = shard_id[:SESSION_BYTES]
        highest = self._highest.get(session)
        if highest is not None and shard_id > highest:
            # Above all that were ever here of its writer, as nearly every new one is.
            return None
        entry = self.recent.get(shard_id, _UNKNOWN)
        if entry is _UNKNOWN:
            entry = self._frozen.get(shard_id, _UNKNOWN)
            if entry is _UNKNOWN:
                entry = self._fetched.get(shard_id, _UNKNOWN)
                if entry is _UNKNOWN:
                    if highest is None and shard_id > self._find_highest(session):
                        return None
                    return self.database.find(shard_id)
        return entry  # type: ignore[return-value]

    def fetch(self, ids: Iterable[bytes]) -> None:
        """Ask the database for all of these at once, before they are looked up and changed one by one."""
        asked = [i for i in ids if i not in self.recent and i not in self._frozen]
        if len(asked) > 1:
            self.remember({**dict.fromkeys(asked), **self.database.find_all(asked)})

    def remember(self, said: Mapping[bytes, Entry | None]) -> None:
        """What the database says of some shards: true until the next checkpoint has been written."""
        if len(self._fetched) > MOST_FETCHED:
            self._fetched.clear()
        self._fetched.update(said)

    def _find_highest(self, session: bytes) -> bytes:
        """The highest id that was ever here of a writer; from now on it is remembered."""
        mine = [known for known in (*self._frozen, *self.recent) if known.startswith(session)]
        highest = max(max(mine, default=b""), self.database.highest(session))
        if len(self._highest) >= MOST_SESSIONS:
            self._highest.clear()
        self._highest[session] = highest
        return highest

    def _note(self, shard_id: bytes) -> None:
        session = shard_id[:SESSION_BYTES]
        if self._highest.get(session, shard_id) < shard_id:
            self._highest[session] = shard_id

    def find(self, shard_id: bytes) -> Entry | None:
        """The entry of a shard that is here."""
        entry = self.lookup(shard_id)
        return None if entry is None or entry.pack == NOWHERE else entry

    def walk(self, first: bytes, *, inclusive: bool = False) -> Generator[tuple[bytes, Entry], None, None]:
        """All shards here in the order of their ids: the database with what is newer laid over it."""
        newer = {**self._frozen, **self.recent}
        fresh = sorted(i for i in newer if i > first or (inclusive and i == first))
        fresh.reverse()
        for shard_id, entry in self.database.rows(first, inclusive=inclusive):
            while fresh and fresh[-1] < shard_id:
                yield from self._present(fresh[-1], newer[fresh.pop()])
            if fresh and fresh[-1] == shard_id:
                yield from self._present(shard_id, newer[fresh.pop()])
            else:
                yield from self._present(shard_id, entry)
        while fresh:
            yield from self._present(fresh[-1], newer[fresh.pop()])

    @staticmethod
    def _present(shard_id: bytes, entry: Entry | None) -> Iterator[tuple[bytes, Entry]]:
        if entry is not None and entry.pack != NOWHERE:
            yield shard_id, entry

    def within(self, pack: int, start: int, stop: int) -> list[tuple[bytes, Entry]]:
        """Shards whose record begins in a stretch of a pack. Slow: for damage only."""
        found = dict(self.database.in_pack(pack, start, stop))
        found.update({i: e for i, e in {**self._frozen, **self.recent}.items() if e is not None})
        return [(i, e) for i, e in found.items() if self.lookup(i) == e and e.pack == pack and start <= e.place < stop]

    # --- the rules of the log ---

    def put(self, shard_id: bytes, length: int, crc: int, pack: int, place: int) -> None:
        """PUT, or a file. An id that was known before was purged since: it bears no mark any more."""
        if self.lookup(shard_id) is not None:
            self.forget(shard_id)
        self.add(shard_id, length, crc, pack, place)

    def add(self, shard_id: bytes, length: int, crc: int, pack: int, place: int) -> None:
        """PUT of an id that is known to be new: the one step of every small write, without a lookup."""
        self.at.shards += 1
        self._note(shard_id)
        self.recent[shard_id] = Entry(length, crc, LIVE, pack, place, 0)
        self._place(length, pack, place)

    def move(self, shard_id: bytes, length: int, crc: int, pack: int, place: int) -> None:
        """MOVED. A mark that the shard bears stays, even one seen before its place was."""
        known = self.lookup(shard_id)
        if known is None:
            self.add(shard_id, length, crc, pack, place)
            return
        self._unplace(known)
        self.at.shards += known.pack == NOWHERE
        self.recent[shard_id] = Entry(length, crc, known.state, pack, place, known.marked)
        self._place(length, pack, place)

    def _place(self, length: int, pack: int, place: int) -> None:
        if pack == FILE:
            self.at.file_bytes += length
            self.generations[place] = self.generations.get(place, 0) + 1
        else:
            (self.packs.get(pack) or self.pack(pack)).live += record_bytes(length)

    def _unplace(self, entry: Entry) -> None:
        if entry.pack == FILE:
            self.at.file_bytes -= entry.length
            self.generations[entry.place] -= 1
        elif entry.pack != NOWHERE:
            self.pack(entry.pack).live -= record_bytes(entry.length)

    def mark(self, shard_id: bytes, marked: int) -> None:
        """TRASH. The first mark counts."""
        known = self.lookup(shard_id)
        if known is None:
            self._note(shard_id)
            self.recent[shard_id] = Entry(0, 0, TRASHED, NOWHERE, 0, marked)
        elif known.state == LIVE:
            length, crc, _, pack, place, _ = known
            self.recent[shard_id] = Entry(length, crc, TRASHED, pack, place, marked)
        else:
            return
        self.at.trashed += 1

    def unmark(self, shard_id: bytes) -> None:
        """A PURGE that was followed by a new file of the same id: the mark belonged to the old one."""
        known = self.lookup(shard_id)
        if known is not None and known.state == TRASHED:
            self.recent[shard_id] = known._replace(state=LIVE, marked=0)
            self.at.trashed -= 1

    def forget(self, shard_id: bytes) -> None:
        """PURGE."""
        known = self.lookup(shard_id)
        if known is None:
            return
        self._unplace(known)
        self.at.shards -= known.pack != NOWHERE
        self.at.trashed -= known.state == TRASHED
        self.recent[shard_id] = None

    def pack(self, number: int) -> PackTotals:
        """The totals of a pack, begun when it is first named."""
        totals = self.packs.get(number)
        if totals is None:
            totals = self.packs[number] = PackTotals()
        return totals

    def advance(self, pack: int, tail: int, batch: int) -> None:
        """The log is durable and applied up to here."""
        at = self.at
        at.pack, at.tail, at.batch = pack, tail, batch
        (self.packs.get(pack) or self.pack(pack)).bytes = tail

    def report(self, damage: Damage) -> bool:
        """Remember a damaged place; False if it was known."""
        if any((d.pack, d.place, d.shard_id) == (damage.pack, damage.place, damage.shard_id) for d in self.damage):
            return False
        self.damage.append(damage)
        return True

    # --- checkpoints ---

    @property
    def unsaved(self) -> int:
        """Changes that are in memory only."""
        return len(self.recent) + len(self._frozen)

    @property
    def dirty(self) -> bool:
        """Whether a checkpoint would write anything."""
        return (
            bool(self.recent)
            or self.saved_position != (self.at.pack, self.at.tail)
            or len(self.damage) != self._saved_damage
        )

    def freeze(self, generation: int) -> Changes:
        """Set aside what is recent, with the totals of this moment, for `Database.save` in a thread."""
        assert not self._frozen, "one checkpoint at a time"
        self._frozen, self.recent = self.recent, {}
        self.at.generation = generation
        self.generations = {number: files for number, files in self.generations.items() if files > 0}
        return Changes(
            entries=self._frozen,
            checkpoint=replace(self.at),
            packs={number: replace(totals) for number, totals in self.packs.items()},
            generations=dict(self.generations),
            damage=self.damage[self._saved_damage :],
        )

    def saved(self, changes: Changes) -> None:
        """The checkpoint is durable: lookups may go to the database, which says something else now."""
        self._frozen = {}
        self._fetched.clear()
        self._saved_damage += len(changes.damage)
        self.saved_position = (changes.checkpoint.pack, changes.checkpoint.tail)

    def not_saved(self) -> None:
        """The checkpoint failed: everything is as recent as before."""
        self.recent = {**self._frozen, **self.recent}
        self._frozen = {}
