"""`admin check`: walks rows to shards and shards to rows, one writer's session after the other.

All segments of a row and all their shards carry one session's id, so both sides are listed by session and compared in
memory. Nothing is locked: what seems wrong is looked at again before it is reported, for clients go on meanwhile. It
reads only. With `deep` every shard is read, too, and its node verifies it (law 7).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple

from chunkd.wire import MAX_READ_BYTES, SHARD_LIVE, ListedShard
from s3gate.admin.findings import Report
from s3gate.catalog.audit import Audit, Reference
from s3gate.crypto.blocks import sealed_length
from s3gate.geometry.extents import unpack
from s3gate.geometry.ids import SESSION_BYTES, SHARD_ID_BYTES, SLOTS, session_of, session_prefix, shard_id, turn_of
from s3gate.geometry.placement import Group
from s3gate.geometry.stripe import Layout
from s3gate.store.errors import ShardCorrupt, ShardMissing, StoreError
from s3gate.store.node import range_line
from s3gate.store.store import Store

LIST_LINES = 5000
SWEEP_GRACE_SECONDS = 60.0
"""So long after the closing of a session its orphans may still wait for the sweep."""


class Wanted(NamedTuple):
    """A shard that a row names: how long it must be, and the row's id."""

    length: int
    first_id: bytes


Place = tuple[bytes, bytes]
"""A node and a shard."""


class Checker:
    """One run over the whole store."""

    def __init__(self, audit: Audit, store: Store, *, deep: bool = False) -> None:
        self._audit = audit
        self._store = store
        self._deep = deep
        self._down: set[bytes] = set()
        self._parked: set[Place] = set()
        self.report = Report()

    async def run(self) -> Report:
        """Check everything."""
        report = self.report
        totals = await self._audit.totals()
        report.objects, report.older_versions, report.parts = totals[:3]
        report.uploads, report.garbage, report.parked = totals[3:]
        for what, content_id in await self._audit.broken_rows():
            report.broken_rows.add(f"{what}: content {content_id.hex()}")
        for node_id in self._store.fleet.nodes:
            # What is parked for a node that has been down for long may be more than this process can hold.
            if await self._answers(node_id):
                self._parked.update((node_id, one) for one in await self._audit.parked(node_id))
        session_id = await self._next_session(0)
        while session_id is not None:
            report.sessions += 1
            await self._check_session(session_id)
            session_id = await self._next_session(session_id)
        for node_id in sorted(self._down):
            report.unchecked.add(f"node {node_id.hex()}")
        return report

    async def _next_session(self, after: int) -> int | None:
        """The next session that any row or any node knows."""
        found = [await self._audit.next_session(after)]
        last = session_prefix(after) + b"\xff" * (SHARD_ID_BYTES - SESSION_BYTES)
        for node_id in self._up():
            async for page in self._pages(node_id, b"", last, 1):
                found += [session_of(shard.shard_id) for shard in page]
                if page:
                    break
        return min((one for one in found if one is not None), default=None)

    async def _answers(self, node_id: bytes) -> bool:
        try:
            await self._store.health(node_id)
        except StoreError:
            self._down.add(node_id)
        return node_id not in self._down

    def _up(self) -> list[bytes]:
        return [node_id for node_id in self._store.fleet.nodes if node_id not in self._down]

    async def _pages(self, node_id: bytes, prefix: bytes, after: bytes, limit: int) -> AsyncIterator[list[ListedShard]]:
        """The pages of a node's list, some of which may be empty; none once the node does not answer."""
        following: bytes | None = after
        while following is not None:
            try:
                page, following = await self._store.list_shards(node_id, prefix, following, limit)
            except StoreError:
                self._down.add(node_id)
                return
            yield page

    # --- one session ------------------------------------------------------------------------------------

    async def _check_session(self, session_id: int) -> None:
        found = await self._shards_of(session_id)
        wanted, waiting = await self._rows_of(session_id)
        for place, want in wanted.items():
            await self._compare(place, want, found.pop(place, None))
        await self._judge_rest(session_id, found, waiting)

    async def _shards_of(self, session_id: int) -> dict[Place, int]:
        """All live shards of a session, with their lengths."""
        found: dict[Place, int] = {}
        prefix = session_prefix(session_id)
        for node_id in self._up():
            async for page in self._pages(node_id, prefix, b"", LIST_LINES):
                found.update(((node_id, shard.shard_id), shard.length) for shard in page)
        return found

    async def _rows_of(self, session_id: int) -> tuple[dict[Place, Wanted], set[bytes]]:
        """The shards that living rows name, and the segments of which only garbage is left."""
        wanted: dict[Place, Wanted] = {}
        waiting: set[bytes] = set()
        alive: set[bytes] = set()  # once, however many rows name it
        async for reference in self._audit.references(session_id):
            if not reference.alive:
                waiting.update(extent.segment_id for extent in unpack(reference.extents))
                continue
            fleet = self._store.fleet
            try:
                found = shards_of(reference, fleet.layouts[reference.layout_id], fleet.groups)
            except (KeyError, ValueError) as error:
                self.report.broken_rows.add(f"content or part {reference.first_id.hex()}: {error!r}")
                continue
            alive.update(extent.segment_id for extent in unpack(reference.extents))
            wanted.update(found)
        self.report.segments += len(alive)
        return wanted, waiting

    async def _compare(self, place: Place, want: Wanted, length: int | None) -> None:
        report = self.report
        report.shards += 1
        report.bytes += want.length
        if place[0] in self._down:
            return
        if length != want.length:
            await self._look_again(place, want)
        elif self._deep:
            await self._read(place, want)

    async def _look_again(self, place: Place, want: Wanted) -> None:
        """The row may be gone by now, or the shard may have been written after its node was listed."""
        node_id, shard = place
        name = f"shard {shard.hex()} on node {node_id.hex()} of {want.first_id.hex()}"
        if node_id not in self._store.fleet.nodes:
            self.report.missing.add(f"{name}: the node is not known")
            return
        try:
            known = await self._store.stat(node_id, shard)
        except StoreError:
            self._down.add(node_id)
            return
        if known is not None and known.state == SHARD_LIVE and known.length == want.length:
            return
        if not await self._audit.is_alive(want.first_id):
            return
        if known is None or known.state != SHARD_LIVE:
            self.report.missing.add(name if known is None else f"{name}: it is in the trash")
        else:
            self.report.wrong_length.add(f"{name}: {known.length} bytes, not {want.length}")

    async def _read(self, place: Place, want: Wanted) -> None:
        node_id, shard = place
        try:
            node = self._store.fleet.reachable(node_id)
            for start in range(0, want.length, MAX_READ_BYTES):
                stop = min(start + MAX_READ_BYTES, want.length)
                await node.get(shard, range_line(start, stop), stop - start)
        except ShardCorrupt:
            self.report.corrupt.add(f"shard {shard.hex()} on node {node_id.hex()} of {want.first_id.hex()}")
        except ShardMissing:
            await self._look_again(place, want)
        except StoreError:
            self._down.add(node_id)

    async def _judge_rest(self, session_id: int, found: Mapping[Place, int], waiting: set[bytes]) -> None:
        """Shards that no living row names."""
        closed_for = (await self._audit.sessions()).get(session_id, float("inf"))
        report = self.report
        for node_id, shard in found:
            name = f"shard {shard.hex()} on node {node_id.hex()}"
            if shard[:-1] in waiting or (node_id, shard) in self._parked:
                report.awaiting.add(name)
            elif closed_for is None:
                report.orphans_open.add(name)
            elif await self._is_gone(node_id, shard):
                continue
            elif closed_for < SWEEP_GRACE_SECONDS:
                report.being_swept.add(name)
            else:
                report.orphans.add(name)

    async def _is_gone(self, node_id: bytes, shard: bytes) -> bool:
        try:
            known = await self._store.stat(node_id, shard)
        except StoreError:
            self._down.add(node_id)
            return True
        return known is None or known.state != SHARD_LIVE


def shards_of(reference: Reference, layout: Layout, groups: Mapping[int, Group]) -> dict[Place, Wanted]:
    """Every shard with bytes that a row names, and where."""
    extents = unpack(reference.extents)
    lengths = layout.segment_lengths(sealed_length(reference.size) if reference.sealed else reference.size)
    if len(extents) != len(lengths):
        raise ValueError(f"{len(extents)} segments for {reference.size} bytes")
    found: dict[Place, Wanted] = {}
    for extent, length in zip(extents, lengths, strict=True):
        nodes = groups[extent.group_id].nodes
        for position in range(SLOTS):
            size = layout.shard_length(length, position)
            if size:
                slot = (position + turn_of(extent.segment_id)) % SLOTS
                found[nodes[slot], shard_id(extent.segment_id, slot)] = Wanted(size, reference.first_id)
    return found
