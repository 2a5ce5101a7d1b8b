"""What only workers and operators ask of the catalog: garbage, what is too old, closed sessions, lifecycle walks.

It is the catalog's lower half, apart for its length; the rooms named here do the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from s3gate.catalog.batcher import Batcher
from s3gate.catalog.commits import Commits
from s3gate.catalog.garbage import Garbage
from s3gate.catalog.lifecycle import Lifecycle
from s3gate.catalog.lookups import Lookups
from s3gate.catalog.named import first_segments, several_segments
from s3gate.catalog.parts import Parts
from s3gate.catalog.pool import Pool
from s3gate.catalog.removals import Removals
from s3gate.catalog.rows import GarbageRow, ParkedRow, PartRow, SessionRow
from s3gate.catalog.sessions import Sessions
from s3gate.catalog.uploads import Uploads


class Chores:
    """Bounded batches, each of which may run twice (law 10)."""

    _pool: Pool
    _garbage: Garbage
    _uploads: Uploads
    _sessions: Sessions
    _lookups: Lookups
    _commits: Commits
    _removals: Removals
    _parts: Parts
    lifecycle: Lifecycle
    """Pages and progress of the lifecycle worker."""

    def batches(self) -> list[tuple[str, int, int]]:
        """For operators: of which kind, how many batches were begun, how many requests they had together."""
        kinds: list[tuple[str, Batcher[Any, Any]]] = [
            ("lookup", self._lookups.heads),
            ("commit", self._commits.batcher),
            ("removal", self._removals.batcher),
            ("part", self._parts.batcher),
        ]
        return [(kind, batcher.batches, batcher.batched) for kind, batcher in kinds]

    async def take_garbage(self, limit: int) -> list[GarbageRow]:
        """The oldest garbage, leased for a while."""
        return await self._garbage.take(limit)

    async def renew_garbage(self, rows: Sequence[GarbageRow]) -> None:
        """Keep what was taken a while longer."""
        await self._garbage.renew(rows)

    async def garbage_parts(self, row: GarbageRow, limit: int) -> list[PartRow]:
        """The next parts of a multipart content to trash; none: finish the row."""
        return await self._garbage.parts(row, limit)

    async def forget_parts(self, parts: Sequence[PartRow]) -> None:
        """The shards of these parts have been trashed."""
        await self._garbage.forget_parts(parts)

    async def finish_garbage(self, rows: Sequence[GarbageRow]) -> None:
        """What these rows stand for has been trashed, or is still referenced."""
        await self._garbage.finish(rows)

    async def park_garbage(self, node_id: bytes, shard_ids: Sequence[bytes]) -> None:
        """Keep shards to trash until their node is back."""
        await self._garbage.park(node_id, shard_ids)

    async def take_parked(self, node_id: bytes, limit: int) -> list[ParkedRow]:
        """What waits for this node."""
        return await self._garbage.take_parked(node_id, limit)

    async def finish_parked(self, rows: Sequence[ParkedRow]) -> None:
        """These have been trashed."""
        await self._garbage.finish_parked(rows)

    async def expire_uploads(self, older_than_seconds: float, limit: int) -> int:
        """Abort uploads that nobody finished; how many."""
        return await self._uploads.expire(older_than_seconds, limit)

    async def forget_completed(self, older_than_seconds: float, limit: int) -> int:
        """Drop old tombstones; how many."""
        return await self._uploads.forget_completed(older_than_seconds, limit)

    async def close_stale_sessions(self, older_than_seconds: float) -> list[int]:
        """Close sessions of which nothing was heard."""
        return await self._sessions.close_stale(older_than_seconds)

    async def closed_sessions(self, after: SessionRow | None = None, limit: int = 100) -> list[SessionRow]:
        """Closed sessions that were not swept yet, the longest closed first, after one of them."""
        return await self._sessions.closed(after, limit)

    async def first_segments(self, segments: Sequence[bytes]) -> list[bytes]:
        """Those of these segments that are the first one of what a row names."""
        return await first_segments(self._pool, segments)

    async def several_segments(self, first: bytes, below: bytes, limit: int) -> tuple[list[bytes], bytes]:
        """Extents of rows of several segments the first of which lies there: all below the id beside them."""
        return await several_segments(self._pool, first, below, limit)

    async def forget_session(self, session_id: int) -> None:
        """A closed session has been swept."""
        await self._sessions.forget(session_id)
