"""The catalog: everything that Postgres keeps, behind one object. Its rooms do the work; here they are put together.

It refuses to know S3, shards and nodes' addresses: ids, rows, conditions and refusals go in and out.

Bytes handed to a write belong to the catalog from then on: when the write is refused, cut off or abandoned by its
caller, the catalog queues them as garbage itself, once it is certain that no commit can name them (law 6).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from s3gate.catalog import listing, parts
from s3gate.catalog.buckets import Buckets
from s3gate.catalog.commits import Commits, Write
from s3gate.catalog.completions import Completions
from s3gate.catalog.contents import Contents
from s3gate.catalog.copies import Copies
from s3gate.catalog.garbage import Discards, Garbage
from s3gate.catalog.limits import Limits
from s3gate.catalog.lookups import Lookups
from s3gate.catalog.nodes import Allocator, Beating, Joining, Nodes
from s3gate.catalog.parts import MAX_PARTS, Parts
from s3gate.catalog.pool import Pool
from s3gate.catalog.rows import (
    BucketRow,
    Committed,
    CompletedRow,
    Condition,
    GarbageRow,
    ListPage,
    Manifest,
    NodeRow,
    ObjectRow,
    ParkedRow,
    PartRow,
    SessionRow,
    Stored,
    UploadPage,
    UploadRow,
)
from s3gate.catalog.sessions import Session, Sessions
from s3gate.catalog.settlement import Settlement
from s3gate.catalog.uploads import Uploads
from s3gate.geometry.ids import IdSource
from s3gate.geometry.placement import Group
from s3gate.geometry.stripe import Layout

CLOSE_SECONDS = 0.75


class Catalog:
    """One process's way to Postgres."""

    def __init__(self, dsn: str, kind: str, limits: Limits) -> None:
        self._limits = limits
        self._commit_pool = Pool(dsn, limits, limits.commit_connections)
        self._lookup_pool = Pool(dsn, limits, limits.lookup_connections)
        self._pool = pool = Pool(dsn, limits, limits.other_connections)
        self._session = session = Session(pool, kind, limits)
        self._settlement = settlement = Settlement(session, limits)
        self._garbage = Garbage(pool, limits)
        self._discards = discards = Discards(self._garbage, limits)
        self._buckets = buckets = Buckets(pool, limits)
        self._lookups = Lookups(self._lookup_pool, buckets, limits)

        def refused_write(write: Write) -> None:
            if write.stored is not None:
                discards.add(write.stored.layout_id, write.stored.extents)

        def refused_part(part: PartRow) -> None:
            discards.add(part.layout_id, part.extents)

        self._commits = Commits(self._commit_pool, session, settlement, limits, refused_write, buckets)
        self._parts = Parts(self._commit_pool, session, settlement, limits, refused_part)
        self._copies = Copies(pool, session, settlement, limits, buckets)
        self._completions = Completions(pool, session, settlement, limits)
        self._uploads = Uploads(pool, session, buckets)
        self._contents = Contents(pool, limits)
        self._nodes = Nodes(pool)
        self._sessions = Sessions(pool, limits)
        self._heart: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, dsn: str, *, kind: str, limits: Limits | None = None) -> Catalog:
        """Connect, refuse a server that does not sync, and open a session of this kind."""
        catalog = cls(dsn, kind, limits or Limits())
        try:
            for pool in (catalog._pool, catalog._commit_pool, catalog._lookup_pool):
                await pool.open()
            await catalog._session.open()
        except BaseException:
            await catalog._close_pools()
            raise
        catalog._heart = asyncio.get_running_loop().create_task(catalog._beat())
        return catalog

    @property
    def is_connected(self) -> bool:
        """Whether commits and lookups have a connection now."""
        return all(pool.is_connected for pool in (self._commit_pool, self._lookup_pool, self._pool))

    @property
    def ids(self) -> IdSource:
        """Ids of this process's session; the same object for as long as the catalog lives."""
        return self._session.ids

    async def close(self) -> None:
        """Let what is under way end, then close the session and every connection."""
        if self._heart is not None:
            self._heart.cancel()
        drained = asyncio.gather(self._commits.batcher.drain(), self._parts.batcher.drain())
        await asyncio.wait((drained,), timeout=CLOSE_SECONDS)
        drained.cancel()
        await self._settlement.close(CLOSE_SECONDS)
        await self._discards.drain(CLOSE_SECONDS)
        with suppress(Exception):  # Postgres is away: the workers close a session of which nothing is heard.
            await asyncio.wait_for(self._session.close(), CLOSE_SECONDS)
        await self._close_pools()

    async def _close_pools(self) -> None:
        for pool in (self._lookup_pool, self._commit_pool, self._pool):
            await pool.close()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._limits.session_heartbeat_seconds)
            # Whatever it was, a heart that stops would cost the session: the next beat may do.
            with suppress(Exception):
                await self._session.beat()

    # Objects

    async def find_object(self, bucket: str, key: bytes) -> tuple[BucketRow | None, ObjectRow | None]:
        """The bucket and the visible version of the key (law 1), as Postgres says now."""
        return await self._lookups.find(bucket, key)

    async def put_object(self, bucket: str, key: bytes, stored: Stored, condition: Condition) -> Committed:
        """Make bytes that are durable the visible version of the key."""
        answer = await self._commits.batcher.submit(Write(bucket, key, stored, condition))
        assert answer is not None
        return answer

    async def delete_object(self, bucket: str, key: bytes, condition: Condition) -> bool:
        """Remove the visible version; whether there was one."""
        return await self._commits.batcher.submit(Write(bucket, key, None, condition)) is not None

    async def copy_object(
        self, source: ObjectRow, bucket: str, key: bytes, stored: Stored, condition: Condition
    ) -> Committed:
        """Make the key another reference to the source's content; SourceChanged when that is not there any more."""
        return await self._copies.copy(source, bucket, key, stored, condition)

    async def discard(self, content: Sequence[tuple[int, bytes]]) -> None:
        """Queue as garbage what was written and never handed to a write: (layout id, packed extents)."""
        await self._garbage.discard(content)

    async def list_objects(
        self, bucket_id: int, *, prefix: bytes, delimiter: bytes, after: bytes, inclusive: bool, limit: int
    ) -> ListPage:
        """A page of keys and common prefixes in byte order, after an entry."""
        return await listing.list_objects(self._pool, bucket_id, prefix, delimiter, after, inclusive, limit)

    async def manifest(self, content_id: bytes) -> Manifest:
        """The parts of a multipart content."""
        return await self._contents.manifest(content_id)

    async def part_extents(self, content_id: bytes, first_part: int, last_part: int) -> list[PartRow]:
        """The rows of a content's parts whose numbers lie between these two."""
        return await self._contents.parts(content_id, first_part, last_part)

    # Buckets

    async def find_bucket(self, name: str, *, fresh: bool = False) -> BucketRow | None:
        """The bucket of this name, remembered for a moment unless `fresh`."""
        return await self._buckets.find(name, fresh=fresh)

    async def create_bucket(self, name: str, owner: str, region: str) -> BucketRow:
        """A new bucket, or BucketTaken."""
        return await self._buckets.create(name, owner, region)

    async def delete_bucket(self, name: str) -> None:
        """Remove an empty bucket: BucketMissing, BucketNotEmpty."""
        await self._buckets.delete(name)

    async def list_buckets(self, prefix: str, after: str, limit: int) -> list[BucketRow]:
        """Buckets in byte order of their names, after a name."""
        return await self._buckets.list(prefix, after, limit)

    # Multipart uploads

    async def create_upload(
        self,
        bucket: str,
        key: bytes,
        *,
        headers: bytes,
        checksum_algorithm: str,
        checksum_type: str,
        group_id: int,
    ) -> UploadRow:
        """Begin an upload."""
        return await self._uploads.create(bucket, key, headers, checksum_algorithm, checksum_type, group_id)

    async def find_upload(self, bucket: str, key: bytes, upload_id: bytes) -> UploadRow | None:
        """An upload of this bucket and key."""
        return await self._uploads.find(bucket, key, upload_id)

    async def list_uploads(
        self, bucket_id: int, *, prefix: bytes, delimiter: bytes, after: bytes, after_id: bytes, limit: int
    ) -> UploadPage:
        """Uploads ordered by key and upload id, after a key (and an upload of it) or a common prefix."""
        return await listing.list_uploads(self._pool, bucket_id, prefix, delimiter, after, after_id, limit)

    async def put_part(self, upload: UploadRow, part: PartRow) -> PartRow:
        """Make a part part of its upload, with Postgres' time; an earlier attempt becomes garbage."""
        if part.upload_id != upload.upload_id:
            raise ValueError("a part of another upload")
        return await self._parts.batcher.submit(part)

    async def list_parts(self, upload_id: bytes, after: int, limit: int) -> tuple[list[PartRow], bool]:
        """Parts by number, after a number; whether more follow."""
        return await parts.list_parts(self._pool, upload_id, after, limit)

    async def all_parts(self, upload_id: bytes) -> list[PartRow]:
        """All parts of an upload; S3 allows 10,000."""
        return (await parts.list_parts(self._pool, upload_id, 0, MAX_PARTS))[0]

    async def complete_upload(
        self,
        upload: UploadRow,
        parts: Sequence[tuple[int, bytes]],
        stored: Stored,
        condition: Condition,
        request_digest: bytes,
    ) -> Committed:
        """Make the listed parts (number, part id) the content of the upload's key."""
        return await self._completions.complete(upload, parts, stored, condition, request_digest)

    async def find_completed(self, upload_id: bytes) -> CompletedRow | None:
        """What the Complete of this upload answered."""
        return await self._uploads.find_completed(upload_id)

    async def abort_upload(self, upload: UploadRow) -> None:
        """Take an upload away, with all its parts."""
        await self._uploads.abort(upload.upload_id)

    # Nodes, groups, layouts

    async def join_node(self, node: Joining) -> int:
        """The node's new incarnation; NodeRefused."""
        return await self._nodes.join(node)

    async def heartbeat_node(self, node: Beating) -> bool:
        """False when the node has to join again."""
        return await self._nodes.heartbeat(node)

    async def fleet(self) -> tuple[list[NodeRow], list[Group]]:
        """All nodes and groups."""
        return await self._nodes.fleet()

    async def apply_groups(self, plan: Allocator) -> bool:
        """Let the allocator change the groups, one at a time over the whole cluster; whether it did."""
        return await self._nodes.apply_groups(plan)

    async def layouts(self) -> list[Layout]:
        """Every layout that a row may name."""
        return await self._nodes.layouts()

    async def find_or_make_layout(self, name: str, unit_bytes: int, floor_bytes: int, segment_bytes: int) -> Layout:
        """The layout of these settings."""
        return await self._nodes.find_or_make_layout(name, unit_bytes, floor_bytes, segment_bytes)

    # Workers

    async def take_garbage(self, limit: int) -> list[GarbageRow]:
        """The oldest garbage, leased for a while."""
        return await self._garbage.take(limit)

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

    async def closed_sessions(self) -> list[SessionRow]:
        """Closed sessions that were not swept yet."""
        return await self._sessions.closed()

    async def referenced_ids(self, session_id: int, after: bytes, limit: int) -> list[bytes]:
        """Segment ids of a session that rows still name, in order."""
        return await self._garbage.referenced_ids(session_id, after, limit)

    async def forget_session(self, session_id: int) -> None:
        """A closed session has been swept."""
        await self._sessions.forget(session_id)
