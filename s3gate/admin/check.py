"""`admin check`: walks rows to shards and shards to rows, one writer's session after the other.

Nothing is locked: what seems wrong is looked at again before it is reported, for clients go on meanwhile. It reads
only, and what it holds in memory is bounded (session_walk.py, SUSPECTS). With `deep` every shard is read, too, and its
node verifies it (law 7).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator

from chunkd.wire import MAX_READ_BYTES, SHARD_LIVE, ListedShard
from s3gate.admin.findings import Report
from s3gate.admin.session_walk import Place, SessionWalk, Stretch, Wanted
from s3gate.catalog.audit import Audit
from s3gate.geometry.ids import ID_BYTES, SESSION_BYTES, SHARD_ID_BYTES, session_of, session_prefix
from s3gate.store.errors import ShardCorrupt, ShardMissing, StoreError
from s3gate.store.node import range_line
from s3gate.store.store import Store

SWEEP_GRACE_SECONDS = 60.0
"""So long after the closing of a session its orphans may still wait for the sweep."""
SUSPECTS = 100_000
"""Shards without a row that are held, some 20 MB, until all that is parked is looked through for them."""
ASKED_AT_ONCE = 12
"""Shards that are looked at, or read, at a time."""


class Checker:
    """One run over the whole store."""

    def __init__(self, audit: Audit, store: Store, *, deep: bool = False) -> None:
        self._audit = audit
        self._store = store
        self._deep = deep
        self._down: set[bytes] = set()
        self._suspects: dict[Place, float | None] = {}
        self._walk = SessionWalk(audit, store, self._down.add, self._broken)
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
            await self._ask_how_it_is(node_id)
        session_id = await self._next_session(0)
        while session_id is not None:
            report.sessions += 1
            await self._check_session(session_id)
            session_id = await self._next_session(session_id)
        await self._judge_suspects()
        for node_id in sorted(self._down):
            report.unchecked.add(f"node {node_id.hex()}")
        return report

    def _broken(self, first_id: bytes, error: Exception) -> None:
        self.report.broken_rows.add(f"content or part {first_id.hex()}: {error!r}")

    async def _next_session(self, after: int) -> int | None:
        """The next session that any row or any node knows."""
        found = [await self._audit.next_session(after)]
        last = session_prefix(after) + b"\xff" * (SHARD_ID_BYTES - SESSION_BYTES)
        for node_id in self._up():
            async for page in self._pages(node_id, last):
                found += [session_of(shard.shard_id) for shard in page]
                if page:
                    break
        return min((one for one in found if one is not None), default=None)

    async def _ask_how_it_is(self, node_id: bytes) -> None:
        try:
            await self._store.health(node_id)
        except StoreError:
            self._down.add(node_id)

    def _up(self) -> list[bytes]:
        return [node_id for node_id in self._store.fleet.nodes if node_id not in self._down]

    async def _pages(self, node_id: bytes, after: bytes) -> AsyncIterator[list[ListedShard]]:
        """What a node has behind this shard, one by one, between pages that are empty; none once it does not answer."""
        following: bytes | None = after
        while following is not None:
            try:
                page, following = await self._store.list_shards(node_id, b"", following, 1)
            except StoreError:
                self._down.add(node_id)
                return
            yield page

    # --- one session ------------------------------------------------------------------------------------

    async def _check_session(self, session_id: int) -> None:
        # Asked before: of a session that was closed then no row can have come meanwhile.
        closed_for = await self._audit.closed_for(session_id)
        async for stretch in self._walk.stretches(session_id, self._up()):
            self.report.segments += stretch.segments
            await _at_once(self._compare(stretch))
            for place in stretch.found:
                if place.shard_id[:ID_BYTES] in stretch.waiting:
                    self.report.awaiting.add(_name(place))
                else:
                    self._suspects[place] = closed_for
            if len(self._suspects) >= SUSPECTS:
                await self._judge_suspects()

    def _compare(self, stretch: Stretch) -> Iterator[Awaitable[None]]:
        """What has to be asked of nodes; what is found as it should be is taken out of `found`."""
        report = self.report
        for place, want in stretch.wanted.items():
            report.shards += 1
            report.bytes += want.length
            length = stretch.found.pop(place, None)
            if place.node_id in self._down:
                continue
            if length != want.length:
                yield self._look_again(place, want)
            elif self._deep:
                yield self._read(place, want)

    async def _look_again(self, place: Place, want: Wanted) -> None:
        """The row may be gone by now, or the shard may have been written after its node was listed."""
        node_id, shard = place
        name = f"{_name(place)} of {want.first_id.hex()}"
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
            self.report.corrupt.add(f"{_name(place)} of {want.first_id.hex()}")
        except ShardMissing:
            await self._look_again(place, want)
        except StoreError:
            self._down.add(node_id)

    # --- shards that no living row names ------------------------------------------------------------------

    async def _judge_suspects(self) -> None:
        """Asked for in this order: what is parked is parked before its row of garbage goes."""
        suspects, self._suspects = self._suspects, {}
        for node_id in {place.node_id for place in suspects}:
            async for shard in self._audit.parked(node_id):
                place = Place(node_id, shard)
                if place in suspects:
                    del suspects[place]
                    self.report.awaiting.add(_name(place))
        await _at_once(self._judge(place, closed_for) for place, closed_for in suspects.items())

    async def _judge(self, place: Place, closed_for: float | None) -> None:
        if closed_for is None:
            self.report.orphans_open.add(_name(place))
        elif await self._is_gone(*place):
            return
        elif closed_for < SWEEP_GRACE_SECONDS:
            self.report.being_swept.add(_name(place))
        else:
            self.report.orphans.add(_name(place))

    async def _is_gone(self, node_id: bytes, shard: bytes) -> bool:
        try:
            known = await self._store.stat(node_id, shard)
        except StoreError:
            self._down.add(node_id)
            return True
        return known is None or known.state != SHARD_LIVE


def _name(place: Place) -> str:
    return f"shard {place.shard_id.hex()} on node {place.node_id.hex()}"


async def _at_once(questions: Iterator[Awaitable[None]]) -> None:
    """Ask them all, so many at a time."""

    async def ask() -> None:
        for question in questions:
            await question

    await asyncio.gather(*[ask() for _ in range(ASKED_AT_ONCE)])
