"""The catalog: everything that Postgres keeps, behind one object. Its rooms do the work; here they are put together.

It refuses to know S3, shards and nodes' addresses: ids, rows, conditions and refusals go in and out.

Bytes handed to a write belong to the catalog from then on: when the write is refused, cut off or abandoned by its
caller, the catalog queues them as garbage itself, once it is certain that no commit can name them (law 6). Only with
BucketChanged they are given back: the caller decides again, or discards them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from types import MappingProxyType
from typing import Final

from s3gate.catalog import listing, parts, traits, version_listing
from s3gate.catalog.bucket_writes import Write
from s3gate.catalog.buckets import Buckets
from s3gate.catalog.chores import Chores
from s3gate.catalog.commits import Commits
from s3gate.catalog.completions import Completions
from s3gate.catalog.contents import Contents
from s3gate.catalog.copies import Copies
from s3gate.catalog.errors import BucketChanged
from s3gate.catalog.garbage import Discards, Garbage
from s3gate.catalog.identities import IdentityTables
from s3gate.catalog.labels import Labels
from s3gate.catalog.lifecycle import Lifecycle
from s3gate.catalog.limits import Limits
from s3gate.catalog.lookups import Lookups
from s3gate.catalog.nodes import Allocator, Beating, Joining, Nodes
from s3gate.catalog.part_copies import PartCopies
from s3gate.catalog.parts import MAX_PARTS, Parts
from s3gate.catalog.pool import Pool
from s3gate.catalog.removals import Removal, Removals
from s3gate.catalog.rows import (
    NEVER,
    NO_CONDITION,
    PLAIN,
    BucketEntry,
    BucketRow,
    Committed,
    CompletedRow,
    Condition,
    Deleted,
    ListPage,
    Manifest,
    ObjectRow,
    PartRow,
    Stored,
    Traits,
    UploadPage,
    UploadRow,
    VersionPage,
    VersionRef,
)
from s3gate.catalog.sessions import Session, Sessions
from s3gate.catalog.settings import BucketSettings
from s3gate.catalog.settlement import Settlement
from s3gate.catalog.uploads import Uploads
from s3gate.geometry.ids import IdSource
from s3gate.geometry.placement import Group, NodeView
from s3gate.geometry.stripe import Layout

CLOSE_SECONDS = 0.75
NO_SETTINGS: Final[Mapping[str, bytes]] = MappingProxyType({})


class Catalog(Chores):
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
        self._settings = BucketSettings(pool, buckets)
        self._lookups = Lookups(self._lookup_pool, buckets, limits)

        def refused_write(write: Write, error: Exception) -> None:
            # Whoever hears that the bucket has changed has its bytes back, to decide again.
            if write.stored is not None and not isinstance(error, BucketChanged):
                discards.add(write.stored.layout_id, write.stored.extents)

        def refused_part(part: PartRow, _: Exception) -> None:
            discards.add(part.layout_id, part.extents)

        self._commits = Commits(self._commit_pool, session, settlement, limits, refused_write, buckets)
        self._removals = Removals(self._commit_pool, session, settlement, limits, None, buckets)
        self._parts = Parts(self._commit_pool, session, settlement, limits, refused_part)
        self._copies = Copies(pool, session, settlement, limits, buckets)
        self._part_copies = PartCopies(pool, session, settlement, limits)
        self._completions = Completions(pool, session, settlement, limits, buckets)
        self._traits = traits.VersionTraits(pool, session, settlement, limits, buckets)
        self._uploads = Uploads(pool, session, buckets)
        self._contents = Contents(pool, limits)
        self._nodes = Nodes(pool)
        self._sessions = Sessions(pool, limits)
        self.lifecycle = Lifecycle(pool)
        self.identities = IdentityTables(pool)
        self.labels = Labels(pool)
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
        drained = asyncio.gather(*[each.batcher.drain() for each in (self._commits, self._removals, self._parts)])
        await asyncio.wait((drained,), timeout=CLOSE_SECONDS)
        drained.cancel()
        await self._settlement.close(CLOSE_SECONDS)
        await self._discards.drain(CLOSE_SECONDS)
        with suppress(Exception):  # Postgres is away: the workers close a session of which nothing is heard.
            await asyncio.wait_for(self._session.close(), CLOSE_SECONDS)
        await self._close_pools()

    async def _close_pools(self) -> None:
        await asyncio.gather(self._lookup_pool.close(), self._commit_pool.close(), self._pool.close())

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._limits.session_heartbeat_seconds)
            # Whatever it was, a heart that stops would cost the session: the next beat may do.
            with suppress(Exception):
                await self._session.beat()

    # Objects

    async def find_object(
        self, bucket: str, key: bytes, version: VersionRef | None = None
    ) -> tuple[BucketRow | None, ObjectRow | None]:
        """The bucket, and the key's current version (maybe a marker) or this one, as Postgres says now (law 1)."""
        return await self._lookups.find(bucket, key, version)

    async def put_object(self, bucket: BucketRow, key: bytes, stored: Stored, condition: Condition) -> Committed:
        """Make bytes that are durable the current version of the key; BucketChanged when the row is an old one."""
        return await self._commits.put(Write(bucket, key, stored, condition, self.ids.next()))

    def expect_put(self, bucket: BucketRow, key: bytes, stored: Stored, condition: Condition) -> None:
        """This put_object will come once its bytes are durable, if they will be: Postgres may prepare itself."""
        self._commits.expect(Write(bucket, key, stored, condition, self.ids.next()))

    async def delete_object(self, bucket: BucketRow, key: bytes, condition: Condition) -> Deleted | None:
        """Remove the current version, or put a delete marker over it; None: nothing was there. BucketChanged."""
        done = await self._commits.batcher.submit(Write(bucket, key, None, condition, self.ids.next()))
        return done and Deleted(bucket.versioning != NEVER, done.version, done.version_id)

    async def delete_version(
        self,
        bucket: BucketRow,
        key: bytes,
        ref: VersionRef,
        condition: Condition = NO_CONDITION,
        *,
        bypass: bool = False,
    ) -> Deleted | None:
        """Remove one version; None: there is none. `bypass` ends a governance retention. VersionLocked, BucketChanged.

        The condition is judged on that version, but for its own `version`: that is the current one's.
        """
        return await self._removals.batcher.submit(Removal(bucket, key, ref, condition, bypass))

    async def copy_object(
        self, source: ObjectRow, bucket: BucketRow, key: bytes, stored: Stored, condition: Condition
    ) -> Committed:
        """Make the key another reference to the content of a version; SourceChanged when that is not there any more."""
        return await self._copies.copy(source, bucket, key, stored, condition)

    async def put_tags(self, bucket: BucketRow, key: bytes, ref: VersionRef | None, tags: bytes) -> Committed:
        """Change the tags of a version, or of the current one: ObjectMissing, VersionMissing, BucketChanged."""
        return await self._traits.change(bucket, key, ref, traits.tags(tags))

    async def put_acl(
        self, bucket: BucketRow, key: bytes, ref: VersionRef | None, acl: bytes, seen: bytes | None = None
    ) -> Committed:
        """Change the ACL, as put_tags; AclChanged if it is not the one that was `seen` any more."""
        return await self._traits.change(bucket, key, ref, traits.acl(acl, seen))

    async def put_headers(self, bucket: BucketRow, key: bytes, row: ObjectRow, headers: bytes) -> Committed:
        """Change the stored headers of this very version; VersionMissing if another has its place."""
        change = traits.headers(headers, row.content_id)
        return await self._traits.change(bucket, key, (row.version, row.version_id), change)

    async def put_retention(
        self,
        bucket: BucketRow,
        key: bytes,
        ref: VersionRef | None,
        lock: int,
        retain_until: datetime | None,
        *,
        bypass: bool,
    ) -> Committed:
        """Change the retention, as put_tags; VersionLocked when the one that is there forbids it."""
        return await self._traits.change(bucket, key, ref, traits.retention(lock, retain_until, bypass=bypass))

    async def put_legal_hold(self, bucket: BucketRow, key: bytes, ref: VersionRef | None, on: bool) -> Committed:
        """Set or lift the legal hold, as put_tags."""
        return await self._traits.change(bucket, key, ref, traits.legal_hold(on))

    async def discard(self, content: Sequence[tuple[int, bytes]]) -> None:
        """Queue as garbage what was written and never handed to a write: (layout id, packed extents)."""
        await self._garbage.discard(content)

    async def list_objects(
        self, bucket_id: int, *, prefix: bytes, delimiter: bytes, after: bytes, inclusive: bool, limit: int
    ) -> ListPage:
        """A page of keys and common prefixes in byte order, after an entry."""
        return await listing.list_objects(self._pool, bucket_id, prefix, delimiter, after, inclusive, limit)

    async def list_versions(
        self, bucket_id: int, *, prefix: bytes, delimiter: bytes, after: bytes, after_version: int | None, limit: int
    ) -> VersionPage:
        """All versions by key, newest first, after a key or a common prefix, or after a version of that key."""
        return await version_listing.list_versions(
            self._pool, bucket_id, prefix, delimiter, after, after_version, limit
        )

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

    async def create_bucket(
        self,
        name: str,
        owner: str,
        region: str,
        *,
        lock_enabled: bool = False,
        settings: Mapping[str, bytes] = NO_SETTINGS,
    ) -> BucketRow:
        """A new bucket, or BucketTaken. Object lock brings versioning."""
        return await self._buckets.create(name, owner, region, lock_enabled=lock_enabled, settings=settings)

    async def set_versioning(self, bucket: str, state: int) -> None:
        """ENABLED or SUSPENDED; WrongBucketState: object lock needs it enabled."""
        await self._buckets.set_versioning(bucket, state)

    async def enable_lock(self, bucket: str) -> None:
        """Object lock, for ever; WrongBucketState: versioning is not enabled."""
        await self._buckets.enable_lock(bucket)

    async def put_setting(self, bucket: str, kind: str, document: bytes, setting_id: str = "", most: int = 0) -> None:
        """Tell the bucket something; TooManySettings when it has `most` others of a kind with ids."""
        await self._settings.put(bucket, kind, document, setting_id, most)

    async def delete_setting(self, bucket: str, kind: str, setting_id: str = "") -> bool:
        """Unsay it; whether it had been said."""
        return await self._settings.delete(bucket, kind, setting_id)

    async def find_setting(self, bucket_id: int, kind: str, setting_id: str) -> bytes | None:
        """One document of a kind with ids; the others come with the bucket's row."""
        return await self._settings.find(bucket_id, kind, setting_id)

    async def list_settings(self, bucket_id: int, kind: str, after: str, limit: int) -> list[tuple[str, bytes]]:
        """Ids and documents of a kind, in byte order, after an id."""
        return await self._settings.list(bucket_id, kind, after, limit)

    async def delete_bucket(self, name: str) -> None:
        """Remove an empty bucket: BucketMissing, BucketNotEmpty."""
        await self._buckets.delete(name)

    async def list_buckets(self, owner: str, prefix: str, after: str, limit: int) -> list[BucketEntry]:
        """An owner's buckets in byte order of their names, after a name."""
        return await self._buckets.list(owner, prefix, after, limit)

    # Multipart uploads

    async def create_upload(
        self,
        bucket: BucketRow,
        key: bytes,
        *,
        headers: bytes,
        checksum_algorithm: str,
        checksum_type: str,
        group_id: int,
        traits: Traits = PLAIN,
    ) -> UploadRow:
        """Begin an upload; BucketChanged when the bucket's row is an old one."""
        return await self._uploads.create(bucket, key, headers, checksum_algorithm, checksum_type, group_id, traits)

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

    async def copy_part(
        self, source: ObjectRow, source_part: int, upload: UploadRow, number: int, etag: str, checksum: str
    ) -> datetime:
        """Make a part of a source (0: all of one without parts) the upload's by reference: when. SourceChanged."""
        return await self._part_copies.copy(source, source_part, upload, number, etag, checksum)

    async def list_parts(self, upload_id: bytes, after: int, limit: int) -> tuple[list[PartRow], bool]:
        """Parts by number, after a number; whether more follow."""
        return await parts.list_parts(self._pool, upload_id, after, limit)

    async def all_parts(self, upload_id: bytes) -> list[PartRow]:
        """All parts of an upload; S3 allows 10,000."""
        return (await parts.list_parts(self._pool, upload_id, 0, MAX_PARTS))[0]

    async def complete_upload(
        self,
        bucket: BucketRow,
        upload: UploadRow,
        parts: Sequence[tuple[int, bytes]],
        stored: Stored,
        condition: Condition,
        request_digest: bytes,
    ) -> Committed:
        """Make the listed parts (number, part id) the content of the upload's key."""
        return await self._completions.complete(bucket, upload, parts, stored, condition, request_digest)

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

    async def fleet(self) -> tuple[list[NodeView], list[Group]]:
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
