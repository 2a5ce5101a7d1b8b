"""The sweep: shards that no row names, of sessions that have been closed (law 4).

An open session's shard without a row may be a write under way; a closed one's can never become visible any more,
because closing raised its fence. So: close the sessions nobody hears of, list each closed session's shards by its
prefix, node by node, and trash those whose segment no row names. A session is forgotten when every node has been
swept some time after the closing, for a gate that was stopped may have had a PUT on the wire.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_left
from datetime import UTC, datetime

from s3gate.catalog.rows import SessionRow
from s3gate.geometry.extents import unpack
from s3gate.geometry.ids import ID_BYTES, session_prefix
from s3gate.geometry.lowest import Lowest
from s3gate.store.errors import StoreError
from s3gate.workers.disposal import trash
from s3gate.workers.groups import refresh_fleet
from s3gate.workers.workshop import LATER_SEGMENTS, LIST_LINES, SESSION_ROWS, SEVERAL_ROWS, Workshop

FORGET_SECONDS = 3600.0
"""Longer than a signature lives (chunkd/wire.py): what arrives later is refused by the node."""


async def close_stale_sessions(shop: Workshop) -> bool:
    """Close the sessions that have not been heard of for as long as the setting says."""
    await shop.catalog.close_stale_sessions(shop.settings.session_timeout_seconds)
    return False


class Sweeper:
    """Remembers which nodes were swept of what a session wrote, and whether for the last time, so that sessions that
    wait to be forgotten, or for a node that may never come back, are not swept all the time."""

    def __init__(self) -> None:
        self._swept: dict[tuple[int, bool], set[bytes]] = {}
        self._reached: SessionRow | None = None
        self._passed: set[int] = set()

    async def sweep(self, shop: Workshop) -> bool:
        """The next closed session of which something is left to sweep; False when none was left on the whole round."""
        while page := await shop.catalog.closed_sessions(self._reached, SESSION_ROWS):
            for session in page:
                if await self._sweep(shop, session):
                    return True
                self._reached = session
                self._passed.add(session.session_id)
        # Another worker may have forgotten some.
        self._swept = {key: nodes for key, nodes in self._swept.items() if key[0] in self._passed}
        self._reached, self._passed = None, set()
        return False

    async def _sweep(self, shop: Workshop, session: SessionRow) -> bool:
        """Whether there was something to do that could be done."""
        session_id, last = session.session_id, _age_seconds(session) > FORGET_SECONDS
        swept = self._swept.setdefault((session_id, last), set())
        left = [node for node_id, node in shop.store.fleet.nodes.items() if node_id not in swept]
        if left and all(node.failed for node in left):
            return False
        if swept and not left and not last:
            return False
        before = len(swept)
        complete = await sweep_session(shop, session_id, swept)
        if complete and last:
            await shop.catalog.forget_session(session_id)
            del self._swept[session_id, True]
            self._swept.pop((session_id, False), None)
        return len(swept) > before


def _age_seconds(session: SessionRow) -> float:
    """By the clock of this machine against Postgres': an hour is long enough for both to be a little wrong."""
    assert session.closed_at is not None
    return (datetime.now(UTC) - session.closed_at).total_seconds()


async def sweep_session(shop: Workshop, session_id: int, swept: set[bytes]) -> bool:
    """Sweep the nodes that were not `swept` yet. True when all are; a node that is down is swept another time."""
    # Every node that ever joined, those of a moment ago included: what is not asked must not be forgotten.
    await refresh_fleet(shop)
    named = _Named(shop, session_id)
    for node_id in shop.store.fleet.nodes.keys() - swept:
        with contextlib.suppress(StoreError):
            await _sweep_node(shop, session_id, node_id, named)
            swept.add(node_id)
    return 0 < len(shop.store.fleet.nodes) == len(swept & shop.store.fleet.nodes.keys())


async def _sweep_node(shop: Workshop, session_id: int, node_id: bytes, named: _Named) -> None:
    prefix = session_prefix(session_id)
    following: bytes | None = b""
    while following is not None:
        page, following = await shop.store.list_shards(node_id, prefix, following, LIST_LINES)
        kept = await named.among(sorted({shard.shard_id[:ID_BYTES] for shard in page}))
        orphans = [shard.shard_id for shard in page if shard.shard_id[:ID_BYTES] not in kept]
        if orphans and not await trash(shop, node_id, orphans):
            raise StoreError("the node went away")


class _Named:
    """Which segments of a closed session rows name.

    The rows of several segments are unpacked once for all nodes, or, where these have more segments than may be held,
    as often as the walks over the nodes' lists come to the end of those that are.
    """

    def __init__(self, shop: Workshop, session_id: int) -> None:
        self._shop = shop
        self._start, self._stop = session_prefix(session_id), session_prefix(session_id + 1)
        self._later: Lowest[None] = Lowest(self._start, self._start, LATER_SEGMENTS)

    async def among(self, segments: list[bytes]) -> set[bytes]:
        """Those of these segments, which are in order, that rows name."""
        named: set[bytes] = set()
        place = 0
        while place < len(segments):
            first = segments[place]
            if not self._later.covers(first):
                self._later = await self._gather(first)
            until = bisect_left(segments, self._later.below, place)
            later = self._later.between(first, segments[until - 1] + b"\0")
            named.update(segment_id for segment_id, _ in later)
            place = until
        named.intersection_update(segments)
        if segments:
            named.update(await self._shop.catalog.first_segments(segments))
        return named

    async def _gather(self, first: bytes) -> Lowest[None]:
        """The segments from this one on of rows that have several, as many as may be held."""
        lowest: Lowest[None] = Lowest(first, self._stop, LATER_SEGMENTS)
        start = self._start
        while start < self._stop:
            rows, start = await self._shop.catalog.several_segments(start, self._stop, SEVERAL_ROWS)
            for extents in rows:
                for extent in unpack(extents):
                    lowest.add(extent.segment_id, None)
        return lowest
