"""What a log says: a fold of its records into an index, and the judgement of what is bad in it.

A batch is written only after the one before was synced. So what is bad before the beginning of the last batch, or
before a checkpoint, was once durable: that is corruption, reported and stepped over. What is bad in the last
batch is a torn tail: nothing in that batch was acknowledged, and from the first bad place on it is to be erased.
Decides only: the caller erases and syncs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from chunkd.database import FILE, Damage
from chunkd.index import Index
from chunkd.records import PURGE, PUT, TRASH, Record
from chunkd.scan import Found, Gap

Position = tuple[int, int]
"""Pack and offset: the order of the log."""


class Tail(NamedTuple):
    """How the log ends: the last batch is synced again from `batch_start`, what lies behind `offset` is erased."""

    pack: int
    batch_start: int
    offset: int
    batch: int
    torn: bool


class Replay:
    """Give it all events in order, then `finish`. Holds one batch back, since the last one is judged differently."""

    def __init__(
        self,
        index: Index,
        *,
        has_file: Callable[[bytes, int], bool],
        now: int,
        confirmed: Position = (0, 0),
    ) -> None:
        self._index = index
        self._has_file = has_file
        self._now = now
        self._confirmed = confirmed
        self._held: list[tuple[int, Found | Gap]] = []
        self.batch = index.at.batch
        self.records = 0
        at = index.at
        self._end = Tail(at.pack, at.tail, at.tail, at.batch, False)

    def add(self, number: int, event: Found | Gap) -> None:
        """The next thing that the walk over a pack found."""
        if isinstance(event, Found) and event.record.batch > self.batch:
            self._new_batch(number, event.record)
        self._held.append((number, event))

    def _new_batch(self, number: int, record: Record) -> None:
        """All that lies before the start of a newer batch was synced before it was written."""
        start = (number, record.batch_start)
        rest: list[tuple[int, Found | Gap]] = []
        for pack, event in self._held:
            if isinstance(event, Found):
                self._settle(pack, event)
                continue
            if (pack, event.start) < start:
                self._settle(pack, Gap(event.start, self._cut(pack, event.end, start)))
            if (pack, event.end) > start:
                rest.append((pack, Gap(self._begin(pack, event.start, start), event.end)))
        self._held = rest
        self.batch = record.batch

    @staticmethod
    def _cut(pack: int, end: int, start: Position) -> int:
        return min(end, start[1]) if pack == start[0] else end

    @staticmethod
    def _begin(pack: int, begin: int, start: Position) -> int:
        return max(begin, start[1]) if pack == start[0] else begin

    def _settle(self, pack: int, event: Found | Gap) -> None:
        """An event of a batch that was synced: apply it, or report what is bad."""
        if isinstance(event, Gap):
            self._index.report(Damage(pack, event.start, event.end - event.start, None, "no record", self._now))
            return
        record = event.record
        if not event.intact:
            reason = "body does not match"
            self._index.report(Damage(pack, record.offset, record.length, record.shard_id, reason, self._now))
        self.apply(pack, record)

    def apply(self, pack: int, record: Record) -> None:
        """One record of the log."""
        index = self._index
        self.records += 1
        if record.kind == TRASH:
            index.mark(record.shard_id, record.time)
        elif record.kind == PURGE:
            known = index.lookup(record.shard_id)
            if known is not None and known.pack == FILE and self._has_file(record.shard_id, known.place):
                # A file is unlinked before its PURGE is written: this one came later, under the same id.
                index.unmark(record.shard_id)
            else:
                index.forget(record.shard_id)
        else:
            place = index.put if record.kind == PUT else index.move
            place(record.shard_id, record.length, record.crc, pack, record.offset)
        index.pack(pack).bytes = max(index.pack(pack).bytes, record.end)
        self._end = Tail(pack, min(record.batch_start, record.offset), record.end, record.batch, False)

    def finish(self) -> Tail:
        """Judge the last batch and say where the log ends."""
        for at, (pack, event) in enumerate(self._held):
            start = event.start if isinstance(event, Gap) else event.record.offset
            bad = isinstance(event, Gap) or not event.intact
            if bad and (pack, start) >= self._confirmed:
                self._held = self._held[:at]
                return self._torn(pack, start)
            self._settle(pack, event)
        self._index.advance(self._end.pack, self._end.offset, max(self.batch, self._end.batch))
        return self._end

    def _torn(self, pack: int, start: int) -> Tail:
        begun_here = self._end.pack == pack and self._end.batch == self.batch
        begin = self._end.batch_start if begun_here else start
        self._end = Tail(pack, begin, start, self.batch, True)
        self._index.advance(pack, start, self.batch)
        return self._end
